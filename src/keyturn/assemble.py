# ruff: noqa: PLC0415 - what is costly to import is imported by the commands that need it
"""From a configuration file to things that work: the one place that reads the YAML and picks adapters.

`read` and `view` are for commands that only look at the ledger; where it is a file, they import neither Azure nor
SQLAlchemy. `open_all`
puts everything together, and `Assembled.discover` finds the credentials and the policy that wins each.
Never here: what a turn does, or what a screen shows.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from keyturn import config as configuration
from keyturn.config import (
    ClientSecret,
    Config,
    CustomCloud,
    FileSink,
    KeyVaultSink,
    NamedValueSink,
    PolicyEntry,
    SinkSpec,
    TableSpec,
    WebhookSink,
)
from keyturn.errors import Conflict, Gone, KeyturnError, Misconfigured, Refused, TryAgain, variable
from keyturn.model import Credential, Event, Hold, Kind, NotApplied, Record, Secret, Slot
from keyturn.policy import Policy

if TYPE_CHECKING:
    from keyturn.azure.cloud import Cloud
    from keyturn.azure.pipeline import Arm
    from keyturn.azure.signin import Identity
    from keyturn.keyrings.gateways import GatewayKeyring
    from keyturn.keyrings.subscriptions import SubscriptionsKeyring
    from keyturn.keyrings.tenant import TenantKeyring
    from keyturn.ledgers.reading import LedgerView
    from keyturn.ledgers.sql import SqlLedger
    from keyturn.ledgers.table import TableLedger
    from keyturn.ledgers.table_view import TableView
    from keyturn.ledgers.table_wire import TablePlace
    from keyturn.ports import Answer, Clock, Holder, Ledger, Notifier, SendBy, Shown, Sink, Tags
    from keyturn.probes.gateway import GatewayProbe
    from keyturn.sinks.keyvault import Vault
    from keyturn.sinks.namedvalue import NamedValues
    from keyturn.sweep import Charge
    from keyturn.turn_by_hand import TurnByHand

    AnyKeyring = SubscriptionsKeyring | TenantKeyring | GatewayKeyring

CONFIG_VARIABLE: Final = "KEYTURN_CONFIG"
CONFIG_NAME: Final = "keyturn.yaml"
CONTROL_PATH: Final = "/_emulator"
PLACES: Final = {"subscriptions": Kind.APIM_SUBSCRIPTION, "tenant": Kind.TENANT, "gateways": Kind.GATEWAY}
"""Where a credential's ARM id tells its kind, right below its service's."""


# -------- what costs nothing


def which(given: str | None) -> Path:
    """The configuration file: `--config`, else $KEYTURN_CONFIG, else ./keyturn.yaml."""
    return Path(given or os.environ.get(CONFIG_VARIABLE) or CONFIG_NAME)


def read(path: Path) -> Config:
    """The configuration in a file. Raises Misconfigured with every problem."""
    from keyturn.yaml_marks import read_file

    return configuration.parse(read_file(path), str(path))


def view(config: Config) -> LedgerView | TableView | None:
    """The ledger, to look at; None before the first run made it. Raises LedgerFault, Misconfigured."""
    if isinstance(config.ledger, TableSpec):
        from keyturn.ledgers.table_view import TableView

        return TableView.find(_table(config.ledger, config))
    from keyturn.ledgers.reading import LedgerView
    from keyturn.ledgers.schema import sqlite_path

    if not os.path.lexists(sqlite_path(config.ledger)):
        return None
    return LedgerView.open(config.ledger)


def clock_of(config: Config, stop: threading.Event | None = None) -> Clock:
    """The clock that the configuration names. Raises Misconfigured."""
    if config.clock is None:
        from keyturn.clocks.system import SystemClock

        return SystemClock(stop)
    from keyturn.clocks.emulator import EmulatorClock

    secret = os.environ.get(config.clock.secret_env, "")
    if not secret:
        raise Misconfigured(
            f"clock.emulator.secret_env: {variable(config.clock.secret_env)} is empty or not set; it opens the "
            f"emulator's clock",
            hint="Start `keyturn emulator --write-env FILE` and source that file.",
        )
    control = config.clock.control.rstrip("/")
    if not urlsplit(control).path:
        control += CONTROL_PATH
    return EmulatorClock(control, secret, name=f"keyturn {os.getpid()}", stop=stop)


def policy_named(config: Config, record: Record) -> Policy | None:
    """The policy that a record was last turned under, as the configuration has it now; None if it has it no more."""
    name = record.policy.rpartition(" ")[0]
    return next((entry.policy for entry in config.policies if entry.name == name), None)


def refuse_foreign_emulator(config: Config) -> None:
    """Emulated time with real Azure would let a month of drain pass in a second. Raises Misconfigured."""
    if config.clock is None:
        return
    import urllib.request

    control = urlsplit(config.clock.control)
    proxy = urlsplit(urllib.request.getproxies().get("https", ""))
    wanted = f"{control.hostname}:{control.port}"
    if (proxy.hostname, proxy.port) != (control.hostname, control.port):
        raise Misconfigured(
            f"`clock: emulator` works with nothing but that emulator, and HTTPS_PROXY does not lead to {wanted}",
            hint=f"Set HTTPS_PROXY=http://{wanted}, as `keyturn emulator` printed it.",
        )
    clouds = [_cloud(config.cloud), *(_cloud(it.cloud) for it in config.services.values() if it.cloud is not None)]
    for cloud in clouds:
        hosts = [urlsplit(cloud.authority).hostname, urlsplit(cloud.arm).hostname, f"any.{cloud.vault_suffix}"]
        past = [host for host in hosts if host and urllib.request.proxy_bypass(host.partition(":")[0])]
        if past:
            raise Misconfigured(
                f"`clock: emulator` works with nothing but that emulator, and NO_PROXY leads {past[0]} past it",
                hint="Take it out of NO_PROXY.",
            )


def refuse_missing_authorities(config: Config) -> None:
    """A file of certificate authorities that is named and not there would stop every call. Raises Misconfigured."""
    named = [(f"${name}", os.environ.get(name)) for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")]
    clouds = [_cloud(config.cloud), *(_cloud(it.cloud) for it in config.services.values() if it.cloud is not None)]
    named += [("cloud.ca", cloud.ca_bundle) for cloud in clouds]
    for where, path in named:
        if path and not Path(path).exists():
            raise Misconfigured(
                f"{where} names {path}, which does not exist",
                hint="Name one that exists. If it was an emulator's: start it again, and source its --write-env file.",
            )


def ledger_of(config: Config) -> SqlLedger | TableLedger:
    """The ledger alone, for commands that change records and ask Azure nothing. Raises LedgerFault, Misconfigured."""
    return _ledger(config, clock_of(config), create=False)


def _ledger(config: Config, clock: Clock, *, create: bool) -> SqlLedger | TableLedger:
    """The ledger, opened; made if it is not there and `create` says so. Raises LedgerFault, Misconfigured."""
    if isinstance(config.ledger, TableSpec):
        from keyturn.ledgers.table import TableLedger

        return TableLedger.open(_table(config.ledger, config), clock, salt=_salt(config), create=create)
    from keyturn.ledgers.sql import SqlLedger

    return SqlLedger.open(config.ledger, salt=_salt(config), create=create)


def _is_made(config: Config) -> bool:
    """Whether there is a ledger yet. Raises LedgerFault, Misconfigured."""
    if isinstance(config.ledger, TableSpec):
        found = view(config)
        if found is not None:
            found.close()
        return found is not None
    from keyturn.ledgers.schema import sqlite_path

    return os.path.lexists(sqlite_path(config.ledger))


def _table(spec: TableSpec, config: Config) -> TablePlace:
    """Where the ledger's table is, and how to come in. Raises Misconfigured."""
    from keyturn.ledgers.table_wire import TablePlace

    cloud = _cloud(config.cloud)
    if spec.url is not None:
        return TablePlace(name=spec.name, cloud=cloud, url=spec.url, identity=_identity(config, cloud))
    connection = os.environ.get(spec.connection_env or "", "")
    if not connection:
        raise Misconfigured(
            f"ledger.table.connection_env: {variable(spec.connection_env or '')} is empty or not set; it holds the "
            f"connection string of the ledger's storage account",
            hint="Set it, or write `url:` below `ledger.table` to sign in with an identity.",
        )
    return TablePlace(name=spec.name, cloud=cloud, connection=Secret(connection))


def _identity(config: Config, cloud: Cloud) -> Identity:
    from keyturn.azure.signin import DEFAULT, Identity, SignIn

    given = config.signin
    if isinstance(given, ClientSecret):
        return Identity(SignIn(**msgspec.structs.asdict(given)), cloud)
    return Identity(DEFAULT if given is None else given, cloud)


# -------- everything


class Discovered(msgspec.Struct, frozen=True, kw_only=True):
    """What discovery found. `problems` are the services that could not be listed, by alias."""

    charges: tuple[Charge, ...]
    lost: frozenset[str]
    """Keys of charges that stand only in the ledger: Azure did not list them any more."""
    credentials: tuple[Credential, ...]
    won_by: Mapping[str, str]
    """The name of the policy that won, by the credential's key."""
    problems: Mapping[str, KeyturnError]
    warnings: tuple[str, ...] = ()


class Place(NamedTuple):
    """Which service has a credential, of which kind it is, and its lower-cased name there."""

    service: str
    kind: Kind
    name: str


FLEET_FOR = 30.0
"""Seconds for which one reading of the whole ledger serves the paces of its policies."""


class _Fleet:
    """Every record of the ledger, read anew when the last reading is half a minute old. Thread-safe."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger, self._clock = ledger, clock
        self._lock = threading.Lock()
        self._read: tuple[float, tuple[Record, ...]] | None = None

    def __call__(self) -> tuple[Record, ...]:
        """Raises LedgerFault."""
        with self._lock:
            now = self._clock.boottime()
            if self._read is None or now - self._read[0] >= FLEET_FOR:
                self._read = now, tuple(self._ledger.records())
            return self._read[1]


class Assembled:
    """A configuration put together. `close` it, or use it in a `with` statement."""

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        clock: Clock,
        holder: Holder,
        notifier: Notifier | None,
        stack: ExitStack,
    ) -> None:
        self.config, self.ledger, self.clock, self.holder = config, ledger, clock, holder
        self._stack = stack
        self._identities: dict[str, Identity] = {}
        self._vaults: dict[tuple[str, str], Vault] = {}
        self._named: dict[str, NamedValues] = {}
        self._gateways: dict[tuple[str, Kind], tuple[str, ...]] = {}
        self._undiscovered: set[str] = set()
        self.arms: dict[str, Arm] = {}
        """One per service alias; services of one cloud share theirs."""
        self.keyrings: dict[tuple[str, Kind], AnyKeyring] = {}
        """One per service alias and kind of credential."""
        self._turns: dict[tuple[str, Kind], TurnByHand] = {}
        self._connect(notifier)

    def __enter__(self) -> Assembled:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _connect(self, notifier: Notifier | None) -> None:
        """One sign-in and one pipeline per cloud, with one budget per azure subscription in it; a keyring and a turn
        per service and kind of credential."""
        from keyturn.azure.pipeline import Arm
        from keyturn.probes.gateway import GatewayProbe
        from keyturn.turn import HeldValues
        from keyturn.turn_by_hand import TurnByHand

        arms: dict[str, Arm] = {}
        held, fleet = HeldValues(), _Fleet(self.ledger, self.clock)
        for alias, service in self.config.services.items():
            cloud = _cloud(service.cloud if service.cloud is not None else self.config.cloud)
            if cloud.name not in arms:
                self._identities[cloud.name] = _identity(self.config, cloud)
                arms[cloud.name] = Arm(self._identities[cloud.name], self.clock, share=self.config.budget_share)
            self.arms[alias] = arms[cloud.name]
            for kind in Kind:
                self.keyrings[alias, kind] = self._keyring(alias, kind)
                self._turns[alias, kind] = TurnByHand(
                    keyring=self.keyrings[alias, kind],
                    sinks=self._sinks_of(cloud.name),
                    ledger=self.ledger,
                    probe=GatewayProbe(self.clock, cloud.ca_bundle),
                    clock=self.clock,
                    notifier=notifier,
                    held=held,
                    fleet=fleet,
                )

    def _keyring(self, alias: str, kind: Kind, tenants: Sequence[str] | None = None) -> AnyKeyring:
        from keyturn.keyrings.gateways import GatewayKeyring
        from keyturn.keyrings.subscriptions import SubscriptionsKeyring
        from keyturn.keyrings.tenant import TenantKeyring

        service, arm = self.config.services[alias], self.arms[alias]
        versions = {} if service.api_version is None else {"api_version": service.api_version}
        if kind is Kind.GATEWAY:
            return GatewayKeyring(arm, alias, service.id, **versions)
        if kind is Kind.TENANT:
            names = configuration.tenants(self.config, alias) if tenants is None else tenants
            return TenantKeyring(arm, alias, service.id, names=names, **versions)
        return SubscriptionsKeyring(arm, alias, service.id, **versions)

    def keyring_of(self, credential: Credential) -> AnyKeyring:
        return self.keyrings[credential.service, credential.kind]

    # -------- whoever's keys sign tokens

    def signers(self, alias: str, kind: Kind) -> Iterable[Credential]:
        """A service's tenant access and its git's, or its self-hosted gateways, whether or not a policy matches them;
        read one by one. Raises TryAgain, Refused, Gone."""
        from keyturn.keyrings.tenant import ACCESS, GIT

        return self._keyring(alias, kind, tenants=(ACCESS, GIT)).discover()

    def ask_gateway_token(self, credential: Credential, slot: Slot, expires: datetime) -> Secret:
        """One that Azure signs, without its scheme word. Raises TryAgain, Refused, Gone."""
        from keyturn.keyrings.gateways import GatewayKeyring

        keyring = self.keyring_of(credential)
        assert isinstance(keyring, GatewayKeyring)  # noqa: S101 - whoever calls has looked at its kind
        return keyring.generate_token(credential, slot, expires)

    def ask_user_token(self, alias: str, user: str, slot: Slot, expires: datetime) -> Secret:
        """One that Azure signs for a user, without its scheme word. Raises TryAgain, Refused, Gone."""
        from keyturn.keyrings.users import ask_user_token

        service = self.config.services[alias]
        versions = {} if service.api_version is None else {"api_version": service.api_version}
        return ask_user_token(self.arms[alias], service.id, user, slot, expires, **versions)

    # -------- sinks

    def _sinks_of(self, cloud: str) -> Callable[[Credential], Sequence[Sink]]:
        def sinks(credential: Credential) -> Sequence[Sink]:
            if credential.key in self._undiscovered:
                return [Unknowable()]
            entry = configuration.match_policy(self.config, credential)
            if entry is None:
                return []
            values = [self._sink(configuration.render(spec, credential), cloud) for spec in entry.publish]
            return [*values, *self._token_sinks(entry, credential, cloud)]

        return sinks

    def sinks_of(self, credential: Credential) -> Sequence[Sink]:
        """Where the credential is published, as its policy says now."""
        given = self.config.services[credential.service].cloud
        return self._sinks_of(_cloud(self.config.cloud if given is None else given).name)(credential)

    def _token_sinks(self, entry: PolicyEntry, credential: Credential, cloud: str) -> Iterator[Sink]:
        from keyturn.minting import TokenSink

        for token in entry.tokens:
            for spec in token.publish:
                sink = self._sink(configuration.render(spec, credential), cloud)
                yield TokenSink(sink, token.spec, credential.identity or credential.name)

    def _sink(self, spec: SinkSpec, cloud: str) -> Sink:
        if isinstance(spec, FileSink):
            from keyturn.sinks.file import FileVariable

            return FileVariable(Path(spec.path), spec.variable, self.clock, form=spec.format)
        if isinstance(spec, NamedValueSink):
            from keyturn.sinks.namedvalue import NamedValue

            return NamedValue(self._named_values(spec), spec.named_value)
        if isinstance(spec, WebhookSink):
            from keyturn.sinks.webhook import Webhook

            signing = _signing_secrets(spec)
            return Webhook(spec.url, spec.credential, signing, self.clock, include_value=spec.include_value)
        from keyturn.sinks.keyvault import KeyVaultSecret

        return KeyVaultSecret(self._vault(spec, cloud), spec.secret)

    def _named_values(self, spec: NamedValueSink) -> NamedValues:
        """One for each service: it keeps the ETag of a look for the write that rests on it."""
        from keyturn.sinks.namedvalue import NamedValues

        alias = spec.service or ""  # `render` filled it in
        if alias not in self._named:
            service = self.config.services[alias]
            versions = {} if service.api_version is None else {"api_version": service.api_version}
            self._named.setdefault(alias, NamedValues(self.arms[alias], alias, service.id, **versions))
        return self._named[alias]

    def _vault(self, spec: KeyVaultSink, cloud: str) -> Vault:
        from keyturn.sinks.keyvault import Vault

        key = (cloud, spec.vault.lower())
        if key not in self._vaults:
            vault = Vault(spec.vault, self._identities[cloud], self.clock, share=self.config.budget_share)
            self._vaults.setdefault(key, vault)
        return self._vaults[key]

    def identity_of(self, alias: str) -> Identity:
        """Who works on a service."""
        given = self.config.services[alias].cloud
        return self._identities[_cloud(self.config.cloud if given is None else given).name]

    def probe_of(self, alias: str) -> GatewayProbe:
        """How a service's gateways are asked."""
        from keyturn.probes.gateway import GatewayProbe

        return GatewayProbe(self.clock, self.identity_of(alias).cloud.ca_bundle)

    def gateways(self, credential: Credential) -> tuple[str, ...]:
        """The addresses that the credential's values are shown to, asked for once. Raises TryAgain, Refused, Gone."""
        key = credential.service, credential.kind
        if key not in self._gateways:
            self._gateways[key] = tuple(self.keyrings[key].gateways())
        return self._gateways[key]

    # -------- discovery

    def discover(self) -> Discovered:
        """List every service; who matches a policy becomes a charge. Raises LedgerFault; a service that cannot be
        listed is a problem of its own, and the others go on."""
        from keyturn.sweep import Charge

        credentials: list[Credential] = []
        problems: dict[str, KeyturnError] = {}
        for (alias, kind), keyring in self.keyrings.items():
            if kind not in configuration.kinds(self.config, alias):
                continue
            try:
                credentials += list(keyring.discover())
            except (Refused, TryAgain, Misconfigured) as problem:
                problems.setdefault(alias, problem)
        charges, won_by = [], {}
        for credential in credentials:
            entry = configuration.match_policy(self.config, credential)
            if entry is not None:
                policy = configuration.policy_for(self.config, entry, credential)
                won_by[credential.key] = entry.name
                charges.append(Charge(credential, policy, self._turns[credential.service, credential.kind]))
        self._undiscovered -= {credential.key for credential in credentials}
        records = tuple(self.ledger.records())
        lost = self._lost(records, {credential.key for credential in credentials}, problems)
        return Discovered(
            charges=(*charges, *lost),
            lost=frozenset(charge.credential.key for charge in lost),
            credentials=tuple(credentials),
            won_by=won_by,
            problems=problems,
            warnings=(*self._warnings(credentials, problems), *self._left_behind(records, charges)),
        )

    def _lost(self, records: Iterable[Record], known: set[str], problems: Mapping[str, KeyturnError]) -> list[Charge]:
        """Charges for records of configured services that Azure does not list any more: their turn finds them gone.

        Their product and owner are not known, so neither are their sinks: see `Unknowable`.
        """
        unlisted = {alias for alias, problem in problems.items() if not isinstance(problem, Gone)}
        lost = []
        for record in records:
            place = None if record.key in known or record.hold is not None else self._place(record.key)
            # what no policy wants any more nobody asked Azure for
            if place is not None and place.service not in unlisted and self._is_wanted(place):
                lost.append(self._lost_charge(record, place))
        return lost

    def _lost_charge(self, record: Record, place: Place) -> Charge:
        from keyturn.sweep import Charge

        credential = Credential(
            id=record.id, key=record.key, address=record.key, service=place.service, name=place.name, kind=place.kind
        )
        self._undiscovered.add(record.key)
        policy = policy_named(self.config, record) or Policy(name="none")
        return Charge(credential, policy, self._turns[place.service, place.kind])

    # -------- one credential, without a list

    def _place(self, key: str) -> Place | None:
        """The configured service that a record's key belongs to, and what it is there; None: no service has it."""
        for alias, service in self.config.services.items():
            for where, kind in PLACES.items():
                base = f"{service.id.lower().rstrip('/')}/{where}/"
                if key.startswith(base) and key != base:
                    return Place(alias, kind, key.removeprefix(base))
        return None

    def _is_wanted(self, place: Place) -> bool:
        """Whether some policy wants credentials of that kind of that service."""
        if place.kind is Kind.TENANT:
            return place.name in {it.lower() for it in configuration.tenants(self.config, place.service)}
        return place.kind in configuration.kinds(self.config, place.service)

    def looks_after(self, key: str) -> bool:
        """Whether a record's key is of a configured service, and of a kind that some policy wants there."""
        place = self._place(key)
        return place is not None and self._is_wanted(place)

    def charge(self, key: str) -> Charge | None:
        """One credential by its record's key, by one read; None where no policy looks after it. One that Azure has no
        more, but the ledger still, is lost: its turn finds it gone. Raises TryAgain, Refused, Gone, LedgerFault."""
        from keyturn.sweep import Charge

        place = self._place(key)
        if place is None:
            raise Gone(f"no service of {self.config.file} has {key}", hint="Name its service there, or forget it.")
        if not self._is_wanted(place):
            return None
        try:
            credential = self.keyrings[place.service, place.kind].find(place.name)
        except Gone:
            stored = self.ledger.load(key)
            if stored is None:
                raise
            return self._lost_charge(stored.record, place)
        if credential.key != key:  # a name such as `..` leads elsewhere
            raise Gone(f"Azure has nothing called {place.name!r} there")
        self._undiscovered.discard(credential.key)
        entry = configuration.match_policy(self.config, credential)
        if entry is None:
            return None
        policy = configuration.policy_for(self.config, entry, credential)
        return Charge(credential, policy, self._turns[place.service, place.kind])

    def keys_of(self, id: str) -> tuple[str, ...]:
        """The keys that a credential's id can stand for, likeliest first: a sid may look like another kind's place."""
        alias, _, rest = id.partition("/")
        service = self.config.services.get(alias)
        if service is None or not rest:
            return ()
        base = service.id.lower().rstrip("/")
        named = [f"{base}/{rest.lower()}"] if rest.lower().startswith(("tenant/", "gateways/")) else []
        return (*named, f"{base}/subscriptions/{rest.lower()}")

    def change(
        self, credential: Credential, asked: Callable[[Record, datetime], tuple[Record, Event]]
    ) -> tuple[Record, Event]:
        """Save what a person asked for by compare-and-swap; once more if a turn saved first. Raises NeedsPerson,
        LedgerFault."""
        while True:
            stored = self.ledger.load(credential.key)
            before = stored.record if stored is not None else Record(key=credential.key, id=credential.id)
            record, event = asked(before, self.clock.now())
            try:
                self.ledger.save(record, stored.version if stored is not None else 0, [event])
            except Conflict:
                continue
            return record, event

    def _warnings(self, credentials: Sequence[Credential], problems: Mapping[str, KeyturnError]) -> tuple[str, ...]:
        if problems:
            return ()
        idle: Iterable[PolicyEntry] = configuration.never_winning(self.config, credentials)
        return tuple(f"{self.config.file}:{entry.line}  policy {entry.name} wins no credential." for entry in idle)

    def _left_behind(self, records: Iterable[Record], charges: Iterable[Charge]) -> Iterator[str]:
        """Sinks that a credential was published to and that its policy names no more: nobody looks at them, and what
        they show dies with a later retire."""
        known = {record.key: (*record.sinks, *record.left) for record in records}
        for charge in charges:
            credential, published = charge.credential, known.get(charge.credential.key, ())
            named = {sink.name for sink in self.sinks_of(credential)} if published else set()
            for name in published:
                if name not in named:
                    yield (
                        f"{credential.id} was published to {name}, and policy {charge.policy.name} does not name it "
                        f"any more: who still reads it there is refused once that value is retired."
                    )

    # -------- credentials that may not be worked on

    def hold_unusable(self, found: Discovered) -> None:
        """Hold whoever shares a sink, or has one that its place cannot hold. Raises LedgerFault."""
        for credential, reason, sentence in self.unusable(found):
            self._hold(credential, reason, sentence, self.clock.now())

    def unusable(self, found: Discovered) -> list[tuple[Credential, str, str]]:
        """Credential, reason and sentence of everyone whose sinks rule A10 or their place forbids."""
        told: list[tuple[Credential, str, str]] = []
        mine = [charge.credential for charge in found.charges if charge.credential.key not in found.lost]
        for name, group in configuration.clashes(self.config, mine).items():
            for credential in group:
                others = ", ".join(other.id for other in group if other.key != credential.key)
                told.append((credential, "sink-clash", f"{name} is also the sink of {others}; two may never share one"))
        for credential in mine:
            entry = configuration.match_policy(self.config, credential)
            for spec in entry.sinks if entry is not None else ():
                for problem in configuration.sink_problems(spec, credential):
                    told.append((credential, "sink-name", problem))
            if entry is not None and not _is_signable(entry, credential):
                sentence = f"no token can name {credential.identity!r}: printable ASCII, no space at either end"
                told.append((credential, "token-identity", sentence))
        return [*told, *self._claimed(found, mine)]

    def _claimed(self, found: Discovered, mine: Sequence[Credential]) -> Iterator[tuple[Credential, str, str]]:
        """Whoever would publish to a sink of a credential whose service could not be listed: only the ledger tells."""
        if not found.problems:
            return
        places = {record.id: self._place(record.key) for record in self.ledger.records()}
        unlisted = {id for id, place in places.items() if place is not None and place.service in found.problems}
        owners = {name: each.id for each in self.ledger.records() if each.id in unlisted for name in each.sinks}
        for credential in mine:
            if credential.service in found.problems:
                continue
            for sink in self.sinks_of(credential):
                owner = owners.get(sink.name)
                if owner is not None and not sink.write_only:
                    sentence = f"{sink.name} is also the sink of {owner}; two may never share one"
                    yield credential, "sink-clash", sentence

    def _hold(self, credential: Credential, reason: str, sentence: str, now: datetime) -> None:
        while True:
            stored = self.ledger.load(credential.key)
            record = stored.record if stored is not None else Record(key=credential.key, id=credential.id)
            if record.hold is not None:
                return
            held = record.but(hold=Hold(reason=reason, sentence=sentence, since=now), not_before=None, waiting=None)
            event = Event(at=now, kind="hold", sentence=sentence, rule="A10" if reason == "sink-clash" else "")
            try:
                self.ledger.save(held, stored.version if stored is not None else 0, [event])
            except Conflict:
                continue
            return


def _is_signable(entry: PolicyEntry, credential: Credential) -> bool:
    """Whether a token can name the credential, where its policy needs one, be it to publish or to probe."""
    from keyturn.minting import signable

    needed = credential.kind is not Kind.APIM_SUBSCRIPTION and (entry.tokens or entry.policy.probe is not None)
    return not needed or signable(credential)


def arm_to_begin(config: Config) -> Arm:
    """Resource Manager, signed in, for a configuration that names no service yet: it is what `init` writes one with.

    Raises Misconfigured."""
    from keyturn.azure.pipeline import Arm

    refuse_foreign_emulator(config)
    refuse_missing_authorities(config)
    return Arm(_identity(config, _cloud(config.cloud)), clock_of(config))


class Unknowable:
    """Stands for the sinks of a credential that Azure does not list: they cannot be read, so no slot is written."""

    name = "its sinks"
    write_only = False

    def read(self) -> Shown:
        raise Refused("Azure does not list this credential any more", hint="Run again once Azure lists it.")

    def write(self, value: Secret, tags: Tags, send_by: SendBy) -> Answer:  # noqa: ARG002 - the port's verb
        return NotApplied(status=0, code="", sentence="Azure does not list this credential any more")


def open_all(
    config: Config, *, notifier: Notifier | None = None, stop: threading.Event | None = None, publishes: bool = True
) -> Assembled:
    """Everything, ready to work; makes the ledger if there is none. `publishes`: whoever calls may write sinks, so that
    what they need must be there. Raises Misconfigured, LedgerFault, TryAgain."""
    refuse_foreign_emulator(config)
    refuse_missing_authorities(config)
    if publishes:
        refuse_missing_signing_secrets(config)
    clock = clock_of(config, stop)
    stack = ExitStack()
    ledger = _ledger(config, clock, create=True)
    stack.callback(ledger.close)
    return _assemble(config, ledger, clock, notifier, stack)


def open_to_look(config: Config, *, publishes: bool = True) -> Assembled:
    """The same for `plan`: what it learns goes nowhere, and no ledger is made where there is none."""
    from keyturn.testing import MemoryLedger

    refuse_foreign_emulator(config)
    refuse_missing_authorities(config)
    if publishes:
        refuse_missing_signing_secrets(config)
    clock = clock_of(config)
    stack = ExitStack()
    if not _is_made(config):
        unmade = MemoryLedger(name="not made yet", salt=clock.random_bytes(32))
        return _assemble(config, unmade, clock, None, stack)
    ledger = _ledger(config, clock, create=False)
    stack.callback(ledger.close)
    return _assemble(config, ledger, clock, None, stack)


def open_to_check(config: Config) -> Assembled:
    """The same for `check`, with the ledger left alone: whatever is wrong with it is one finding beside the others."""
    from keyturn.testing import MemoryLedger

    refuse_foreign_emulator(config)
    refuse_missing_authorities(config)
    clock = clock_of(config)
    return _assemble(config, MemoryLedger(name="not opened", salt=clock.random_bytes(32)), clock, None, ExitStack())


class LedgerSeen(NamedTuple):
    """A ledger that was looked at. `unwritable` says why it cannot be written, where that can be told without a write;
    `note` what cannot."""

    place: str
    made: bool
    id: str = ""
    version: int = 0
    unwritable: str = ""
    note: str = ""


def look_at_ledger(config: Config) -> LedgerSeen:
    """Whether the ledger can be used, without a write. Raises LedgerFault, Misconfigured."""
    from keyturn.ledgers.schema import SCHEMA_VERSION, check_salt, sqlite_path

    salt = _salt(config)
    if isinstance(config.ledger, TableSpec):
        place, found = f"table {config.ledger.name}", view(config)
        note = "; whether it may be written cannot be told without a write"
        if found is None:
            return LedgerSeen(place, made=False)
        with found:
            return LedgerSeen(place, made=True, id=found.id, version=SCHEMA_VERSION, note=note)
    from keyturn.ledgers.faults import as_faults
    from keyturn.ledgers.reading import inspect

    path = sqlite_path(config.ledger)
    folder = path.absolute().parent
    if not folder.is_dir():
        return LedgerSeen(str(path), made=False, unwritable=f"there is no directory {folder} for the ledger")
    locked = next((str(place) for place in (folder, path) if place.exists() and not os.access(place, os.W_OK)), "")
    unwritable = f"{locked} is read-only for whoever runs this" if locked else ""
    if not os.path.lexists(path):
        return LedgerSeen(str(path), made=False, unwritable=unwritable)
    with as_faults(path):
        meta = inspect(path)
    check_salt(meta, salt, path)
    return LedgerSeen(str(path), made=True, id=meta.ledger_id, version=meta.version, unwritable=unwritable)


def _assemble(config: Config, ledger: Ledger, clock: Clock, notifier: Notifier | None, stack: ExitStack) -> Assembled:
    from keyturn.ledgers.holder import this_process

    try:
        return Assembled(config, ledger, clock, this_process(clock), notifier, stack)
    except BaseException:
        stack.close()
        raise


def _salt(config: Config) -> bytes | None:
    """The salt that is kept outside the ledger, from its environment variable. Raises Misconfigured."""
    if config.salt_env is None:
        return None
    text = os.environ.get(config.salt_env, "")
    if not text:
        raise Misconfigured(
            f"salt.env: {variable(config.salt_env)} is empty or not set; it holds the ledger's salt",
            hint="Set it to the salt that the ledger was made with; for a new ledger, to 32 random bytes in hex.",
        )
    return text.encode()


def refuse_missing_signing_secrets(config: Config) -> None:
    """A webhook without its signing secret would fail in the middle of a rotation. Raises Misconfigured."""
    for spec in {spec for entry in config.policies for spec in entry.sinks if isinstance(spec, WebhookSink)}:
        _signing_secrets(spec)


def _signing_secrets(spec: WebhookSink) -> tuple[Secret, ...]:
    from keyturn.sinks.webhook import signing_secrets

    return signing_secrets(os.environ.get(spec.secret_env, ""), spec.secret_env)


def _cloud(given: configuration.Cloud) -> Cloud:
    from keyturn.azure.cloud import CLOUDS, Cloud

    if not isinstance(given, CustomCloud):
        return CLOUDS[given]
    return Cloud(
        name=given.resource_manager,
        authority=given.authority,
        arm=given.resource_manager,
        arm_scope=f"{given.audience}/.default",
        vault_suffix=given.vault_suffix,
        ca_bundle=given.ca,
        disable_instance_discovery=not given.instance_discovery,
    )
