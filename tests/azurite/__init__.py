"""A real Azurite for tests: Azure's own emulator of table storage, on loopback, in a folder of its own.

    with azurite.running(tmp_path) as account:
        account.connection_string

Node comes from PyPI with the `dev` group, Azurite from npm by the version in package.json, once per checkout and only
for tests that need it. Where it cannot be had the test fails and says why; none is skipped.
"""

from tests.azurite.install import NotInstalled, program
from tests.azurite.server import KEY, Account, running

__all__ = ["KEY", "Account", "NotInstalled", "program", "running"]
