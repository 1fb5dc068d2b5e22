"""The commands `convlite convert`, `inspect` and `run`: networks without a line of Python."""
