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
    AzureCli,
    Certificate,
    ClientSecret,
    Cloud,
    Config,
    CustomCloud,
    EmulatorTime,
    FileSink,
    GitHub,
    KeyVaultSink,
    ManagedIdentity,
    Match,
    NamedValueSink,
    PolicyEntry,
    Service,
    SignInSpec,
    SinkSpec,
    TableSpec,
    TokenEntry,
    WebhookSink,
    WorkloadIdentity,
)

__all__ = [
    "BUILT_IN_ALL_ACCESS",
    "AzureCli",
    "Certificate",
    "ClientSecret",
    "Cloud",
    "Config",
    "CustomCloud",
    "EmulatorTime",
    "FileSink",
    "GitHub",
    "KeyVaultSink",
    "ManagedIdentity",
    "Match",
    "NamedValueSink",
    "Node",
    "PolicyEntry",
    "Problem",
    "Service",
    "SignInSpec",
    "SinkSpec",
    "TableSpec",
    "TokenEntry",
    "WebhookSink",
    "WorkloadIdentity",
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
