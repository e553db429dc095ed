"""keyturn and its emulator under attack: what strangers write is refused by a sentence, or read; nothing else happens.

No traceback, no hang, no growth. CI plays a part of it; `python -m tests.hostile` plays as long as it is told to.
"""
