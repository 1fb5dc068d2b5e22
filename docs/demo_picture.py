"""Draw docs/_static/demo.jpg, the front page's picture: what `convlite demo` writes, side by side.

python docs/demo_picture.py
"""

import tempfile
from pathlib import Path

from PIL import Image

from convlite.demo.run import main

HEIGHT, GAP = 420, 12

with tempfile.TemporaryDirectory() as folder:
    if main(["--output", folder]):
        raise SystemExit(1)
    found = [Image.open(path).convert("RGB") for path in sorted(Path(folder).glob("*.png"))]
tops = [
    one.resize((round(one.width * HEIGHT / one.height), HEIGHT), Image.Resampling.LANCZOS) for one in found
]
sheet = Image.new("RGB", (sum(one.width for one in tops) + GAP * (len(tops) - 1), HEIGHT), "white")
left = 0
for one in tops:
    sheet.paste(one, (left, 0))
    left += one.width + GAP
sheet.save(Path(__file__).parent / "_static" / "demo.jpg", quality=82, optimize=True)
