"""Write files, and tell beforehand if one cannot be written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from skem._cli import CommandError
from skem._saving.whole import replacing, target_of


def check_writable(path: str, *others: tuple[str | None, str]) -> None:
    """Tell before the fits, rather than after, that a file cannot be written.

    `others` are paths that must not be overwritten, with what they are.
    """
    try:
        reason = _obstacle(target_of(path), others)
    except OSError as error:
        # A name that is too long, or a directory that may not be searched.
        reason = error.strerror
    if reason is not None:
        raise CommandError(f"cannot write {path}: {reason}")


def _obstacle(target: Path, others: Sequence[tuple[str | None, str]]) -> str | None:
    """Return why a file cannot be written, as far as can be told beforehand."""
    if not target.parent.is_dir():
        return f"{target.parent} is not a directory"
    if target.exists() and not target.is_file():
        return "it is not a regular file"
    if same := [name for other, name in others if other and _is_same(target, other)]:
        return f"it is {same[0]}"
    if not all(os.access(p, os.W_OK) for p in (target.parent, target) if p.exists()):
        return "permission denied"
    return None


@contextmanager
def written(path: str, mode: str = "x", **options: Any) -> Iterator[IO[Any]]:
    """Open a file that takes the place of `path` if nothing is raised.

    What the system refuses becomes a `CommandError`.
    """
    try:
        with replacing(path, mode, **options) as file:
            yield file
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from None


def _is_same(target: Path, other: str) -> bool:
    return target == target_of(other) or (
        target.exists() and os.path.exists(other) and target.samefile(other)
    )
