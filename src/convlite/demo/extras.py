"""The demo's optional packages, imported when needed and missed with a hint."""

import importlib
from typing import Any

__all__ = ["NEEDED", "DemoError", "extra"]

NEEDED = "mtcnn==1.0.0 joblib lz4 scikit-image pillow tqdm"  # the extra `demo` of pyproject.toml


class DemoError(Exception):
    """What stops the demo and is the user's to mend; its text is printed without a traceback."""


def extra(module: str) -> Any:
    """Import a module of the extra `convlite[demo]` and return it.

    Raises DemoError, saying what to install, where the module is missing.

    >>> extra("json").dumps([1])
    '[1]'
    >>> extra("no_such_module")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    convlite.demo.extras.DemoError: the demo needs the module 'no_such_module'; pip install mtcnn==1.0.0 ...
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = error.name or module
        raise DemoError(f"the demo needs the module {missing!r}; pip install {NEEDED}") from error
