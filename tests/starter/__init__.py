"""The first configuration: its text, and what a reader of configurations makes of it."""
