"""Sinks: the places that callers read a value from, one adapter per kind."""
