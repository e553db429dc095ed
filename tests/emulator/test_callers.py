"""The callers: what a crowd of client applications does with a key, and what it tells."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient

from keyturn_emulator import seed
from keyturn_emulator.callers import Misconfigured, read_settings
from keyturn_emulator.testing import RunningEmulator

SHOP = "shop-apim"
ORDERS = "https://shop-apim.azure-api.net/orders/1"


class Program:
    """A running crowd. `ask` sends one command and reads the one line that answers it."""

    def __init__(self, configuration: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "keyturn_emulator.callers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = ""
        self.write(json.dumps(configuration))

    def write(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.said += line
        return dict(json.loads(line))

    def ask(self, **command: Any) -> dict[str, Any]:
        self.write(json.dumps(command))
        return self.read()

    def end(self) -> tuple[int, str]:
        """The exit status, and all it ever said."""
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, self.said + out + err


@pytest.fixture
def publish(azure: RunningEmulator) -> Iterator[Callable[[str, str], str]]:
    """Writes the live key of a slot into the vault, as a rotation does when it publishes."""
    with (
        ClientSecretCredential(seed.TENANT, seed.CLIENT, seed.CLIENT_SECRET) as credential,
        SecretClient("https://shop-kv.vault.azure.net", credential) as vault,
    ):

        def write(sid: str, slot: str) -> str:
            value = azure.keys(SHOP, sid)[slot]
            vault.set_secret(f"apim-{sid}", value)
            return value

        yield write


@pytest.fixture
def crowd(azure: RunningEmulator) -> Iterator[Callable[..., Program]]:
    """Starts callers; `callers` are names that all read contoso's secret."""
    started: list[Program] = []

    def start(names: list[str], **options: Any) -> Program:
        callers = [{"name": name, "vault": "shop-kv", "secret": "apim-contoso", "url": ORDERS} for name in names]
        program = Program({**_settings(azure), "callers": callers, **options})
        started.append(program)
        return program

    yield start
    for program in started:
        program.end()


def _settings(azure: RunningEmulator) -> dict[str, Any]:
    return {
        "proxy": azure.ready["proxy"],
        "ca_bundle": azure.ready["ca_bundle"],
        "control": azure.ready["control"],
        "control_secret": azure.ready["secret"],
        "tenant": seed.TENANT,
        "client_id": seed.READER,
        "client_secret": seed.READER_SECRET,
        "cache": 3600,
        "threads": 2,
    }


def test_every_caller_calls_once_a_round_under_its_own_name(
    azure: RunningEmulator, publish: Callable[[str, str], str], crowd: Callable[..., Program]
) -> None:
    publish("contoso", "primary")
    program = crowd([f"c{number}" for number in range(7)])
    first, second = program.ask(cmd="round"), program.ask(cmd="round", times=3)
    assert (first["calls"], first["refused"], first["errors"]) == (7, 0, 0)
    assert (second["calls"], second["total"]["calls"], second["rounds"]) == (21, 28, 2)
    counts = {row["agent"]: row["calls"] for row in azure.gateway()["calls"]}
    assert counts == {f"caller/c{number}": 4 for number in range(7)}


def test_a_key_is_read_again_only_when_the_cache_is_over_in_emulated_time(
    azure: RunningEmulator, publish: Callable[[str, str], str], crowd: Callable[..., Program]
) -> None:
    publish("contoso", "primary")
    program = crowd(["a", "b"], cache=600)
    assert program.ask(cmd="round")["rereads"] == 2
    azure.advance(599)
    assert program.ask(cmd="round")["rereads"] == 0
    azure.advance(1)
    assert program.ask(cmd="round")["rereads"] == 2


def test_a_rotation_that_kills_the_published_key_first_is_seen_as_refusals(
    azure: RunningEmulator, publish: Callable[[str, str], str], crowd: Callable[..., Program]
) -> None:
    publish("contoso", "primary")
    program = crowd(["a", "b"])
    program.ask(cmd="round")
    azure.advance(60)
    azure.portal(SHOP, "contoso", "primary")
    publish("contoso", "primary")
    told = program.ask(cmd="round")
    assert (told["calls"], told["refused"], told["errors"]) == (2, 2, 0)
    assert sorted(row["caller"] for row in told["refusals"]) == ["a", "b"]
    assert told["refusals"][0] | {"caller": ""} == {
        "caller": "",
        "time": "2026-01-05T08:01:00Z",
        "status": 401,
        "age": 60.0,
    }
    azure.advance(3540)
    assert program.ask(cmd="round")["refused"] == 0


def test_a_rotation_that_waits_for_the_caches_refuses_nobody(
    azure: RunningEmulator, publish: Callable[[str, str], str], crowd: Callable[..., Program]
) -> None:
    publish("contoso", "primary")
    program = crowd(["a", "b", "c"])
    program.ask(cmd="round")
    azure.portal(SHOP, "contoso", "secondary")
    publish("contoso", "secondary")
    program.ask(cmd="round")
    azure.advance(3600)
    program.ask(cmd="round")
    azure.portal(SHOP, "contoso", "primary")
    told = program.ask(cmd="round")
    assert told["total"] == {"calls": 12, "refused": 0, "errors": 0, "rereads": 6}


def test_callers_that_read_again_on_401_recover_by_themselves(
    azure: RunningEmulator, publish: Callable[[str, str], str], crowd: Callable[..., Program]
) -> None:
    publish("contoso", "primary")
    program = crowd(["a"], reread_on_401=True)
    program.ask(cmd="round")
    azure.portal(SHOP, "contoso", "primary")
    publish("contoso", "primary")
    told = program.ask(cmd="round")
    assert (told["calls"], told["refused"], told["rereads"]) == (2, 0, 1)


def test_at_most_twenty_refusals_are_told_and_all_are_counted(
    azure: RunningEmulator, publish: Callable[[str, str], str], crowd: Callable[..., Program]
) -> None:
    publish("contoso", "primary")
    program = crowd([f"c{number}" for number in range(50)])
    program.ask(cmd="round")
    azure.portal(SHOP, "contoso", "primary")
    told = program.ask(cmd="round")
    assert (told["refused"], len(told["refusals"])) == (50, 20)


def test_a_vault_that_is_down_leaves_callers_with_the_key_they_have(
    azure: RunningEmulator, publish: Callable[[str, str], str], crowd: Callable[..., Program]
) -> None:
    publish("contoso", "primary")
    program = crowd(["a", "b"])
    program.ask(cmd="round")
    azure.fault("status", {"host": "shop-kv.vault.azure.net"}, status=503, times=-1)
    azure.advance(3600)
    told = program.ask(cmd="round")
    assert (told["calls"], told["refused"], told["error_kinds"]) == (2, 0, {"vault 503": 2})
    azure.control("DELETE", "faults")
    assert program.ask(cmd="round")["errors"] == 0


def test_a_broken_connection_is_an_error_and_the_next_call_opens_another(
    azure: RunningEmulator, publish: Callable[[str, str], str], crowd: Callable[..., Program]
) -> None:
    publish("contoso", "primary")
    program = crowd(["a"])
    program.ask(cmd="round")
    azure.fault("drop", {"host": "shop-apim.azure-api.net"})
    broken = program.ask(cmd="round")
    assert (broken["refused"], broken["errors"]) == (0, 1)
    assert program.ask(cmd="round")["errors"] == 0


def test_a_secret_that_is_not_there_is_an_error_and_no_call(
    azure: RunningEmulator, crowd: Callable[..., Program]
) -> None:
    told = crowd(["a"]).ask(cmd="round")
    assert (told["calls"], told["error_kinds"]) == (0, {"vault 404": 1, "no key": 1})


def test_no_key_and_no_secret_is_ever_said(
    azure: RunningEmulator, publish: Callable[[str, str], str], crowd: Callable[..., Program]
) -> None:
    key = publish("contoso", "primary")
    program = crowd(["a"])
    program.ask(cmd="round")
    azure.portal(SHOP, "contoso", "primary")
    program.ask(cmd="round")
    program.write('{"cmd": "quit"}')
    status, said = program.end()
    assert status == 0
    assert len(said) > 100
    assert not [word for word in (key, seed.READER_SECRET, azure.ready["secret"]) if word in said]


def test_an_unknown_command_is_answered_and_the_next_one_served(
    azure: RunningEmulator, publish: Callable[[str, str], str], crowd: Callable[..., Program]
) -> None:
    publish("contoso", "primary")
    program = crowd(["a"])
    assert program.ask(cmd="dance")["error"] == "there is no command dance"
    program.write("not json")
    assert "error" in program.read()
    assert "times" in program.ask(cmd="round", times=0)["error"]
    assert program.ask(cmd="round")["calls"] == 1


def test_the_program_ends_with_its_input(azure: RunningEmulator, crowd: Callable[..., Program]) -> None:
    assert crowd([]).end()[0] == 0


COMPLETE = {
    "proxy": "http://127.0.0.1:1",
    "ca_bundle": "ca.pem",
    "control": "http://127.0.0.1:1/_emulator",
    "control_secret": "s",
    "tenant": "t",
    "client_id": "c",
    "client_secret": "s",
    "callers": [{"name": "a", "vault": "v", "secret": "s", "url": "https://h/"}],
}


def test_a_complete_configuration_is_read() -> None:
    settings = read_settings(COMPLETE)
    assert (settings.cache, settings.reread_on_401, settings.callers[0].name) == (3600.0, False, "a")


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ([], "object"),
        ({**COMPLETE, "colour": "blue"}, "colour"),
        ({name: value for name, value in COMPLETE.items() if name != "proxy"}, "proxy is missing"),
        ({name: value for name, value in COMPLETE.items() if name != "callers"}, "callers"),
        ({**COMPLETE, "callers": {}}, "callers must be a list"),
        ({**COMPLETE, "callers": [{"name": "a"}]}, r"callers\[0\].vault is missing"),
        ({**COMPLETE, "callers": [{"key": "x"}]}, r"callers\[0\].key is not known"),
    ],
)
def test_a_configuration_with_a_mistake_is_refused_by_name(raw: Any, named: str) -> None:
    with pytest.raises(Misconfigured, match=named):
        read_settings(raw)


def test_a_wrong_configuration_line_is_answered_with_an_error_and_status_2() -> None:
    program = Program({"proxy": "x"})
    status, said = program.end()
    assert status == 2
    assert "missing" in said
