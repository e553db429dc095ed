"""What a file on a code host does by itself and a site has to be told.

- The parts of the navigation are those of docs/index.md, and the decisions those of docs/adr/README.md: their own lists
  of links are turned into tables of contents, so that a page which neither names is a warning, and so an error.
- A link to a folder leads to its README.md; one to a file that is no page becomes the path of that file.
- The picture of the states, a Mermaid block, is drawn here (`picture`).

Never here: a word that readers of the files do not have.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from picture import drawn
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

INDEX, DECISIONS = "docs/index", "docs/adr/README"
PART = re.compile(r"^\*\*(?P<caption>[^*]+)\*\*\n(?P<list>(?:- .*\n(?: .*\n)*)+)", re.MULTILINE)
PAGE = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<path>[^):#]+\.md)\)")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", _with_contents)
    app.connect("doctree-read", _as_on_a_code_host, priority=100)  # before Sphinx collects files to be copied
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _with_contents(_: Sphinx, name: str, source: list[str]) -> None:
    """Add to the two pages that list the others what tells Sphinx so."""
    if name == INDEX:
        parts = [(found["caption"], found["list"]) for found in PART.finditer(source[0])]
        listed = [found["path"] for _, text in parts for found in PAGE.finditer(text)]
        twice = {page for page in listed if listed.count(page) > 1}
        if len(parts) < 4 or twice:
            raise ExtensionError(f"docs/index.md has {len(parts)} parts, and names twice: {sorted(twice)}")
        source[0] += "".join(_contents(text, caption) for caption, text in parts)
    elif name == DECISIONS:
        source[0] += _contents("".join(line for line in source[0].splitlines() if line.startswith("| [")))


def _contents(text: str, caption: str = "") -> str:
    entries = [f"{found['text']} <{_docname(found['path'])}>" for found in PAGE.finditer(text)]
    if not caption:
        entries = [_docname(found["path"]) for found in PAGE.finditer(text)]
    head = f":caption: {caption}\n" if caption else ""
    return f"\n```{{toctree}}\n:hidden:\n{head}\n" + "\n".join(entries) + "\n```\n"


def _docname(path: str) -> str:
    name = path.removesuffix(".md")
    return f"/{name.removeprefix('../')}" if name.startswith("../") else name


def _as_on_a_code_host(app: Sphinx, doctree: nodes.document) -> None:
    folder = Path(str(doctree["source"])).parent
    for node in list(doctree.findall(addnodes.download_reference)):
        _path_instead(node, app, folder / node["reftarget"])
    for node in list(doctree.findall(addnodes.pending_xref)):
        _lead_into_folder(node, app, folder)
    for block in list(doctree.findall(nodes.literal_block)):
        if block.get("language") == "mermaid":
            block.replace_self(nodes.raw("", drawn(block.astext()), format="html"))


def _lead_into_folder(node: Any, app: Sphinx, folder: Path) -> None:
    if node.get("refdomain") is not None:
        return
    target = folder / node["reftarget"]
    if (target / "README.md").is_file():
        page = app.env.path2doc(str((target / "README.md").resolve()))
        if page in app.env.found_docs:
            node.attributes.update(refdomain="doc", reftarget=page, reftargetid=None)
            return
    if target.is_dir():
        _path_instead(node, app, target)


def _path_instead(node: Any, app: Sphinx, target: Path) -> None:
    """The link's text, and the path behind it unless the text is that."""
    path = target.resolve().relative_to(app.srcdir).as_posix()
    told = nodes.inline()
    told += [child.deepcopy() for child in node.children]
    if path not in node.astext():
        told += [nodes.Text(" ("), nodes.literal(path, path), nodes.Text(")")]
    node.replace_self(told)
