"""Views: events in, whole rows out."""
