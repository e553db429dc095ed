"""Keyrings: the places that hold two-slot credentials, one adapter per kind."""
