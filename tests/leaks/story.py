"""Everything that a person does at the command line, once: each command, each of its faces, and what goes wrong.

Steps are in the order of a life: a first configuration, checks, a rotation of every kind, hands on a slot, tokens; then
mistakes, refusals of Azure that quote what they were sent, receivers that answer with it, a ledger that is damaged, and
defects at the places where a value is in the open. Never here: what counts as a leak.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Final

from keyturn_emulator import seed
from keyturn_emulator.testing import RunningEmulator
from tests.journeys.stage import SERVICE
from tests.leaks.house import Cli, House, Receiver
from tests.leaks.quotes import FORMS, quoted

DAY: Final = 86_400
PLANTED: Final = "planted in a ledger"
VAULT: Final = "shop-kv.vault.azure.net"
DEFECTS: Final = (
    ("keyturn.azure.pipeline:Arm._learn:4", ("key", "set", "contoso", "--slot", "secondary", "--stdin")),
    ("keyturn.keyrings.service:values:1", ("key", "show", "contoso", "--slot", "primary", "--reveal")),
    ("keyturn.azure.answers:Reply.json:2", ("key", "show", "contoso", "--slot", "primary", "--reveal")),
    ("keyturn.sinks.file:_read:1", ("run", "contoso")),
    ("keyturn.sinks.file:_json_object:1", ("run", "fabrikam")),
    ("keyturn.sinks.file:_prepare:2", ("rotate", "contoso", "--wait")),
    ("keyturn.sinks.namedvalue:_value:1", ("run", "contoso")),
    ("keyturn.sinks.keyvault:_tags:1", ("rotate", "contoso", "--wait")),
    ("keyturn.sinks.webhook:_class_of:1", ("rotate", "contoso", "--wait")),
    ("keyturn.probes.gateway:GatewayProbe._connection:2", ("rotate", "contoso", "--wait")),
    ("keyturn.turn:Turn._with_value:1", ("rotate", "contoso", "--wait")),
    ("keyturn.tokens:_sign:1", ("token", "create", "--expires", "1d", "--from", "shop", "--slot", "primary")),
    ("keyturn.cli.keys:unusable:1", ("key", "set", "contoso", "--slot", "secondary", "--stdin")),
    ("keyturn.azure.signin:Identity.token:1", ("check",)),
    ("keyturn.ledgers.sql:SqlLedger.save:1", ("hold", "gw-oslo", "--because", "a defect")),
)
"""A defect on purpose, right after the call that is named, and a command that gets there."""


class Story:
    """`values` are marked ones, drawn by name."""

    def __init__(self, house: House, azure: RunningEmulator, receiver: Receiver) -> None:
        self.house, self.azure, self.receiver = house, azure, receiver
        self.shown: set[str] = set()
        """What was said by commands that are asked for a value: these alone may say one, on stdout."""
        marked = house.marked
        self.chosen = marked.draw("a value set by hand")
        self.cut = marked.draw("a value set over callers")
        self.refused = marked.draw("a value that Azure refuses")
        self.mistaken = marked.draw("a value in a wrong place")
        self.planted = marked.draw(PLANTED)
        self.key = marked.draw("a key in hand")

    def env(self, client_secret: str) -> dict[str, str]:
        return {
            **self.azure.env,
            "AZURE_TENANT_ID": seed.TENANT,
            "AZURE_CLIENT_ID": seed.CLIENT,
            "AZURE_CLIENT_SECRET": client_secret,
            "KEYTURN_EMULATOR_CONTROL": self.azure.ready["control"],
            "KEYTURN_EMULATOR_SECRET": self.azure.ready["secret"],
            "HOOK": self.house.marked.signing_secret("the webhook's signing secret"),
            "SALT": self.house.marked.draw("the salt"),
            "KEY": self.key,
        }

    def configuration(self, **instead: str) -> str:
        signin = f"tenant: {seed.TENANT}, client_id: {seed.CLIENT}, secret_env: AZURE_CLIENT_SECRET"
        clock = f"control: {self.azure.ready['control']}, secret_env: KEYTURN_EMULATOR_SECRET"
        top = {
            "services": f"{{ shop: {{ id: {SERVICE} }} }}",
            "signin": f"{{ client_secret: {{ {signin} }} }}",
            "clock": f"{{ emulator: {{ {clock} }} }}",
            "salt": "{ env: SALT }",
            "policies": POLICIES.replace("RECEIVER", self.receiver.url),
            **instead,
        }
        return "".join(f"{name}: {text}\n" for name, text in top.items())

    def configure(self, name: str = "keyturn.yaml", **instead: str) -> str:
        path = self.house.path("cli", name)
        path.write_text(self.configuration(**instead), encoding="utf-8")
        return str(path)

    def tell(self, cli: Cli) -> None:
        """All of it."""
        for chapter in (
            self.beginnings,
            self.rotations,
            self.looks,
            self.hands,
            self.tokens,
            self.mistakes,
            self.refusals,
            self.broken_sinks,
            self.defects,
            self.broken_ledgers,
        ):
            chapter(cli)

    # -------- a good life

    def beginnings(self, cli: Cli) -> None:
        cli.good("--version")
        cli.good("--help")
        cli.good("schema")
        cli.good("completion", "bash")
        cli.good("explain")
        cli.good("explain", "quiet-slot", "--json")
        cli.good("init", "--out", "-", "--vault", "shop-kv")
        cli.good("init", "--json", "--out", "first.yaml")
        self.configure()
        self._one_to_kill()
        self.house.path("cli", "sinks").mkdir()
        for options in ((), ("--json",)):
            cli.run("check", *options)
            cli.good("plan", *options)
        cli.good("--debug", "plan", "--every-token", "--utc")
        cli.good("run")
        cli.good("run", "--wait", "--json")

    def rotations(self, cli: Cli) -> None:
        self.azure.advance(2 * DAY)
        cli.good("run", "--wait")
        cli.good("--debug", "rotate", "contoso", "fabrikam", "--wait", "--because", "the first")
        cli.good("rotate", "tenant/access", "gitAccess", "gw-oslo", "--wait", "--json")
        self.azure.advance(2 * DAY)
        cli.good("rotate", "contoso", "--compromised", "--slot", "primary", "--yes", "--because", "on a page", "--json")
        self.azure.advance(DAY)
        cli.good("run", "--wait")
        self.azure.advance(8 * DAY)  # tokens are renewed
        cli.good("run", "--wait")

    def looks(self, cli: Cli) -> None:
        for options in ((), ("--json",)):
            cli.run("status", *options)
            cli.run("status", "--verbose", *options)
            cli.good("history", "--limit", "5000", *options)
            cli.good("history", "contoso", *options)
        cli.good("history", "contoso", "--lines")
        cli.run("check", "contoso", "gw-oslo")

    def hands(self, cli: Cli) -> None:
        cli.good("hold", "contoso", "--because", "an audit")
        cli.good("release", "contoso")
        cli.good("adopt", "contoso")
        cli.good("adopt", "fabrikam", "--quiet-since", self.azure.now(), "--because", "nobody calls")
        cli.bad("rollback", "contoso", "--because", "there is nothing to go back to")
        self.azure.advance(2 * DAY)
        self._show(cli, "key", "show", "contoso", "--slot", "primary", "--reveal")
        self._show(cli, "--debug", "key", "show", "gw-oslo", "--slot", "secondary", "--reveal", "--json")
        cli.bad("key", "show", "contoso", "--slot", "primary")
        standby = self._standby(cli, "contoso")
        cli.good("key", "set", "contoso", "--slot", standby, "--stdin", "--because", "agreed", stdin=f"{self.chosen}\n")
        cli.bad("key", "set", "contoso", "--slot", other(standby), "--from-env", "CUT", env={"CUT": self.cut})
        over = ("key", "set", "contoso", "--slot", other(standby), "--from-env", "CUT", "--cut-off-callers", "--yes")
        cli.good(*over, "--json", env={"CUT": self.cut})
        cli.run("run", "--wait")
        cli.good("key", "regenerate", "fabrikam", "--slot", self._standby(cli, "fabrikam"))
        cli.good("key", "disable", "tenant/access", "--yes")
        cli.good("key", "enable", "tenant/access", "--json")
        self.azure.portal(
            SERVICE, "contoso", self._standby(cli, "contoso"), self.house.marked.draw("set in the portal")
        )
        cli.run("run")
        self.azure.advance(2 * DAY)
        cli.run("run", "--wait")

    def tokens(self, cli: Cli) -> None:
        by_env, by_stdin = ("--key-env", "KEY"), ("--key-stdin",)
        create = ("token", "create", "--expires", "1d")
        self._show(cli, *create, *by_env)
        token = cli.out().strip()
        self._show(cli, *create, *by_stdin, "--json", stdin=f"{self.key}\n")
        self._show(cli, *create, *by_env, "--form", "short", "--unproven", "--bare")
        self._show(cli, *create, *by_env, "--form", "gateway", "--identity", "gw-oslo")
        self._show(cli, *create, "--from", "shop", "--slot", "primary")
        self._show(cli, *create, "--from", "gw-oslo", "--slot", "secondary", "--json")
        self._show(cli, "--debug", *create, "--from", "gw-oslo", "--slot", "primary", "--ask-azure")
        self._show(cli, *create, "--from", "shop", "--user", "contoso", "--slot", "primary", "--ask-azure")
        for word in ("inspect", "verify"):
            cli.good("token", word, *by_env, stdin=f"{token}\n")
            cli.good("token", word, "--token-env", "TOKEN", *by_env, "--json", env={"TOKEN": token})
            cli.bad("token", word, "--from", "shop", "--json", stdin=f"{token}\n")
            cli.bad("token", word, *by_env, stdin=f"{token[:-9]}\n")
            cli.bad("token", word, *by_env, stdin=f"{self.key}\n")

    # -------- what goes wrong

    def mistakes(self, cli: Cli) -> None:
        wrong = self.mistaken
        for arguments in (
            ("key", "set", "contoso", "--slot", "secondary", wrong),
            ("key", "set", "contoso", "--slot", wrong),
            ("key", "set", "contoso", "--slot", "secondary", "--from-env", wrong),
            ("key", "set", "contoso", "--slot", "secondary", f"--stdin={wrong}"),
            ("key", wrong),
            ("token", wrong),
            ("token", "create", "--expires", "1d", "--key-env", wrong),
            ("token", "create", "--expires", "1d", wrong),
            ("token", "verify", wrong),
            ("token", "inspect", "--token-env", wrong),
        ):
            cli.bad("--debug", *arguments)
        cli.bad(
            *("key", "set", "contoso", "--slot", "secondary", "--stdin", "--because", f"it is {wrong} now"),
            stdin=f"{wrong}\n",
        )
        cli.bad("key", "set", "contoso", "--slot", "secondary", "--stdin", stdin=f" {wrong}\n")
        for place in self._wrong_places():
            self.configure("wrong.yaml", **place)
            cli.bad("plan", "--config", "wrong.yaml")
            cli.bad("--debug", "run", "--json", "--config", "wrong.yaml")
        self.house.path("cli", "wrong.yaml").unlink()

    def _wrong_places(self) -> Iterator[Mapping[str, str]]:
        """A secret where the name of its variable belongs, or where none belongs at all."""
        wrong = self.mistaken
        who = f"tenant: {seed.TENANT}, client_id: {seed.CLIENT}"
        digits = f"{wrong}7"
        yield {"signin": f"{{ client_secret: {{ {who}, secret_env: {digits} }} }}"}
        yield {"signin": f"{{ client_secret: {{ {who}, secret: {wrong} }} }}"}
        yield {"salt": f"{{ env: {digits} }}"}
        yield {"salt": wrong}
        yield {"salt": f"{{ value: {wrong} }}"}
        yield {"ledger": f"{{ table: {{ name: keyturn, connection_env: 'AccountName=a;AccountKey={wrong}==' }} }}"}

    def refusals(self, cli: Cli) -> None:
        """Azure, and a vault, refuse a value and quote it; and the token that came with it."""
        standby = self._standby(cli, "contoso")
        for number, form in enumerate(FORMS):
            said = f"The value '{quoted(self.refused, form)}' cannot be used."
            status, code = ((400, "ValidationError"), (409, self.refused), (403, "Forbidden"), (500, "Internal"))[
                number % 4
            ]
            match = {"method": "PATCH", "path_contains": "/subscriptions/contoso"}
            self.azure.fault("status", match, status=status, code=code, message=said, times=-1)
            cli.run(
                *(("--debug",) if number % 2 else ()),
                *("key", "set", "contoso", "--slot", standby, "--stdin", *(("--json",) if number % 3 else ())),
                stdin=f"{self.refused}\n",
            )
            self.azure.control("DELETE", "faults")
            self.azure.advance(DAY)
        self._quoting_vault(cli, standby)
        for status in (401, 403, 400, 503):
            bearer = self._bearer()
            self.azure.fault(
                "status",
                {"host": "management.azure.com"},
                status=status,
                code="Refused",
                message=f"Who came with Bearer {bearer} may not.",
                times=-1,
            )
            cli.bad("run")
            cli.bad("--debug", "key", "show", "contoso", "--slot", "primary", "--reveal")
            self.azure.control("DELETE", "faults")
        client_secret = dict(self.house.marked.named)["the client secret"]
        self.azure.fault(
            "status",
            {"host": "login.microsoftonline.com", "method": "POST"},
            status=401,
            code="invalid_client",
            message=f"AADSTS7000215: Invalid client secret {client_secret} provided.",
            times=-1,
        )
        cli.bad("--debug", "run")
        cli.bad("check", "--json")
        self.azure.control("DELETE", "faults")
        self._again(cli)

    def _quoting_vault(self, cli: Cli, slot: str) -> None:
        """A value that keyturn must publish, and every sink of Azure's that refuses it, quoting."""
        value = self.house.marked.draw("a value that sinks refuse")
        active = other(slot)
        over = ("key", "set", "contoso", "--slot", active, "--stdin", "--cut-off-callers", "--yes")
        for method, match, forms in (
            ("PUT", {"host": VAULT}, ("plain", "escaped", "base64", "head")),
            ("PATCH", {"path_contains": "/namedValues/"}, ("percent", "shifted", "hex", "plain")),
        ):
            for number, form in enumerate(forms):
                said = f"Nobody wants {quoted(value, form)} here."
                status = (400, 403, 409, 500)[number % 4]
                self.azure.fault(
                    "status", {"method": method, **match}, status=status, code="Bad", message=said, times=-1
                )
                if not number:
                    cli.run(*over, stdin=f"{value}\n")
                cli.run("--debug", "run", "contoso", "--json")
                self.azure.control("DELETE", "faults")
            cli.run("history", "contoso", "--lines")
            cli.run("status", "contoso", "--json")
            value = self.house.marked.draw("another value that sinks refuse")

    def broken_sinks(self, cli: Cli) -> None:
        """A receiver that answers with what it was sent, and files that keyturn cannot use."""
        self.receiver.answers = [400, 500, 302, 401]
        for _ in range(4):
            cli.run("rotate", "contoso")
            self.azure.advance(2 * DAY)
            cli.run("run", "contoso")
        sink = self.house.path("cli", "sinks", "fabrikam.json")
        kept = sink.read_bytes()
        sink.write_text(f'{{"KEY": "{self.mistaken}"', encoding="utf-8")
        cli.run("--debug", "run", "fabrikam")
        sink.write_text(json.dumps({"KEY": [self.mistaken]}), encoding="utf-8")
        cli.run("run", "fabrikam", "--json")
        sink.write_bytes(kept)
        self._again(cli)

    def defects(self, cli: Cli) -> None:
        """keyturn breaks where a value is in the open, and a crash reporter takes all locals."""
        for place, arguments in DEFECTS:
            cli.run("release")
            self.azure.advance(2 * DAY)
            cli.run("run", "contoso", "fabrikam", "--wait")
            before = len(list(self.house.path("dumps").glob("*-crash.txt")))
            self._show(cli, *arguments, stdin=f"{self.chosen[::-1]}\n", forced=place, works=False)
            after = len(list(self.house.path("dumps").glob("*-crash.txt")))
            assert after > before, f"{place} was not reached: {cli.err()}"

    def broken_ledgers(self, cli: Cli) -> None:
        """Rows that hold what they never may; what is said of them repeats none of it."""
        folder = self.house.path("cli", "spoilt")
        for column, table in (("body", "records"), ("id", "records"), ("stage", "records"), ("body", "history")):
            folder.mkdir()
            for file in self.house.path("cli").glob("keyturn.db*"):
                shutil.copy(file, folder / file.name)
            self.configure("spoilt/keyturn.yaml")
            with closing(sqlite3.connect(folder / "keyturn.db")) as ledger, ledger:
                ledger.execute(f"UPDATE {table} SET {column} = ?", (json.dumps({"key": self.planted}),))
            for words in (("status",), ("history", "--json"), ("run",)):
                cli.run("--debug", *words, "--config", "spoilt/keyturn.yaml")
            shutil.rmtree(folder)
        folder.mkdir()
        self.configure("spoilt/keyturn.yaml")
        (folder / "keyturn.db").write_text(self.planted * 200, encoding="utf-8")
        cli.bad("--debug", "run", "--config", "spoilt/keyturn.yaml")
        shutil.rmtree(folder)

    # -------- steps

    def _one_to_kill(self) -> None:
        """The configuration of a command that dies: a credential and a ledger of its own."""
        policies = POLICIES.replace("RECEIVER", self.receiver.url).replace("sid: contoso", "sid: northwind")
        self.configure("killed.yaml", policies=policies, ledger="sqlite:///killed.db")

    def _show(self, cli: Cli, *arguments: str, works: bool = True, **more: Any) -> None:
        """A command that may say a value, on stdout alone."""
        code = cli.run(*arguments, **more)
        assert (code == 0) == works or not works, f"{arguments}: {cli.err()}"
        if code == 0 and ("show" in arguments or "create" in arguments):
            self.shown.add(f"said/{cli.said[-1][0]}.stdout")

    def _standby(self, cli: Cli, name: str) -> str:
        cli.run("status", name, "--json")
        (told,) = json.loads(cli.out())["credentials"]
        return other(str(told["active"]))

    def _again(self, cli: Cli) -> None:
        """Everything back at rest, whatever happened."""
        cli.run("release")
        for _ in range(2):
            self.azure.advance(2 * DAY)
            cli.run("run", "contoso", "fabrikam", "--wait")

    def _bearer(self) -> str:
        """One of the tokens that keyturn was given by Azure."""
        found = [value for _, value in self.house.secrets() if value.startswith("eyJ")]
        return found[-1]


def other(slot: str) -> str:
    return "secondary" if slot == "primary" else "primary"


POLICIES: Final = """
  - name: chosen
    match: { sid: contoso }
    adopt: primary
    probe: { path: /status/ping, query: subscription-key }
    publish:
      - keyvault: { vault: shop-kv, secret: "apim-{sid}" }
      - file: { path: sinks/callers.env, variable: "KEY_{sid}" }
      - namedvalue: { name: "{sid}-key" }
      - webhook: { url: "RECEIVER", secret_env: HOOK, include_value: true }
    consumers: { cache: 1h }
    drain: 24h
  - name: drawn
    match: { sid: fabrikam }
    renew: regenerate
    adopt: primary
    probe: { path: /status/ping }
    publish:
      - file: { path: sinks/fabrikam.json, variable: KEY }
      - webhook: { url: "RECEIVER", secret_env: HOOK }
    consumers: { cache: 1h }
    drain: 24h
  - name: management
    match: { tenant: access }
    tokens:
      kind: management
      lifetime: 7d
      slot: primary
      publish: [ file: { path: sinks/tokens.env, variable: MANAGEMENT } ]
  - name: repository
    match: { tenant: gitAccess }
    adopt: primary
    publish: [ keyvault: { vault: shop-kv, secret: git } ]
  - name: oslo
    match: { gateway: gw-oslo }
    tokens:
      kind: gateway
      lifetime: 30d
      slot: primary
      publish: [ keyvault: { vault: shop-kv, secret: oslo } ]
"""
