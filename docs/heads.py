"""What search engines and other sites show of a page: its description, from its first paragraph."""

import html
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

LONGEST = 160  # characters; search engines cut there
DESCRIPTION = (
    "Runs trained convolutional networks (ONNX, TFLite, Keras, PyTorch) on the CPU with NumPy alone."
)


def description(tree: nodes.document | None) -> str:
    """The first paragraph of text that is long enough to say something, cut at a word."""
    for paragraph in tree.findall(nodes.paragraph) if tree is not None else ():
        text = " ".join(paragraph.astext().split())
        if len(text) >= 40 and not isinstance(paragraph.parent, nodes.list_item):
            return text if len(text) <= LONGEST else text[: LONGEST - 4].rpartition(" ")[0] + " ..."
    return DESCRIPTION


def _add(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: nodes.document | None) -> None:
    """Write the description as HTML and for Open Graph, unless the page has one of its own."""
    if 'name="description"' not in context.get("metatags", ""):
        said = html.escape(DESCRIPTION if page == "index" else description(tree), quote=True)
        title = html.escape(str(context.get("title", "convlite")), quote=True)
        context["metatags"] = context.get("metatags", "") + (
            f'\n<meta name="description" content="{said}">'
            f'\n<meta property="og:title" content="{title}">'
            f'\n<meta property="og:description" content="{said}">'
        )


def setup(app: Sphinx) -> None:
    """Called by conf.py."""
    app.connect("html-page-context", _add)
