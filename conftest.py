"""Doctests run in the package that pip installed; src/ only tells pytest their names.

pytest takes a module of src/convlite from sys.modules if it is there, and otherwise loads the file, a
second copy without the compiled core. So every installed module is imported here, before anything is
collected.
"""

import importlib
import pkgutil

import pytest

import convlite


def pytest_addoption(parser: pytest.Parser) -> None:
    """--long: also the tests marked `long`, which take minutes to hours."""
    parser.addoption("--long", action="store_true", help="run the tests marked `long` too (alone: -m long)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long tests out, unless asked for."""
    if not config.getoption("--long"):
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_report_header() -> str:
    """Say which convlite is tested, and on which instruction sets."""
    from convlite import _dispatch

    isas = ", ".join(_dispatch.available_isas())
    return f"convlite {convlite.__version__} from {convlite.__file__}; this CPU runs {isas}"


for module in pkgutil.walk_packages(convlite.__path__, "convlite."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
