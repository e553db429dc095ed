"""What a list of permissions allows, what goes beyond a need, and what an answer tells of a right."""

from __future__ import annotations

import base64
import json

import pytest

from keyturn.azure import rights
from keyturn.azure.permissions import Entry, Standing, allows, ask, beyond, dangers
from keyturn.azure.pipeline import Arm
from keyturn.azure.rights import JOBS
from keyturn.azure.whoami import named
from keyturn.model import Secret
from keyturn.testing import ManualClock
from tests.azure.stub import Scripted, SignedIn, Stub, error

READ = "Microsoft.ApiManagement/service/subscriptions/read"
WRITE = "Microsoft.ApiManagement/service/subscriptions/write"
SECRETS = "Microsoft.ApiManagement/service/subscriptions/listSecrets/action"
OWNER = Entry(("*",), ())
CONTRIBUTOR = Entry(("*",), ("Microsoft.Authorization/*/Write", "Microsoft.Authorization/*/Delete"))
SET = JOBS[0].actions


@pytest.mark.parametrize(
    ("pattern", "action", "granted"),
    [
        (READ, READ, True),
        (READ.upper(), READ, True),
        ("*", SECRETS, True),
        ("Microsoft.ApiManagement/service/*", SECRETS, True),
        ("Microsoft.ApiManagement/*/read", READ, True),
        ("*/read", READ, True),
        ("*/read", SECRETS, False),
        ("Microsoft.ApiManagement/service/*/action", SECRETS, True),
        ("Microsoft.ApiManagement/service/subscriptions", READ, False),
        (READ, f"{READ}/more", False),
        ("Microsoft?ApiManagement/service/subscriptions/read", READ, False),
        ("Microsoft.ApiManagement/service/subscriptions.read", READ, False),
    ],
)
def test_a_star_spans_slashes_case_does_not_matter_and_all_else_stands_for_itself(
    pattern: str, action: str, granted: bool
) -> None:
    assert allows([Entry((pattern,), ())], action) is granted


def test_what_one_role_leaves_out_another_may_grant() -> None:
    without = Entry(("Microsoft.ApiManagement/service/*",), (WRITE,))
    assert not allows([without], WRITE)
    assert allows([without], READ)
    assert allows([without, Entry((WRITE,), ())], WRITE)
    assert allows([Entry((WRITE,), ()), without], WRITE)


def test_no_role_grants_nothing() -> None:
    assert not allows([], READ)
    assert not allows([Entry((), ())], READ)


def test_exactly_what_is_needed_is_not_too_much_nor_is_a_right_to_read() -> None:
    least = Entry(SET, ())
    assert beyond([least, Entry(("*/read", "Microsoft.Authorization/*/read"), ())], SET) == ()
    assert dangers([least], SET) == ()


def test_too_much_is_named_as_it_was_granted_and_as_what_it_comes_to() -> None:
    assert beyond([CONTRIBUTOR], SET) == ("*",)
    assert beyond([Entry((*SET, "Microsoft.ApiManagement/service/delete"), ())], SET) == (
        "Microsoft.ApiManagement/service/delete",
    )
    assert dangers([OWNER], SET)[0] == "give roles to others"
    assert dangers([CONTRIBUTOR], SET)[0] == "delete the service"


def test_to_set_keys_is_too_much_where_regenerating_is_what_is_done() -> None:
    regenerate = JOBS[1].actions
    assert beyond([Entry((*regenerate, WRITE), ())], regenerate) == (WRITE,)
    assert dangers([Entry((*regenerate, WRITE), ())], regenerate) == (
        "set keys, scope and state of apim subscriptions",
    )


def test_every_kind_and_mode_that_a_policy_can_have_has_a_job() -> None:
    assert len({job.name for job in rights.OF.values()}) == len(rights.OF) == 5


# -------- what an answer to a try tells

SERVICE = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ApiManagement/service/shop-apim"
LOST = "The Resource 'Microsoft.ApiManagement/service/shop-apim' under resource group 'rg' was not found."
NO_SUCH_THING = error(404, "ResourceNotFound", "Subscription not found.")


@pytest.mark.parametrize(
    ("answer", "standing"),
    [
        (NO_SUCH_THING, Standing.GRANTED),
        (error(400, "ValidationError", "One or more fields contain incorrect values:"), Standing.GRANTED),
        (error(403, "AuthorizationFailed"), Standing.MISSING),
        (error(403, "RequestDisallowedByPolicy"), Standing.UNKNOWN),
        (error(404, "ServiceNotFound", "Api service does not exist: shop-apim"), Standing.UNKNOWN),
        (error(404, "ResourceNotFound", LOST), Standing.UNKNOWN),
        (error(404, "ResourceGroupNotFound"), Standing.UNKNOWN),
        (error(409, "ScopeLocked", "it is locked"), Standing.UNKNOWN),
        (error(409, "ReadOnlyDisabledSubscription"), Standing.UNKNOWN),
        (Scripted(503), Standing.UNKNOWN),
    ],
    ids=lambda it: str(it.payload) if isinstance(it, Scripted) else str(it),
)
@pytest.mark.parametrize("kind", ["read", "write", "listSecrets/action"])
def test_only_an_answer_that_comes_after_the_roles_says_that_a_right_is_granted(
    stub: Stub, answer: Scripted, standing: Standing, kind: str
) -> None:
    stub.answers = [answer]
    (right,) = [each for each in JOBS[0].rights if each.action == f"{rights.SERVICE}/subscriptions/{kind}"]
    arm = Arm(SignedIn(stub.cloud), ManualClock(), read_limit=5.0)
    assert ask(arm, SERVICE, right, api_version="2022-08-01").standing is standing


# -------- whom a token names


def token(claims: object) -> Secret:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return Secret(f"header.{body}.signature")


def test_an_app_is_named_by_its_ids_and_a_person_by_their_name() -> None:
    app = named(token({"appid": "app-1", "oid": "object-1", "tid": "tenant-1"}))
    assert app.sentence == "app app-1 (object object-1), tenant tenant-1"
    person = named(token({"azp": "app-2", "oid": "object-2", "tid": "tenant-1", "upn": "ada@example.com"}))
    assert person.sentence == "ada@example.com (object object-2), tenant tenant-1"


@pytest.mark.parametrize(
    "odd", [Secret("opaque"), Secret("a.b.c"), Secret("a.!!!.c"), token([1, 2]), token({"appid": 3})]
)
def test_a_token_that_cannot_be_read_names_nobody_and_is_not_shown(odd: Secret) -> None:
    assert named(odd).sentence == "somebody whom the token does not name"
