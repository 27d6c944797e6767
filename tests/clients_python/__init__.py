"""The Python client, tried against a service that runs."""
