"""The starter file: the same text for the same service, read without an error, and nobody opted in by it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from keyturn.config import Config, match_policy, parse, render
from keyturn.config.types import KeyVaultSink
from keyturn.model import Credential
from keyturn.starter import (
    NO_VAULT,
    OPT_IN,
    Api,
    ApimSubscription,
    Choices,
    Inventory,
    Operation,
    Product,
    drafts,
    propose,
    rank,
    write,
)
from keyturn.yaml_marks import read_text

GOLDEN = Path(__file__).with_name("shop.yaml")
ID = (
    "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg"
    "/providers/Microsoft.ApiManagement/service/shop-apim"
)
ORDERS = Api(id="orders", operations=(Operation(method="GET", path="/orders", name="List orders"),))
STATUS = Api(
    id="status",
    header="X-Shop-Key",
    operations=(
        Operation(method="POST", path="/status/ping", name="Ping"),
        Operation(method="GET", path="/status/{part}", name="Status of a part"),
        Operation(method="GET", path="/status/health", name="Health"),
    ),
)
OPEN = Api(id="catalogue", needs_key=False, operations=(Operation(method="GET", path="/catalogue/ping"),))
SHOP = Inventory(
    id=ID,
    name="shop-apim",
    location="West Europe",
    tier="Developer",
    products=(
        Product(id="silver", name="Silver plate", apis=(OPEN,)),
        Product(id="gold", name="Gold", apis=(ORDERS, STATUS)),
        Product(id="empty", name="Empty", apis=()),
        Product(id="hidden", apis=None, trouble="list the APIs of hidden: not allowed"),
        Product(id="free", needs_key=False, apis=(OPEN,)),
    ),
    apim_subscriptions=(
        *(ApimSubscription(sid=sid, product="gold") for sid in ("contoso", "fabrikam", "tailspin", "wingtip")),
        ApimSubscription(sid="north wind", product="silver"),
        ApimSubscription(sid="old", product="silver", active=False),
        ApimSubscription(sid="batch"),
        ApimSubscription(sid="legacy", api="orders"),
        ApimSubscription(sid="master"),
    ),
)


def config(text: str) -> Config:
    return parse(read_text(text, "keyturn.yaml"), "keyturn.yaml")


def credential(each: ApimSubscription, service: str = "shop-apim") -> Credential:
    address = f"{ID}/subscriptions/{each.sid}"
    return Credential(
        id=f"{service}/{each.sid}",
        key=address.lower(),
        address=address,
        service=service,
        name=each.sid,
        product=each.product,
    )


def test_the_text_is_the_golden_one() -> None:
    """To see a change: write what `write` returns to the golden file, and look at the difference."""
    assert write(SHOP, Choices(vault="shop-kv")) == GOLDEN.read_text(encoding="utf-8")


def test_it_opts_nobody_in() -> None:
    read = config(write(SHOP, Choices()))
    assert [entry.name for entry in read.policies] == ["empty", "gold", "hidden", "silver"]
    assert [match_policy(read, credential(each)) for each in SHOP.apim_subscriptions] == [None] * len(
        SHOP.apim_subscriptions
    )


def test_deleting_what_it_says_opts_a_product_in_and_nobody_else() -> None:
    text = write(SHOP, Choices())
    gold = f"match: {OPT_IN}{{ service: shop-apim, product: gold }}"
    assert text.count(gold) == 1
    read = config(text.replace(gold, gold.replace(OPT_IN, "")))
    won = {each.sid for each in SHOP.apim_subscriptions if match_policy(read, credential(each)) is not None}
    assert won == {"contoso", "fabrikam", "tailspin", "wingtip"}


def test_no_vault_that_may_exist_is_named_before_a_person_names_one() -> None:
    (sink,) = config(write(SHOP, Choices())).policies[0].publish
    assert isinstance(sink, KeyVaultSink)
    assert sink.vault == NO_VAULT
    assert len(NO_VAULT) > 24, "a vault's name has at most 24 letters"


def test_the_vault_that_is_named_gets_a_secret_for_each_apim_subscription() -> None:
    (sink,) = config(write(SHOP, Choices(vault="shop-kv"))).policies[0].publish
    assert render(sink, credential(SHOP.apim_subscriptions[0])).name == "shop-kv/apim-contoso"


def test_the_slot_to_publish_first_is_left_to_a_person() -> None:
    read = config(write(SHOP, Choices()))
    assert {entry.policy.adopt for entry in read.policies} == {None}


def test_the_emulators_clock_and_other_clouds_are_written_where_they_are_asked_for() -> None:
    plain = config(write(SHOP, Choices()))
    assert (plain.clock, plain.cloud, plain.policies[0].policy.settle.total_seconds()) == (None, "public", 30)
    emulated = config(write(SHOP, Choices(control="http://127.0.0.1:8377/_emulator")))
    assert emulated.clock is not None
    assert emulated.clock.control == "http://127.0.0.1:8377/_emulator"
    assert emulated.policies[0].policy.settle.total_seconds() == 0
    assert config(write(SHOP, Choices(cloud="china"))).cloud == "china"


def test_no_line_of_a_comment_is_wider_than_it_should_be() -> None:
    wide = [line for line in write(SHOP, Choices()).splitlines() if line.lstrip().startswith("#") and len(line) > 110]
    assert wide == []


# -------- probes


def test_the_probe_is_a_get_without_parameters_and_the_likeliest_by_its_name() -> None:
    found = propose(SHOP.products[1])
    assert found.operation is not None
    assert found.operation.path == "/status/health"
    gold = next(entry for entry in config(write(SHOP, Choices())).policies if entry.name == "gold")
    assert gold.policy.probe is not None
    assert (gold.policy.probe.path, gold.policy.probe.header) == ("/status/health", "X-Shop-Key")


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("/status/ping", "/status/health"),
        ("/a/b/c/health", "/orders"),
        ("/orders", "/orders/all"),
        ("/all", "/longer"),
    ],
)
def test_a_probe_is_preferred_by_its_name_then_by_its_shortness(better: str, worse: str) -> None:
    assert rank(Operation(method="GET", path=better)) < rank(Operation(method="GET", path=worse))


@pytest.mark.parametrize(
    ("product", "told"),
    [
        (Product(id="p", apis=(OPEN,)), "can be called without a key: a probe there proves nothing"),
        (Product(id="p", apis=()), "the product has no API yet"),
        (Product(id="p", apis=None, trouble="not allowed"), "could not be read: not allowed"),
        (Product(id="p", apis=(Api(id="a", operations=(Operation(method="GET", path="/a/{id}"),)),)), "Add one"),
        (Product(id="p", apis=(Api(id="a", operations=(Operation(method="POST", path="/a"),)),)), "Add one"),
        (Product(id="p", apis=(Api(id="a", operations=(Operation(method="GET", path="/a/*"),)),)), "Add one"),
        (Product(id="p", apis=(Api(id="a", trouble="it is of type soap."),)), "API a: it is of type soap."),
    ],
)
def test_where_there_is_no_probe_it_says_why_and_what_stands_in_for_it(product: Product, told: str) -> None:
    found = propose(product)
    assert found.operation is None
    said = " ".join(found.why)
    assert told in said
    assert "not proven" in said


# -------- what other people wrote

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="*#&+:<>?"), min_size=1, max_size=80)
IDS = NAMES.filter(lambda name: "\0" not in name)
"""Ids are parts of an address, in which no server takes %00."""


@seed(20)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(product=IDS, name=NAMES, sid=NAMES, api=NAMES, path=NAMES, problem=NAMES)
def test_whatever_names_people_chose_the_file_reads_and_opting_in_means_that_product(
    product: str, name: str, sid: str, api: str, path: str, problem: str
) -> None:
    found = Inventory(
        id=ID,
        name="shop-apim",
        location=name,
        products=(Product(id=product, name=name, apis=(Api(id=api, operations=(_get(path),)),)),),
        apim_subscriptions=(ApimSubscription(sid=sid, product=product), ApimSubscription(sid=f"{sid}2", api=api)),
        problems=(problem,),
    )
    text = write(found, Choices())
    assert match_policy(config(text), credential(found.apim_subscriptions[0])) is None
    opted = config(text.replace(f"match: {OPT_IN}", "match: "))
    winner = match_policy(opted, credential(found.apim_subscriptions[0]))
    assert winner is not None
    assert winner.match.product == (product,)
    assert match_policy(opted, credential(found.apim_subscriptions[1])) is None


def _get(path: str) -> Operation:
    return Operation(method="GET", path=f"/{path}")


@pytest.mark.parametrize("header", ["", "X Key", "X-Key:", "k\n  - name: evil"])
def test_a_header_that_nobody_could_send_makes_no_probe_and_the_file_reads(header: str) -> None:
    product = Product(id="odd", apis=(msgspec.structs.replace(STATUS, header=header),))
    assert propose(product).operation is None
    text = write(msgspec.structs.replace(SHOP, products=(product,), apim_subscriptions=()), Choices())
    assert [entry.name for entry in config(text).policies] == ["odd"]


def test_two_products_whose_names_begin_alike_get_policies_of_their_own() -> None:
    long = "x" * 100
    found = msgspec.structs.replace(
        SHOP, products=(Product(id=f"{long}a"), Product(id=f"{long}b")), apim_subscriptions=()
    )
    names = [draft.name for draft in drafts(found)]
    assert len(set(names)) == 2
    assert [entry.name for entry in config(write(found, Choices())).policies] == names


def test_a_service_with_nothing_in_it_gets_a_file_that_reads() -> None:
    read = config(write(Inventory(id=ID, name="shop-apim"), Choices()))
    assert [entry.name for entry in read.policies] == ["first"]


def test_a_product_is_known_by_its_apim_subscriptions_where_products_may_not_be_read() -> None:
    found = msgspec.structs.replace(SHOP, products=(), problems=("its products: not allowed",))
    text = write(found, Choices())
    assert "# Not read: its products: not allowed" in text
    assert [entry.name for entry in config(text).policies] == ["gold", "silver"]
