"""Live PyTorch modules as networks. PyTorch itself is what they are compared with."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: Network.from_torch is not tested")
pytest.importorskip("onnx", reason="the package onnx is not installed: Network.from_torch is not tested")
pytest.importorskip("onnxscript", reason="onnxscript is not installed: Network.from_torch is not tested")

from convlite.network.load import torch as loader  # noqa: E402
from convlite.network.network import Network  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of the exporters


def small() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
        torch.nn.Dropout(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5),
    )  # fmt: skip


def test_any_batch_gives_what_torch_gives() -> None:
    module = small().eval()
    net = Network.from_torch(module, torch.zeros(2, 3, 12, 12))
    assert [value.name for value in net.inputs] == ["input"]
    for batch in (1, 5):
        x = torch.randn(batch, 3, 12, 12)
        np.testing.assert_allclose(net(x.numpy()), module(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_free_sizes_have_the_caller_s_names() -> None:
    module = torch.nn.Conv2d(3, 4, 3)
    net = Network.from_torch(module, torch.zeros(2, 3, 5, 5))
    assert (net.inputs[0].shape, net.outputs[0].shape) == (("batch", 3, 5, 5), ("batch", 4, 3, 3))
    net = Network.from_torch(
        module, torch.zeros(2, 3, 5, 6), dynamic_axes={"input": {0: "N", 2: "H", 3: "W"}}
    )
    assert net.outputs[0].shape == ("N", 4, "H - 2", "W - 2")


def test_free_sizes_that_may_differ_have_different_names() -> None:
    class Two(torch.nn.Module):
        def forward(self, x: Any, y: Any) -> Any:
            return x + 1, y * 2

    net = Network.from_torch(Two(), (torch.zeros(2, 3), torch.zeros(4, 3)))
    assert [value.shape for value in net.outputs] == [("batch", 3), ("y[0]", 3)]
    first, second = net(np.zeros((5, 3), np.float32), np.ones((7, 3), np.float32))
    assert (first.shape, second.shape) == ((5, 3), (7, 3))


def test_channels_last_on_request() -> None:
    module = small().eval()
    net = Network.from_torch(module, torch.zeros(2, 3, 12, 12), layout="NHWC")
    x = torch.randn(3, 3, 12, 12)
    got = net(np.ascontiguousarray(x.numpy().transpose(0, 2, 3, 1)))
    np.testing.assert_allclose(got, module(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_every_part_keeps_its_mode() -> None:
    module = small().train()
    module[1].eval()
    modes = [part.training for part in module.modules()]
    before = {key: value.clone() for key, value in module.state_dict().items()}
    loader.from_torch(module, torch.zeros(2, 3, 12, 12))
    assert [part.training for part in module.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_the_older_exporter_takes_over(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    def broken(*_: Any) -> Any:
        print("noise")
        raise RuntimeError("no")

    monkeypatch.setattr(loader, "_traced", broken)
    module = small().eval()
    net = Network.from_torch(module, torch.zeros(2, 3, 12, 12))
    x = torch.randn(3, 3, 12, 12)
    np.testing.assert_allclose(net(x.numpy()), module(x).detach().numpy(), rtol=1e-4, atol=1e-5)
    assert capfd.readouterr() == ("", "")


def test_two_inputs_keep_their_names() -> None:
    class Two(torch.nn.Module):
        def forward(self, left: Any, right: Any) -> Any:
            return left * 2 - right

    net = Network.from_torch(Two(), (torch.zeros(2, 4), torch.zeros(2, 4)))
    assert [value.name for value in net.inputs] == ["left", "right"]
    left, right = np.ones((3, 4), np.float32), np.full((3, 4), 0.5, np.float32)
    np.testing.assert_array_equal(net(left=left, right=right), left * 2 - right)


def test_what_no_exporter_takes_is_refused() -> None:
    class Odd(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            raise RuntimeError("this module does not run")

    module = Odd().train()
    with pytest.raises(ValueError, match=r"does not take this module: traced: .*; scripted: .*does not run"):
        loader.from_torch(module, torch.zeros(1, 2))
    assert module.training


@pytest.mark.parametrize(("module", "examples"), [(3, torch.zeros(1)), (torch.nn.ReLU(), np.zeros(1))])
def test_wrong_arguments(module: Any, examples: Any) -> None:
    with pytest.raises(TypeError, match=r"torch\.nn\.Module|torch\.from_numpy"):
        loader.from_torch(module, examples)


def test_a_branch_on_values_is_told() -> None:
    with pytest.warns(
        UserWarning, match=r"test_load_torch\.py:\d+ \(Converting a tensor to a Python boolean\)"
    ) as told:
        Network.from_torch(Branch(), torch.zeros(1, 3))
    assert [warning.filename for warning in told] == [__file__]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (torch.nn.ReLU().state_dict(), r"load_state_dict\(state\)"),
        (torch.nn.Conv2d, r"the class Conv2d: make one, Conv2d\(\.\.\.\)"),
    ],
)
def test_what_is_no_module_is_told(given: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        loader.from_torch(given, torch.zeros(1))


def test_a_shape_in_place_of_an_example() -> None:
    with pytest.raises(TypeError, match=r"write torch\.zeros\(1, 3, 8, 8\)"):
        loader.from_torch(torch.nn.ReLU(), (1, 3, 8, 8))


def test_the_cause_of_a_refusal_is_the_module_s() -> None:
    with pytest.raises(ValueError, match=r"traced: Given groups=1, .*; scripted: Given groups=1, "):
        loader.from_torch(torch.nn.Conv2d(3, 4, 3), torch.zeros(1, 5, 8, 8))


class Loop(torch.nn.Module):
    """The older exporter writes a loop over three images as three steps, and calls the axis free."""

    def forward(self, x: Any) -> Any:
        for number in range(x.shape[0]):
            x = x + number
        return x


class Branch(torch.nn.Module):
    """The older exporter takes it, with the branch of the examples."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.ones(3))

    def forward(self, x: Any) -> Any:
        return (x.sqrt() if x.sum() > 0 else x.sqrt() + 1), self.bias


@pytest.mark.parametrize(
    ("axes", "shape"),
    [(None, (3, 4)), ({"x": {0: "N", 1: "W"}}, (3, "W")), ({"x": [0, 1]}, (3, "x[1]"))],
)
def test_a_loop_over_the_batch_fixes_it_alone(axes: Any, shape: Any) -> None:
    x = torch.zeros(3, 4)
    x[0, 0] = torch.inf
    with pytest.warns(UserWarning, match="the batch is fixed at 3, ") as told:
        net = Network.from_torch(Loop(), x, dynamic_axes=axes)
    assert [one.filename for one in told] == [__file__]
    assert net.inputs[0].shape == shape
    y = np.zeros((3, 7 if axes else 4), np.float32)
    np.testing.assert_array_equal(net(y), y + 3)
    with pytest.raises(ValueError, match=r"must have the shape \(3, "):
        net(np.zeros((2, 4), np.float32))


def test_the_batch_stays_free_with_nan_and_parameters_among_the_outputs() -> None:
    with pytest.warns(UserWarning, match="asks for values") as told:
        net = Network.from_torch(Branch(), torch.tensor([[-1, 4, 9.0]]))
    assert (len(told), net.inputs[0].shape) == (1, ("batch", 3))
    root, bias = net(np.full((2, 3), 4, np.float32))
    np.testing.assert_array_equal(root, np.full((2, 3), 2, np.float32))
    np.testing.assert_array_equal(bias, np.ones(3, np.float32))


def test_modules_of_packages_beside_torch_are_told_of() -> None:
    folder = os.path.join("site", "torch")
    files = [os.path.join(folder, "jit.py"), os.path.join("site", "torchvision", "ops.py")]
    told = [warnings.WarningMessage("a boolean", UserWarning, file, 7) for file in files]
    with pytest.warns(UserWarning, match=r"gave in ops\.py:7 \(a boolean\); write"):
        loader._warn_of_values(told, folder, "no")


@pytest.mark.parametrize("wrap", ["trace", "script", "compile", "parallel", "both", "export"])
def test_wrapped_modules(wrap: str) -> None:
    module, x = small().eval(), torch.randn(2, 3, 12, 12)
    wrapped = {
        "trace": lambda: torch.jit.trace(module, x),
        "script": lambda: torch.jit.script(module),
        "compile": lambda: torch.compile(module),
        "parallel": lambda: torch.nn.DataParallel(module),
        "both": lambda: torch.compile(torch.nn.DataParallel(module)),
        "export": lambda: torch.export.export(
            module, (x,), dynamic_shapes=({0: torch.export.Dim("n")},)
        ).module(),
    }[wrap]()
    net = Network.from_torch(wrapped, x)
    assert net.inputs[0].shape == ("batch", 3, 12, 12)
    x = torch.randn(3, 3, 12, 12)
    np.testing.assert_allclose(net(x.numpy()), module(x).detach().numpy(), rtol=1e-4, atol=1e-5)
