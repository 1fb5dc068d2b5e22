"""ONNX files, read with the package `onnx`.

`reading` takes the file, `translation` its nodes one by one, `operators` says what each becomes; OPERATORS is
the table of them.
"""

from .operation import NEWEST, OLDEST, OPERATORS
from .reading import read_onnx

__all__ = ["NEWEST", "OLDEST", "OPERATORS", "read_onnx"]
