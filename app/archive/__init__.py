"""A log and its keys as files, which are the same for every kind of store.

`writing` makes them, `reading` reads them, `proving` proves them; `filling` makes a store of them,
all of it or nothing, and `restoring` lets it go on as another log. Knows no command line.
"""
