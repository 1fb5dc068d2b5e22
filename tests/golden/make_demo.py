"""Writes demo_boxes.json: what the mtcnn package itself finds, under TensorFlow, in a packaged photograph.

    pip install mtcnn==1.0.0 tensorflow-cpu==2.21.0 joblib lz4 scikit-image
    python tests/golden/make_demo.py

The boxes after each of the three stages are kept, so that a difference can be blamed on one stage.
"""

import importlib.metadata
import json
import pathlib

import mtcnn
import numpy as np
import skimage.data
from mtcnn.utils.images import build_scale_pyramid, normalize_images, scale_images

PACKAGES = ["mtcnn", "tensorflow", "keras", "scikit-image"]
LANDMARKS = ["left_eye", "right_eye", "nose", "mouth_left", "mouth_right"]


def stages(detector, image):
    """Rows of x1, y1, x2, y2, score after P-Net, R-Net and O-Net."""
    batch, shapes, boxes = normalize_images(image[np.newaxis]), np.array([image.shape]), None
    found = {}
    for stage, name in zip(detector.stages, ["pnet", "rnet", "onet"], strict=True):
        boxes = stage(bboxes_batch=boxes, images_normalized=batch, images_oshapes=shapes)
        found[name] = boxes[:, 1:6].round(6).tolist()
    return found


def main():
    detector = mtcnn.MTCNN()
    image = skimage.data.astronaut()
    # A row: image number, x1, y1, x2, y2, score, five landmark x, five landmark y.
    rows = detector.detect_faces(image, output_type="numpy", box_format="xyxy")
    scales = build_scale_pyramid(image.shape[1], image.shape[0], min_face_size=20, scale_factor=0.709)
    levels = [scale_images(normalize_images(image[np.newaxis]), scale).numpy()[0] for scale in scales]
    golden = {
        "made_with": {name: importlib.metadata.version(name) for name in PACKAGES},
        "image": "skimage.data.astronaut()",
        "faces": [
            {
                "box": row[1:5].round(6).tolist(),
                "score": round(float(row[5]), 8),
                "landmarks": {
                    name: [round(float(x), 6), round(float(y), 6)]
                    for name, x, y in zip(LANDMARKS, row[6:11], row[11:16], strict=True)
                },
            }
            for row in rows
        ],
        "scales": scales.tolist(),
        "level_sizes": [list(level.shape[:2]) for level in levels],
        "smallest_level": levels[-1].round(7).tolist(),
        "stages": stages(detector, image),
        "no_face": {
            name: len(detector.detect_faces(getattr(skimage.data, name)())) for name in ["chelsea", "coffee"]
        },
    }
    path = pathlib.Path(__file__).with_name("demo_boxes.json")
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(f"{path}: {len(golden['faces'])} face(s), {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
