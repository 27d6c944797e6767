"""A small store of each kind from every release, which must open for ever."""
