"""The command ``skem``: choose, save, apply and describe mixtures."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from skem._cli import CommandError
from skem._cli.options import parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``skem``.

    Parameters
    ----------
    argv : sequence of str, default=None
        The arguments. None: those of the command line.

    Returns
    -------
    status : int
        0 if all went well; 2 if there is something for the user to put right, which is
        then said in one line on standard error; 1 if nobody read the output to its end,
        and 130 after Ctrl-C.

    Examples
    --------
    >>> from skem.__main__ import main
    >>> status = main(["--components", "2"])  # doctest: +ELLIPSIS
    Old Faithful: 272 rows, 2 columns (eruptions, waiting)
    ...
    >>> status
    0
    """
    try:
        options = parse(argv)
        if sys.stdout is None:
            raise CommandError("cannot write the results: standard output is closed")
        # What follows takes a second to import.
        from skem._cli.commands import RUN

        RUN[options.command](options)
    except CommandError as error:
        print(f"skem: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
