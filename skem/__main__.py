"""Run the command ``skem``, as ``python -m skem`` too."""

from __future__ import annotations

import sys

from skem._cli.main import main

if __name__ == "__main__":
    sys.exit(main())
