"""YAML comes in as text with places, and what would vanish or change silently is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyturn.config import Node
from keyturn.errors import Misconfigured
from keyturn.yaml_marks import read_file, read_text


def plain(node: Node) -> object:
    if node.kind == "map":
        return {key.text: plain(value) for key, value in node.pairs}
    return [plain(item) for item in node.items] if node.kind == "list" else node.text


def refusal(text: str) -> tuple[str, ...]:
    with pytest.raises(Misconfigured) as caught:
        read_text(text, "k.yaml")
    return caught.value.problems


def test_scalars_stay_the_text_that_was_written() -> None:
    written = "{a: 1:30, b: no, c: 0x10, d: 2027-01-01, e: '5', f: ~, g: 1e3, h: ''}"
    assert plain(read_text(written, "k.yaml")) == {
        "a": "1:30",
        "b": "no",
        "c": "0x10",
        "d": "2027-01-01",
        "e": "5",
        "f": "~",
        "g": "1e3",
        "h": "",
    }


def test_every_node_knows_its_line_and_column() -> None:
    root = read_text("a:\n  - x\n  - {b: y}\n", "k.yaml")
    ((key, items),) = root.pairs
    ((inner_key, inner),) = items.items[1].pairs
    places = [(node.line, node.column) for node in (key, items.items[0], items.items[1], inner_key, inner)]
    assert places == [(1, 1), (2, 5), (3, 5), (3, 6), (3, 9)]


def test_anchors_and_aliases_are_fine_and_point_at_the_anchor() -> None:
    root = read_text("a: &it {cache: 1h}\nb: *it\n", "k.yaml")
    assert plain(root) == {"a": {"cache": "1h"}, "b": {"cache": "1h"}}
    assert root.pairs[1][1].line == 1


def test_an_empty_list_is_not_an_empty_map() -> None:
    root = read_text("{a: [], b: {}}", "k.yaml")
    assert [value.kind for _, value in root.pairs] == ["list", "map"]


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        ("a: 1\nb: 2\na: 3\n", "k.yaml:3:1", "line 1"),
        ("a: !!int 5\n", "k.yaml:1:4", "tag"),
        ("a: !!python/name:os.system x\n", "k.yaml:1:4", "tag"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "k.yaml:3:3", "merge"),
        ("a: &x\n  b: *x\n", "k.yaml:2:3", "contains itself"),
        ("[a]: 1\n", "k.yaml:1:1", "cannot be a key"),
        ("a: {b: 1\nc: 2\n", "k.yaml:2:2", "not YAML"),
        ("a: 1\n---\nb: 2\n", "k.yaml:2:1", "not YAML"),
        ("a:\n\t- b\n", "k.yaml:2:1", "not YAML"),
        ("a: *nobody\n", "k.yaml:1:4", "not YAML"),
        ("a: \x01\n", "k.yaml:1:1", "character"),
        ("[" * 20_000, "k.yaml:1:1", "deeply"),
        ("", "k.yaml:1:1", "empty"),
        ("# nothing\n", "k.yaml:1:1", "empty"),
    ],
)
def test_what_would_vanish_or_mislead_is_refused_with_its_place(text: str, place: str, word: str) -> None:
    (shown,) = refusal(text)
    assert word in shown
    if word != "contains itself":
        assert shown.startswith(f"{place}  ")


def test_all_duplicates_are_told_at_once() -> None:
    assert len(refusal("a: 1\na: 2\nb: {c: 1, c: 2}\nb: 3\n")) == 3


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "k.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: b\r\n")
    assert plain(read_file(path)) == {"a": "b"}


@pytest.mark.parametrize(("content", "word"), [(None, "no configuration"), (b"a: \xff\n", "UTF-8")])
def test_a_file_that_is_missing_or_no_text_is_named(tmp_path: Path, content: bytes | None, word: str) -> None:
    path = tmp_path / "k.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Misconfigured, match=word) as caught:
        read_file(path)
    assert str(path) in str(caught.value)


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_file(tmp_path)
