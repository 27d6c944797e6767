"""Pages: the service for people in a browser, an entrance beside the HTTP API and the command line.

Calls the same use cases, and knows no store.
"""
