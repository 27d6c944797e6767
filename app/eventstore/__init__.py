"""The event log: how events are stored, chained, sealed off from change, and read again.

Knows no rule and no view. With `projections.storage*` the only place that may import the
`eventsourcing` library.
"""
