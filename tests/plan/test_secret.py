"""A Secret shows its value to nobody who did not ask by name."""

from __future__ import annotations

import json
import pickle
import traceback

import msgspec
import pytest

from keyturn.errors import KeyturnError
from keyturn.model import MASK, Secret

VALUE = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    "shown",
    [
        repr(Secret(VALUE)),
        str(Secret(VALUE)),
        f"{Secret(VALUE)} {Secret(VALUE):>40} {Secret(VALUE)!r}",
        repr([Secret(VALUE), {"k": Secret(VALUE)}]),
        json.dumps({"k": Secret(VALUE)}, default=str),
        repr(pickle.loads(pickle.dumps(Secret(VALUE)))),
        pickle.loads(pickle.dumps(Secret(VALUE))).reveal(),
        "%s %r" % (Secret(VALUE), Secret(VALUE)),  # noqa: UP031 - logging formats like this
    ],
)
def test_no_form_of_a_secret_shows_six_characters_of_it(shown: str) -> None:
    assert not any(VALUE[i : i + 6] in shown for i in range(len(VALUE) - 5))
    assert MASK in shown


def test_msgspec_refuses_to_encode_a_secret() -> None:
    with pytest.raises(TypeError):
        msgspec.json.encode({"k": Secret(VALUE)})


def test_a_traceback_with_a_secret_in_its_error_is_masked() -> None:
    error = KeyturnError(f"could not write {Secret(VALUE)}")
    assert VALUE not in "".join(traceback.format_exception(error))


def test_equal_values_are_equal_and_fingerprints_are_salted_and_96_bits() -> None:
    assert Secret(VALUE) == Secret(VALUE)
    assert Secret(VALUE) != Secret(VALUE[::-1])
    print_ = Secret(VALUE).fingerprint(b"one")
    assert len(print_) == 24
    assert print_ != Secret(VALUE).fingerprint(b"two")
    assert print_ == Secret(VALUE).fingerprint(b"one")


def test_reveal_is_the_way_to_the_value() -> None:
    assert Secret(VALUE).reveal() == VALUE
