"""Tests of access tokens and of the keys that sign them."""
