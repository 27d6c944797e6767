"""Proving a store: everything is read again and compared with what the log says.

`store` proves a whole one, `file` an export. Changes nothing, and knows no command line.
"""
