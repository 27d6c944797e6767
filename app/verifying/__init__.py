"""Proving a store: everything is read again and compared with what the log says.

`store` proves it, by the parts beside it. Changes nothing, and knows no command line and no file.
"""
