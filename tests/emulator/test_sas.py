"""Shared access tokens as the emulator reads and makes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from keyturn_emulator import sas
from tests.emulator import tokens_by_hand as by_hand

# The public sample of Microsoft's page; it opens nothing (azure-facts 5.2).
SAMPLE = "pXeTVcmdbU9XxH6fPcPlq8Y9D9G3Cdo5Eh2nMSgKj/DWqeSFFXDdmpz5Trv+L2hQNM+nGa704Rf8Z22W9O1jdQ=="


@pytest.mark.witness("tokens-of-direct-management")
@pytest.mark.parametrize(
    ("identity", "moment", "signature"),
    [
        (
            "53d7e14aee681a0034030003",
            "2014-08-04T22:03:00.0000000Z",
            "jZpVO0S0oAy7QEiuefPUia9l2ijdkFjs2WvnbH68V6LSVEcjwBfyeG/YHdWQyT00LExwhkIrgXWIm3Sj2oYzzw==",
        ),
        (
            "integration",
            "2026-12-31T00:00:00.0000000Z",
            "oRhP6aQgjz0EU5WG0eQ3YP3HE7A8f5QqR8c8Bqv0n8p6fSQHnCn/piEoM4XP91FCpazFe0J9/6HSJOcWLi7RmQ==",
        ),
    ],
)
def test_the_published_sample_key_verifies_its_vectors(identity: str, moment: str, signature: str) -> None:
    token = sas.read(f"uid={identity}&ex={moment}&sn={signature}")
    assert (token.form, token.identity) == ("long", identity)
    assert token.expiry == datetime.fromisoformat(moment[:19] + "+00:00")
    assert token.signer([("primary", "other"), ("secondary", SAMPLE)]) == "secondary"
    assert token.signer([("primary", "other")]) is None


def test_a_short_token_is_read_from_its_end_so_that_an_id_may_hold_ampersands() -> None:
    token = sas.read(by_hand.short_part("key", "203001020304", "a&b"))
    assert (token.form, token.identity, token.expiry) == ("short", "a&b", datetime(2030, 1, 2, 3, 4, tzinfo=UTC))
    assert token.signer([("it", "key")]) == "it"


def test_what_it_makes_is_what_the_published_steps_make() -> None:
    moment = datetime(2030, 1, 2, 3, 4, 5, 999999, tzinfo=UTC)
    assert sas.short("gw", moment, "key") == by_hand.short_part("key", "203001020304", "gw")
    whole = sas.read(sas.short("gw", moment, "key", seconds=True))
    assert whole.expiry == moment.replace(microsecond=0)
    assert whole.signer([("it", "key")]) == "it"


def test_a_long_expiry_without_its_z_is_read_as_utc() -> None:
    moment = "2016-11-24T01:12:00.0000000"
    token = sas.read(f"uid=x&ex={moment}&sn={by_hand.signature('key', 'x', moment)}")
    assert token.expiry == datetime(2016, 11, 24, 1, 12, tzinfo=UTC)
    assert token.signer([("it", "key")]) == "it"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Bearer abc",
        "integration&20300102&c2ln",
        "integration&209913020304&c2ln",
        "&203001020304&c2ln",
        "integration&203001020304&not base64",
        "uid=integration&ex=2030-01-02T03:04:00Z&sn=c2ln",
        "uid=integration&ex=2030-13-02T03:04:00.0000000Z&sn=c2ln",
        "uid=&ex=2030-01-02T03:04:00.0000000Z&sn=c2ln",
        "ex=2030-01-02T03:04:00.0000000Z&uid=integration&sn=c2ln",
    ],
)
def test_what_is_no_token_is_malformed_and_not_repeated(text: str) -> None:
    with pytest.raises(sas.MalformedToken) as refused:
        sas.read(text)
    assert text == "" or text not in str(refused.value)


def test_the_portals_wrapping_is_taken_off() -> None:
    assert sas.unwrap('token="a&b&c==",refresh="true"') == "a&b&c=="
    assert sas.unwrap('token="a&b&c=="') == "a&b&c=="
    assert sas.unwrap("a&b&c==") == "a&b&c=="


def test_a_token_does_not_show_its_signature() -> None:
    token = sas.read(by_hand.short_part("key", "203001020304", "gw"))
    assert token.signature not in repr(token)
