"""How Sphinx reads this project's docstrings, and the directive `picture`."""

import inspect
import re
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

THEMES = ("light", "dark")


def literal_blocks(lines: list[str]) -> list[str]:
    """What is indented below a line that ends with a colon stands as it is: the colon becomes reST's "::".

    >>> literal_blocks(["Layouts:", "    (kh, kw)", "and no other"])
    ['Layouts::', '', '    (kh, kw)', '', 'and no other']
    """
    result: list[str] = []
    margin: int | None = None  # of the line above the block, while within one
    for i, line in enumerate(lines):
        if margin is not None and line.strip() and _indent(line) <= margin:
            margin = None
            result += [""] if result[-1].strip() else []
        following = [later for later in lines[i + 1 : i + 3] if later.strip()][:1]
        if (
            margin is None
            and re.search(r"[^:]:$", line)
            and following
            and _indent(following[0]) > _indent(line)
        ):
            margin = _indent(line)
            result += [f"{line}:", ""]
        else:
            result.append(line)
    return result


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip()) if line.strip() else 0


class _AsWritten(str):
    """An annotation that inspect prints without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def as_written(annotation: object) -> object:
    """An annotation as its author wrote it: `ArrayLike`, not the long union that it stands for."""
    if not isinstance(annotation, str):
        return annotation
    return _AsWritten(re.sub(r"\b(npt|np|activations)\.", "", annotation))


def _shown(parameter: inspect.Parameter) -> inspect.Parameter:
    """A parameter as one would type it: no `<class 'numpy.float32'>`, no TypedDict behind `**keywords`."""
    annotation, default = as_written(parameter.annotation), parameter.default
    if str(annotation).startswith("Unpack["):
        annotation = inspect.Parameter.empty
    if isinstance(default, type) and default is not inspect.Parameter.empty:
        default = _AsWritten(default.__name__)
    return parameter.replace(annotation=annotation, default=default)


def _signature(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str, str] | None:
    if what not in ("function", "class", "method") or signature is None:
        return None
    found = inspect.signature(thing)
    parameters = list(found.parameters.values())
    if what == "method" and parameters and parameters[0].name == "self":
        del parameters[0]
    written = [_shown(one) for one in parameters]
    back = "" if what == "class" or returns is None else str(as_written(found.return_annotation))
    if back.startswith("Iterator[None]"):  # a context manager, whose generator is a detail
        back = ""
    empty = inspect.Signature.empty
    return str(found.replace(parameters=written, return_annotation=empty)), back


def _process(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = literal_blocks(lines)


class Picture(SphinxDirective):
    """A picture of pictures.py in both themes; the content is its caption, `:alt:` says what one sees."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """One figure, with an image for each theme: Furo shows one of them."""
        figure = nodes.figure(classes=["picture"])
        for theme in THEMES:
            uri = f"/_generated/{self.arguments[0]}-{theme}.svg"
            figure += nodes.image(uri=uri, alt=self.options["alt"], classes=[f"only-{theme}"])
        caption = nodes.caption()
        inline, messages = self.state.inline_text(" ".join(self.content), self.lineno)
        caption += inline
        figure += caption
        return [figure, *messages]


def setup(app: Sphinx) -> None:
    """Called by conf.py."""
    app.add_directive("picture", Picture)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-process-docstring", _process, priority=800)  # after napoleon
