"""`python -m convlite` is the command `convlite`."""

import sys

from .cli import main

sys.exit(main())
