"""What the app settings say: the configuration, the schedule, the queue, and how to sign in.

Whatever is wrong is kept as one problem rather than raised: an app that cannot be configured is still indexed, so that
its host shows which functions there are, and each of them answers with that problem. Never here: a call to Azure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from keyturn import config as configuration
from keyturn.azure.cloud import CLOUDS
from keyturn.config import ClientSecret, Config, CustomCloud
from keyturn.config.form import Node
from keyturn.errors import Misconfigured
from keyturn.yaml_marks import read_file, read_text

CONFIG_TEXT: Final = "KEYTURN_CONFIG_TEXT"
CONFIG: Final = "KEYTURN_CONFIG"
CONFIG_NAME: Final = "keyturn.yaml"
SCHEDULE: Final = "KEYTURN_SCHEDULE"
FAN_OUT: Final = "KEYTURN_FAN_OUT"
QUEUE_NAME: Final = "KEYTURN_QUEUE"
TIME_LIMIT: Final = "KEYTURN_TIME_LIMIT"
STORAGE: Final = "AzureWebJobsStorage"
"""The function app's own storage account: its queues, and, unless the configuration says otherwise, its ledger."""
TABLE: Final = "keyturn"
TABLE_SUFFIX: Final = "table.core.windows.net"
"""Of the public cloud; elsewhere the setting `AzureWebJobsStorage__tableServiceUri` or `ledger:` names the address."""
INSTANCE, TENANT, CLIENT, CLIENT_SECRET = (
    "AzureAD__Instance",
    "AzureAD__Tenant",
    "AzureAD__ClientID",
    "AzureAD__ClientSecret",
)
"""How earlier functions for API Management keys are told to sign in; taken as they are."""

EVERY_FIVE_MINUTES: Final = "0 */5 * * * *"
USUAL_QUEUE: Final = "keyturn-turns"
USUAL_TIME_LIMIT: Final = 240.0
"""Seconds, of the 300 that a consumption plan gives an invocation."""
LONGEST_TIME_LIMIT: Final = 86_400.0
LONGEST_NAME: Final = 100
"""Of a file, in a message: what is longer is something else in the wrong place."""

_CRON: Final = re.compile(r"[0-9A-Za-z*,/\-]+(?: +[0-9A-Za-z*,/\-]+){4,5}|\d+(?:\.\d+)?(?::\d\d){2}")
"""Five or six fields of NCRONTAB, or a span of time."""
_QUEUE: Final = re.compile(r"(?!-)(?!.*--)[a-z0-9-]{3,56}(?<!-)")
"""A storage queue's name, with room for `-poison` within its 63 characters."""


class AppSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The app settings, read. `config` is None exactly where there is a `problem`."""

    config: Config | None = None
    problem: Misconfigured | None = None
    schedule: str = EVERY_FIVE_MINUTES
    fans_out: bool = True
    """The timer leaves the turns to the queue, and so to as many hosts as there are."""
    queue: str = USUAL_QUEUE
    time_limit: float = USUAL_TIME_LIMIT
    """Seconds after which an invocation begins nothing new."""

    @property
    def poison_queue(self) -> str:
        """Where the host puts what failed too often."""
        return f"{self.queue}-poison"


def read_settings(settings: Mapping[str, str], folder: Path) -> AppSettings:
    """Everything that the app settings say; files are looked for in `folder`. Raises nothing."""
    found: dict[str, Any] = {}
    problems: list[Misconfigured] = []
    for name, read in (
        ("schedule", _schedule),
        ("fans_out", _fans_out),
        ("queue", _queue),
        ("time_limit", _time_limit),
    ):
        try:
            found[name] = read(settings)
        except Misconfigured as problem:
            problems.append(problem)
    try:
        found["config"] = _configuration(settings, folder)
    except Misconfigured as problem:
        problems.append(problem)
    if problems:
        found.update(config=None, problem=_one(problems))
    return AppSettings(**found)


def _one(problems: list[Misconfigured]) -> Misconfigured:
    """All of them as one error."""
    if len(problems) == 1:
        return problems[0]
    lines = tuple(line for problem in problems for line in problem.problems)
    return Misconfigured("\n".join(lines), hint=problems[0].hint, problems=lines)


# -------- the host's own


def _schedule(settings: Mapping[str, str]) -> str:
    given = settings.get(SCHEDULE, "").strip() or EVERY_FIVE_MINUTES
    if not _CRON.fullmatch(given):
        raise Misconfigured(
            "it is neither an NCRONTAB expression nor a span of time",
            where=SCHEDULE,
            hint=f"Write {EVERY_FIVE_MINUTES}.",
        )
    return given


def _fans_out(settings: Mapping[str, str]) -> bool:
    given = settings.get(FAN_OUT, "").strip().lower() or "queue"
    if given not in {"queue", "none"}:
        raise Misconfigured("it is neither queue nor none", where=FAN_OUT, hint="Write queue, or leave it out.")
    return given == "queue"


def _queue(settings: Mapping[str, str]) -> str:
    given = settings.get(QUEUE_NAME, "").strip() or USUAL_QUEUE
    if not _QUEUE.fullmatch(given):
        raise Misconfigured(
            "it is no name of a queue: 3 to 56 lower-case letters, digits and single hyphens",
            where=QUEUE_NAME,
            hint=f"Write {USUAL_QUEUE}, or leave it out.",
        )
    return given


def _time_limit(settings: Mapping[str, str]) -> float:
    given = settings.get(TIME_LIMIT, "").strip()
    if not given:
        return USUAL_TIME_LIMIT
    if not re.fullmatch(r"\d{1,6}", given) or not 0 < int(given) <= LONGEST_TIME_LIMIT:
        raise Misconfigured(
            "it is no number of seconds from 1 to 86400",
            where=TIME_LIMIT,
            hint="Stay below the host's functionTimeout.",
        )
    return float(given)


# -------- the configuration


def _configuration(settings: Mapping[str, str], folder: Path) -> Config:
    root, name = _text(settings, folder)
    given = {key.text for key, _ in root.pairs}
    if root.kind == "map" and "ledger" not in given:
        root = _with_own_table(root, settings)
    config = configuration.parse(root, name)
    if "signin" in given:
        return config
    return msgspec.structs.replace(config, **_original_signin(settings, config, cloud_given="cloud" in given))


def _text(settings: Mapping[str, str], folder: Path) -> tuple[Node, str]:
    """The marked text, and its name in messages."""
    text = settings.get(CONFIG_TEXT, "")
    if text.strip():
        return read_text(text, CONFIG_TEXT), CONFIG_TEXT
    name = settings.get(CONFIG, "").strip() or CONFIG_NAME
    path = folder / name
    if not _is_file(path):
        where = path if len(name) <= LONGEST_NAME and name.isprintable() else f"the path that {CONFIG} names"
        raise Misconfigured(
            f"There is no configuration: neither the setting {CONFIG_TEXT}, nor a file at {where}.",
            hint=f"Put the YAML into {CONFIG_TEXT}, or name a file beside the app in {CONFIG}.",
        )
    return read_file(path), str(path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a whole configuration where its file's name belongs is too long for a name
        return False


def _with_own_table(root: Node, settings: Mapping[str, str]) -> Node:
    """The configuration with the usual ledger of a function app: a table in the app's own storage account, reached as
    the host itself reaches that, by a connection string or by identity."""
    reached = {"connection_env": STORAGE}
    address = settings.get(f"{STORAGE}__tableServiceUri", "").strip()
    account = settings.get(f"{STORAGE}__accountName", "").strip()
    if not settings.get(STORAGE, "").strip() and (address or account):
        reached = {"url": address or f"https://{account}.{TABLE_SUFFIX}"}
    table = _map({"name": Node(TABLE, 1, 1), **{name: Node(text, 1, 1) for name, text in reached.items()}})
    return Node([*root.pairs, (Node("ledger", 1, 1), _map({"table": table}))], root.line, root.column, "map")


def _map(pairs: Mapping[str, Node]) -> Node:
    return Node([(Node(name, 1, 1), node) for name, node in pairs.items()], 1, 1, "map")


def _original_signin(settings: Mapping[str, str], config: Config, *, cloud_given: bool) -> dict[str, Any]:
    """The four settings of earlier functions. None of them: managed identity."""
    named = {name: settings.get(name, "").strip() for name in (INSTANCE, TENANT, CLIENT, CLIENT_SECRET)}
    if not any(named.values()):
        return {}
    missing = [name for name in (TENANT, CLIENT, CLIENT_SECRET) if not named[name]]
    if missing:
        raise Misconfigured(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} empty or not set, "
            "and others of the AzureAD__ settings are",
            hint="Give all of them, or remove them all: without them, keyturn signs in with the managed identity. A "
            "user-assigned one goes into the configuration: signin: { managed_identity: { client_id: … } }.",
        )
    signin = ClientSecret(tenant=named[TENANT], client_id=named[CLIENT], secret_env=CLIENT_SECRET)
    if not named[INSTANCE]:
        return {"signin": signin}
    return {"signin": signin, "cloud": _cloud_at(named[INSTANCE], config, cloud_given=cloud_given)}


def _cloud_at(instance: str, config: Config, *, cloud_given: bool) -> Any:
    """The cloud whose authority it is; where the configuration names one, that one must agree."""
    address = instance.rstrip("/").lower()
    if isinstance(config.cloud, CustomCloud):
        agrees = config.cloud.authority.rstrip("/").lower() == address
        name: Any = config.cloud
    else:
        name = next((name for name, cloud in CLOUDS.items() if cloud.authority == address), None)
        agrees = name is not None and (name == config.cloud or not cloud_given)
    if agrees:
        return name
    known = ", ".join(cloud.authority for cloud in CLOUDS.values())
    raise Misconfigured(
        "it is not where the configuration's cloud signs in, or no sign-in address that keyturn knows",
        where=INSTANCE,
        hint=f"Known are {known}; for a cloud of your own, describe it under `cloud:`.",
    )
