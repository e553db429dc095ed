"""The behaviours of Azure that nobody here could verify, each behind a switch with a default.

Decides: which switches there are, and what stands when nobody sets one. Never here: the behaviours
themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from keyturn_emulator.world import World


@dataclass(slots=True, frozen=True)
class Switch:
    """`on` and `off` say what the emulator does either way, and why the matter is open."""

    default: bool
    on: str
    off: str


SWITCHES: Final[Mapping[str, Switch]] = MappingProxyType(
    {
        "strict_if_match": Switch(
            True,
            "PATCH and DELETE without If-Match are refused, as the contract says (azure-facts 1.3)",
            "they are accepted, as Terraform's source suggests of the live service (azure-facts 1.5)",
        ),
        "refuse_duplicate_keys": Switch(
            False,
            "a key value that another slot holds is refused, as hearsay has it (azure-facts 1.2)",
            "slots may share a value: the contract names no such rule",
        ),
        "service_not_found_by_arm": Switch(
            False,
            "a missing service is ResourceNotFound in Resource Manager's words (azure-facts 1.6)",
            "it is ServiceNotFound in API Management's words, as recorded (azure-recorded 8)",
        ),
        "post_actions_own_bucket": Switch(
            False,
            "POST actions have a bucket apart from PUT and PATCH, as recorded in 2023 (azure-recorded 9)",
            "they share the documented write bucket, which is stricter (azure-facts 4)",
        ),
        "permissions_need_a_role": Switch(
            True,
            "listing one's own permissions needs Microsoft.Authorization/permissions/read at that scope",
            "whoever signs in may list them, without any role too: no document says which (azure-facts 3.5)",
        ),
        "lists_show_what_may_be_read": Switch(
            True,
            "the services of an azure subscription are listed for anybody, as far as each may read them: from memory",
            "the list needs a role at the azure subscription itself, whatever a role below it allows",
        ),
        "open_accepts_any_key": Switch(
            True,
            "where no key is needed, a wrong one is let through: probes must not trust such an API",
            "a wrong key is refused there too, as the documented table reads (azure-facts 6)",
        ),
        "named_value_echo": Switch(
            False,
            "PUT and PATCH of a secret named value answer its value, as they do for keys (azure-recorded 2)",
            "no answer but listValue's holds it: nobody recorded one",
        ),
        "named_value_writes_accepted": Switch(
            False,
            "writes of named values are only accepted, with a Location, and take effect a little later",
            "they are done when they are answered: the specification allows both",
        ),
        "tenant_put_redraws_omitted_keys": Switch(
            False,
            "a PUT of tenant access draws the keys that it does not name, as a create would",
            "they stay: no document says what becomes of them (azure-facts 1.4)",
        ),
        "tenant_put_echoes_keys": Switch(
            True,
            "a PUT of tenant access answers with both keys, as its PATCH was recorded to do (azure-recorded 2)",
            "its keys are null there, as in a GET",
        ),
        "user_tokens_by_tenant_keys": Switch(
            True,
            "users' tokens are signed with the tenant access keys; keyType says which (azure-facts 5.1, from memory)",
            "with keys of the user's own that nothing shows: the one recorded pair did not match (azure-recorded 7)",
        ),
        "user_tokens_with_seconds": Switch(
            False,
            "the expiry in a user's token has 14 digits, as recorded in 2023 (azure-recorded 7)",
            "it has 12, as in every other recording",
        ),
        "short_management_tokens": Switch(
            True,
            "the direct management endpoint takes the short form too, as documented (azure-facts 5.1)",
            "it takes the long one alone: what the short one signs is proven for gateways only (azure-facts 5.1)",
        ),
        "management_tokens_thirty_days": Switch(
            False,
            "a long token that expires more than 30 days ahead is refused, which is the portal's limit",
            "any expiry will do: nobody verified that the service looks (azure-facts 5.1)",
        ),
        "refuse_replayed_assertions": Switch(
            False,
            "a client assertion of the application's own is taken once: its `jti` may not return",
            "it is taken until it expires: msal presents one for nine minutes (azure-facts 2.1)",
        ),
        "lone_identity_answers_unnamed": Switch(
            False,
            "without a system-assigned identity, the only user-assigned one answers where none is named, as msal warns",
            "only the system-assigned one answers where none is named",
        ),
        "keyvault_empty_first_page": Switch(
            False,
            "Key Vault lists begin with an empty page and a nextLink, which does occur (azure-recorded 10)",
            "pages are empty only when there is nothing to list",
        ),
    }
)


def is_on(world: World, name: str) -> bool:
    """What holds in this world. Raises KeyError for a switch that does not exist."""
    default = SWITCHES[name].default
    return world.switches.get(name, default)
