"""The README's Python runs, and its commands are the ones that `.ci/run` runs."""

import re
import tomllib
from pathlib import Path

import network_examples
import pytest

from convlite import Network

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_python_blocks_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a block may write a file
    Network(network_examples.classifier()).save("model.npz")  # the reader's own, converted
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL))
    assert len(blocks) >= 3
    namespace: dict[str, object] = {}
    for block in blocks:
        line = README[: block.start()].count("\n") + 1
        exec(compile("\n" * line + block[1], str(ROOT / "README.md"), "exec"), namespace)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", README))))
def test_relative_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


@pytest.mark.parametrize("command", re.findall(r'^pip install ".*$', README, re.MULTILINE))
def test_the_commands_are_run_by_ci(command: str) -> None:
    assert f"readme '{command}'" in (ROOT / ".ci" / "run").read_text()


def test_the_documentation_is_at_the_project_s_address() -> None:
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    assert f"]({urls['Documentation']})" in README
