"""The read side: tables that are filled from events and answer look-ups.

Knows events and storage, never commands or aggregates.
"""
