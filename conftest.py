"""Doctests run in the package that pip installed; src/ only tells pytest their names.

pytest takes a module of src/convlite from sys.modules if it is there, and otherwise loads the file, a
second copy without the compiled core. So every installed module is imported here, before anything is
collected.
"""

import importlib
import importlib.util
import pkgutil

import pytest

import convlite


def pytest_addoption(parser: pytest.Parser) -> None:
    """--long: also the tests marked `long`, which take minutes to hours.

    --no-grid: without those that the fixture `isa` runs on every instruction set, after a run that had them.
    """
    parser.addoption("--long", action="store_true", help="run the tests marked `long` too (alone: -m long)")
    parser.addoption("--no-grid", action="store_true", help="leave out the tests with the fixture `isa`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long tests out, unless asked for, and the grid's, where asked to."""

    def left_out(item: pytest.Item) -> bool:
        long = item.get_closest_marker("long") is not None and not config.getoption("--long")
        return long or (config.getoption("--no-grid") and "isa" in getattr(item, "fixturenames", ()))

    config.hook.pytest_deselected(items=[item for item in items if left_out(item)])
    items[:] = [item for item in items if not left_out(item)]


def pytest_report_header() -> str:
    """Say which convlite is tested, and on which instruction sets."""
    from convlite import _dispatch

    isas = ", ".join(_dispatch.available_isas())
    return f"convlite {convlite.__version__} from {convlite.__file__}; this CPU runs {isas}"


# A module of tests that are skipped without torch.
collect_ignore = [] if importlib.util.find_spec("torch") else ["tests/architecture_modules.py"]

for module in pkgutil.walk_packages(convlite.__path__, "convlite."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
