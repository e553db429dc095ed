"""Ten minutes in which two keyturns are killed and frozen all the time, Azure fails, and a person interferes.

    uv run python -m bench.soak [--minutes 10] [--seed 1] [--credentials 12]
    uv run python -m bench.soak --bug drain-too-short --credentials 4

`judge` says which refused calls the protocol allows; `play` lets time pass; `loops`, `weather`, `portal` and `callers`
are the four that meet on the emulator. The second command puts an everyday bug into keyturn.
"""
