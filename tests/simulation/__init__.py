"""A service in one process, in a time of its own: real parts, made-up faults, one seed.

The handlers, the rules, the writer, the views and the store are the product's. Time, the network,
what befalls a commit and what people do are drawn from the seed, so that whatever went wrong can
be had again. `tests.prove.simulated` runs it at length.
"""
