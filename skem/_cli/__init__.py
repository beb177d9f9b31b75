"""The parts of the command ``skem``.

`main`, `options` and what reads files import no scientific package, so that ``--help``
and mistakes are answered at once.
"""


class CommandError(Exception):
    """What the user can put right; shown as one line, without a traceback."""
