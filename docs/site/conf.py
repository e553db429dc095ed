"""The documentation as a site: these pages are the Markdown files of this repository, as they are (ADR 0017).

    uv run --group docs sphinx-build -c docs/site -EaqW --keep-going . .cache/site

Every warning is red: a link or an anchor that leads nowhere, a page in no part of docs/index.md. Nothing is fetched,
neither when the site is built nor when it is read.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "keyturn"
author = "The keyturn authors"
html_title = "keyturn"
root_doc = "docs/index"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md", "docs/adr/*.md"]

extensions = ["myst_parser", "as_files"]
nitpicky = True
myst_heading_anchors = 6  # the anchors that a code host makes of headings, so that one link fits both
highlight_language = "text"

html_theme = "furo"
html_copy_source = False
html_show_sourcelink = False
html_extra_path = ["root"]  # whoever opens the folder lands on the first page
html_theme_options = {"top_of_page_buttons": []}
