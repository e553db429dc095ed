"""`keyturn token` with a key in hand: what is made, what is told, and what a wrong use reads like."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import sys
from datetime import UTC, datetime, timedelta

import pytest

from keyturn.model import Secret
from keyturn.tokens import Form, create, parse, verify
from tests.cli.conftest import Folder

KEY = base64.b64encode(bytes(range(64))).decode()
OTHER = base64.b64encode(bytes(range(1, 65))).decode()
KEYS = {"K": KEY, "OTHER": OTHER}
FAR = datetime(2990, 1, 2, 3, 4, 5, tzinfo=UTC)
PAST = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)


def sample(form: Form = Form.LONG, end: datetime = FAR) -> str:
    return create(form, "integration", Secret(KEY), end).reveal()


def assert_hushed(text: str, *secrets: str) -> None:
    for secret in secrets or (KEY, OTHER):
        assert not [at for at in range(len(secret) - 5) if secret[at : at + 6] in text]


# -------- create


def test_the_token_stands_alone_on_stdout_and_what_is_said_of_it_on_stderr(folder: Folder) -> None:
    done = folder.run("token", "create", "--key-env", "K", "--expires", "30d", env=KEYS)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    token = parse(line)
    assert (token.form, token.identity, verify(token, Secret(KEY))) == (Form.LONG, "integration", True)
    assert timedelta(days=29) < token.expires - datetime.now(UTC) <= timedelta(days=30)
    assert re.search(r"A long token of integration, good until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", done.stderr)
    assert_hushed(done.stderr, KEY, token.signature.reveal())


def test_what_is_made_is_what_the_published_steps_make(folder: Folder) -> None:
    end = (datetime.now(UTC) + timedelta(days=7)).replace(hour=15, minute=5, second=0, microsecond=0)
    arguments = ("token", "create", "--key-stdin", "--expires", f"{end:%m/%d/%Y} {end.hour - 12}:05 PM")
    done = folder.run(*arguments, stdin=f"{KEY}\r\n")
    moment = f"{end:%Y-%m-%dT%H:%M:%S}.0000000Z"
    signed = base64.b64encode(hmac.new(KEY.encode(), f"integration\n{moment}".encode(), hashlib.sha512).digest())
    assert done.stdout == f"SharedAccessSignature uid=integration&ex={moment}&sn={signed.decode()}\n"


@pytest.mark.parametrize(
    ("options", "start"),
    [
        (("--form", "gateway", "--identity", "gw1"), "GatewayKey gw1&"),
        (("--form", "gateway", "--identity", "gw1", "--bare"), "gw1&"),
        (("--identity", "53d7e14aee681a0034030003"), "SharedAccessSignature uid=53d7e14aee681a0034030003&ex="),
        (("--form", "short", "--unproven"), "SharedAccessSignature integration&"),
    ],
)
def test_form_identity_and_scheme_word_are_as_asked(folder: Folder, options: tuple[str, ...], start: str) -> None:
    done = folder.run("token", "create", "--key-env", "K", "--expires", "1h", *options, env=KEYS)
    assert done.stdout.startswith(start), done.stderr
    assert verify(parse(done.stdout), Secret(KEY))


def test_for_programs_the_token_is_in_one_document(folder: Folder) -> None:
    done = folder.run("token", "create", "--key-env", "K", "--expires", "12h30m", "--json", env=KEYS)
    document = json.loads(done.stdout)
    token = parse(document["token"])
    assert (document["form"], document["identity"]) == ("long", "integration")
    assert document["expires"] == f"{token.expires:%Y-%m-%dT%H:%M:%SZ}"


def test_a_short_token_for_no_gateway_is_refused_with_what_is_not_known_and_what_to_do_instead(folder: Folder) -> None:
    done = folder.run("token", "create", "--form", "short", "--key-env", "K", "--expires", "1d", env=KEYS)
    assert (done.returncode, done.stdout) == (2, "")
    for words in ("proven for gateway tokens only", "--ask-azure", "--form long", "--unproven"):
        assert words in done.stderr


def test_a_life_beyond_30_days_is_refused_with_the_reason_unless_it_is_asked_for(folder: Folder) -> None:
    arguments = ("token", "create", "--key-env", "K", "--expires", "31d")
    done = folder.run(*arguments, env=KEYS)
    assert (done.returncode, done.stdout) == (2, "")
    assert "longer than 30 days" in done.stderr
    assert "--beyond-30-days" in done.stderr
    assert folder.run(*arguments, "--beyond-30-days", env=KEYS).returncode == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--expires", "1h"), "never as an argument"),
        (("--expires", "1h", "--key-env", "K", "--key-stdin"), "a key comes from one place"),
        (("--expires", "1h", "--key-env", "K", "--from", "shop", "--slot", "primary"), "a key comes from one place"),
        (("--expires", "1h", "--key-env", "NOBODY"), "none is called like that"),
        (("--expires", "1h", "--key-env", "EMPTY"), "what was to hold it is empty"),
        (("--expires", "1h", "--key-env", "BROKEN"), "this is no key"),
        (("--expires", "soon", "--key-env", "K"), "this expiry is no time"),
        (("--expires", "2020-01-01", "--key-env", "K"), "it is past"),
        (("--expires", "1h", "--key-env", "K", "--form", "gateway"), "--identity ID"),
        (("--expires", "1h", "--key-env", "K", "--identity", "a&ex=b"), "this identity fits no long token"),
        (("--expires", "1h", "--key-env", "K", "--user", "1"), "--user goes with --ask-azure"),
        (("--expires", "1h", "--ask-azure"), "--ask-azure needs --from"),
        (("--expires", "1h", "--from", "shop"), "--from and --slot go together"),
        (("--key-env", "K"), "--expires"),
        (("--expires", "1h", KEY), "never as an argument"),
    ],
)
def test_a_wrong_use_exits_2_says_what_is_wrong_and_prints_nothing_on_stdout(
    folder: Folder, options: tuple[str, ...], sentence: str
) -> None:
    env = {**KEYS, "EMPTY": "", "BROKEN": f"{KEY}\n{KEY}"}
    done = folder.run("token", "create", *options, env=env, stdin=KEY)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in " ".join(done.stderr.split())


def test_an_expiry_that_is_past_once_its_seconds_are_dropped_is_dead_at_birth(folder: Folder) -> None:
    """The last second of this minute: however slow the machine is, the minute it is cut to has begun."""
    end = f"{datetime.now(UTC).replace(second=59):%Y-%m-%dT%H:%M:%SZ}"
    made = ("--expires", end, "--key-env", "K", "--form", "gateway", "--identity", "oslo")
    done = folder.run("token", "create", *made, env=KEYS)
    assert (done.returncode, done.stdout, "dead at birth" in done.stderr) == (2, "", True)


def test_no_refusal_repeats_a_key(folder: Folder) -> None:
    env = {"BROKEN": f"{KEY}\n{KEY}", "K": KEY}
    refusals = [
        folder.run("token", "create", "--expires", "1h", "--key-env", "BROKEN", env=env),
        folder.run("token", "create", "--expires", KEY, "--key-env", "K", env=env),
        folder.run("token", "create", "--expires", "1h", "--key-env", KEY, env=env),
        folder.run("token", "create", "--expires", "1h", "--key-env", "K", "--identity", f"{KEY}\n", env=env),
        folder.run("token", "create", "--expires", "1h", "--key-stdin", stdin=f"{KEY}{KEY}{KEY}"),
    ]
    for done in refusals:
        assert done.returncode == 2
        assert_hushed(done.stderr + done.stdout)


# -------- inspect


def test_inspect_tells_form_identity_expiry_and_time_left(folder: Folder) -> None:
    done = folder.run("token", "inspect", stdin=f"{sample()}\n")
    assert done.returncode == 0
    for line in (r"form +long", r"identity +integration", r"expires +2990-01-02 03:04:05 UTC", r"left +\d+ d"):
        assert re.search(f"^{line}$", done.stdout, re.MULTILINE), done.stdout
    assert "key " not in done.stdout


def test_inspect_says_that_a_token_has_expired_and_exits_0_all_the_same(folder: Folder) -> None:
    done = folder.run("token", "inspect", "--token-env", "T", env={"T": sample(end=PAST)})
    assert done.returncode == 0
    assert re.search(r"left +none: it expired \d+ d ago", done.stdout)


def test_inspect_with_a_key_tells_whether_it_signed_and_exits_1_if_not(folder: Folder) -> None:
    done = folder.run("token", "inspect", "--key-env", "K", env=KEYS, stdin=sample(Form.GATEWAY))
    assert (done.returncode, "this key signed it" in done.stdout) == (0, True)
    done = folder.run("token", "inspect", "--key-env", "OTHER", env=KEYS, stdin=sample(Form.GATEWAY))
    assert (done.returncode, "this key did not sign it" in done.stdout) == (1, True)


def test_inspect_for_programs_is_one_document(folder: Folder) -> None:
    short = sample(Form.SHORT).partition(" ")[2]
    told = json.loads(folder.run("token", "inspect", "--json", stdin=f'token="{short}",refresh="true"').stdout)
    assert told.pop("seconds_left") > 0
    assert told == {
        "emulated": False,
        "form": "short",
        "identity": "integration",
        "expires": "2990-01-02T03:04:00Z",
        "expired": False,
        "verifies": None,
        "slot": None,
        "exit": 0,
    }


# -------- verify


@pytest.mark.parametrize(
    ("token", "key", "code", "says"),
    [
        (sample(), "K", 0, ["Good: this key signed it"]),
        (sample(), "OTHER", 1, ["Not good: this key did not sign it"]),
        (sample(end=PAST), "K", 1, ["Not good: it expired at 2020-01-02 03:04:05 UTC"]),
        (sample(end=PAST), "OTHER", 1, ["this key did not sign it", "it expired at"]),
        (sample()[:-4], "K", 1, ["not a token"]),
        ("", "K", 2, ["there is no token on stdin"]),
        ("\udcff", "K", 1, ["not a token"]),
    ],
)
def test_verify_exits_0_only_for_a_live_token_that_the_key_signed_and_else_says_why(
    folder: Folder, token: str, key: str, code: int, says: list[str]
) -> None:
    (folder.path / "token.txt").write_bytes(token.encode("utf-8", "surrogateescape"))
    done = folder.run("-c", FROM_FILE, "token", "verify", "--key-env", key, env=KEYS, program="-I -B")
    assert done.returncode == code
    for words in says:
        assert words in done.stdout + done.stderr
    assert_hushed(done.stdout + done.stderr, KEY, OTHER, sample()[-88:])


@pytest.mark.parametrize(
    "command",
    [
        ("create", "--expires", "1h"),
        ("create", "--expires", "1h", "--key-stdin"),
        ("inspect",),
        ("verify", "--key-env", "K"),
    ],
)
def test_a_closed_stdin_is_wrong_use_and_no_defect(folder: Folder, command: tuple[str, ...]) -> None:
    closed = "import os, sys\nsys.stdin = None\nfrom keyturn.cli import main\nsys.exit(main(sys.argv[1:]))"
    done = folder.run("-c", closed, "token", *command, env=KEYS, program="-I -B")
    assert done.returncode == 2, done.stderr
    assert "defect" not in done.stderr


FROM_FILE = """\
import os, sys
os.dup2(os.open("token.txt", os.O_RDONLY), 0)
from keyturn.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_token_and_a_key_cannot_both_be_on_stdin(folder: Folder) -> None:
    done = folder.run("token", "verify", "--key-stdin", stdin=KEY)
    assert done.returncode == 2
    assert "--token-env" in done.stderr
    done = folder.run("token", "verify", "--key-stdin", "--token-env", "T", env={"T": sample()}, stdin=KEY)
    assert (done.returncode, done.stdout.startswith("Good: this key signed it")) == (0, True)


def test_neither_token_nor_key_is_taken_as_an_argument(folder: Folder) -> None:
    for command in ("inspect", "verify"):
        done = folder.run("token", command, sample(), "--key-env", "K", env=KEYS)
        assert (done.returncode, "never as an argument" in done.stderr) == (2, True)
        assert_hushed(done.stderr, sample()[-88:])
    done = folder.run("token", sample())
    assert (done.returncode, "no such command" in done.stderr) == (2, True)
    assert_hushed(done.stderr, sample()[-88:])


# -------- on a terminal


def test_on_a_terminal_key_and_token_are_asked_for_and_not_shown(folder: Folder) -> None:
    made, shown = at_a_terminal(folder, ["token", "create", "--expires", "1h"], {"Key: ": KEY})
    token = next(line for line in shown.splitlines() if line.startswith("SharedAccessSignature "))
    assert (made, verify(parse(token), Secret(KEY))) == (0, True)
    assert_hushed(shown, KEY)
    code, shown = at_a_terminal(folder, ["token", "verify"], {"Token: ": token, "Key: ": KEY})
    assert (code, "Good: this key signed it" in shown) == (0, True)
    assert_hushed(shown, KEY, parse(token).signature.reveal())


def at_a_terminal(folder: Folder, arguments: list[str], answers: dict[str, str]) -> tuple[int, str]:
    """Run the real command on a pseudo-terminal and type each answer behind its question."""
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder.path)
        os.execv(sys.executable, [sys.executable, "-m", "keyturn", *arguments])
    shown = b""
    for question, answer in answers.items():
        while not shown.endswith(question.encode()):
            shown += os.read(terminal, 1024)
        os.write(terminal, f"{answer}\n".encode())
    try:
        while more := os.read(terminal, 1024):
            shown += more
    except OSError:
        pass  # Linux says EIO where a terminal's last program has ended
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown.decode()
