"""Writes docs/permissions.md's tables from what `keyturn check` looks for: python -m tests.docs.permissions_page"""

from __future__ import annotations

from collections.abc import Iterator

from keyturn.azure import rights
from tests.docs.pages import DOCS, published

PAGE = DOCS / "permissions.md"
MARK = "permissions_page -->\n"


def page_text() -> str:
    """The page as it is up to the mark, then the tables as they should be."""
    return published(PAGE, MARK, "\n" + "\n".join(_tables()) + "\n")


def _tables() -> Iterator[str]:
    for job in rights.JOBS:
        yield f"## {job.name[0].upper()}{job.name[1:]}"
        yield ""
        at = f"[{job.role}.json](../deploy/roles/{job.role}.json)" if job.role else "none yet, make one"
        yield f"At the service. Role: {at}."
        yield ""
        yield from _table(job.rights)
    yield "## Key Vault"
    yield ""
    yield f"At the vault, which must use Azure RBAC. Role: {rights.VAULT_ROLE}. These are data actions."
    yield ""
    yield from _table(rights.VAULT)


def _table(needed: tuple[rights.Right, ...]) -> Iterator[str]:
    yield "| action | keyturn uses it for | without it | `check` without Azure's list |"
    yield "|---|---|---|---|"
    for right in needed:
        yield f"| `{right.action}` | {right.why} | {right.without} | {_how(right)} |"
    yield ""


def _how(right: rights.Right) -> str:
    if right.ask is None:
        return "reads a secret" if right.action.endswith("getSecret/action") else "cannot tell"
    path = right.ask.path.replace(rights.NOBODY, "…")
    return f"`{right.ask.method} {path}`" if path else "`GET` of the service"


if __name__ == "__main__":
    PAGE.write_text(page_text(), encoding="utf-8")
