"""Facts and rules: what can happen to a user, and what follows from it.

Knows no clock, no randomness, no I/O and no cryptography beyond hashing: times, ids,
tokens and sealed values come in as arguments.
"""
