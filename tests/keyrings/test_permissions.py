"""The rows of actions in docs/first-real-service.md: each is enough for what it stands beside, and not one too many."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import timedelta

import pytest

from keyturn.errors import Refused
from keyturn.keyrings.gateways import GatewayKeyring
from keyturn.keyrings.tenant import TenantKeyring
from keyturn.keyrings.users import ask_user_token
from keyturn.model import Credential, Slot
from keyturn.ports import Answer, Applied, NotApplied
from keyturn_emulator import seed
from tests.contracts.emulated import Emulated
from tests.contracts.keyring import FRESH
from tests.docs.pages import DOCS, read

ROW = re.compile(r"^\| (?P<job>[^|]+) \| (?P<actions>(?:`[a-zA-Z/]+`(?:, )?)+) \|$", re.MULTILINE)
ROWS = {
    found["job"]: re.findall(r"`([^`]+)`", found["actions"])
    for found in ROW.finditer(read(DOCS / "first-real-service.md"))
}


def must_be_applied(answer: Answer) -> None:
    """Raises Refused for a refusal, so that reads and effects fail alike."""
    if isinstance(answer, NotApplied):
        raise Refused(answer.sentence, status=answer.status)
    assert isinstance(answer, Applied)


def set_tenant_access(azure: Emulated) -> None:
    keyring, access = tenant_access(azure)
    proof = keyring.prove_fence(access, azure.send_by())
    if isinstance(proof, NotApplied) and proof.status != 412:
        must_be_applied(proof)
    etag = keyring.read(access).etag or ""
    keyring.read_values(access)
    must_be_applied(keyring.set_value(access, Slot.PRIMARY, FRESH, etag, azure.send_by()))
    keyring.gateways()


def regenerate_tenant_access(azure: Emulated) -> None:
    keyring, access = tenant_access(azure)
    for slot in Slot:
        must_be_applied(keyring.regenerate(access, slot, azure.send_by()))
    keyring.read_values(access)
    keyring.gateways()


def switch_tenant_access(azure: Emulated) -> None:
    keyring, access = tenant_access(azure)
    keyring.gateways()
    must_be_applied(keyring.enable(access, False, keyring.read(access).etag or "", azure.send_by()))


def regenerate_gateway(azure: Emulated) -> None:
    keyring, oslo = gateway(azure)
    keyring.read(oslo)
    keyring.read_values(oslo)
    must_be_applied(keyring.regenerate(oslo, Slot.PRIMARY, azure.send_by()))
    keyring.gateways()


def ask_for_a_gateways_token(azure: Emulated) -> None:
    keyring, oslo = gateway(azure)
    keyring.generate_token(oslo, Slot.PRIMARY, azure.clock.now() + timedelta(days=1))


def ask_for_a_users_token(azure: Emulated) -> None:
    ask_user_token(azure.arm, azure.service, "contoso", Slot.PRIMARY, azure.clock.now() + timedelta(days=1))


def tenant_access(azure: Emulated) -> tuple[TenantKeyring, Credential]:
    keyring = TenantKeyring(azure.arm, "shop", azure.service)
    return keyring, next(keyring.discover())


def gateway(azure: Emulated) -> tuple[GatewayKeyring, Credential]:
    keyring = GatewayKeyring(azure.arm, "shop", azure.service)
    return keyring, next(keyring.discover())


JOBS: dict[str, Callable[[Emulated], None]] = {
    "tenant access, `renew: set`": set_tenant_access,
    "tenant access, `renew: regenerate`": regenerate_tenant_access,
    "`keyturn key enable`, `keyturn key disable`": switch_tenant_access,
    "self-hosted gateways": regenerate_gateway,
    "a gateway's token, signed by Azure": ask_for_a_gateways_token,
    "a user's token, signed by Azure": ask_for_a_users_token,
}
EACH = [(job, action) for job, actions in ROWS.items() for action in actions]


def allowed(azure: Emulated, actions: Iterable[str]) -> Emulated:
    """The emulator's own world, in which we have these actions at the service and no others."""
    world = seed.default_description()
    world["custom_roles"] = [
        {
            "name": "least",
            "id": "11111111-2222-4333-8444-777777777777",
            "actions": [f"Microsoft.ApiManagement/service/{action}" for action in actions],
        }
    ]
    rotator = world["applications"][0]["client_id"]
    world["role_assignments"] = [{"client_id": rotator, "role": "least", "scope": azure.service}]
    azure.azure.seed(world)
    return azure


def test_the_page_has_a_row_for_every_job() -> None:
    assert list(ROWS) == list(JOBS)


@pytest.mark.parametrize("job", JOBS)
def test_the_actions_of_a_row_are_enough(emulated: Emulated, job: str) -> None:
    JOBS[job](allowed(emulated, ROWS[job]))


@pytest.mark.parametrize(("job", "action"), EACH)
def test_each_action_of_a_row_is_needed(emulated: Emulated, job: str, action: str) -> None:
    # `none` keeps the role from being empty where a row has one action
    fewer = [kept for kept in ROWS[job] if kept != action] or ["none/read"]
    with pytest.raises(Refused) as refused:
        JOBS[job](allowed(emulated, fewer))
    assert refused.value.status == 403
    assert f"Microsoft.ApiManagement/service/{action} " in refused.value.message
