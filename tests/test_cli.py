"""The command line: what it prints, what it imports, how it ends."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import convlite as cl
from convlite import cli

ROOT = Path(__file__).parents[1]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"convlite {cl.__version__}\n"


def test_info_is_show_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    printed = capsys.readouterr().out
    cl.show_config()
    assert printed == capsys.readouterr().out
    assert f"convlite {cl.__version__}" in printed


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    text = capsys.readouterr().out
    for command, (purpose, _) in cli.COMMANDS.items():
        assert command in text
        assert purpose in text


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_has_its_own_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])
    assert capsys.readouterr().out.startswith(f"usage: convlite {command}")


@pytest.mark.parametrize("arguments", [["unknown"], ["--unknown"], ["info", "more"]])
def test_misuse_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error:" in captured.err


@pytest.mark.parametrize("arguments", [[], None])
def test_the_command_alone_prints_the_help(
    arguments: list[str] | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["convlite"])
    assert cli.main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("usage: convlite ")
    assert all(command in captured.out for command in cli.COMMANDS)
    assert captured.err == ""


def test_python_m_is_the_same_command() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "convlite", "info"], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith(f"convlite {cl.__version__}")
    run = subprocess.run(
        [sys.executable, "-m", "convlite", "unknown"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.startswith("usage: convlite ")


def test_a_command_is_imported_only_when_asked_for() -> None:
    script = "import sys; from convlite import cli; cli.main(['info']); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.splitlines()[-1].split())
    assert not loaded & {"convlite.demo", "convlite.demo.run", "PIL", "skimage", "tqdm", "joblib"}


def test_the_installed_script_runs_main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["convlite"] == f"{cli.main.__module__}:{cli.main.__name__}"
