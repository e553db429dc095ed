"""A deterministic simulation of keyturns, Azure, callers and everybody else; docs/proof.md tells how to read it."""
