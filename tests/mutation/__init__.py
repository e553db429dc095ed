"""Mutation testing of the core: what the tests of `plan` and `policy` would not notice.

    uv run python -m tests.mutation                   every mutant of both rooms
    uv run python -m tests.mutation --room policy     of one
    uv run python -m tests.mutation --sample 300      of 300, drawn by --seed
    uv run python -m tests.mutation --list            name them, and run nothing

A mutant is the code with one small change. Whoever survives the suite shows a line that no test holds to anything, or
one that has no effect; `survivors.toml` names each with its reason, and nobody else may survive.

Of our own, because no library does this here: mutmut 3 leaves out properties, constants, defaults and so the bounds of
`policy` and the sets of `plan`, tells sentences from decisions by no option, and numbers its mutants, so that an entry
in a list of survivors means another mutant after the next edit; cosmic-ray starts a process per mutant, which takes
hours. The rooms: `operators` says what mutants there are, `applying` puts one in place of the code, `running` asks the
tests, `survivors` keeps the list.
"""
