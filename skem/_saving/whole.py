"""Write a file as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import IO, Any


def target_of(path: str | os.PathLike[str]) -> Path:
    """Follow symbolic links, so that it is not a link that is replaced."""
    return Path(os.path.realpath(path))


@contextmanager
def replacing(
    path: str | os.PathLike[str], mode: str = "x", **options: Any
) -> Iterator[IO[Any]]:
    """Open a file that takes the place of `path` if nothing is raised."""
    target = target_of(path)
    # Not `tempfile`, whose files only their owner may read.
    temporary = target.with_name(f".skem-{token_hex(8)}.tmp")
    try:
        with open(temporary, mode, **options) as file:
            yield file
        os.replace(temporary, target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            # In the name of the file that the user knows.
            raise type(error)(error.errno, error.strerror, str(path)) from None
        raise
