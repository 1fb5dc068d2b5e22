"""TFLite files, read with the package `tflite`.

`file` takes the parts out of the file, `tensors` its constants, `reading` goes through the operators, and
`operators` says what each becomes; OPERATORS is the table of them.
"""

from .operation import OPERATORS
from .reading import read_tflite

__all__ = ["OPERATORS", "read_tflite"]
