"""What the emulator claims: every row of docs/emulator-coverage.md but those that the code's own tables make.

To add a row: a `Claim` here, with a key that says it in a few words; `@pytest.mark.witness("that key")` on each test
that would fail without the behaviour, in whatever folder; then `uv run python -m tests.emulator.published`. A claim
that no test witnesses is red, and so are a witness of nothing, a source that does not exist, and a page that is old.
Switches and faults come from the code's tables: their keys are `switch name` and `fault name`. An operation that
Resource Manager or a vault serves needs a line in OPERATIONS.

Decides: the words. Never here: whether they are true.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Claim:
    """One row. `because` is its source, or the answer of a refusal, or why something differs."""

    key: str
    text: str
    because: str


@dataclass(frozen=True)
class Section:
    """One table, with the heads of its first two columns."""

    title: str
    prose: str
    heads: tuple[str, str]
    claims: tuple[Claim, ...]


# Sources that are no section of docs/azure-recorded.md or docs/azure-facts.md. Notes in parentheses are free.
OTHER_SOURCES: Final = frozenset(
    {
        "for tests and demos",
        "published specification, not recorded",
        "GitHub's documentation, from memory",
        "Azure/login issues 360, 464, 517",
        "OData",
        "azure-cli 2.91",
    }
)

SECTIONS: Final = (
    Section(
        "Resource Manager",
        "",
        ("Behaviour", "Source"),
        (
            Claim(
                "order-of-checks",
                "Checks come in the order path, api-version, token, azure subscription and resource group, "
                "role, throttling, provider",
                "azure-facts 1.6 (suggested)",
            ),
            Claim(
                "401-without-a-token",
                "401 without a token, with `WWW-Authenticate` naming the tenant",
                "azure-facts 1.6",
            ),
            Claim(
                "401-for-bad-tokens",
                "401 for invalid, forged and expired tokens, wrong audience, wrong tenant, each with its own code",
                "azure-facts 1.6",
            ),
            Claim(
                "all-four-audiences",
                "All four audiences of Resource Manager are let in",
                "azure-facts 1.6",
            ),
            Claim(
                "404-names-the-first-missing-part",
                "404 names the first part of the path that is missing",
                "azure-recorded 8, azure-facts 1.6",
            ),
            Claim(
                "403-names-who-and-what",
                "403 `AuthorizationFailed` names client, object id, action and scope",
                "azure-facts 3.3",
            ),
            Claim(
                "built-in-roles",
                "Built-in roles of API Management, Owner, Contributor, Reader and the two Key Vault roles "
                "allow what they allow",
                "azure-facts 3.2",
            ),
            Claim(
                "an-assignment-reaches-down",
                "An assignment reaches its scope and everything below; `notActions` take from their own role only",
                "azure-facts 3.4 (from memory)",
            ),
            Claim(
                "custom-roles-by-name",
                "Custom roles, by name or id",
                "azure-facts 3.4",
            ),
            Claim(
                "permissions-of-the-caller",
                "What the caller may do at an azure subscription, a resource group, a service or one entity"
                " of it: `permissions`",
                "azure-facts 3.5",
            ),
            Claim(
                "role-assignments-at-a-scope",
                "Role assignments at, above and below a scope, a vault among them; `atScope()`, "
                "`principalId eq` and `assignedTo`",
                "azure-facts 3.5",
            ),
            Claim(
                "role-definitions",
                "Role definitions with their permissions, by id, `roleName eq` and `type eq`",
                "azure-facts 3.5",
            ),
            Claim(
                "token-buckets-per-principal",
                "Token buckets per principal: 250 reads + 25/s, 200 writes + 10/s, 200 deletes + 10/s; a "
                "global one 15 times as large",
                "azure-facts 4",
            ),
            Claim(
                "remaining-headers",
                "Remaining-headers; POST actions, `listSecrets` too, count as writes",
                "azure-recorded 9, azure-facts 4",
            ),
            Claim(
                "429-with-retry-after",
                "429 with `Retry-After`, and another 429 for who does not wait",
                "azure-recorded 8, azure-facts 4",
            ),
            Claim(
                "headers-of-every-answer",
                "Headers of every answer; request id = correlation id; a client's request id is not echoed",
                "azure-recorded 9",
            ),
            Claim(
                "paths-without-case",
                "Path segments compare without case",
                "azure-facts 1.2 (from memory)",
            ),
            Claim(
                "azure-subscriptions-and-groups",
                "Azure subscriptions, resource groups, provider registration, cloud endpoints: as much as "
                "sign-in and clients ask",
                "azure-facts 1.7",
            ),
            Claim(
                "az-works",
                "The az command line signs in by secret and certificate, reads services, works with keys, a"
                " vault and roles, and is refused, as [its page](az-on-the-emulator.md) prints it",
                "azure-facts 1.7; azure-cli 2.91",
            ),
            Claim(
                "programs-sign-in-through-az",
                "A program signs in through az, by `AzureCliCredential`",
                "azure-facts 1.7; azure-cli 2.91",
            ),
        ),
    ),
    Section(
        "API Management",
        "api-versions: `2019-12-01`, `2021-08-01`, `2022-08-01` as recorded, and `2024-05-01`, which is "
        "served like `2022-08-01`: nobody recorded it, and its published examples contradict nothing that "
        "is here.",
        ("Behaviour", "Source"),
        (
            Claim(
                "apim-subscriptions",
                "Apim subscriptions: list, get, HEAD, create, replace, update, delete, regenerate, list "
                "secrets, by the official client",
                "azure-facts 1.3",
            ),
            Claim(
                "apim-subscriptions-of-a-product-or-user",
                "The apim subscriptions of a product and of a user, and one as its user's, by the official "
                "client, with ids and types of their own",
                "azure-facts 1.3, azure-recorded 5",
            ),
            Claim(
                "filters",
                "`$filter` by the documented fields, operators and functions, on all lists of apim "
                "subscriptions and on self-hosted gateways",
                "azure-facts 1.4, azure-recorded 5",
            ),
            Claim(
                "filters-combine",
                "A filter combines with `and`, `or`, `not` and parentheses; null is equal to no text",
                "OData",
            ),
            Claim(
                "notify-and-app-type",
                "`notify` and `appType` are one of their values, and change nothing",
                "azure-facts 1.3",
            ),
            Claim(
                "etags-are-big-endian-rowversions",
                "ETags are quoted big-endian rowversions",
                "azure-recorded 1",
            ),
            Claim(
                "etags-move-with-each-real-change",
                "They move with each real change and each regenerate, not with a PATCH that changes nothing"
                " nor with `listSecrets`",
                "azure-recorded 1",
            ),
            Claim(
                "which-answers-carry-the-etag",
                "Which answers carry the ETag",
                "azure-recorded 1",
            ),
            Claim(
                "412-for-a-stale-tag",
                "412 `PreconditionFailed` for a stale tag",
                "azure-facts 1.5",
            ),
            Claim(
                "a-regenerate-makes-the-write-fail",
                "A regenerate between read and write makes the write fail",
                "azure-recorded 1",
            ),
            Claim(
                "412-for-parallel-writes-of-an-owner",
                "412 for a write beside another one of the same product or owner that is not answered yet, or "
                "that moves it there; the ETag stays",
                "azure-facts 1.5",
            ),
            Claim(
                "statuses-of-apim-subscriptions",
                "PUT 201 or 200; PATCH 204 without body up to 2019-12-01, then 200; regenerate an empty "
                "204; DELETE 200, or 204 when gone",
                "azure-recorded 3",
            ),
            Claim(
                "which-answers-echo-keys",
                "PUT and, from 2021-08-01, PATCH echo both keys; GET and lists never show one",
                "azure-recorded 2",
            ),
            Claim(
                "null-and-absent-fields",
                "Null and absent fields, `allowTracing` by version, the owner's form",
                "azure-recorded 4",
            ),
            Claim(
                "dates-of-apim-subscriptions",
                "Dates: seven digits in the create answer, then milliseconds; start of owned product ones; "
                "notice 12 days before expiry",
                "azure-recorded 6",
            ),
            Claim(
                "relative-scope-and-owner",
                "Scope and owner may be relative and are answered in full",
                "azure-recorded 6",
            ),
            Claim(
                "pages-of-lists",
                "Lists: total count, nextLink with `:443` and `%24`, none on the last page, pages of 100, "
                "order of creation",
                "azure-recorded 5, azure-facts 1.4",
            ),
            Claim(
                "ids-in-products-and-users-lists",
                "Products' and users' lists have ids and types of their own path",
                "azure-recorded 5",
            ),
            Claim(
                "indented-or-compact",
                "Indented CRLF for entities and lists, compact for actions, errors and services",
                "azure-recorded 6",
            ),
            Claim(
                "400-names-each-wrong-field",
                "400 `ValidationError` naming each wrong, missing or unknown field; keys of 1 to 256 characters",
                "azure-facts 1.2, 1.6",
            ),
            Claim(
                "a-product-that-asks-for-approval",
                "A product that asks for approval leaves a new one `submitted`",
                "azure-facts 1.4",
            ),
            Claim(
                "the-service-and-its-lists",
                "The service and both service lists; products, APIs and users to read",
                "azure-recorded 4, 5",
            ),
            Claim(
                "operations-of-an-api",
                "The operations of an API, as a description of the world has them, or one `GET /*`",
                "published specification, not recorded",
            ),
            Claim(
                "a-service-demands-a-newer-version",
                "A service may demand a newer api-version",
                "azure-facts 1.1",
            ),
        ),
    ),
    Section(
        "Named values",
        "",
        ("Behaviour", "Source"),
        (
            Claim(
                "named-values",
                "List, get, HEAD, create, update, delete and `listValue`, by the official client",
                "published specification, not recorded",
            ),
            Claim(
                "a-secret-named-values-value",
                "A secret's value is told by `listValue` alone, a plain one's by every answer",
                "published specification, not recorded",
            ),
            Claim(
                "statuses-of-named-values",
                "PUT 201 or 200, PATCH 200, DELETE 200, or 204 when gone; ETags and If-Match as for other entities",
                "published specification, not recorded; azure-recorded 1, 3 (for the other entities)",
            ),
            Claim(
                "limits-of-named-values",
                "Limits of displayName, value and tags; a displayName is unique",
                "published specification, not recorded",
            ),
            Claim(
                "a-named-value-from-a-vault",
                "One that a Key Vault secret backs names that secret, and shows no value",
                "published specification, not recorded",
            ),
            Claim(
                "actions-of-named-values",
                "Actions `namedValues/read`, `write`, `delete`, `listValue/action`",
                "azure-facts 3 (for the pattern)",
            ),
        ),
    ),
    Section(
        "Tenant access, self-hosted gateways, users",
        "Rows of the same provider, with the same manners. A service of the tier Consumption has no tenant "
        "access, and only Developer and Premium have self-hosted gateways.",
        ("Behaviour", "Source"),
        (
            Claim(
                "tenant-access",
                "Tenant access `access` and `gitAccess`: get, HEAD, put, patch, list secrets, both "
                "regenerates, by the official client",
                "azure-facts 1.3",
            ),
            Claim(
                "etag-of-tenant-access",
                "Their ETag is a rowversion and eight zero bytes; a regenerate moves it and its 204 does "
                "not tell it; a PATCH that changes nothing keeps it",
                "azure-recorded 1",
            ),
            Claim(
                "tenant-access-writes-need-if-match",
                "PUT and PATCH need If-Match; 412 for a stale tag",
                "azure-facts 1.3, 1.5",
            ),
            Claim(
                "keys-in-answers-of-tenant-access",
                "GET has both keys as null from 2021-08-01 on, PATCH echoes the real ones from then on",
                "azure-recorded 2",
            ),
            Claim(
                "list-secrets-of-tenant-access",
                "`listSecrets` is flat with the id `/tenant/access` and carries the ETag; keys are base64 of 64 bytes",
                "azure-recorded 4, 6",
            ),
            Claim(
                "list-of-tenant-accesses",
                "The list of tenant accesses is empty",
                "azure-recorded 5",
            ),
            Claim(
                "a-put-sets-tenant-access",
                "A PUT sets chosen keys, state and identity",
                "azure-facts 1.4",
            ),
            Claim(
                "400-where-the-tier-has-none",
                "400 `MethodNotAllowedInPricingTier` where the tier has neither",
                "azure-facts 1.6",
            ),
            Claim(
                "self-hosted-gateways",
                "Self-hosted gateways: list, get, HEAD, put, patch, delete, list keys, regenerate, generate"
                " a token, by the official client",
                "azure-facts 1.3",
            ),
            Claim(
                "etag-of-self-hosted-gateways",
                "Their ETag is a little-endian counter that each regenerate moves by one",
                "azure-recorded 1",
            ),
            Claim(
                "statuses-of-self-hosted-gateways",
                "PUT 201 or 200; DELETE 200, or 204 when gone; regenerate an empty 204",
                "azure-recorded 3",
            ),
            Claim(
                "heartbeat-and-keys-of-self-hosted-gateways",
                "The heartbeat is null after a write and `[]` when read; only `listKeys` shows a key",
                "azure-recorded 2, 4",
            ),
            Claim(
                "form-of-a-gateways-token",
                "A gateway's token: id, minute, HMAC-SHA512 under the text of the chosen key",
                "azure-recorded 7",
            ),
            Claim(
                "expiry-of-a-gateways-token",
                "A token's expiry may lie 30 days ahead at most, and in the past",
                "azure-facts 5.1, azure-recorded 7",
            ),
            Claim(
                "users-get-and-head",
                "Users: get and HEAD, a token, a sign-in address of five minutes, by the official client",
                "azure-facts 1.3, azure-recorded 7",
            ),
            Claim(
                "each-operation-asks-for-the-action",
                "Each operation asks for the action of its own name",
                "azure-facts 3",
            ),
        ),
    ),
    Section(
        "The gateways",
        "",
        ("Behaviour", "Source"),
        (
            Claim(
                "the-two-401-bodies",
                "The two 401 bodies word for word, with `WWW-Authenticate`",
                "azure-facts 6",
            ),
            Claim(
                "header-before-query",
                "Header before query; an empty header wins; names per API",
                "azure-facts 6",
            ),
            Claim(
                "scopes-at-a-gateway",
                "Scopes: an API, a product, all APIs, all access",
                "azure-facts 6",
            ),
            Claim(
                "only-active-lets-in",
                "Only `active` lets in; an expiry date alone shuts nobody out",
                "azure-facts 1.4, 6",
            ),
            Claim(
                "open-products-and-apis",
                "Open products, and APIs that require no apim subscription, need no key",
                "azure-facts 6",
            ),
            Claim(
                "each-gateway-has-its-delays",
                "Each gateway accepts a new value and refuses an old one after delays of its own",
                "azure-facts 6 (no bound is documented)",
            ),
            Claim(
                "calls-are-counted",
                "Calls are counted by service, gateway, apim subscription, slot, outcome and agent, without any key",
                "for tests and demos",
            ),
        ),
    ),
    Section(
        "Tokens made from keys",
        "Two more host names of a service: `{service}.management.azure-api.net`, where shared access tokens"
        " of tenant access are taken in the tiers Developer, Basic, Standard and Premium, and "
        "`{service}.configuration.azure-api.net`, where self-hosted gateways sign in with theirs. Expiry "
        "goes by emulated time.",
        ("Behaviour", "Source"),
        (
            Claim(
                "tokens-of-direct-management",
                "Long and short tokens by the published steps, and the portal's wrapped ones, sign in to "
                "direct management with the primary or the secondary key",
                "azure-facts 5.1, azure-recorded 7",
            ),
            Claim(
                "401-of-direct-management",
                "401 for a token that is expired, malformed, of an unknown identity, or signed with neither key",
                "azure-facts 5.1",
            ),
            Claim(
                "while-tenant-access-is-disabled",
                "While tenant access is disabled every call is refused",
                "azure-facts 5.5",
            ),
            Claim(
                "a-regenerate-ends-the-tokens",
                "A regenerate ends the tokens of its slot, after the described delays",
                "azure-facts 5.3, 6",
            ),
            Claim(
                "ids-in-paths-of-direct-management",
                "The ids in a path may be anything; the rows are those of Resource Manager, with full "
                "rights and without its throttling",
                "azure-facts 5.5",
            ),
            Claim(
                "400-of-direct-management-names-versions",
                "400 with a `Message` naming the allowed api-versions",
                "azure-facts 5.5",
            ),
            Claim(
                "resource-manager-takes-no-sas",
                "Resource Manager takes no such token: 401",
                "azure-facts 5.5",
            ),
            Claim(
                "tiers-with-direct-management",
                "Only tiers that have an endpoint have its host name",
                "azure-facts 5.3, 5.5",
            ),
            Claim(
                "a-self-hosted-gateway-signs-in",
                "A self-hosted gateway signs in with `GatewayKey {token}`, with either key, until it expires",
                "azure-facts 5.3",
            ),
            Claim(
                "sign-ins-are-counted",
                "`GET /_emulator/signins` counts sign-ins by service, endpoint, identity, slot, reason and "
                "agent, without any token or key",
                "for tests and demos",
            ),
            Claim(
                "keys-and-portal-of-other-credentials",
                "`GET /_emulator/keys` and `POST /_emulator/portal` take `tenant` or `gateway` in the place of `sid`",
                "for tests and demos",
            ),
        ),
    ),
    Section(
        "Entra",
        "",
        ("Behaviour", "Source"),
        (
            Claim(
                "azure-identity-signs-in-unmodified",
                "azure-identity signs in unmodified, with a client secret",
                "azure-facts 2.1",
            ),
            Claim(
                "refused-client-secrets",
                "Wrong secret, unknown application, wrong tenant in Entra's words",
                "azure-facts 2.5",
            ),
            Claim(
                "signed-tokens",
                "Signed tokens whose key is published; forged, changed and unsigned ones are refused",
                "azure-facts 2.4",
            ),
            Claim(
                "audience-from-scope",
                "The audience is the scope without its suffix, a double slash kept as one",
                "azure-facts 0.6",
            ),
            Claim(
                "instance-discovery",
                "Instance discovery",
                "azure-facts 2.3",
            ),
            Claim(
                "discovery-for-any-tenant",
                "The endpoints of `common` and `organizations`, which az asks for when it signs out",
                "azure-cli 2.91",
            ),
            Claim(
                "a-certificate-signs-in-rs256",
                "A certificate signs in: RS256 or PS256 under the key of a registered certificate, named by"
                " either thumbprint, with or without its chain",
                "azure-facts 2.1",
            ),
            Claim(
                "refused-assertions",
                "An assertion of another application, for another endpoint, out of its time, under a key "
                "that is not registered, expired or another's is refused",
                "azure-facts 2.1, 2.5",
            ),
            Claim(
                "an-assertion-is-good-for-several-resources",
                "One assertion is good for several resources, as msal presents it",
                "azure-facts 2.1",
            ),
            Claim(
                "federated-tokens-sign-in",
                "Federated tokens sign in where issuer, subject and audience are those of one described "
                "credential, compared with case",
                "azure-facts 2.1, 2.5; Azure/login issues 360, 464, 517",
            ),
            Claim(
                "refused-federated-tokens",
                "Forged and changed federated tokens are refused, and those out of their time",
                "azure-facts 2.5",
            ),
            Claim(
                "two-issuers-of-federated-tokens",
                "Two issuers of federated tokens, one like GitHub's and one like that of a cluster, publish"
                " their keys; `POST /_emulator/federated-token` mints",
                "for tests and demos",
            ),
            Claim(
                "a-workflow-asks-for-its-token",
                "A workflow asks for its token with its own bearer",
                "GitHub's documentation, from memory",
            ),
            Claim(
                "sign-in-chooses-one-way",
                "`--sign-in` writes the environment of one way to sign in and unsets those of the others; a "
                "certificate and a service account's token are made for it",
                "for tests and demos",
            ),
        ),
    ),
    Section(
        "Managed identity",
        "On a port of its own, plain HTTP, for the identities that the world describes as `managed_identity`.",
        ("Behaviour", "Source"),
        (
            Claim(
                "managed-identity-endpoints",
                "The machine's endpoint and App Service's, by azure-identity unmodified, and at the end of "
                "its default chain",
                "azure-facts 2.2",
            ),
            Claim(
                "which-managed-identity-answers",
                "User-assigned ones answer to client id, object id and resource id; the system-assigned one"
                " where none is named",
                "azure-facts 2.2",
            ),
            Claim(
                "replies-of-managed-identity",
                "Replies hold texts alone; App Service's has no duration",
                "azure-facts 2.2",
            ),
            Claim(
                "400-without-metadata-true",
                "400 without `Metadata: true`, and for an identity that is not there",
                "azure-facts 2.2",
            ),
            Claim(
                "app-services-header",
                "App Service's endpoint asks for the header that only the program knows",
                "azure-facts 2.2",
            ),
            Claim(
                "parameters-of-managed-identity",
                "api-version, resource and parameters are checked",
                "azure-facts 2.2",
            ),
            Claim(
                "managed-tokens-live-24-hours",
                "Tokens live 24 hours unless `managed_token_lifetime` says otherwise",
                "azure-facts 2.4 (from memory)",
            ),
        ),
    ),
    Section(
        "Key Vault secrets",
        "",
        ("Behaviour", "Source"),
        (
            Claim(
                "the-vaults-challenge",
                "The challenge comes before everything else, and the client's first write arrives without a body",
                "azure-recorded 10, azure-facts 0.3",
            ),
            Claim(
                "secrets",
                "Set, get, versions, update, lists, delete, recover, purge by the official client",
                "azure-facts 7.1",
            ),
            Claim(
                "versions-newest-first",
                "Versions are listed newest first",
                "azure-recorded 10",
            ),
            Claim(
                "which-answers-show-a-secret",
                "Unset fields are absent; only set and get show a value",
                "azure-recorded 10",
            ),
            Claim(
                "errors-in-the-vaults",
                "Errors in the vault's words: not found, disabled, being deleted, recover of a live one",
                "azure-recorded 10",
            ),
            Claim(
                "soft-delete",
                "A deleted secret keeps its name until it is recovered or purged; it is purged when its days are over",
                "azure-recorded 10",
            ),
            Claim(
                "data-actions",
                "Data actions of roles, per vault and per secret",
                "azure-facts 3.2, 7.3",
            ),
            Claim(
                "limits-of-a-vault",
                "300 sets and 4000 other transactions in 10 emulated seconds",
                "azure-facts 7.4",
            ),
        ),
    ),
    Section(
        "Refused by name",
        "What the emulator does not know it refuses, and says what it was; nothing is ignored. Azure may "
        "well answer there.",
        ("What", "Answer"),
        (
            Claim(
                "unknown-paths",
                "Paths and methods outside the tables: workspaces, writing services, products, APIs or users",
                "501 `NotSupportedByEmulator`",
            ),
            Claim(
                "refresh-of-a-named-value",
                "`refreshSecret` of a named value, and `listValue` of one that Key Vault holds",
                "501 `NotSupportedByEmulator`",
            ),
            Claim(
                "more-of-self-hosted-gateways",
                "Debugging a self-hosted gateway, its hostnames, certificate authorities and APIs; `git/` "
                "under `access`",
                "501 `NotSupportedByEmulator`",
            ),
            Claim(
                "unknown-query-parameters",
                "Query parameters, known ones given twice, and what a `$filter` may not say, with the word and where",
                "501 `NotSupportedByEmulator`",
            ),
            Claim(
                "headers-that-change-meaning",
                "`If-None-Match`, `If-Match` where it means nothing, other headers that would change what a request "
                "means, and bodies that are no JSON",
                "501 `NotSupportedByEmulator`",
            ),
            Claim(
                "unknown-fields",
                "Unknown fields of a body",
                "400 `ValidationError`",
            ),
            Claim(
                "no-forwarded-request",
                "A request for a managed identity's token with `X-Forwarded-For`",
                "400 `invalid_request`",
            ),
            Claim(
                "unrecorded-api-versions",
                "api-versions whose manners nobody recorded, previews among them",
                "400 naming those that are served",
            ),
            Claim(
                "unknown-vault-paths",
                "Vault paths, query parameters and bodies outside the table",
                "400, 404 or 501 naming it",
            ),
            Claim(
                "unknown-paths-of-direct-management",
                "Paths of direct management that are no row of the provider, flat ones such as `/users` "
                "among them; anything but GET where gateways sign in",
                "501 `NotSupportedByEmulator`",
            ),
            Claim(
                "unknown-hosts",
                "Every host that the world does not hold",
                "403 of the proxy, with a sentence",
            ),
        ),
    ),
    Section(
        "Known to differ",
        "",
        ("Difference", "Why"),
        (
            Claim(
                "time-moves-on-command",
                "Time moves on command only, and the Date headers carry it",
                "so that a month takes a second",
            ),
            Claim(
                "a-clock-set-wrong-hastens-nothing",
                "A clock that is set wrong hastens nothing: buckets and propagation go by elapsed emulated time",
                "a jump is a fault of a clock, not time",
            ),
            Claim(
                "lifetimes-by-the-machines-clock",
                "Lifetimes of Entra's tokens go by the machine's clock",
                "clients cache tokens by it",
            ),
            Claim(
                "keys-and-ids-are-drawn",
                "Keys and ids are drawn from a seed, the same each time",
                "so that a run can be replayed",
            ),
            Claim(
                "requests-take-no-time",
                "Requests take no time, so two writes are parallel only while a `delay` fault holds one up",
                "rooms answer at once",
            ),
            Claim(
                "role-404s",
                "The 404s of a role assignment and a role definition are worded from memory",
                "not verified",
            ),
            Claim(
                "permissions-everywhere",
                "Permissions and role assignments are answered at an azure subscription and at one entity "
                "of a service too, whether that exists or not",
                "the specification has resource groups and resources",
            ),
            Claim(
                "operations-limit-nothing",
                "Described operations limit nothing: a gateway answers whatever is asked below the path of an API",
                "nothing here needs it",
            ),
            Claim(
                "no-graph",
                "Names of principals are told by nobody: there is no Microsoft Graph",
                "not emulated",
            ),
            Claim(
                "the-services-own-host",
                "The service's own host is its first region; nobody is routed to the nearest",
                "there is no network here",
            ),
            Claim(
                "unknown-parameters-of-a-token-request",
                "An unknown parameter of a token request is refused, one that is given twice, and a secret beside an "
                "assertion",
                "strict on purpose",
            ),
            Claim(
                "codes-from-memory",
                "Codes 700021, 700023 and 50027 for assertions of the application's own, and 700212 for a "
                "federated token's audience, are from memory, as is 700027 for a forged federated token; "
                "the texts of 700024, 700027, 70025, 700211 and 700213 are as others saw them, shortened",
                "nobody recorded them",
            ),
            Claim(
                "no-keys-of-other-issuers",
                "Of other issuers of federated tokens the emulator has no keys: 90061",
                "there is no network here",
            ),
            Claim(
                "wording-of-managed-identity",
                "The managed-identity endpoints' refusals, but for the two of azure-facts 2.2, are in our "
                "own words, App Service's all of them; the order of the checks is ours too",
                "nobody recorded them",
            ),
            Claim(
                "wording-of-direct-management",
                "The refusals of direct management are in our own words: 401 `Unauthorized`, and 403 "
                "`ManagementApiDisabled` while tenant access is disabled; the order of its checks is ours "
                "too",
                "nobody recorded them, and support for it ended in March 2025",
            ),
            Claim(
                "where-self-hosted-gateways-sign-in",
                "Where self-hosted gateways sign in, any GET is answered with a small body of our own, and "
                "an expired token with a 401. A real gateway with an expired token looks healthy and "
                "answers its callers 200 with an empty body: there is no such gateway here, but `signins` "
                "counts the refusal",
                "the protocol between them is not documented",
            ),
            Claim(
                "users-tokens-open-nothing",
                "Users' tokens are made, and open nothing here: direct management knows the identity of "
                "tenant access alone",
                "the developer portal and the git repository are not emulated",
            ),
            Claim(
                "keys-verify-tokens-at-once",
                "The keys of tenant access and of gateways verify tokens at once, unless `delay_new` and "
                "`delay_old` are described",
                "no delay is documented",
            ),
            Claim(
                "defaults-of-tenant-access",
                "Tenant access is disabled unless described otherwise, and `gitAccess` enabled; the default"
                " world enables both",
                "how a new service begins was not recorded",
            ),
        ),
    ),
)

# Which claim an operation belongs to: the first pattern that fits `METHOD path`, where `*` stands for anything and
# {service} for the path of a service. Each operation is called by test_coverage too.
OPERATIONS: Final = (
    ("GET metadata/endpoints", "azure-subscriptions-and-groups"),
    ("GET */providers/Microsoft.Authorization/permissions", "permissions-of-the-caller"),
    ("GET */providers/Microsoft.Authorization/roleAssignments*", "role-assignments-at-a-scope"),
    ("GET */providers/Microsoft.Authorization/roleDefinitions*", "role-definitions"),
    ("GET {service}/products/{product}/subscriptions", "apim-subscriptions-of-a-product-or-user"),
    ("GET {service}/users/{user}/subscriptions*", "apim-subscriptions-of-a-product-or-user"),
    ("* {service}/subscriptions*", "apim-subscriptions"),
    ("GET {service}/apis/{api}/operations*", "operations-of-an-api"),
    ("GET {service}/apis*", "the-service-and-its-lists"),
    ("GET {service}/products*", "the-service-and-its-lists"),
    ("GET {service}", "the-service-and-its-lists"),
    ("GET */providers/Microsoft.ApiManagement/service", "the-service-and-its-lists"),
    ("* {service}/namedValues*", "named-values"),
    ("GET {service}/tenant", "list-of-tenant-accesses"),
    ("* {service}/tenant/*", "tenant-access"),
    ("* {service}/gateways*", "self-hosted-gateways"),
    ("* {service}/users*", "users-get-and-head"),
    ("* subscriptions*", "azure-subscriptions-and-groups"),
    ("GET tenants", "azure-subscriptions-and-groups"),
    ("* secrets*", "secrets"),
    ("* deletedsecrets*", "secrets"),
)
