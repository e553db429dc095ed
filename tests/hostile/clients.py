"""Everything of keyturn that calls somebody, pointed at one peer; and what may come of such a call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from keyturn.azure import inventory, permissions, rights
from keyturn.azure.cloud import Cloud
from keyturn.azure.pipeline import Arm
from keyturn.azure.signin import DEFAULT, Identity, SignIn
from keyturn.errors import KeyturnError
from keyturn.keyrings.gateways import GatewayKeyring
from keyturn.keyrings.subscriptions import SubscriptionsKeyring
from keyturn.keyrings.tenant import TenantKeyring
from keyturn.keyrings.users import ask_user_token
from keyturn.model import Credential, Kind, Secret, Slot
from keyturn.policy import ProbeSpec
from keyturn.ports import NotApplied, SendBy, Tags, Uncertain, Verdict
from keyturn.probes.gateway import GatewayProbe
from keyturn.sinks.keyvault import KeyVaultSecret, Vault
from keyturn.sinks.namedvalue import NamedValue, NamedValues
from keyturn.sinks.webhook import Webhook
from keyturn.testing import ManualClock
from tests.hostile.peers import trust_file

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, AccessTokenInfo

TOKEN: Final = "ghijklmnopqrstuvwxyz.token.zyxwvutsrqponmlkjihg"
VALUE: Final = "ghijklmnopqrstuvwxyzghijklmnopqr"
CLIENT_SECRET: Final = "qwrtzpsghjklmnvxqwrtzpsghjklmnvx"
SIGNING: Final = "whsec_" + "Z2hpamtsbW5vcHFyc3R1dnd4eXpnaGlqa2xtbm9wcXI="
MARKED: Final = (TOKEN, VALUE, CLIENT_SECRET, SIGNING.removeprefix("whsec_"))
"""None of these may be told by anybody, nor leave in the clear."""
SERVICE: Final = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ApiManagement/service/shop-apim"
PATIENCE: Final = 30.0
"""Machine seconds; a call that takes longer hangs. No call here may take more than a twentieth of it by its limit."""
LONGEST_SENTENCE: Final = 4_000
PROBE: Final = ProbeSpec(path="/status/ping")


def credential(kind: Kind, name: str, place: str) -> Credential:
    address = f"{SERVICE}/{place}/{name}"
    return Credential(id=f"shop/{name}", key=address.lower(), address=address, service="shop", name=name, kind=kind)


CONTOSO: Final = credential(Kind.APIM_SUBSCRIPTION, "contoso", "subscriptions")
ACCESS: Final = credential(Kind.TENANT, "access", "tenant")
GATEWAY: Final = credential(Kind.GATEWAY, "edge", "gateways")


class SignedIn(Identity):
    """Has a token for whoever asks."""

    def token(self, scope: str) -> Secret:
        return Secret(TOKEN)

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        from azure.core.credentials import AccessToken

        return AccessToken(TOKEN, int(time.time()) + 3600)

    def get_token_info(self, *scopes: str, options: Any = None) -> AccessTokenInfo:
        from azure.core.credentials import AccessTokenInfo

        return AccessTokenInfo(TOKEN, int(time.time()) + 3600)


def cloud_at(address: str, ca_bundle: Path) -> Cloud:
    return Cloud(
        name="hostile",
        authority=address,
        arm=address,
        arm_scope="https://hostile/.default",
        vault_suffix="unused.example",
        ca_bundle=str(ca_bundle),
        disable_instance_discovery=True,
    )


Call = Callable[[], object]


class Clients:
    """`limit` is what any call may take, in machine seconds: each of them ends by it."""

    def __init__(self, address: str, folder: Path, limit: float) -> None:
        self.clock = ManualClock()
        self.limit = limit
        trust = trust_file(folder)
        cloud = cloud_at(address, trust)
        identity = SignedIn(DEFAULT, cloud)
        self.arm = Arm(identity, self.clock, read_limit=limit)
        self.signs_in = Identity(SignIn(tenant="t", client_id="c", secret=Secret(CLIENT_SECRET)), cloud)
        self.subscriptions = SubscriptionsKeyring(self.arm, "shop", SERVICE)
        self.tenant = TenantKeyring(self.arm, "shop", SERVICE)
        self.gateways = GatewayKeyring(self.arm, "shop", SERVICE)
        self.vault = Vault(address, identity, self.clock, read_limit=limit)
        self.secret = KeyVaultSecret(self.vault, "apim-contoso")
        self.named_value = NamedValue(NamedValues(self.arm, "shop", SERVICE), "contoso-key")
        self.webhook = Webhook(f"{address}/hook", "shop/contoso", (Secret(SIGNING),), self.clock, include_value=True)
        self.probe = GatewayProbe(self.clock, str(trust), limit=limit)
        self.address = address

    @property
    def send_by(self) -> SendBy:
        seconds = self.limit
        now, boot = self.clock.now(), self.clock.boottime()
        return SendBy(at=now + timedelta(seconds=600), boot=boot + 600, seconds=seconds)

    @property
    def tags(self) -> Tags:
        expires = self.clock.now() + timedelta(days=30)
        return Tags(
            ledger="l", seq=7, slot=Slot.PRIMARY, provider_address=CONTOSO.address, validity_days=30, expires=expires
        )

    def calls(self) -> Mapping[str, Call]:
        """All there are, by name."""
        etag, value, primary = '"AAAAAAAAAAE="', Secret(VALUE), Slot.PRIMARY
        expires = self.clock.now() + timedelta(days=1)
        return {
            "list the apim subscriptions": lambda: list(self.subscriptions.discover()),
            "find one": lambda: self.subscriptions.find("contoso"),
            "read one": lambda: self.subscriptions.read(CONTOSO),
            "read its values": lambda: self.subscriptions.read_values(CONTOSO),
            "set a value": lambda: self.subscriptions.set_value(CONTOSO, primary, value, etag, self.send_by),
            "regenerate a value": lambda: self.subscriptions.regenerate(CONTOSO, primary, self.send_by),
            "prove the fence": lambda: self.subscriptions.prove_fence(CONTOSO, self.send_by),
            "suspend": lambda: self.subscriptions.enable(CONTOSO, False, etag, self.send_by),
            "ask for the gateways": self.subscriptions.gateways,
            "find tenant access": lambda: self.tenant.find("access"),
            "list tenant access": lambda: list(self.tenant.discover()),
            "read tenant access": lambda: self.tenant.read(ACCESS),
            "set tenant access": lambda: self.tenant.set_value(ACCESS, primary, value, etag, self.send_by),
            "ask for the management endpoint": self.tenant.gateways,
            "list the gateways": lambda: list(self.gateways.discover()),
            "find a gateway": lambda: self.gateways.find("edge"),
            "read a gateway": lambda: self.gateways.read(GATEWAY),
            "read a gateway's keys": lambda: self.gateways.read_values(GATEWAY),
            "ask for a gateway's token": lambda: self.gateways.generate_token(GATEWAY, primary, expires),
            "ask for a user's token": lambda: ask_user_token(self.arm, SERVICE, "ada", primary, expires),
            "read the vault": self.secret.read,
            "write the vault": lambda: self.secret.write(value, self.tags, self.send_by),
            "look for a deleted secret": self.secret.stands_deleted,
            "read a named value": self.named_value.read,
            "write a named value": lambda: self.named_value.write(value, self.tags, self.send_by),
            "call the webhook": lambda: self.webhook.write(value, self.tags, self.send_by),
            "probe with a value": lambda: self.probe.ask([self.address], PROBE, value, 2),
            "probe without": lambda: self.probe.control([self.address], PROBE),
            "reach a gateway": lambda: self.probe.reach(self.address),
            "list the services": lambda: inventory.services(self.arm),
            "describe a service": lambda: inventory.describe(self.arm, SERVICE),
            "list the permissions": lambda: permissions.granted(self.arm, SERVICE),
            "try a permission": lambda: [
                permissions.ask(self.arm, SERVICE, right, api_version="2022-08-01")
                for right in rights.JOBS[0].rights
                if right.ask is not None and right.ask.method == "PATCH"
            ],
            "sign in": lambda: self.signs_in.token("https://hostile/.default"),
        }


class Came(NamedTuple):
    """What came of a call: an answer, or the error that it raised."""

    answer: object
    seconds: float

    @property
    def told(self) -> str:
        """Every word that a person, a log or a ledger would get of it."""
        found = self.answer
        if isinstance(found, KeyturnError):
            return "\n".join(str(each) for each in (found.message, found.hint, *vars(found).values()))
        return repr(found)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Those that keyturn made of somebody else's words."""
        found = self.answer
        if isinstance(found, KeyturnError):
            return found.message, found.hint
        if isinstance(found, NotApplied):
            return found.sentence, found.hint, found.code
        if isinstance(found, Uncertain | Verdict):
            return (found.sentence,)
        return (found,) if isinstance(found, str) else ()


def come(call: Call) -> Came:
    """Raises whatever is no KeyturnError: a traceback."""
    begun = time.monotonic()
    try:
        answer = call()
    except KeyturnError as error:
        answer = error
    return Came(answer, time.monotonic() - begun)


def broken_promises(came: Came) -> list[str]:
    """What is wrong with what came."""
    found = [f"it tells {marked[:6]}…" for marked in MARKED if marked in came.told]
    if came.seconds > PATIENCE:
        found.append(f"it took {came.seconds:.0f} s")
    try:
        came.told.encode()
    except UnicodeEncodeError:
        found.append("it holds what no file can")
    for sentence in came.sentences:
        if len(sentence) > LONGEST_SENTENCE:
            found.append(f"a sentence of {len(sentence)} characters")
        if not all(each.isprintable() for each in sentence):
            found.append(f"a sentence that a terminal would obey: {sentence!r:.200}")
    return found


def calls_under_way() -> list[str]:
    """Threads of calls that were given up, or not."""
    return [thread.name for thread in threading.enumerate() if thread.name == "keyturn-call"]


def wait_until_all_ended(seconds: float = PATIENCE) -> None:
    """Raises AssertionError when a call that was given up still holds a thread."""
    until = time.monotonic() + seconds
    while calls_under_way():
        assert time.monotonic() < until, f"{len(calls_under_way())} calls that were given up go on"
        time.sleep(0.02)
