"""A command-line parser whose errors suggest the right command, option or choice."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

__all__ = ["Parser"]


class Parser(argparse.ArgumentParser):
    """argparse's parser, with "did you mean" in its errors.

    >>> parser = Parser(prog="net")
    >>> action = parser.add_argument("--labels")
    >>> parser.advised("unrecognized arguments: --lables f.txt")
    "unrecognized arguments: --lables f.txt; did you mean '--labels'?"
    """

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and exit with status 2."""
        super().error(self.advised(message))

    def advised(self, message: str) -> str:
        """The message, with a suggestion if a word is misspelt."""
        from ._hints import nearest

        if message.startswith("unrecognized arguments: "):
            given = (word.partition("=")[0] for word in message.split()[2:] if word.startswith("--"))
            return message + next(
                filter(None, (nearest(word, self._option_string_actions) for word in given)), ""
            )
        found = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        return message + nearest(found[1], re.findall(r"[\w.-]+", found[2])) if found else message
