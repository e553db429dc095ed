"""The searcher finds a value in each of its dresses, and keeps quiet about what is innocent."""

from __future__ import annotations

import base64
import json
import secrets
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.leaks.marked import LETTERS, Marked, secret_part
from tests.leaks.quotes import FORMS, quoted
from tests.leaks.searching import MARKED_RUN, RUN, Searcher

MARKED = "zqxjkvwyghmnpostlruizqjxvkwhygnm"
HEX = "3f0a9c5517de42b8860b1fd4c7a29e63"
KEY = base64.b64encode(bytes(range(100, 164))).decode()
SECRETS = [("marked", MARKED), ("hex", HEX), ("key", KEY)]
SEARCHER = Searcher(SECRETS)


def found(text: str | bytes) -> set[str]:
    return {find.name for find in SEARCHER.look(text if isinstance(text, bytes) else text.encode())}


@pytest.mark.parametrize(
    ("name", "value", "form"),
    [
        *(("marked", MARKED, form) for form in FORMS),
        # ten letters of an ordinary value are too few to prove anything
        *((name, value, form) for name, value in SECRETS[1:] for form in FORMS if form not in {"head", "upper"}),
    ],
)
def test_a_value_is_found_however_it_is_quoted(name: str, value: str, form: str) -> None:
    assert found(f"before '{quoted(value, form)}' after") == {name}


@pytest.mark.parametrize(("name", "value"), SECRETS)
@pytest.mark.parametrize("before", ["", "k", "ke", "key", "key=", "a longer text before it: "])
def test_base64_hides_no_value_wherever_in_it_that_begins(name: str, value: str, before: str) -> None:
    whole = f"{before}{value} and more".encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert found(b"{'body': '" + encode(whole) + b"'}") == {name}
        assert found(b"body=" + encode(whole).rstrip(b"=")) == {name}


@pytest.mark.parametrize(("name", "value"), SECRETS)
def test_two_dresses_one_above_the_other_are_both_taken_off(name: str, value: str) -> None:
    inner = base64.b64encode(f"key={value}".encode()).decode()
    assert found(quote(inner, safe="")) == {name}
    assert found(json.dumps(json.dumps({"body": quote(value, safe="")}))) == {name}
    assert found("".join(f"%{byte:02x}" for byte in inner.encode())) == {name}
    assert found(value.encode("utf-16-le")) == {name}
    assert found(" ".join(f"{byte:02x}" for byte in value.encode())) == {name}


def test_six_letters_of_a_marked_value_and_twelve_of_another_prove_a_leak_and_fewer_do_not() -> None:
    for at in range(len(MARKED) - MARKED_RUN + 1):
        assert found(f"<{MARKED[at : at + MARKED_RUN]}>") == {"marked"}
    for at in range(len(HEX) - RUN + 1):
        assert found(f"<{HEX[at : at + RUN]}>") == {"hex"}
    assert found(f"<{MARKED[: MARKED_RUN - 1]}> <{HEX[: RUN - 1]}> <{KEY[: RUN - 1]}>") == set()


@pytest.mark.parametrize("around", [b"\0\xff\xfe", b"\n", b"%", b"\\u", b"aGVsbG8"])
def test_bytes_that_make_no_sense_around_it_hide_nothing(around: bytes) -> None:
    assert found(around + b" " + MARKED.encode() + b" " + around) == {"marked"}


def test_innocent_files_are_innocent() -> None:
    root = Path(__file__).parents[2]
    for path in [*root.glob("docs/*.md"), *root.glob("src/keyturn/**/*.py"), root / "pyproject.toml"]:
        assert list(SEARCHER.look(path.read_bytes())) == [], path.name


def test_other_values_of_the_same_kind_are_not_taken_for_a_known_one() -> None:
    others = [Marked(7).draw(str(number)) for number in range(50)]
    others += [secrets.token_hex(16) for _ in range(50)]
    others += [base64.b64encode(secrets.token_bytes(64)).decode() for _ in range(50)]
    assert found("\n".join(others)) == set()


def test_a_find_tells_what_stands_before_the_value_and_nothing_of_it() -> None:
    (find,) = SEARCHER.look(f'{{"primaryKey": "{MARKED}"}}'.encode())
    assert find.around == '{"primaryKey": "<here>'
    assert find.dress == "as it is"


def test_of_a_token_its_signature_is_the_secret_and_not_whom_it_names() -> None:
    long = "SharedAccessSignature uid=integration&ex=2030-01-02T03:04:05.0000000Z&sn=c2lnbmF0dXJl"
    assert secret_part(long) == "c2lnbmF0dXJl"
    assert secret_part("GatewayKey gw-oslo&203001020304&c2ln") == "c2ln"
    assert secret_part(MARKED) == MARKED


def test_marked_values_have_no_letter_of_hex_and_are_all_different() -> None:
    marked = Marked()
    values = [marked.draw(str(number)) for number in range(200)]
    assert len({value[at : at + MARKED_RUN] for value in values for at in range(27)}) == 200 * 27
    assert all(set(value) <= set(LETTERS) for value in values)
    assert not set(LETTERS) & set("0123456789abcdef")
