"""Values that can be recognised anywhere, and the world that holds them.

A marked value has letters g to z alone: none of hex, and six of them in a row are in no other text by chance. Every
secret that somebody chooses is marked here; what keyturn and Azure draw themselves is as they draw it.
Never here: where a value may stand.
"""

from __future__ import annotations

import base64
import random
from typing import Any, Final

from keyturn_emulator import seed

LETTERS: Final = "ghijklmnopqrstuvwxyz"
LENGTH: Final = 32
SIGNS: Final = ("SharedAccessSignature ", "GatewayKey ", "uid=")


class Marked:
    """Draws marked values, and remembers each with its name. `number`: one for each world."""

    def __init__(self, number: int = 1) -> None:
        self.number = number
        self._random = random.Random(f"marked {number}")
        self.named: list[tuple[str, str]] = []

    def draw(self, name: str) -> str:
        value = "".join(self._random.choices(LETTERS, k=LENGTH))
        self.named.append((name, value))
        return value

    def signing_secret(self, name: str) -> str:
        """For a webhook: `whsec_` and base64."""
        text = base64.b64encode(self.draw(name).encode()).decode()
        self.named.append((f"{name}, as it is written", text))
        return f"whsec_{text}"


def world(marked: Marked) -> dict[str, Any]:
    """The usual one, with a marked value in every slot, and a marked client secret."""
    described = seed.default_description()
    described["seed"] = 1000 + marked.number  # what one world calls a version may not be a key in another
    described["applications"][0]["secret"] = marked.draw("the client secret")
    (service,) = described["services"]
    rows = {each["sid"]: each for each in service["subscriptions"]}
    rows |= {"tenant/access": service["tenant_access"], "gw-oslo": service["self_hosted_gateways"][0]}
    rows["tenant/gitAccess"] = service.setdefault("git_access", {})
    for name, row in rows.items():
        row |= {slot: marked.draw(f"{slot} of {name}") for slot in ("primary", "secondary")}
    return described


def secret_part(value: str) -> str:
    """What of a value proves a leak: of a token its signature, because name and expiry are told on purpose."""
    if not value.startswith(SIGNS) and value.count("&") != 2:
        return value
    return value.rpartition("&")[2].removeprefix("sn=")
