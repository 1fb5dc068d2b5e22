"""The page "Large images and many machines", run as it is written: its scripts and its commands.

tests/test_docs.py runs its examples at a prompt, tests/test_serving.py its servers.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from interpreter import TIMEOUT
from tile_networks import espcn, unet

import convlite as cl

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "large-images.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
SERVERS = "uvicorn "


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def test_every_block_is_run_somewhere() -> None:
    assert {language for language, _ in BLOCKS} == {"pycon", "python", "sh"}
    assert len(blocks("python")) == 1
    assert [SERVERS in text for text in blocks("sh")] == [False]


def test_the_script_for_a_cluster(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("distributed")
    zarr = pytest.importorskip("zarr")
    net = cl.Network(unet())
    net.save(tmp_path / "unet.npz")
    scan = np.random.default_rng(1).integers(0, 256, (304, 264, 3), np.uint8)
    np.save(tmp_path / "scan.npy", scan)
    (tmp_path / "cluster.py").write_text(blocks("python")[0])
    run = subprocess.run(
        [sys.executable, "cluster.py"], cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert run.returncode == 0, run.stderr[-3000:]
    found = np.asarray(zarr.open_array(str(tmp_path / "classes.zarr"), mode="r")[:])
    assert found.tobytes() == net(scan[None] / np.float32(255))[0].tobytes()


@pytest.mark.skipif(sys.platform == "win32", reason="the page's commands are those of a Unix shell")
def test_the_commands_for_a_folder(tmp_path: pathlib.Path) -> None:
    image = pytest.importorskip("PIL.Image")
    net = cl.Network(espcn())
    net.save(tmp_path / "model.npz")
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (5, 30, 20, 3), np.uint8)
    for number, array in enumerate(pixels):
        image.fromarray(array).save(tmp_path / "photos" / f"{number}.png")
    (command,) = (text for text in blocks("sh") if SERVERS not in text)
    shell = f'set -e; convlite() {{ {sys.executable} -m convlite "$@"; }}\n{command}'
    run = subprocess.run(
        ["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT,
        env={**os.environ, "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    lines = run.stdout.splitlines()
    assert [line.split(" in ")[0] for line in lines] == ["5 done, 0 skipped, 0 failed"] * 2
    with np.load(tmp_path / "results" / "3.png.npz") as held:
        found = held[held.files[0]]
    np.testing.assert_array_equal(found, net((pixels[3:4] * (1 / 255)).astype(np.float32)))
    with image.open(tmp_path / "drawn" / "3.png.png") as drawn:
        assert drawn.size == (60, 90)
