"""`keyturn token`: make, look into, or check a token by hand.

Keys and tokens come from a hidden prompt, an environment variable, standard input, or Azure; never from an argument,
because shells keep those. What was asked for goes to stdout, on a terminal too; all that is said about it to stderr.
Never here: how a token is written, read or checked (that is `tokens`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from keyturn import tokens
from keyturn.cli import options, screen
from keyturn.cli.hushed import NEVER_AN_ARGUMENT, HushedGroup
from keyturn.cli.naming import resolve
from keyturn.errors import Malformed, NeedsPerson
from keyturn.model import Credential, Kind, Secret, Slot
from keyturn.policy import spell
from keyturn.tokens import Form

if TYPE_CHECKING:
    from keyturn.assemble import Assembled
    from keyturn.ports import Clock

F = TypeVar("F", bound=Callable[..., Any])

LONGEST_KEY = 256
MOST_READ = 65_536
MANAGEMENT = "integration"
UNPROVEN = (
    "the short form is proven for gateway tokens only: how Azure checks it for anybody else is written nowhere. "
    "Use --form long; or let Azure make one (--ask-azure --from SERVICE --user ID); or say --unproven and try it"
)
_MARK = {Kind.TENANT: "/tenant/", Kind.GATEWAY: "/gateways/"}

_KEYS = (
    click.option("--key-env", metavar="NAME", help="The key is in this environment variable."),
    click.option("--key-stdin", is_flag=True, help="The key is the first line of stdin."),
    click.option(
        "--from",
        "origin",
        metavar="NAME",
        help="Azure tells the key of shop/tenant/access, say, or shop/gateways/oslo; shop alone means tenant access.",
    ),
)


def _key_options(command: F) -> F:
    """Where the key comes from: `key_env`, `key_stdin` and `origin`."""
    for option in reversed(_KEYS):
        command = option(command)
    return command


TOKEN_ENV = click.option(
    "--token-env", metavar="NAME", help="The token is in this environment variable; else stdin, or a prompt."
)


@click.group(cls=HushedGroup)
def token() -> None:
    """Create, inspect or verify a token that is made from a key."""


# -------- create


@token.command()
@click.option("--form", type=click.Choice([form.value for form in Form]), help="Default: long; for gateways, gateway.")
@click.option("--identity", metavar="ID", help=f"Whom it names. Default: {MANAGEMENT}; with --from, what Azure says.")
@click.option("--expires", metavar="WHEN", required=True, help="30d, 2030-01-02T03:04Z, or '01/02/2030 3:04 AM' (UTC).")
@click.option("--beyond-30-days", is_flag=True, help="Let it live longer, though nobody knows whether Azure takes it.")
@_key_options
@click.option("--slot", type=click.Choice([slot.value for slot in Slot]), help="Which key of --from signs.")
@click.option("--ask-azure", is_flag=True, help="Azure signs: for a gateway, or for the user of --user.")
@click.option("--user", metavar="ID", help="With --ask-azure: a user of the service that --from names.")
@click.option("--unproven", is_flag=True, help="Make a short token for no gateway, though nobody knows its recipe.")
@click.option("--bare", is_flag=True, help="Leave the scheme word out.")
@options.configured
def create(
    form: str | None,
    identity: str | None,
    expires: str,
    beyond_30_days: bool,
    key_env: str | None,
    key_stdin: bool,
    origin: str | None,
    slot: str | None,
    ask_azure: bool,
    user: str | None,
    unproven: bool,
    bare: bool,
    config: str | None,
) -> int:
    """Print a token on stdout.

    The key is asked for on the terminal, unless an option says where it is. A token is a secret while it lives.
    """
    _only_one(key_env, key_stdin, origin)
    if user is not None and not ask_azure:
        raise click.UsageError("--user goes with --ask-azure: Azure makes the tokens of users")
    if (origin is None) != (slot is None):
        raise click.UsageError("--from and --slot go together: --slot primary or --slot secondary")
    wanted, side = None if form is None else Form(form), None if slot is None else Slot(slot)
    try:
        with _place(config, origin) as place:
            if ask_azure:
                if wanted is not None or identity is not None or beyond_30_days or unproven:
                    raise click.UsageError("with --ask-azure, form, identity and longest life are Azure's to choose")
                return _ask_azure(place, origin, user, side, expires, bare)
            credential = None if origin is None else _signer(place, origin)
            chosen = _form(wanted, credential, unproven)
            named = _named(identity, chosen, credential)
            end = _end(expires, place, chosen, beyond=beyond_30_days)
            signed = tokens.create(chosen, named, _signing_key(place, credential, side, key_env, key_stdin), end)
            code = _hand_out(place, signed, bare)
            if credential is not None and credential.kind is Kind.TENANT and credential.state != "active":
                screen.whisper(f"But nobody lets it in now: {credential.id} is {credential.state}.")
            return code
    except (Malformed, NeedsPerson) as error:
        return screen.fail(error.message, error.hint, code=2)


def _form(wanted: Form | None, credential: Credential | None, unproven: bool) -> Form:
    """The form that fits the key. Raises click.UsageError."""
    if credential is not None:
        fits = Form.GATEWAY if credential.kind is Kind.GATEWAY else Form.LONG
        if wanted is not None and (wanted is Form.GATEWAY) != (fits is Form.GATEWAY):
            whose = "a gateway's" if credential.kind is Kind.GATEWAY else "tenant access"
            raise click.UsageError(f"{credential.id} holds {whose} keys: they sign no {wanted} token")
        wanted = wanted or fits
    if wanted is Form.SHORT and not unproven:
        raise click.UsageError(UNPROVEN)
    return wanted or Form.LONG


def _named(identity: str | None, form: Form, credential: Credential | None) -> str:
    """Whom the token names. Raises click.UsageError."""
    if identity is not None:
        return identity
    if credential is not None and credential.identity is not None:
        return credential.identity
    if form is Form.GATEWAY:
        raise click.UsageError("a gateway token names its gateway: --identity ID")
    return MANAGEMENT


def _end(text: str, place: _Place, form: Form, *, beyond: bool = False) -> datetime:
    """When the token ends, as precisely as its form can say. Raises Malformed, NeedsPerson."""
    now = place.clock.now()
    end = tokens.expiry(text, now).replace(microsecond=0)
    if form is not Form.LONG:
        end = end.replace(second=0)
    tokens.check_life(end, now, beyond=beyond)
    return end


def _azures_end(text: str, place: _Place) -> datetime:
    """The same for a token that Azure signs, which makes none that lives longer. Raises Malformed."""
    try:
        return _end(text, place, Form.SHORT)
    except NeedsPerson as beyond:
        raise Malformed(
            "Azure makes no token that lives longer than 30 days", hint="Choose an earlier one."
        ) from beyond


def _ask_azure(place: _Place, origin: str | None, user: str | None, slot: Slot | None, expires: str, bare: bool) -> int:
    """Let Azure sign. Raises click.UsageError, Malformed, NeedsPerson, TryAgain, Refused, Gone."""
    if origin is None or slot is None or place.keyturn is None:
        raise click.UsageError("--ask-azure needs --from: a gateway, or a service together with --user")
    if user is not None:
        services = list(place.keyturn.config.services)
        alias = next((each for each in services if each.lower() == origin.lower()), None)
        if alias is None:
            raise click.UsageError(f"--user needs --from SERVICE: one of {', '.join(services)}")
        end = _azures_end(expires, place)
        got, word = place.keyturn.ask_user_token(alias, user, slot, end), "SharedAccessSignature"
    else:
        credential = _signer(place, origin)
        if credential.kind is not Kind.GATEWAY:
            raise click.UsageError("Azure makes tokens for gateways and for users: --from SERVICE --user ID")
        end = _azures_end(expires, place)
        got, word = place.keyturn.ask_gateway_token(credential, slot, end), "GatewayKey"
    whole = Secret(f"{word} {tokens.bare(got).reveal()}")
    made = tokens.parse(whole.reveal()).expires
    if made.replace(second=0) != end.replace(second=0, microsecond=0):
        screen.whisper(f"Azure's token ends at another time than {end:%Y-%m-%d %H:%M} UTC, which it was asked for.")
    return _hand_out(place, whole, bare)


def _hand_out(place: _Place, made: Secret, bare: bool) -> int:
    """The token on stdout, and on stderr what it is."""
    said = tokens.parse(made.reveal())
    left = said.expires - place.clock.now() + timedelta(seconds=1)  # its maker took a moment
    screen.whisper(
        f"A {said.form} token of {said.identity}, good until {_moment(said.expires)}, {spell(left)} from now. "
        f"Whoever has it may use it until then, or until its key is rotated."
    )
    shown = tokens.bare(made) if bare else made
    screen.value(shown.reveal())
    screen.document(
        {
            "emulated": place.emulated,
            "form": said.form,
            "identity": said.identity,
            "expires": _in_json(said.expires),
            "token": shown.reveal(),
        }
    )
    return 0


# -------- inspect and verify


@token.command()
@TOKEN_ENV
@_key_options
@click.option("--key-prompt", is_flag=True, help="Ask for a key on the terminal.")
@options.configured
def inspect(
    token_env: str | None,
    key_env: str | None,
    key_stdin: bool,
    origin: str | None,
    key_prompt: bool,
    config: str | None,
) -> int:
    """Tell what a token says, and, with a key, whether that key signed it.

    Exits 1 when a key was given and did not. An expired token says so, and that is no failure.
    """
    _only_one(key_env, key_stdin, origin, prompt=key_prompt)
    with _place(config, origin) as place:
        said = tokens.parse(_given_token(token_env, key_stdin).reveal())
        with_key = bool(key_env or key_stdin or origin or key_prompt)
        found = _signed_by(said, _checking_keys(place, origin, key_env, key_stdin)) if with_key else None
        told = _Told(said, place, found, _expected(place, origin))
        for head, text in told.lines(origin):
            screen.say(f"{head:<10}{text}")
        code = 1 if found is not None and not found.signed else 0
        screen.document({**told.in_json(), "exit": code})
    return code


@token.command()
@TOKEN_ENV
@_key_options
@options.configured
def verify(token_env: str | None, key_env: str | None, key_stdin: bool, origin: str | None, config: str | None) -> int:
    """Tell whether a key signed a token that has not expired.

    Exits 0 only then; else 1, with the reason. With --from both slots' keys are tried.
    """
    _only_one(key_env, key_stdin, origin)
    with _place(config, origin) as place:
        said = tokens.parse(_given_token(token_env, key_stdin).reveal())
        found = _signed_by(said, _checking_keys(place, origin, key_env, key_stdin))
        told = _Told(said, place, found, _expected(place, origin))
        reasons = told.reasons(origin)
        if not reasons:
            screen.say(f"Good: {told.signature(origin)}, and it lives for {spell(told.left)} more.")
        for reason in reasons:
            screen.say(f"Not good: {reason}.")
        code = 1 if reasons else 0
        screen.document({**told.in_json(), "good": not reasons, "reasons": reasons, "exit": code})
    return code


class _Found(NamedTuple):
    """Whether one of the keys that were tried signed it, and in which slot that one sits, where that is known."""

    signed: bool
    slot: Slot | None = None


def _signed_by(said: tokens.Token, keys: Mapping[Slot | None, Secret]) -> _Found:
    for slot, key in keys.items():
        if tokens.verify(said, key):
            return _Found(True, slot)
    return _Found(False)


class _Told:
    """What there is to tell of one token."""

    def __init__(
        self, said: tokens.Token, place: _Place, found: _Found | None, expected: Credential | None = None
    ) -> None:
        """`expected`: whose tokens the keys that were tried sign, where that is known."""
        self.said, self.found, self.emulated, self._expected = said, found, place.emulated, expected
        self.left = said.expires - place.clock.now()
        self.expired = self.left.total_seconds() <= 0

    def lines(self, origin: str | None) -> Iterator[tuple[str, str]]:
        said = self.said
        yield "form", f"{said.form}{' (or gateway: its scheme word tells)' if said.form is Form.SHORT else ''}"
        yield "identity", said.identity
        yield "expires", _moment(said.expires)
        yield "left", f"none: it expired {spell(-self.left)} ago" if self.expired else spell(self.left)
        if self.found is not None:
            yield "key", self.signature(origin)
        for reason in self.strange():
            yield "but", reason

    def signature(self, origin: str | None) -> str:
        """What the keys that were tried say."""
        if self.found is None or not self.found.signed:
            return f"neither key of {origin} signed it" if origin else "this key did not sign it"
        return "this key signed it" if self.found.slot is None else f"the {self.found.slot} key of {origin} signed it"

    def reasons(self, origin: str | None) -> list[str]:
        """Why it is not good; none when it is."""
        wrong = [] if self.found is not None and self.found.signed else [self.signature(origin)]
        late = [f"it expired at {_moment(self.said.expires)}, {spell(-self.left)} ago"] if self.expired else []
        return wrong + self.strange() + late

    def strange(self) -> list[str]:
        """What of it does not fit whose keys were tried: the signature is right, and the door stays shut."""
        if self._expected is None:
            return []
        told = []
        if self.said.identity != self._expected.identity:
            told.append(f"it names {self.said.identity}, and {self._expected.id} lets in {self._expected.identity}")
        gateways = self._expected.kind is Kind.GATEWAY
        if gateways and self.said.form is Form.LONG:
            told.append("it has the long form, which no gateway shows")
        if not gateways and self.said.form is Form.GATEWAY:
            told.append(f"it is a gateway's, and {self._expected.id} is none")
        return told

    def in_json(self) -> dict[str, Any]:
        return {
            "emulated": self.emulated,
            "form": self.said.form,
            "identity": self.said.identity,
            "expires": _in_json(self.said.expires),
            "expired": self.expired,
            "seconds_left": max(int(self.left.total_seconds()), 0),
            "verifies": None if self.found is None else self.found.signed,
            "slot": None if self.found is None else self.found.slot,
        }


# -------- where keys and tokens come from


def _only_one(key_env: str | None, key_stdin: bool, origin: str | None, *, prompt: bool = False) -> None:
    """Raises click.UsageError when a key is said to come from several places."""
    if sum((key_env is not None, key_stdin, origin is not None, prompt)) > 1:
        raise click.UsageError("a key comes from one place: give one of --key-env, --key-stdin, --from, or a prompt")


def _signing_key(
    place: _Place, credential: Credential | None, slot: Slot | None, key_env: str | None, key_stdin: bool
) -> Secret:
    if credential is not None:
        return _live(place, credential)[slot]
    return _key_in_hand(key_env, key_stdin)


def _checking_keys(
    place: _Place, origin: str | None, key_env: str | None, key_stdin: bool
) -> Mapping[Slot | None, Secret]:
    """The keys to try, by slot where that is known."""
    if origin is not None:
        return _live(place, _signer(place, origin))
    return {None: _key_in_hand(key_env, key_stdin)}


def _expected(place: _Place, origin: str | None) -> Credential | None:
    return None if origin is None else _signer(place, origin)


def _live(place: _Place, credential: Credential) -> Mapping[Slot | None, Secret]:
    """Both live keys, as Azure tells them. Raises TryAgain, Refused, Gone."""
    values = place.assembled.keyring_of(credential).read_values(credential)
    return {slot: values.of(slot) for slot in Slot}


def _key_in_hand(key_env: str | None, key_stdin: bool) -> Secret:
    """Raises click.UsageError; no message repeats any of the key."""
    if key_env is not None:
        text = _variable("--key-env", key_env)
    elif key_stdin:
        text = _stdin().partition("\n")[0]
    elif _on_a_terminal():
        text = click.prompt("Key", hide_input=True, err=True)
    else:
        raise click.UsageError(f"give the key by --key-env NAME, --key-stdin or --from NAME; {NEVER_AN_ARGUMENT}")
    key = text.rstrip("\r\n")
    if not key:
        raise click.UsageError("there is no key: what was to hold it is empty")
    if not 1 <= len(key) <= LONGEST_KEY or not (key.isascii() and key.isprintable()) or key != key.strip():
        raise click.UsageError(f"this is no key: 1 to {LONGEST_KEY} printable ASCII characters, no space at either end")
    return Secret(key)


def _given_token(token_env: str | None, key_stdin: bool) -> Secret:
    """Raises click.UsageError."""
    if token_env is not None:
        return Secret(_variable("--token-env", token_env))
    if key_stdin:
        raise click.UsageError("stdin holds the key: give the token by --token-env NAME")
    if _on_a_terminal():
        return Secret(click.prompt("Token", hide_input=True, err=True))
    text = _stdin()
    if not text.strip():
        raise click.UsageError("there is no token on stdin: pipe it in, or give --token-env NAME")
    return Secret(text)


def _stdin() -> str:
    """What stands there, as far as a key or a token could reach; what is no text is no key and no token either."""
    if sys.stdin is None:
        raise click.UsageError("stdin is closed: nothing can be read from it")
    return sys.stdin.buffer.read(MOST_READ).decode("utf-8", "replace")


def _on_a_terminal() -> bool:
    """Python leaves stdin out where it was closed."""
    return sys.stdin is not None and sys.stdin.isatty()


def _variable(option: str, name: str) -> str:
    """Does not repeat the name: it may be what was meant to stand behind it."""
    if name not in os.environ:
        raise click.UsageError(f"{option} takes the name of an environment variable, and none is called like that")
    return os.environ[name]


# -------- where a command runs


class _Place(NamedTuple):
    """A clock, and, where Azure must be asked, everything put together."""

    clock: Clock
    emulated: bool = False
    keyturn: Assembled | None = None

    @property
    def assembled(self) -> Assembled:
        assert self.keyturn is not None  # noqa: S101 - `_place` was told of the origin
        return self.keyturn


@contextmanager
def _place(config: str | None, origin: str | None) -> Iterator[_Place]:
    """A configuration is read only where it is asked for, or Azure is. Raises Misconfigured, LedgerFault, TryAgain."""
    if config is None and origin is None:
        from keyturn.clocks.system import SystemClock  # noqa: PLC0415

        yield _Place(SystemClock())
        return
    from keyturn import assemble  # noqa: PLC0415

    read = options.read(config)
    emulated = read.clock is not None
    if origin is None:
        yield _dated(_Place(assemble.clock_of(read), emulated))
        return
    screen.quiet_strangers()
    with assemble.open_to_look(read, publishes=False) as keyturn:
        yield _dated(_Place(keyturn.clock, emulated, keyturn))


def _dated(place: _Place) -> _Place:
    """Every screen says it when time is not real."""
    if place.emulated:
        screen.whisper(f"emulated time {_moment(place.clock.now())}")
    return place


def _signer(place: _Place, name: str) -> Credential:
    """Whose keys a name means: a service's tenant access, or any unique end of an id, policies or not.

    Raises click.UsageError, TryAgain, Refused, Gone.
    """
    wanted = name.lower()
    services = list(place.assembled.config.services)
    if wanted in {alias.lower() for alias in services}:
        wanted = f"{wanted}/tenant/access"
    found: dict[str, Credential] = {}
    for alias in [each for each in services if wanted.startswith(f"{each.lower()}/")] or services:
        for kind in [kind for kind, mark in _MARK.items() if mark in wanted] or list(_MARK):
            for credential in place.assembled.signers(alias, kind):
                if credential.id.lower() == wanted:
                    return credential
                found[credential.id] = credential
    return found[resolve([name], list(found))[0]]


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _in_json(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
