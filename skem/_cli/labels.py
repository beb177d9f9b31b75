"""Write memberships to a CSV file, as a whole or not at all."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import TextIO

import numpy as np

from skem._cli import CommandError


@contextmanager
def atomic_file(path: Path) -> Iterator[TextIO]:
    """Open a file that takes the place of `path` if nothing is raised."""
    # Not `tempfile`, whose files only their owner may read.
    temporary = path.with_name(f".skem-{token_hex(8)}.tmp")
    file = open(temporary, "x", encoding="utf-8", newline="")
    try:
        with file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check_writable(path: str, source: str | None) -> None:
    """Tell before the fits, rather than after, that labels cannot be written."""
    target = _target(path)
    if not target.parent.is_dir():
        reason = f"{target.parent} is not a directory"
    elif target.exists() and not target.is_file():
        reason = "it is not a regular file"
    elif source is not None and target.exists() and target.samefile(source):
        reason = "it is the data file"
    elif not all(os.access(p, os.W_OK) for p in (target.parent, target) if p.exists()):
        reason = "permission denied"
    else:
        return
    raise CommandError(f"cannot write {path}: {reason}")


def write_labels(path: str, resp: np.ndarray) -> None:
    """Write row number, label and membership probabilities, to full precision."""
    header = ["row", "label", *(f"p{k}" for k in range(resp.shape[1]))]
    try:
        with atomic_file(_target(path)) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            for row, probabilities in enumerate(resp):
                label = int(probabilities.argmax())
                writer.writerow([row, label, *probabilities.tolist()])
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from None


def _target(path: str) -> Path:
    """Follow symbolic links, so that it is not a link that is replaced."""
    return Path(os.path.realpath(path))
