"""keyturn is killed with SIGKILL at any request, started again, and ends with every credential rotated and no call
refused, where keyturn chooses the values."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyturn.demo.control import EmulatedAzure
from tests.crash.promise import holds_in


@pytest.mark.long
def test_killed_at_any_request_every_credential_is_rotated_and_no_call_is_refused(
    azure: EmulatedAzure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    holds_in("set", azure, tmp_path, capsys)
