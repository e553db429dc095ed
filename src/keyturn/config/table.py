"""What may be written in a configuration: one table, from which the JSON Schema and the reference are made, too.

Each line names a setting, its kind, its default as a person would write it, and why one would change it.

Never here: what a setting does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keyturn.config.form import Choice, Count, Either, Field, Flag, Form, Hours, Many, Named, OneOf, Share, Span, Text
from keyturn.model import Mode, Slot
from keyturn.policy import Retire, TokenKind


def _any_case(word: str) -> str:
    """A pattern for a word in any capitals, in the regular expressions that JSON Schema shares with Python."""
    return "".join(f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else rf"\{letter}" for letter in word)


_ENVIRONMENT = Text(
    what="the name of an environment variable",
    pattern=r"[A-Za-z_][A-Za-z0-9_]*",
    hushed=True,
    hint="Name a variable here, and put the secret into that variable.",
)
_ADDRESS = Text(
    what="an address such as https://host",
    pattern=r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?",
    hint="Write https:// and the host, with no path.",
)
_CONTROL = Text(
    what="the emulator's control address",
    pattern=r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9_/-]*)?",
    hint="Write what `keyturn emulator` printed, such as http://127.0.0.1:41000.",
)
_RECEIVER = Text(
    what="an https address with no query, user or fragment",
    pattern=(
        r"(https://[A-Za-z0-9.-]+|https?://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?"
        r"(/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?"
    ),
    hushed=True,
    hint="Write https://host/path: it is shown on screens and kept in the ledger, so nothing secret may be in it.",
)
_ARM_ID = Text(
    what="the ARM id of an API Management service",
    pattern=(
        rf"/{_any_case('subscriptions')}/[0-9a-fA-F]{{8}}(-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}}"
        rf"/{_any_case('resourceGroups')}/[^/\s]{{1,90}}/{_any_case('providers')}"
        rf"/{_any_case('Microsoft.ApiManagement')}/{_any_case('service')}/[A-Za-z][A-Za-z0-9-]{{0,49}}"
    ),
    hint="Copy it from the portal: /subscriptions/…/resourceGroups/…/providers/Microsoft.ApiManagement/service/NAME.",
)
_ALIAS = Text(
    what="an alias of letters, digits, dots and dashes", pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", hint="Rename it."
)
_GLOBS = Many(of=Text(what="a name, or a part of one with *"), or_one=True)
_TEMPLATE = Text(what="a name; {service} {sid} {product} {owner} {gateway} {tenant} are filled in")
_MODES = Choice(words={mode.value: mode for mode in Mode})

_CLOUD = Either(
    word=Choice(words={"public": "public", "china": "china", "usgov": "usgov"}),
    form=Form(
        fields=(
            Field(name="authority", kind=_ADDRESS, required=True, doc="Where Entra signs in."),
            Field(name="resource_manager", kind=_ADDRESS, required=True, doc="Where Azure Resource Manager is."),
            Field(
                name="audience",
                kind=_ADDRESS,
                default="resource_manager",
                doc="Whom Resource Manager's tokens are for, where that is another address.",
            ),
            Field(
                name="vault_suffix",
                kind=Text(
                    what="a domain such as vault.azure.net",
                    pattern=r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?",
                    hint="Write it with no leading dot and no https://.",
                ),
                required=True,
                doc="What follows a vault's name.",
            ),
            Field(
                name="ca", kind=Text(what="a path"), doc="PEM file of the authorities to trust, for a private cloud."
            ),
            Field(
                name="instance_discovery",
                kind=Flag(),
                default="false",
                doc="true where Microsoft's public cloud can vouch for the authority.",
            ),
        )
    ),
)

_SERVICE = Form(
    fields=(
        Field(name="id", kind=_ARM_ID, required=True, doc="The service's ARM id."),
        Field(
            name="mode",
            kind=_MODES,
            default="set",
            doc="How slots are renewed here, for policies that do not say it themselves.",
        ),
        Field(
            name="api_version",
            kind=Text(
                what="an API version",
                pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?",
                hint="Write it like 2022-08-01.",
            ),
            default="2022-08-01",
            doc="Another API version of Resource Manager, should yours need one.",
        ),
        Field(
            name="gateways",
            kind=Many(of=_ADDRESS, least=1),
            default="what the service itself names",
            doc="Addresses to probe, where the service does not know them: self-hosted gateways, custom domains.",
        ),
        Field(
            name="trust_etag",
            kind=Flag(),
            default="true",
            doc="false reads the values (one write each) instead of relying on an unchanged ETag.",
        ),
        Field(name="cloud", kind=_CLOUD, default="the configuration's", doc="Another cloud for this service."),
    )
)

_MATCH = Form(
    fields=(
        Field(name="service", kind=_GLOBS, doc="Aliases of services."),
        Field(name="product", kind=_GLOBS, doc="Products that the apim subscription is for."),
        Field(name="sid", kind=_GLOBS, doc="Sids. Only the literal `master` matches the built-in all-access one."),
        Field(name="owner", kind=_GLOBS, doc="Users that own the apim subscription."),
        Field(name="scope", kind=_GLOBS, doc="Scopes, whole or from the service on: `/apis`, `/products/gold`."),
        Field(
            name="gateway",
            kind=_GLOBS,
            doc="Ids of self-hosted gateways. With it the policy is for their keys, and for no apim subscription.",
        ),
        Field(
            name="tenant",
            kind=Many(of=Choice(words={"access": "access", "gitAccess": "gitAccess"}), or_one=True, least=1),
            doc="`access` or `gitAccess`: with it the policy is for the service's tenant access keys.",
        ),
    )
)

_ROTATE = Form(
    fields=(
        Field(
            name="every", kind=Span(), default="30d", doc="How old an active value may get before its rotation starts."
        ),
        Field(
            name="window",
            kind=Many(of=Hours(), least=1, or_one=True),
            default="at any hour",
            doc="When a rotation may start, by the wall clock of a zone: `Mon-Thu 09:00-16:00 Europe/Oslo`.",
        ),
        Field(
            name="jitter",
            kind=Span(may_be_zero=True),
            default="0s",
            doc="By how much sooner than `every` a rotation may start; each credential has a share of its own.",
        ),
    ),
)

_PACE = Form(
    fields=(
        Field(
            name="first",
            kind=Count(least=0, most=10_000),
            default="0",
            doc="So many start alone; the rest start once these have rotated and none of them is held.",
        ),
        Field(
            name="stop_above",
            kind=Share(),
            default="however many are held",
            doc="Nobody starts while more than this share of the policy's credentials is held.",
        ),
    )
)

_PROBE = Form(
    fields=(
        Field(
            name="path",
            kind=Text(what="a path that begins with /", pattern=r"/\S*", hint="Write it like /status/ping."),
            required=True,
            doc="A cheap operation that needs a key, such as /status/ping.",
        ),
        Field(
            name="method",
            kind=Choice(words={word: word for word in ("GET", "HEAD", "OPTIONS", "POST")}),
            default="GET",
            doc="The HTTP method.",
        ),
        Field(
            name="header",
            kind=Text(what="the name of a header", pattern=r"[A-Za-z0-9-]+"),
            default="Ocp-Apim-Subscription-Key",
            doc="The header that carries the value, where the API renames it.",
        ),
        Field(
            name="query",
            kind=Text(what="the name of a query parameter", pattern=r"[A-Za-z0-9._~-]+"),
            doc="The query parameter that carries the value instead of a header.",
        ),
        Field(
            name="gateways",
            kind=Many(of=_ADDRESS, least=1),
            default="the service's",
            doc="The gateways to ask, where they are not the service's.",
        ),
    )
)

_CONSUMERS = Form(
    fields=(
        Field(
            name="cache",
            kind=Span(may_be_zero=True),
            default="1h",
            doc="The longest that any caller keeps a value before it reads the sink again. The heart of the drain.",
        ),
        Field(
            name="longest_call", kind=Span(may_be_zero=True), default="2m", doc="The longest call that callers make."
        ),
        Field(
            name="replication",
            kind=Span(may_be_zero=True),
            default="1m",
            doc="How long a sink may go on showing its previous value somewhere.",
        ),
    )
)

_PUBLISH = OneOf(
    forms={
        "keyvault": Form(
            fields=(
                Field(name="vault", kind=_TEMPLATE, required=True, doc="The vault's name, such as shop-kv."),
                Field(name="secret", kind=_TEMPLATE, required=True, doc="The secret's name, such as apim-{sid}."),
            )
        ),
        "file": Form(
            fields=(
                Field(name="path", kind=_TEMPLATE, required=True, doc="The file; relative: beside the configuration."),
                Field(
                    name="variable", kind=_TEMPLATE, required=True, doc="The variable or JSON key, such as APIM_KEY."
                ),
                Field(
                    name="format",
                    kind=Choice(words={"dotenv": "dotenv", "json": "json"}),
                    default="json if the path ends in .json, else dotenv",
                    doc="How the file is written.",
                ),
            )
        ),
        "namedvalue": Form(
            fields=(
                Field(
                    name="name",
                    kind=_TEMPLATE,
                    required=True,
                    doc="The named value's id, such as {sid}-key. keyturn makes it, as a secret, where there is none.",
                ),
                Field(
                    name="service",
                    kind=_ALIAS,
                    default="the credential's own",
                    doc="The alias of another service that has the named value.",
                ),
            )
        ),
        "webhook": Form(
            fields=(
                Field(
                    name="url",
                    kind=_RECEIVER,
                    required=True,
                    doc="Where signed events are sent: https, or http on this machine. Never with a secret in it.",
                ),
                Field(
                    name="secret_env",
                    kind=_ENVIRONMENT,
                    required=True,
                    doc="The environment variable with the signing secret: whsec_ and base64; several with spaces.",
                ),
                Field(
                    name="include_value",
                    kind=Flag(),
                    default="false",
                    doc="true sends the value itself; otherwise an event tells only that it is published.",
                ),
            )
        ),
    }
)

_TOKEN = Form(
    fields=(
        Field(
            name="kind",
            kind=Choice(words={kind.value: kind for kind in TokenKind}),
            required=True,
            doc="`gateway`: for a self-hosted gateway. `management`: for the direct management endpoint.",
        ),
        Field(
            name="lifetime",
            kind=Span(),
            default="30d",
            doc="How long each token lives; 30 days is the most that Azure gives.",
        ),
        Field(
            name="renew_before",
            kind=Span(),
            default="a third of the lifetime",
            doc="How long before its end the next one is published. It must cover `consumers.cache`.",
        ),
        Field(
            name="slot",
            kind=Choice(words={slot.value: slot for slot in Slot}),
            default="hold and ask",
            doc="The slot whose key signs the first one where every sink is empty; rotations move it. Same as `adopt`.",
        ),
        Field(
            name="form",
            kind=Choice(words={"long": False, "short": True}),
            default="long",
            doc="Of a management token; that `short` works there is not documented, nor recorded.",
        ),
        Field(
            name="publish",
            kind=Many(of=_PUBLISH, least=1),
            required=True,
            doc="The sinks that the token is read from: the whole header value, scheme and all.",
        ),
    )
)

_DRAIN = Either(
    word=Span(),
    form=Form(
        fields=(
            Field(name="time", kind=Span(), default="24h", doc="The same as drain: 24h."),
            Field(
                name="max",
                kind=Span(),
                default="four times the drain",
                doc="How long evidence of old callers may stretch the drain before a person is asked.",
            ),
        )
    ),
)

_POLICY = Form(
    fields=(
        Field(
            name="name", kind=Text(what="a name", pattern=r"\S(.{0,62}\S)?"), required=True, doc="What people call it."
        ),
        Field(
            name="match",
            kind=_MATCH,
            required=True,
            doc="Which credentials it is for. The first policy that matches wins; an empty match matches nothing.",
        ),
        Field(name="rotate", kind=_ROTATE, doc="When a rotation starts."),
        Field(name="pace", kind=_PACE, doc="How a fleet is rotated: a few first, and no more where many are held."),
        Field(
            name="renew",
            kind=_MODES,
            default="the service's mode",
            doc="`set`: keyturn draws the value. `regenerate`: Azure does; it needs fewer rights.",
        ),
        Field(
            name="retire",
            kind=Choice(words={retire.value: retire for retire in Retire}),
            default="after-drain",
            doc="When the old value dies; `next-rotation` saves one write per period and keeps it alive longer.",
        ),
        Field(
            name="adopt",
            kind=Choice(words={slot.value: slot for slot in Slot}),
            default="hold and ask",
            doc="The slot to publish first where every sink is empty.",
        ),
        Field(
            name="probe", kind=_PROBE, doc="The call that confirms a value. Without one keyturn waits `propagation`."
        ),
        Field(
            name="accepts",
            kind=Count(least=1, most=100),
            default="5",
            doc="How often in a row each gateway must accept: more units behind one address need more.",
        ),
        Field(
            name="settle",
            kind=Span(may_be_zero=True),
            default="30s",
            doc="How long after the last accept a value counts as confirmed.",
        ),
        Field(
            name="propagation",
            kind=Span(may_be_zero=True),
            default="10m",
            doc="How long a fresh value may take to every gateway; waited out where there is no probe.",
        ),
        Field(
            name="publish",
            kind=Many(of=_PUBLISH, least=1),
            default="none, where there are `tokens`",
            doc="The sinks that callers read the key from; each is `keyvault:`, `file:`, `namedvalue:` or `webhook:`.",
        ),
        Field(
            name="tokens",
            kind=Many(of=_TOKEN, least=1, or_one=True),
            doc="Tokens that are made from the key and kept fresh, in sinks of their own.",
        ),
        Field(name="consumers", kind=_CONSUMERS, doc="What you know of your callers; the drain must cover it."),
        Field(
            name="drain",
            kind=_DRAIN,
            default="24h",
            doc="How long the old value lives on after no sink shows it any more.",
        ),
        Field(
            name="look_every",
            kind=Span(),
            default="24h",
            doc="How often a credential is looked at for what others changed, at the least.",
        ),
        Field(
            name="park_after",
            kind=Span(),
            default="7d",
            doc="How long one credential may go on failing until it is held for you.",
        ),
        Field(
            name="deadline",
            kind=Span(),
            default="1m",
            doc="How old a look may be when the effect that rests on it is sent.",
        ),
        Field(
            name="late", kind=Span(), default="15m", doc="How long a request that was given up may still take effect."
        ),
        Field(
            name="max_clock_skew",
            kind=Span(may_be_zero=True),
            default="1m",
            doc="How far clocks may be apart; beyond it no slot is written.",
        ),
    )
)

_TENANT = Text(what="a tenant", pattern=r"[A-Za-z0-9.-]+")
_CLIENT_ID = Text(what="a client id", pattern=r"[A-Za-z0-9-]+")
_APP = (
    Field(name="tenant", kind=_TENANT, required=True, doc="The tenant's id."),
    Field(name="client_id", kind=_CLIENT_ID, required=True, doc="The app's id."),
)
_SECRET = Form(
    fields=(
        *_APP,
        Field(
            name="secret_env", kind=_ENVIRONMENT, required=True, doc="The environment variable that holds its secret."
        ),
    )
)

SIGNIN = OneOf(
    forms={
        "client_secret": _SECRET,
        "certificate": Form(
            fields=(
                *_APP,
                Field(
                    name="path",
                    kind=Text(what="a path"),
                    required=True,
                    doc="The file with certificate and private key, PEM or PKCS 12, readable by you alone.",
                ),
                Field(
                    name="password_env",
                    kind=_ENVIRONMENT,
                    doc="The environment variable with the file's password, if it has one.",
                ),
                Field(
                    name="send_chain",
                    kind=Flag(),
                    default="false",
                    doc="true sends the certificate along, for apps that trust by subject name and issuer.",
                ),
            )
        ),
        "workload_identity": Form(
            fields=(
                Field(name="tenant", kind=_TENANT, default="what `AZURE_TENANT_ID` says", doc="The tenant's id."),
                Field(name="client_id", kind=_CLIENT_ID, default="what `AZURE_CLIENT_ID` says", doc="The app's id."),
                Field(
                    name="token_file",
                    kind=Text(what="a path"),
                    default="what `AZURE_FEDERATED_TOKEN_FILE` says",
                    doc="The file in which the cluster keeps the service account's token.",
                ),
            )
        ),
        "github": Form(
            fields=(
                *_APP,
                Field(
                    name="audience",
                    kind=Text(what="an audience", pattern=r"[A-Za-z0-9:/._~-]+"),
                    default="api://AzureADTokenExchange",
                    doc="Whom GitHub's token is for: the audience of the app's federated credential.",
                ),
            )
        ),
        "managed_identity": Form(
            fields=(
                Field(
                    name="client_id",
                    kind=_CLIENT_ID,
                    default="the system-assigned identity",
                    doc="The client id of a user-assigned identity.",
                ),
            )
        ),
        "azure_cli": Form(
            fields=(
                Field(name="tenant", kind=_TENANT, default="the one that az is in", doc="Another tenant of az login."),
            )
        ),
    }
)

_EMULATOR = Form(
    fields=(
        Field(name="control", kind=_CONTROL, required=True, doc="The control address that the emulator printed."),
        Field(
            name="secret_env", kind=_ENVIRONMENT, required=True, doc="The environment variable with its control secret."
        ),
    )
)

_TABLE = Form(
    fields=(
        Field(
            name="name",
            kind=Text(
                what="the name of a table",
                pattern=r"[A-Za-z][A-Za-z0-9]{2,62}",
                hint="Write 3 to 63 letters and digits, a letter first.",
            ),
            default="keyturn",
            doc="The table; keyturn makes it.",
        ),
        Field(
            name="connection_env",
            kind=_ENVIRONMENT,
            doc="The environment variable with the storage account's connection string, such as AzureWebJobsStorage.",
        ),
        Field(
            name="url",
            kind=Text(
                what="the address of an account's table storage",
                pattern=r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[a-z0-9]{3,24})?/?",
                hushed=True,
                hint="Write https://ACCOUNT.table.core.windows.net, with no query: nothing secret may be in it.",
            ),
            doc="The account's table storage, instead of a connection string: signed in as `signin` says.",
        ),
    )
)

CONFIGURATION = Form(
    fields=(
        Field(name="services", kind=Named(of=_SERVICE, key=_ALIAS), required=True, doc="Your services, by an alias."),
        Field(name="policies", kind=Many(of=_POLICY, least=1), required=True, doc="What is rotated how."),
        Field(
            name="ledger",
            kind=Either(
                word=Text(
                    what="the address of a ledger",
                    hushed=True,
                    pattern=r"sqlite:///(?!:memory:).+",
                    hint="Write sqlite:///keyturn.db for a file of SQLite, or table: for Azure Table storage.",
                ),
                form=OneOf(forms={"table": _TABLE}),
            ),
            default="sqlite:///keyturn.db",
            doc="Where keyturn remembers: a file (a relative path is beside the configuration), or a `table`.",
        ),
        Field(
            name="salt",
            kind=Form(
                fields=(Field(name="env", kind=_ENVIRONMENT, required=True, doc="The environment variable with it."),)
            ),
            default="drawn and kept in the ledger",
            doc="The fingerprints' salt, where it must not lie in the ledger; for a new ledger only.",
        ),
        Field(
            name="signin",
            kind=Either(
                word=Choice(
                    words={
                        "default": None,
                        **{way: (way, None) for way in ("workload_identity", "managed_identity", "azure_cli")},
                    }
                ),
                form=SIGNIN,
            ),
            default="default",
            doc=(
                "How to sign in: `default` is what azure-identity finds; `workload_identity`, `managed_identity` and "
                "`azure_cli` may stand as a word, too. See [Sign-in](sign-in.md)."
            ),
        ),
        Field(name="cloud", kind=_CLOUD, default="public", doc="Which Azure: public, china, usgov, or your own."),
        Field(
            name="clock",
            kind=Either(word=Choice(words={"system": None}), form=OneOf(forms={"emulator": _EMULATOR})),
            default="system",
            doc="`emulator` follows the emulator's clock, and works with nothing but that emulator.",
        ),
        Field(
            name="budget",
            kind=Form(
                fields=(
                    Field(
                        name="share",
                        kind=Share(),
                        default="50%",
                        doc="How much of Azure's rate limits keyturn may use; the rest is for its neighbours.",
                    ),
                )
            ),
            doc="How good a neighbour to be.",
        ),
        Field(
            name="workers",
            kind=Count(least=1, most=64),
            default="8",
            doc="How many credentials a sweep works on at once.",
        ),
    )
)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a configuration file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "keyturn configuration",
        **CONFIGURATION.schema(),
    }


def reference() -> str:
    """The settings as Markdown tables, for the documentation."""
    return "\n\n".join(_section(title, form) for title, form in _forms("", CONFIGURATION))


def _section(title: str, form: Form) -> str:
    rows = [
        f"| `{field.name}` | {'**required**' if field.required else _shown(field.default)} | {field.doc} |"
        for field in form.fields
    ]
    return "\n".join([f"### {title or 'The file'}", "", "| setting | default | what and why |", "|---|---|---|", *rows])


def _shown(default: str) -> str:
    """A default that could be written in the file is shown as such."""
    return f"`{default}`" if default and " " not in default else default


def _forms(title: str, kind: Any) -> Iterator[tuple[str, Form]]:
    """Every form below a kind, with the path that leads to it."""
    match kind:
        case Form():
            yield title, kind
            for field in kind.fields:
                below = f"{title}.{field.name}" if title else field.name
                yield from _forms(below, field.kind)
        case Either():
            yield from _forms(title, kind.form)
        case Named():
            yield from _forms(f"{title}.<alias>", kind.of)
        case Many():
            yield from _forms(f"{title}[]", kind.of)
        case OneOf():
            for name, form in kind.forms.items():
                yield from _forms(f"{title}.{name}", form)
