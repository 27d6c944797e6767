"""The benchmarks: programs that measure the service against the barest thing that could do its job.

`python -m tests.benchmarks` runs them; what they print is read by people and asserted by nobody,
but that a page costs no more than it may.
"""
