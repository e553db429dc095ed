"""What a configuration is: which services, which policies for which credentials, and where keyturn's own things are.

`parse` turns marked text (`Node`) into a `Config`, or raises Misconfigured with every problem at once, each with file,
line, column and a hint. The first policy that matches a credential wins.

Never here: reading a file, YAML, the environment, Azure, or an adapter.
"""

from keyturn.config.form import Node, Problem
from keyturn.config.matching import (
    BUILT_IN_ALL_ACCESS,
    kinds,
    match_policy,
    matches,
    never_winning,
    policy_for,
    tenants,
)
from keyturn.config.places import clashes, render, sink_problems
from keyturn.config.reading import parse
from keyturn.config.table import json_schema, reference
from keyturn.config.types import (
    ClientSecret,
    Cloud,
    Config,
    CustomCloud,
    EmulatorTime,
    FileSink,
    KeyVaultSink,
    Match,
    NamedValueSink,
    PolicyEntry,
    Service,
    SinkSpec,
    TableSpec,
    TokenEntry,
    WebhookSink,
)

__all__ = [
    "BUILT_IN_ALL_ACCESS",
    "ClientSecret",
    "Cloud",
    "Config",
    "CustomCloud",
    "EmulatorTime",
    "FileSink",
    "KeyVaultSink",
    "Match",
    "NamedValueSink",
    "Node",
    "PolicyEntry",
    "Problem",
    "Service",
    "SinkSpec",
    "TableSpec",
    "TokenEntry",
    "WebhookSink",
    "clashes",
    "json_schema",
    "kinds",
    "match_policy",
    "matches",
    "never_winning",
    "parse",
    "policy_for",
    "reference",
    "render",
    "sink_problems",
    "tenants",
]
