"""No proxy and no trust of this machine's: a test sets its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.peers import trust_file

PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")


@pytest.fixture(autouse=True)
def nothing_of_this_machines_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trust_file(tmp_path)))
    # the libraries' pauses between two tries of a sign-in, which prove nothing here
    monkeypatch.setattr("keyturn.azure.transport.LONGEST_PAUSE", 0.01)
    monkeypatch.setattr("keyturn.azure.signin.LIMIT", 1.0)
