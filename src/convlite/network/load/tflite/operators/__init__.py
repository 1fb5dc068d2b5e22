"""What each operator of TFLite becomes; importing this package fills `operation.OPERATORS`."""

from . import convolution, elementwise, images, reductions, selection, shapes

__all__ = ["convolution", "elementwise", "images", "reductions", "selection", "shapes"]
