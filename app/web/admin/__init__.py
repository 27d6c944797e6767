"""The administration: users, the log, views, keys, and whether all is well, for whoever may see it.

Each page asks for the permission that the JSON API asks for, and calls the same use cases.
"""
