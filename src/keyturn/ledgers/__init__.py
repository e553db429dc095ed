"""Ledgers: where records, history, leases and notes are kept.

`sql` is the ledger on SQLite, and `reading` a quick view of the same file, for commands that only look; `table` is the
ledger in a table of Azure Storage, and `table_view` its view. Import the one you need: nothing is imported here,
because SQLAlchemy alone costs a command 0.4 s.
"""
