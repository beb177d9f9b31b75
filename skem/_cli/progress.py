"""Say what takes longer than two seconds, on standard error."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SILENCE = 2.0
"""Seconds of silence."""


@contextmanager
def progress(text: str, quiet: bool) -> Iterator[None]:
    """Say for how long something runs: each second on a terminal, else ever less."""
    stream = sys.stderr
    if quiet or stream is None:
        yield
        return
    done = threading.Event()
    terminal = stream.isatty()

    def watch() -> None:
        begin, wait = time.perf_counter(), SILENCE
        while not done.wait(wait):
            seconds = time.perf_counter() - begin
            line = f"skem: {text}, {seconds:.0f} s"
            stream.write(f"\r{line}" if terminal else f"{line}\n")
            stream.flush()
            wait = 1.0 if terminal else seconds
        if terminal and time.perf_counter() - begin > SILENCE:
            stream.write("\r\x1b[K")
            stream.flush()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
