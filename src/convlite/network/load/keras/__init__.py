"""Live Keras models; `model` walks through them, `layers` and `recurrent` say what each layer becomes."""

from .model import from_keras, read_keras

__all__ = ["from_keras", "read_keras"]
