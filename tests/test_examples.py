"""The examples print the numbers of the documents that they reproduce."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from convlite import _dispatch

EXAMPLES = Path(__file__).parents[1] / "examples"
NUMBER = r"[-+]?\d+\.\d*(?:e[-+]?\d+)?"

# tf.random_normal((1, 6), seed=0), TensorFlow 2.21; the first two are the kernel of documents 000 and 004.
KERNEL = np.float32([-0.3991576, 2.1044393, 0.17107224, 0.54651815, -2.4234028, 0.422554])

# What document 001 prints, six outputs for each of four pixels.
SIX_OUTPUTS = np.float32(
    [
        [0.50380087, -2.6561394, -0.21592058, -0.68979347, 3.0587225, -0.5333308],
        [0.3227102, -1.7013931, -0.13830817, -0.44184795, 1.9592681, -0.34162566],
        [0.07980407, -0.4207431, -0.03420268, -0.10926604, 0.48451388, -0.08448173],
        [0.27763024, -1.4637225, -0.11898765, -0.38012543, 1.6855744, -0.29390335],
    ]
)

# Document 004's table: np.random.rand after seed(1), and the transpose of the dense (and of the conv) layer.
TABLE = {
    4.17022005e-01: 1.9132932e00,
    7.20324493e-01: 3.3048427e00,
    1.14374817e-04: 5.2475062e-04,
    3.02332573e-01: 1.3870993e00,
    1.46755891e-01: 6.7331469e-01,
    9.23385948e-02: 4.2364866e-01,
    1.86260211e-01: 8.5456026e-01,
    3.45560727e-01: 1.5854297e00,
    3.96767474e-01: 1.8203658e00,
    5.38816734e-01: 2.4720864e00,
    4.19194514e-01: 1.9232609e00,
    6.85219500e-01: 3.1437812e00,
    2.04452250e-01: 9.3802512e-01,
    8.78117436e-01: 4.0287952e00,
    2.73875932e-02: 1.2565404e-01,
    6.70467510e-01: 3.0760992e00,
}


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Run an example's main() and return what it printed."""

    def run(name: str) -> str:
        (path,) = EXAMPLES.glob(f"{name}*.py")
        spec = importlib.util.spec_from_file_location(f"example_{name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        capsys.readouterr()
        with np.printoptions():
            module.main()
        return capsys.readouterr().out

    return run


def numbers(text: str) -> np.ndarray:
    return np.float32(re.findall(NUMBER, text))


def within_an_ulp(actual: np.ndarray, expected: np.ndarray) -> bool:
    """One float32 apart at most: the order of two roundings is all that may differ."""
    return bool((np.abs(actual - expected) <= np.spacing(np.abs(expected))).all())


def test_every_example_is_tested_and_says_what_it_reproduces() -> None:
    scripts = sorted(EXAMPLES.glob("[0-9]*.py"))
    others = sorted(path.name for path in {*EXAMPLES.glob("*.py")} - {*scripts})
    assert others == ["ray_batches.py", "resnet.py", "serve_fastapi.py", "unet.py"]
    documents = ["document 000", "document 001", "document 002", "document 003", "document 004"]
    assert [path.name[:2] for path in scripts] == ["01", "02", "03", "04", "05"]
    for path, document in zip(scripts, documents, strict=True):
        assert document in path.read_text()


def test_000_dense_and_1x1_convolution_agree(printed: Callable[[str], str]) -> None:
    text = printed("01")
    dense, conv = (numbers(part).reshape(4, 2) for part in text.split("Conv 1x1"))
    assert np.array_equal(dense, conv)
    np.testing.assert_allclose(dense[:, 1] / dense[:, 0], KERNEL[1] / KERNEL[0], rtol=1e-6)
    assert text.endswith("Same output? = True\n")


def test_001_six_outputs_are_the_kernel_times_the_pixel(printed: Callable[[str], str]) -> None:
    text = printed("02")
    assert text.startswith("(1, 2, 2, 6)\n(1, 2, 2, 6)\nDense Output =")
    dense, conv = (numbers(part).reshape(4, 6) for part in text.split("Conv 1x1"))
    assert np.array_equal(dense, conv)
    assert within_an_ulp(dense, SIX_OUTPUTS)
    ratios = SIX_OUTPUTS / SIX_OUTPUTS[:, :1]  # of the document's own numbers
    np.testing.assert_allclose(ratios, np.broadcast_to(KERNEL / KERNEL[0], (4, 6)), rtol=1e-6)
    assert text.endswith("Same output? = True\n")


def test_002_linear_is_a_convolution_in_two_ways(printed: Callable[[str], str]) -> None:
    text = printed("03")
    assert "inputs: (1, 1, 2, 2) in PyTorch, (1, 2, 2, 1) here" in text
    assert "kernel (2, 2, 1, 2) bias (2,)" in text
    results = re.findall(r"^(fully connected|convolution, .*?): (\[.*\])$", text, re.MULTILINE)
    assert len(results) == 3
    for _, values in results:
        np.testing.assert_array_equal(numbers(values), np.float32([14.9, 19.0]))


def test_003_both_forms_have_the_same_kernel(printed: Callable[[str], str]) -> None:
    text = printed("04")
    assert "kernels are exactly the same" in text
    assert "outputs are exactly the same" in text
    begins = numbers(text.split("begins with")[1])
    np.testing.assert_allclose(begins, [0.06847531, 0.08497633, -0.00109216], rtol=0, atol=5e-9)


@pytest.mark.usefixtures("isa")
def test_004_table(printed: Callable[[str], str]) -> None:
    text = printed("05")
    assert text.count("Same output? = True") == 2
    assert "relu, flattened: (1, 32) smallest 0.0" in text
    assert "transpose of a conv layer: (1, 4, 4, 1)" in text
    assert "transpose of a dense layer: (1, 4, 4, 1)" in text

    rows = np.float64(re.findall(rf"^\s*({NUMBER})\s+({NUMBER})\s+({NUMBER})$", text, re.MULTILINE))
    assert rows.shape == (16, 3)
    assert rows[:, 0].tolist() == list(TABLE)
    expected = np.float32(list(TABLE.values()))
    assert np.array_equal(rows[:, 1], rows[:, 2])
    assert within_an_ulp(np.float32(rows[:, 1]), expected)
    # TensorFlow 1 rounded each product before the sum; kernels that do so too give all sixteen to the digit.
    if not _dispatch.config()["fma"]:
        assert np.array_equal(np.float32(rows[:, 1]), expected)


def test_004_sizes(printed: Callable[[str], str]) -> None:
    sizes = re.findall(r"^(\dx\d -> \dx\d): (.*)$", printed("05"), re.MULTILINE)
    assert sizes == [
        ("3x3 -> 6x6", "kernel 5x5, stride 2, SAME"),
        ("2x2 -> 4x4", "kernel 3x3, stride 2, SAME"),
        ("4x4 -> 6x6", "kernel 3x3, stride 1, VALID"),
        ("4x4 -> 9x9", "kernel 3x3, stride 2, VALID"),
        ("4x4 -> 4x4", "kernel 1x1, stride 1, VALID"),
        ("4x4 -> 8x8", "kernel 1x1, stride 2, VALID"),
        ("4x4 -> 2x2", "a regular convolution, kernel 1x1, stride 2, VALID"),
    ]


def test_004_batches(printed: Callable[[str], str]) -> None:
    _, _, text = printed("05").partition("downsample example\n")
    down, up = text.split("upsample example\n")
    # The rows of ones are what TensorFlow 2.21 computes.
    assert down.splitlines() == [
        "(64, 14, 14, 128)",
        "(64, 14, 14, 128)",
        "(64, 7, 7, 256)",
        "first row of y2: 256 256" + " 512 256" * 6,
        "first row of x2: 524288" + " 655360" * 5 + " 393216",
    ]
    assert up.splitlines() == [
        "(64, 4, 4, 256)",
        "(64, 12, 12, 128)",
        "(64, 14, 14, 128)",
        "first row of x:" + " 1152" * 4,
        "first row of y2:" + " 294912" * 12 + " 0 0",
    ]


def test_unet_is_built_saved_and_loaded(
    printed: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["unet.py", str(tmp_path / "net.npz")])
    text = printed("unet")
    assert "concatenate (Concatenate)" in text
    assert "re_lu_3, conv2d_transpose" in text
    assert "(1, 32, 48, 3) -> (1, 32, 48, 2) sums to 1: True" in text
    assert "(1, 64, 64, 3) -> (1, 64, 64, 2) sums to 1: True" in text
    # 11 convolutions with norm and relu inside, 2 transposed ones, 2 pools, 2 concatenations, a softmax
    assert "steps that run: 18 of 37 layers" in text
    assert text.endswith("the file gives the same bits: True\n")
    assert (tmp_path / "net.npz").exists()


def test_resnet_follows_blocks_of_its_own(printed: Callable[[str], str]) -> None:
    text = printed("resnet")
    assert "stage2_block2 (Residual)" in text
    # He et al., table 6: 0.27 million parameters in ResNet-20
    assert re.search(r"^Parameters: 27\d,\d{3}$", text, re.MULTILINE)
    assert "(4, 32, 32, 3) -> (4, 10) sums to 1: True" in text
    assert "one at a time, the same bits: True" in text
    assert "a block alone, with arrays: (1, 32, 32, 16) -> (1, 16, 16, 32)" in text
    assert text.endswith("in the network: 21 conv, 9 add, 1 reduce_mean, 1 dense, 1 softmax\n")
