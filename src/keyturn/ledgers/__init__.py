"""Ledgers: where records, history, leases and notes are kept.

`sql` is the ledger that turns work on; `reading` is a quick view of the same file, for commands that only
look. Import the one you need: nothing is imported here, because SQLAlchemy alone costs a command 0.4 s.
"""
