"""Tokens: Azure's own examples come out, what is made can be read and checked, and nothing else can."""

from __future__ import annotations

import base64
import hashlib
import hmac
import traceback
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyturn.errors import KeyturnError, NeedsPerson
from keyturn.model import Secret
from keyturn.tokens import LONGEST_LIFE, Form, Malformed, Token, bare, check_life, create, parse, verify

PUBLISHED = Secret("pXeTVcmdbU9XxH6fPcPlq8Y9D9G3Cdo5Eh2nMSgKj/DWqeSFFXDdmpz5Trv+L2hQNM+nGa704Rf8Z22W9O1jdQ==")
"""The sample key in Microsoft's page about these tokens; it opens nothing."""
COUNTED = Secret(base64.b64encode(bytes(range(64))).decode())
OTHER = Secret(base64.b64encode(bytes(range(1, 65))).decode())
END = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
SAMPLES = {form: create(form, "gw-test", COUNTED, END).reveal() for form in Form}

seeded = settings(derandomize=True, deadline=None, max_examples=300)
forms = st.sampled_from(Form)
keys = st.binary(min_size=64, max_size=64).map(lambda raw: Secret(base64.b64encode(raw).decode()))
moments = st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
inner = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=80)
identities = inner.filter(
    lambda text: (
        text == text.strip()
        and "&ex=" not in text
        and "&sn=" not in text
        and not text.lower().startswith(("uid=", "gatewaykey ", "sharedaccesssignature "))
    )
)


def by_the_page(identity: str, moment: str, key: Secret) -> str:
    """The recipe with nothing but the standard library."""
    signed = hmac.new(key.reveal().encode(), f"{identity}\n{moment}".encode(), hashlib.sha512).digest()
    return base64.b64encode(signed).decode()


def refused(text: str) -> bool:
    try:
        return not verify(parse(text), COUNTED)
    except Malformed:
        return True


# -------- Azure's own


@pytest.mark.parametrize(
    ("identity", "end", "signature"),
    [
        (
            "53d7e14aee681a0034030003",
            datetime(2014, 8, 4, 22, 3, tzinfo=UTC),
            "jZpVO0S0oAy7QEiuefPUia9l2ijdkFjs2WvnbH68V6LSVEcjwBfyeG/YHdWQyT00LExwhkIrgXWIm3Sj2oYzzw==",
        ),
        (
            "integration",
            datetime(2026, 12, 31, tzinfo=UTC),
            "oRhP6aQgjz0EU5WG0eQ3YP3HE7A8f5QqR8c8Bqv0n8p6fSQHnCn/piEoM4XP91FCpazFe0J9/6HSJOcWLi7RmQ==",
        ),
    ],
)
def test_long_tokens_under_the_published_sample_key_come_out_as_computed(
    identity: str, end: datetime, signature: str
) -> None:
    """azure-facts 5.2"""
    token = create(Form.LONG, identity, PUBLISHED, end).reveal()
    assert token == f"SharedAccessSignature uid={identity}&ex={end:%Y-%m-%dT%H:%M:%S}.0000000Z&sn={signature}"


def test_a_gateway_token_comes_out_as_recordings_have_it() -> None:
    """azure-recorded 7: the vector's own key holds the bytes 0 to 63."""
    signature = "W1d6JpVygShVkl5XKJBiXS8A0FbRpm0OxQXJ/2pDKtig1y0cbiQvh4hDcuITiuqGZzslmdoP1dRMKm4ZcTX5Pw=="
    assert create(Form.GATEWAY, "gw-test", COUNTED, END).reveal() == f"GatewayKey gw-test&203001020304&{signature}"
    assert verify(parse(f"gw-test&203001020304&{signature}"), COUNTED)


# -------- made, read, checked


@seeded
@given(forms, identities, keys, moments)
def test_what_is_made_reads_back_and_its_key_signed_it(form: Form, identity: str, key: Secret, end: datetime) -> None:
    token = parse(create(form, identity, key, end).reveal())
    assert (token.form, token.identity) == (form, identity)
    assert token.expires == (end if form is Form.LONG else end.replace(second=0, microsecond=0))
    assert verify(token, key)


@seeded
@given(forms, identities, keys, keys, moments)
def test_no_other_key_signed_it(form: Form, identity: str, key: Secret, other: Secret, end: datetime) -> None:
    token = parse(create(form, identity, key, end).reveal())
    assert verify(token, other) is (key == other)


@seeded
@given(forms, identities, keys, moments)
def test_the_bare_token_says_the_same_but_for_the_word_that_tells_a_gateways(
    form: Form, identity: str, key: Secret, end: datetime
) -> None:
    whole = create(form, identity, key, end)
    token = parse(bare(whole).reveal())
    assert token.form is (Form.LONG if form is Form.LONG else Form.SHORT)
    assert (token.identity, verify(token, key)) == (identity, True)
    assert bare(bare(whole)) == bare(whole)


@seeded
@given(forms, identities, keys, moments)
def test_the_signature_is_the_recipes(form: Form, identity: str, key: Secret, end: datetime) -> None:
    fraction = f"{end:%S}.{end.microsecond:06}0Z" if form is Form.LONG else "00.0000000Z"
    moment = f"{end.year:04}-{end:%m-%dT%H:%M}:{fraction}"
    assert create(form, identity, key, end).reveal().endswith(by_the_page(identity, moment, key))


def test_a_long_expiry_always_has_seven_digits_and_keeps_microseconds() -> None:
    whole = create(Form.LONG, "integration", COUNTED, END.replace(microsecond=123_456)).reveal()
    assert "&ex=2030-01-02T03:04:05.1234560Z&" in whole
    assert "&ex=2030-01-02T03:04:05.0000000Z&" in create(Form.LONG, "integration", COUNTED, END).reveal()


def test_a_time_of_another_zone_is_signed_in_utc_and_one_without_a_zone_is_refused() -> None:
    elsewhere = END.astimezone(timezone(timedelta(hours=2)))
    assert create(Form.LONG, "integration", COUNTED, elsewhere) == create(Form.LONG, "integration", COUNTED, END)
    for end in (END.replace(tzinfo=None), datetime.max.replace(tzinfo=timezone(timedelta(hours=-2)))):
        with pytest.raises(Malformed):
            create(Form.LONG, "integration", COUNTED, end)


# -------- as others write them


@pytest.mark.parametrize("stated", ["2016-11-24T01:12:00.0000000", "2016-11-24T01:12:00Z", "2016-11-24T01:12:00.5Z"])
def test_a_long_expiry_was_signed_as_it_stands_with_or_without_z_and_with_any_fraction(stated: str) -> None:
    """azure-recorded 7: one without Z was seen."""
    token = parse(f"SharedAccessSignature uid=integration&ex={stated}&sn={by_the_page('integration', stated, COUNTED)}")
    half = timedelta(milliseconds=500) if ".5" in stated else timedelta()
    assert token.expires == datetime(2016, 11, 24, 1, 12, tzinfo=UTC) + half
    assert token.stated == stated
    assert verify(token, COUNTED)


def test_the_seventh_digit_of_a_fraction_is_signed_although_no_clock_here_tells_it() -> None:
    one, two = (f"2030-01-02T03:04:05.123456{last}Z" for last in "17")
    signed = by_the_page("integration", one, COUNTED)
    assert verify(parse(f"uid=integration&ex={one}&sn={signed}"), COUNTED)
    assert not verify(parse(f"uid=integration&ex={two}&sn={signed}"), COUNTED)


def test_a_short_token_may_name_its_seconds() -> None:
    """azure-recorded 7: users' tokens did in 2023. That the seconds are signed is our reading, and proven nowhere."""
    signed = by_the_page("1", "2030-01-02T03:04:05.0000000Z", COUNTED)
    token = parse(f"SharedAccessSignature 1&20300102030405&{signed}")
    assert (token.expires, verify(token, COUNTED)) == (END, True)


@pytest.mark.parametrize(
    "wrapping",
    [
        "SharedAccessSignature {}",
        "sharedaccesssignature   {}",
        "  {}\r\n",
        'token="{}",refresh="true"',
        'SharedAccessSignature token="{}",refresh="true"',
        'token="SharedAccessSignature {}", refresh="false"',
        'token="{}"',
    ],
)
@pytest.mark.parametrize("identity", ["1", 'a"b', "a&b=c", "gatewaykey"])
def test_a_short_token_is_read_in_every_wrapping_it_was_seen_in(wrapping: str, identity: str) -> None:
    token = parse(wrapping.format(bare(create(Form.SHORT, identity, COUNTED, END)).reveal()))
    assert (token.form, token.identity, verify(token, COUNTED)) == (Form.SHORT, identity, True)


def test_the_first_marks_of_a_long_token_count_since_the_rest_may_look_like_them() -> None:
    stated = "2030-01-02T03:04:05.0000000Z"
    token = parse(f"uid=a=b&c&ex={stated}&sn={by_the_page('a=b&c', stated, COUNTED)}")
    assert (token.identity, verify(token, COUNTED)) == ("a=b&c", True)


# -------- what no token may hold


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("identity", ["", " ", " a", "a ", "a\nb", "a\tb", "gränna", "a" * 81, "\ud800"])
def test_an_identity_that_no_header_can_carry_is_refused(form: Form, identity: str) -> None:
    with pytest.raises(Malformed, match="identity"):
        create(form, identity, COUNTED, END)


@pytest.mark.parametrize(
    ("form", "identity"),
    [
        (Form.LONG, "a&ex=b"),
        (Form.LONG, "a&sn=b"),
        (Form.SHORT, "uid=a"),
        (Form.GATEWAY, "UID=a"),
        (Form.SHORT, "GatewayKey a"),
        (Form.GATEWAY, "SharedAccessSignature a"),
    ],
)
def test_an_identity_that_would_make_the_token_mean_two_things_is_refused(form: Form, identity: str) -> None:
    with pytest.raises(Malformed, match="identity"):
        create(form, identity, COUNTED, END)


@pytest.mark.parametrize("form", Form)
def test_an_empty_key_neither_signs_nor_verifies(form: Form) -> None:
    with pytest.raises(Malformed, match="empty key"):
        create(form, "integration", Secret(""), END)
    assert not verify(parse(SAMPLES[form]), Secret(""))


# -------- what is not one


@pytest.mark.parametrize("form", Form)
def test_every_truncation_of_a_token_is_refused(form: Form) -> None:
    whole = SAMPLES[form]
    assert not refused(whole)
    cut = {whole[:end] for end in range(len(whole))} | {whole[start:] for start in range(1, len(whole))}
    assert {text for text in cut if not refused(text)} <= {whole.partition(" ")[2], f" {whole.partition(' ')[2]}"}


@pytest.mark.parametrize("form", Form)
def test_every_flip_of_a_bit_behind_the_scheme_word_is_refused(form: Form) -> None:
    whole = SAMPLES[form]
    start = len(whole.partition(" ")[0]) + 1
    flipped = [
        whole[:at] + chr(ord(whole[at]) ^ (1 << bit)) + whole[at + 1 :]
        for at in range(start, len(whole))
        for bit in range(8)
    ]
    assert [text for text in flipped if not refused(text)] == []


@pytest.mark.parametrize("form", Form)
def test_a_signature_has_one_spelling(form: Form) -> None:
    """Base64 leaves four bits of its last character unused; a lax reader takes sixteen texts for the same bytes."""
    whole = SAMPLES[form]
    last = whole[-3]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    group = alphabet.index(last) & 0b110000
    again = [f"{whole[:-3]}{char}==" for char in alphabet[group : group + 16] if char != last]
    spelled = [*again, whole[:-1], whole[:-2], f"{whole}=", f"{whole}&", f"{whole}A"]
    assert [text for text in spelled if not refused(text)] == []
    token = parse(whole)
    lax = Token(token.form, token.identity, token.expires, Secret(again[0][-88:]), token.stated)
    assert base64.b64decode(lax.signature.reveal()) == base64.b64decode(token.signature.reveal())
    assert not verify(lax, COUNTED)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "GatewayKey",
        "SharedAccessSignature ",
        "Bearer abc",
        "a&b",
        "&&",
        "uid=&ex=&sn=",
        f"GatewayKey uid=gw&ex=2030-01-02T03:04:05.0000000Z&sn={'A' * 86}==",
        f"gw&20300102030&{'A' * 86}==",
        f"gw&2030010203040&{'A' * 86}==",
        f"gw&٢٠٣٠٠١٠٢٠٣٠٤&{'A' * 86}==",
        f"gw&203013020304&{'A' * 86}==",
        f"gw&000001020304&{'A' * 86}==",
        f"gw&203001022404&{'A' * 86}==",
        f"&203001020304&{'A' * 86}==",
        f"g\nw&203001020304&{'A' * 86}==",
        f"grä&203001020304&{'A' * 86}==",
        f"uid=gw&ex=2030-02-30T03:04:05.0000000Z&sn={'A' * 86}==",
        f"uid=gw&ex=2030-01-02T03:04:05.0000000+02:00&sn={'A' * 86}==",
        f"uid=gw&ex=2030-01-02 03:04:05&sn={'A' * 86}==",
        f"uid=gw&sn={'A' * 86}==&ex=2030-01-02T03:04:05.0000000Z",
    ],
)
def test_a_text_that_is_no_token_is_refused_with_the_forms_that_there_are(text: str) -> None:
    with pytest.raises(Malformed, match=r"^not a token: ") as error:
        parse(text)
    assert "GatewayKey id&yyyyMMddHHmm&" in error.value.hint


@seeded
@given(st.text(max_size=300))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    assert refused(text)


# -------- what is never told


def told_by(text: str) -> str:
    """Everything that an error of this text shows: the message, the hint, and the traceback with its causes."""
    try:
        token = parse(text)
    except KeyturnError as error:
        return f"{error.hint} {error!r} {''.join(traceback.format_exception(error))}"
    return repr(token) + str(verify(token, OTHER))


@pytest.mark.parametrize("form", Form)
def test_no_error_and_no_repr_shows_six_characters_of_signature_or_key(form: Form) -> None:
    whole = SAMPLES[form]
    secrets = {whole[-88:], COUNTED.reveal(), OTHER.reveal()}
    runs = {secret[at : at + 6] for secret in secrets for at in range(len(secret) - 5)}
    broken = [whole[:-at] for at in range(1, 80)] + [whole[40:], whole.replace("&", "%26"), whole + "=", f"{whole}\n."]
    for text in (whole, *broken):
        said = told_by(text)
        assert said
        assert not [run for run in runs if run in said]


def test_a_refused_expiry_or_identity_is_not_repeated() -> None:
    pasted = COUNTED.reveal()
    for attempt in (
        lambda: create(Form.LONG, f"{pasted}\n", COUNTED, END),
        lambda: parse(f"{pasted}&{pasted}&{pasted}"),
        lambda: parse(f"uid=x&ex={pasted}&sn={pasted}"),
    ):
        with pytest.raises(Malformed) as error:
            attempt()
        shown = f"{error.value.hint}{''.join(traceback.format_exception_only(error.value))}"
        assert not [at for at in range(len(pasted) - 5) if pasted[at : at + 6] in shown]
        assert error.value.__context__ is None


# -------- how long one lives


def test_a_life_of_more_than_30_days_wants_a_persons_word_and_a_past_one_is_refused() -> None:
    check_life(END + LONGEST_LIFE, END)
    with pytest.raises(NeedsPerson, match="30 days"):
        check_life(END + LONGEST_LIFE + timedelta(seconds=1), END)
    check_life(END + 10 * LONGEST_LIFE, END, beyond=True)
    for past in (END, END - timedelta(days=1)):
        for beyond in (False, True):
            with pytest.raises(Malformed, match="past"):
                check_life(past, END, beyond=beyond)
