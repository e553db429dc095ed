"""How scripts rotate: regenerate the primary key in place, then write the new value to Key Vault.

The well-known function does it in this order. Whoever has the old value in a cache is refused until the cache ends:
that is what this room is here to show. Nothing of keyturn's rules is in it, on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from keyturn.demo.control import StageFault
from keyturn.demo.stage import VAULT, Client, Stage, secret_name, service_id

ARM: Final = "management.azure.com"
API_VERSION: Final = "2022-08-01"
PAUSE: Final = timedelta(seconds=15)


def rotate(stage: Stage, wait: Callable[[timedelta], None], told: Callable[[int], None]) -> None:
    """Rotate every credential the short way. `wait` lets emulated time pass when Azure asks for patience; `told` hears
    how many are done. Raises StageFault."""
    script = stage.as_rotator()
    try:
        for done, sid in enumerate(stage.sids, start=1):
            entity = f"{service_id()}/subscriptions/{sid}"
            _ask(script, wait, "POST", ARM, f"{entity}/regeneratePrimaryKey?api-version={API_VERSION}")
            values = _ask(script, wait, "POST", ARM, f"{entity}/listSecrets?api-version={API_VERSION}")
            body = {"value": values["primaryKey"]}
            _ask(script, wait, "PUT", f"{VAULT}.vault.azure.net", f"/secrets/{secret_name(sid)}?api-version=7.4", body)
            told(done)
    finally:
        script.close()


def _ask(
    script: Client,
    wait: Callable[[timedelta], None],
    method: str,
    host: str,
    path: str,
    body: dict[str, Any] | None = None,
) -> Any:
    while True:
        status, told = script.ask(method, host, path, body)
        if status < 300:
            return told
        if status != 429:
            raise StageFault(f"the script got {status} from {host}")
        wait(PAUSE)
