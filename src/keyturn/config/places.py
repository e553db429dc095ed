"""Where a credential is published: its sinks with their templates filled in, and whose sinks turn out the same.

Two credentials in one sink would overwrite each other's value, so that callers of one get the other's (rule A10):
both are to be held. Never here: writing to a sink.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath

import msgspec

from keyturn.config.matching import match_policy
from keyturn.config.types import Config, FileSink, KeyVaultSink, NamedValueSink, SinkSpec, WebhookSink
from keyturn.model import Credential, Kind

VAULT_NAME = r"[0-9a-zA-Z-]{1,127}"
"""What keyturn lets a vault or a secret be called: documented, but never tried against Azure (azure-facts 7)."""

NAMED_VALUE = r"[A-Za-z0-9._-]{1,256}"
"""What Azure lets a display name be; keyturn calls a named value that it makes by its id."""

DOTENV_NAME = r"[A-Za-z_][A-Za-z0-9_.-]*"

TEMPLATE_WORDS: Mapping[str, Callable[[Credential], str | None]] = {
    "service": lambda credential: credential.service,
    "sid": lambda credential: credential.name if credential.kind is Kind.APIM_SUBSCRIPTION else None,
    "gateway": lambda credential: credential.name if credential.kind is Kind.GATEWAY else None,
    "tenant": lambda credential: credential.name if credential.kind is Kind.TENANT else None,
    "product": lambda credential: credential.product,
    "owner": lambda credential: credential.owner,
}


def render(sink: SinkSpec, credential: Credential) -> SinkSpec:
    """The sink of one credential, its templates filled in. Ask `sink_problems` whether it may be used."""
    if isinstance(sink, KeyVaultSink):
        return KeyVaultSink(vault=_fill(sink.vault, credential), secret=_fill(sink.secret, credential))
    if isinstance(sink, NamedValueSink):
        filled = _fill(sink.named_value, credential)
        return NamedValueSink(named_value=filled, service=sink.service or credential.service)
    if isinstance(sink, WebhookSink):
        return msgspec.structs.replace(sink, credential=credential.id)
    return FileSink(path=_fill(sink.path, credential), variable=_fill(sink.variable, credential), format=sink.format)


def _templates(sink: SinkSpec) -> tuple[str, ...]:
    match sink:
        case KeyVaultSink():
            return sink.vault, sink.secret
        case FileSink():
            return sink.path, sink.variable
        case NamedValueSink():
            return (sink.named_value,)
        case WebhookSink():
            return ()


def sink_problems(sink: SinkSpec, credential: Credential) -> tuple[str, ...]:
    """Why the credential's sink cannot be used: sentences for a person. Empty: it can."""
    needed = {word for template in _templates(sink) for word in words(template)}
    missing = sorted(word for word in needed if not TEMPLATE_WORDS[word](credential))
    if missing:
        has = ", ".join(f"{{{word}}}" for word, told in TEMPLATE_WORDS.items() if told(credential))
        return tuple(f"{sink.name}: {credential.id} has no {word} to fill in; it has {has}." for word in missing)
    made = render(sink, credential)
    if isinstance(made, KeyVaultSink):
        return tuple(
            f"{made.name}: a vault cannot hold {text!r} as the name of a {what}: only letters, digits and dashes, "
            f"at most 127."
            for what, text in (("vault", made.vault), ("secret", made.secret))
            if not re.fullmatch(VAULT_NAME, text)
        )
    if isinstance(made, FileSink):
        return _file_problems(_templates(sink)[0], made, credential)
    if isinstance(made, NamedValueSink) and not re.fullmatch(NAMED_VALUE, made.named_value):
        return (
            f"{made.name}: a named value cannot be called {made.named_value!r}: only letters, digits, periods, dashes "
            f"and underscores, at most 256.",
        )
    return ()


def _file_problems(template: str, made: FileSink, credential: Credential) -> tuple[str, ...]:
    """A sid is somebody else's text: it must not lead a path elsewhere, nor break a line of the file."""
    found = []
    for word in words(template):
        text = TEMPLATE_WORDS[word](credential) or ""
        if re.search(r"[/\\\x00-\x1f]", text) or text in (".", ".."):
            found.append(f"{made.name}: {word} {text!r} cannot be part of a path.")
    if made.format == "dotenv" and not re.fullmatch(DOTENV_NAME, made.variable):
        found.append(
            f"{made.name}: {made.variable!r} is no name for a variable: begin with a letter, then letters, digits, "
            f"_ . or -."
        )
    return tuple(found)


def clashes(config: Config, credentials: Iterable[Credential]) -> Mapping[str, tuple[Credential, ...]]:
    """Sinks that more than one credential would publish to, by the sink's name: all of these are to be held.

    Files that one policy writes as dotenv and another as JSON clash, too.
    """
    users: dict[str, list[tuple[SinkSpec, Credential]]] = {}
    forms: dict[str, list[tuple[SinkSpec, Credential]]] = {}
    for credential in credentials:
        entry = match_policy(config, credential)
        for sink in entry.sinks if entry is not None else ():
            made = render(sink, credential)
            users.setdefault(identity(made), []).append((made, credential))
            if isinstance(made, FileSink):
                forms.setdefault(_file_identity(made), []).append((made, credential))
    shared = [group for group in users.values() if len(group) > 1]
    mixed = [group for group in forms.values() if len({_form(made) for made, _ in group}) > 1]
    return {
        **{_path(group[0][0]): _credentials(group) for group in mixed},
        **{group[0][0].name: _credentials(group) for group in shared},
    }


def _credentials(group: Iterable[tuple[SinkSpec, Credential]]) -> tuple[Credential, ...]:
    return tuple({credential.key: credential for _, credential in group}.values())


def identity(sink: SinkSpec) -> str:
    """What makes two sinks the same: Azure's names ignore case, file paths have many spellings, and a receiver is told
    whom each event is about, so that credentials may share it."""
    if isinstance(sink, KeyVaultSink):
        return f"keyvault {sink.vault.lower()}/{sink.secret.lower()}"
    if isinstance(sink, NamedValueSink):
        return f"namedvalue {sink.service or ''}/{sink.named_value}".lower()
    if isinstance(sink, WebhookSink):
        return f"webhook {sink.url} {sink.credential}"
    return f"{_file_identity(sink)}:{sink.variable}"


def _file_identity(sink: FileSink) -> str:
    """The path without `.` and `..`; links are not looked at here."""
    parts: list[str] = []
    for part in PurePath(sink.path).parts:
        if part == ".." and parts and parts[-1] not in ("..", "/"):
            parts.pop()
        else:
            parts.append(part)
    return f"file {'/'.join(parts)}"


def _form(sink: SinkSpec) -> str:
    return sink.format if isinstance(sink, FileSink) else ""


def _path(sink: SinkSpec) -> str:
    return sink.path if isinstance(sink, FileSink) else sink.name


def words(template: str) -> list[str]:
    return re.findall(r"\{([^{}]*)\}", template)


def _fill(template: str, credential: Credential) -> str:
    return re.sub(r"\{([^{}]*)\}", lambda found: TEMPLATE_WORDS[found[1]](credential) or "", template)
