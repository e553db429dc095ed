"""Clocks: where time and randomness come from."""
