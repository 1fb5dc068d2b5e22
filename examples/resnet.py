"""A residual network for small images, with blocks written as layers of one's own.

He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015, arXiv:1512.03385, section 4.2: a
3x3 convolution, three stages of n blocks with 16, 32 and 64 filters, each block added to what goes into it,
then a mean over the image and a dense layer; 6n + 2 layers with weights. Where a stage halves the image, the
way around is a 1x1 convolution with the same stride.

A `Layer` that holds layers computes with arrays like any other, and a `Model` follows its `call` as well:

    python examples/resnet.py
"""

from typing import Any

import numpy as np

import convlite as cl
from convlite.layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    GlobalAveragePooling2D,
    Input,
    Layer,
    Model,
    ReLU,
)


class Residual(Layer):
    """relu(x + norm(conv(relu(norm(conv(x)))))), where the first convolution has the stride."""

    def __init__(self, filters: int, strides: int = 1, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.first = Conv2D(filters, 3, strides, padding="same", use_bias=False)
        self.second = Conv2D(filters, 3, padding="same", use_bias=False)
        self.norms = [BatchNormalization(), BatchNormalization()]
        self.relu = ReLU()
        self.around = Conv2D(filters, 1, strides) if strides > 1 else None

    def call(self, x: Any) -> Any:
        y = self.relu(self.norms[0](self.first(x)))
        y = self.norms[1](self.second(y))
        return self.relu(y + (x if self.around is None else self.around(x)))


def resnet(blocks: int = 3, classes: int = 10) -> Model:
    """images (N, H, W, 3) -> (N, classes), numbers from 0 to 1 that add up to 1; 6 * blocks + 2 layers."""
    image = Input((None, None, 3), name="image")
    x = ReLU()(BatchNormalization()(Conv2D(16, 3, padding="same", use_bias=False)(image)))
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(blocks):
            strides = 2 if stage and not block else 1
            x = Residual(filters, strides, name=f"stage{stage}_block{block}")(x)
    return Model(
        image, Dense(classes, "softmax")(GlobalAveragePooling2D()(x)), name=f"resnet{6 * blocks + 2}"
    )


def main() -> None:
    with cl.initializers.Graph(seed=1):  # the same weights in each run
        model = resnet()
    model.summary()
    image = np.random.default_rng(0).random((4, 32, 32, 3), np.float32)
    scores = model(image)
    print(image.shape, "->", scores.shape, "sums to 1:", np.allclose(scores.sum(-1), 1))
    print("one at a time, the same bits:", np.array_equal(model.predict(image, batch_size=1), scores))

    block = model.get_layer("stage1_block0")
    features = np.random.default_rng(1).random((1, 32, 32, 16), np.float32)
    print("a block alone, with arrays:", features.shape, "->", block(features).shape)

    kinds = [node.kind for node in model.network().graph.nodes]
    print("in the network:", ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)))


if __name__ == "__main__":
    main()
