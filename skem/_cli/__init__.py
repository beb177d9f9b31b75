"""The parts of ``python -m skem``."""


class CommandError(Exception):
    """What the user can put right; shown as one line, without a traceback."""
