"""Access tokens and the keys that sign them.

Knows no HTTP, no store and no session rules: who may have a token is decided elsewhere.
"""
