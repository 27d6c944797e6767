"""Tests of facts and rules alone: no store, no clock, no HTTP."""
