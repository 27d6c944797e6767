"""HTTP: one controller a noun, and what stands around them.

A handler reads a Struct, calls a use case, returns a Struct. Knows no rule and no SQL.
"""
