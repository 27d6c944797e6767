"""The long proofs: properties that need real processes, each tried thousands of times.

`python -m tests.prove` runs them at their full size; `tests/faults` runs the same code in a short
form with every test run.
"""
