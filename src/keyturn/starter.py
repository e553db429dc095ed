"""The first configuration: from what was found in a service to a commented file for a person to edit.

Decides which policies it proposes, which call would prove a value of each, and what is left out. Nothing is opted in:
every `match` is empty, with what would opt in behind it on the same line.

Pure. Never here: a call, a file, a key value, or a choice that only a person can make; those carry a question mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from keyturn.policy import Policy, drain_bounds, spell

PREFERRED: Final = ("ping", "status", "health", "healthz", "healthcheck", "alive", "live", "ready", "version")
"""Words that tell a cheap operation which every caller may call, the best first."""
NO_VAULT: Final = "REPLACE-WITH-YOUR-VAULTS-NAME"
"""Longer than any vault's name may be: no key can be sent to a stranger's vault before somebody has filled it in."""
NAME_THERE: Final = "apim-{sid}"
OPT_IN: Final = "{} # "
"""What is deleted on a `match` line to opt in."""
MASTER: Final = "master"
SHOWN: Final = 3
WIDTH: Final = 100

_PLAIN: Final = re.compile(r"[A-Za-z/][A-Za-z0-9_./()-]*")
_WORDS_OF_YAML: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_HEADER: Final = re.compile(r"[A-Za-z0-9-]+")
_FITS_A_SECRET: Final = re.compile(r"[0-9A-Za-z-]{1,122}")


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of an API. `path` is the whole path at a gateway; `{` in it is a parameter."""

    method: str
    path: str
    name: str = ""


class Api(msgspec.Struct, frozen=True, kw_only=True):
    """One API of a product. `trouble` says why none of its operations can be a probe; empty: they can."""

    id: str
    needs_key: bool = True
    header: str | None = None
    """The header that carries the key, where the API renames it."""
    trouble: str = ""
    operations: tuple[Operation, ...] = ()


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """One product. `apis` None: they could not be read, for the reason in `trouble`."""

    id: str
    name: str = ""
    needs_key: bool = True
    apis: tuple[Api, ...] | None = ()
    trouble: str = ""


class ApimSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """One apim subscription. `product` None: it is for more than a product, or for less; `api` then tells for which."""

    sid: str
    product: str | None = None
    api: str | None = None
    active: bool = True


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one service, without any key value."""

    id: str
    """Its ARM id."""
    name: str
    location: str = ""
    tier: str = ""
    products: tuple[Product, ...] = ()
    apim_subscriptions: tuple[ApimSubscription, ...] = ()
    problems: tuple[str, ...] = ()
    """What could not be read, each as a sentence."""


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """What the person who asks has said already. `control`: the emulator's control address, if it is that one."""

    vault: str | None = None
    cloud: str = "public"
    control: str | None = None


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """The call that would prove a value of a product, or why there is none. Texts are for comments."""

    operation: Operation | None = None
    api: Api | None = None
    why: tuple[str, ...] = ()


# -------- which call proves a value


def propose(product: Product) -> Proposal:
    """A GET operation without parameters, of an API of that product that needs a key; the cheapest by its name."""
    if product.apis is None:
        return Proposal(why=(f"The APIs of this product could not be read: {product.trouble}", NO_PROBE))
    usable = [api for api in product.apis if api.needs_key and not api.trouble and _can_be_sent(api.header)]
    found = [(rank(operation), operation, api) for api in usable for operation in api.operations if is_plain(operation)]
    if found:
        _, operation, api = min(found, key=lambda each: (*each[0], each[2].id))
        named = f" ({operation.name})" if operation.name else ""
        why = f"Proves a value by GET {operation.path}{named} of the API {api.id}, which needs a key."
        return Proposal(operation=operation, api=api, why=(why,))
    return Proposal(why=(*_why_none(product, usable), NO_PROBE))


def _can_be_sent(header: str | None) -> bool:
    """API Management takes any text for a header's name; a client, and our configuration, do not."""
    return header is None or _HEADER.fullmatch(header) is not None


NO_PROBE: Final = "Without a probe keyturn waits `propagation` (10 min) instead, and `plan` says: not proven."


def _why_none(product: Product, usable: Sequence[Api]) -> Iterator[str]:
    apis = product.apis or ()
    if not apis:
        yield "No probe: the product has no API yet. Give it one with a GET operation such as /status/ping."
        return
    open_ones = [api.id for api in apis if not api.needs_key]
    if open_ones:
        yield f"{_listed('API', open_ones)} can be called without a key: a probe there proves nothing."
    yield from (f"API {api.id}: {api.trouble}" for api in apis if api.trouble and api.needs_key)
    if usable:
        yield (
            f"No probe: {_listed('API', [api.id for api in usable])} "
            f"{'has' if len(usable) == 1 else 'have'} no GET operation without parameters. Add one, such as GET /ping."
        )
    else:
        yield "No probe: write the path of a cheap operation that refuses a wrong key."


def is_plain(operation: Operation) -> bool:
    """Whether anybody may call it as it stands."""
    return operation.method.upper() == "GET" and re.fullmatch(r"/[^\s{}*?#]*", operation.path) is not None


def rank(operation: Operation) -> tuple[int, int, int, str]:
    """The smaller, the likelier it is cheap and open to every caller of its API."""
    return (
        preference(f"{operation.path} {operation.name}"),
        operation.path.count("/"),
        len(operation.path),
        operation.path,
    )


def preference(text: str) -> int:
    """How well a name tells that a call is cheap: 0 is best."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    return min((at for at, word in enumerate(PREFERRED) if word in words), default=len(PREFERRED))


# -------- which policies there are


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A policy as it is proposed."""

    name: str
    product: Product
    apim_subscriptions: tuple[ApimSubscription, ...]
    proposal: Proposal


def drafts(found: Inventory) -> tuple[Draft, ...]:
    """One per product whose keys callers use, by the product's id."""
    known = {product.id.lower(): product for product in found.products}
    for each in found.apim_subscriptions:
        if each.product is not None:  # an apim subscription tells of it, where products may not be read
            known.setdefault(each.product.lower(), Product(id=each.product, apis=None, trouble="it was not listed."))
    made: list[Draft] = []
    names: set[str] = set()
    for key in sorted(known):
        product = known[key]
        mine = tuple(each for each in found.apim_subscriptions if (each.product or "").lower() == key)
        if product.needs_key or mine:
            name = _policy_name(product.id, names)
            made.append(Draft(name=name, product=product, apim_subscriptions=mine, proposal=propose(product)))
    return tuple(made)


def left_out(found: Inventory) -> tuple[ApimSubscription, ...]:
    """Who is for no single product: keys of these open more, or belong to nobody in particular."""
    return tuple(each for each in found.apim_subscriptions if each.product is None)


def _policy_name(product: str, taken: set[str]) -> str:
    """The product's id, as far as a policy's name may be long, and not yet another's."""
    short = _tame(product)[:60].strip() or "product"
    name, number = short, 1
    while name in taken:
        number += 1
        name = f"{short}-{number}"
    taken.add(name)
    return name


# -------- the text


def write(found: Inventory, choices: Choices) -> str:
    """The whole file. It reads without an error as it is, and opts nobody in."""
    made = drafts(found)
    parts = [
        _head(found, made),
        _services(found),
        ["policies:", *_policies(found, made, choices)],
        _rest(found),
        _tail(choices),
    ]
    return "\n".join("\n".join(part) + "\n" for part in parts if part)


def _head(found: Inventory, made: Sequence[Draft]) -> list[str]:
    about = ", ".join(part for part in (found.location, found.tier) if part)
    first = next((each.sid for draft in made for each in draft.apim_subscriptions), "SID")
    return [
        *_comment(f"A start for the API Management service {found.name}{f' ({about})' if about else ''}."),
        *_comment("`keyturn init` wrote it from what it found there. It read no key value, and it changed nothing."),
        "#",
        "# Nobody is opted in yet: `match: {}` matches nobody. What is left for you:",
        "#   1. Answer what stands behind a question mark: # ?",
        f"#   2. Opt in: delete `{OPT_IN}` on the match line of a policy. Begin with one credential, such as",
        f"#      match: {{ service: {found.name}, sid: {_scalar(first)} }}",
        "#   3. keyturn check   is everything there? Sign-in, roles, gateways, vault, clocks. Changes nothing.",
        "#   4. keyturn plan    what would happen, and when. Changes nothing.",
        "#   5. keyturn run     begins: the first day it only adopts, confirms and publishes what is live already.",
        "# Every setting is in docs/configuration.md; `keyturn schema` helps an editor.",
        *(line for problem in found.problems for line in _comment(f"Not read: {problem}")),
    ]


def _services(found: Inventory) -> list[str]:
    return [
        "services:",
        f"  {found.name}:  # your alias for it: part of every name, so choose it now, here and in each match",
        f"    id: {_scalar(found.id)}",
    ]


def _policies(found: Inventory, made: Sequence[Draft], choices: Choices) -> Iterator[str]:
    for number, draft in enumerate(made):
        if number:
            yield ""
        yield from _comment(_who(draft), indent="  ")
        yield f"  - name: {_scalar(draft.name)}"
        yield f"    match: {OPT_IN}{{ service: {found.name}, product: {_scalar(draft.product.id)} }}"
        yield from _body(draft.proposal, choices)
        yield from _odd_sids(draft.apim_subscriptions)
    if not made:
        yield "  # No product was found that needs a key; this one shows the form."
        yield "  - name: first"
        yield f"    match: {OPT_IN}{{ service: {found.name}, sid: SID }}"
        yield from _body(Proposal(why=("No probe: no product was found.", NO_PROBE)), choices)


def _who(draft: Draft) -> str:
    product = draft.product
    named = f' "{product.name}"' if product.name and product.name.lower() != product.id.lower() else ""
    idle = sum(not each.active for each in draft.apim_subscriptions)
    count = _counted(len(draft.apim_subscriptions), "apim subscription")
    examples = _some([each.sid for each in draft.apim_subscriptions])
    inactive = f", {idle} of them not active" if idle else ""
    apis = (
        "" if product.apis is None else f"; {_counted(len(product.apis), 'API')}{_some([a.id for a in product.apis])}"
    )
    note = "" if product.needs_key else " The product needs no key: its APIs answer without one."
    return f"Product {product.id}{named}: {count}{examples}{inactive}{apis}.{note}"


def _body(proposal: Proposal, choices: Choices) -> Iterator[str]:
    yield "    rotate: { every: 30d }"
    for line in proposal.why:
        yield from _comment(line, indent="    ")
    yield f"    {_probe(proposal)}"
    yield "    publish:"
    asked = "" if choices.vault else "  # ? the vault that callers read"
    yield f'      - keyvault: {{ vault: {choices.vault or NO_VAULT}, secret: "{NAME_THERE}" }}{asked}'
    yield "    # adopt: primary  # ? the slot that callers use today; needed only where the vault holds no value yet"
    yield "    consumers: { cache: 1h }  # ? the longest that any caller keeps a key before it reads the vault again"
    sums = drain_bounds(Policy(name=""))
    how = max(sums, key=lambda each: each[1])[0]
    yield f"    drain: {spell(Policy(name='').drain).replace(' ', '')}  # at least {how}"
    if choices.control is not None:
        yield "    settle: 0s  # for the emulator, whose time moves on command; a real configuration leaves this out"


def _probe(proposal: Proposal) -> str:
    if proposal.operation is None or proposal.api is None:
        return "# probe: { path: /status/ping }"
    header = proposal.api.header
    renamed = f", header: {_scalar(header)}" if header is not None else ""
    return f"probe: {{ path: {_scalar(proposal.operation.path)}{renamed} }}"


def _odd_sids(matched: Iterable[ApimSubscription]) -> Iterator[str]:
    """A vault takes letters, digits and dashes alone; whoever else is matched would be held."""
    odd = [each.sid for each in matched if not _FITS_A_SECRET.fullmatch(each.sid)]
    if odd:
        yield from _comment(
            f"A vault cannot hold {NAME_THERE} for {_counted(len(odd), 'sid')}{_some(odd)}: give them a policy of "
            f"their own, with a name for the secret.",
            indent="    ",
        )


def _rest(found: Inventory) -> list[str]:
    """Who is named and left out."""
    rest = left_out(found)
    everything = [each.sid for each in rest if each.api is None and each.sid != MASTER]
    single = [f"{each.sid} for {each.api}" for each in rest if each.api is not None]
    free = [product.id for product in found.products if not product.needs_key]
    lines = []
    if everything:
        lines.append(f"for all APIs: {_counted(len(everything), 'apim subscription')}{_some(everything)}")
    if single:
        lines.append(f"for one API: {_counted(len(single), 'apim subscription')}{_some(single)}")
    if any(each.sid == MASTER for each in rest):
        lines.append("the built-in all-access one, which no wildcard matches: only `sid: master` does")
    if free:
        lines.append(f"without any key: {_listed('product', free)}")
    shown = [line for text in lines for line in _comment(f"- {text}", hang="  ")]
    example = next((each.sid for each in rest if each.sid != MASTER), None)
    how = [] if example is None else [f"# One more policy takes them in: match: {{ sid: {_scalar(example)} }}"]
    head = ["# Left out:", *shown, *how] if lines else []
    return [*head, "# Tenant access and self-hosted gateways were not looked at: `match` has `tenant` and `gateway`."]


def _tail(choices: Choices) -> list[str]:
    lines = [] if choices.cloud == "public" else [f"cloud: {choices.cloud}"]
    if choices.control is not None:
        lines += [
            "# The emulator's clock; a real configuration leaves this out.",
            f'clock: {{ emulator: {{ control: "{choices.control}", secret_env: KEYTURN_EMULATOR_SECRET }} }}',
        ]
    return lines


# -------- words in a file that is not ours


def _scalar(text: str) -> str:
    """A text that somebody else chose, as YAML: plain where it is plain, else quoted so that no reader splits it."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS_OF_YAML:
        return text
    return '"' + "".join(_escaped(letter) for letter in text) + '"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    return letter if letter.isprintable() else f"\\U{ord(letter):08x}"


def _tame(text: str) -> str:
    """The same in a comment, or in a name: nothing that could end the line."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _comment(text: str, *, indent: str = "", hang: str = "") -> list[str]:
    """Text as comment lines, wrapped between words."""
    lead = f"{indent}# "
    lines, line = [], ""
    for word in _tame(text).split(" "):
        if line.strip() and len(lead) + len(line) + 1 + len(word) > WIDTH:
            lines.append(f"{lead}{line}".rstrip())
            line = f"{hang}{word}"
        else:
            line = f"{line} {word}" if line else word
    return [*lines, f"{lead}{line}".rstrip()]


def _counted(count: int, what: str) -> str:
    return f"no {what} yet" if count == 0 else f"{count} {what}{'' if count == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    """` (a, b, c, …)`; nothing for none."""
    if not names:
        return ""
    more = ", …" if len(names) > SHOWN else ""
    return f" ({', '.join(_tame(name) for name in names[:SHOWN])}{more})"


def _listed(what: str, names: Sequence[str]) -> str:
    """`API a`, `APIs a, b`."""
    more = " and more" if len(names) > SHOWN else ""
    return f"{what}{'' if len(names) == 1 else 's'} {', '.join(_tame(name) for name in names[:SHOWN])}{more}"
