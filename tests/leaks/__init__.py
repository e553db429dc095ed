"""The hunt for values where none may stand: everything that keyturn does, once, with values that can be recognised."""
