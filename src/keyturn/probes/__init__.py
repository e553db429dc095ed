"""Probes: how the gateways are asked whether they accept a value."""
