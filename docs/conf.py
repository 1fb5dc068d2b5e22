"""Sphinx's settings. `sphinx-build -W --keep-going -n -b html docs docs/_build/html` builds the site.

What the pages show of the code's work is made at each build: `pictures.py` draws, `tables.py` writes the
tables and figures, from the installed convlite and the committed results. The notebooks of `gallery/` run.
CONVLITE_DOCS_VERSION names the version in the switch ("latest", "0.2"); .github/workflows/pages.yml sets it.
"""

import os
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "bench")]

import heads  # noqa: E402
import pictures  # noqa: E402
import reading  # noqa: E402
import tables  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402

import convlite  # noqa: E402

project = "convlite"
author = "convlite authors"
copyright = author
version = release = convlite.__version__
urls = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))["project"]["urls"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_generated", "coming-from/differences.md"]
templates_path = ["_templates"]
language = "en"
smartquotes = False  # quotes in the text are those of code: padding="same"

html_theme = "furo"
html_title = f"convlite {release}"
html_static_path = ["_static"]
html_extra_path = ["versions.json"]
html_favicon = "_static/favicon.svg"
html_css_files = ["site.css"]
html_js_files = ["versions.js"]
html_context = {"docs_version": os.environ.get("CONVLITE_DOCS_VERSION", "latest")}
html_theme_options = {
    "source_repository": urls["Source"],
    "source_branch": "main",
    "source_directory": "docs/",
}
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "versions.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "project.html",
        "sidebar/scroll-end.html",
    ]
}
html_context |= {"project_urls": urls}
html_copy_source = False
# What the button copies is code: no prompts, and none of what it printed.
copybutton_prompt_text, copybutton_prompt_is_regexp = r">>> |\.\.\. ", True
html_show_copyright = False
html_show_sphinx = False
pygments_style, pygments_dark_style = "friendly", "github-dark"

# Types in docstrings are prose, such as "int, (h, w) or [1, h, w, 1], default 1": shown, not looked up.
napoleon_use_param, napoleon_use_rtype = False, False

myst_enable_extensions = ["substitution", "colon_fence"]
myst_heading_anchors = 3
myst_substitutions = tables.figures()
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_execution_in_temp = True  # they write files
nb_merge_streams = True

highlight_language = "none"  # what docstrings set apart with a colon is a table or a formula
default_role = "code"  # the docstrings write code between single backticks
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

nitpicky = True
# Types in signatures that have no page of their own: Python's, NumPy's, and aliases (api/index.md).
nitpick_ignore_regex = [
    ("py:class", r"(numpy|np|collections|typing|typing_extensions|os|datetime)\..*"),
    ("py:class", r"convlite\.network\.graph\.Graph"),
    (
        "py:class",
        "Array|ArrayLike|Coordinates|DTypeLike|Dim|Interpolation|Kernel|Method|(shuffles\\.)?Mode|NearestMode|"
        "Operation|Order|Pads|Pads1D|Pair|PathLike|Policy|Precision|Profile|Progress|Rename|Shape|Sizes|Spec|Steps|Self",
    ),
    ("py:class", "Any|Callable|Iterable|Iterator|Literal|Mapping|Sequence"),
]


def setup(app: Sphinx) -> dict[str, bool]:
    """Draw and write what the pages include; read docstrings as this project writes them."""
    generated = HERE / "_generated"
    generated.mkdir(exist_ok=True)
    pictures.write(generated)
    tables.write(generated)
    reading.setup(app)
    heads.setup(app)
    return {"parallel_read_safe": True}
