"""The role definitions in deploy/roles, as a person hands them to `az role definition create`."""

from __future__ import annotations

import json
from typing import Any

from tests.docs.pages import ROOT

FOLDER = ROOT / "deploy" / "roles"
DEFINITIONS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))
}
PLACEHOLDER = "/subscriptions/REPLACE-WITH-YOUR-AZURE-SUBSCRIPTION"
SERVICE = "Microsoft.ApiManagement/service/"


def actions(name: str) -> list[str]:
    return list(DEFINITIONS[name]["Actions"])


def below_service(name: str) -> list[str]:
    """The actions as the pages shorten them."""
    return [action.removeprefix(SERVICE) for action in actions(name)]
