"""Drivers for Azure: sign-in, the Resource Manager pipeline, budgets, and the one way in which an effect is sent.

Drivers know ports and core, no adapter. The Azure libraries are imported on first use: a command that calls nobody
must not pay for them.
"""
