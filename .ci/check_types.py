"""Check a user's script with `mypy --strict` and pyright, and one full of errors.

The first must pass. Of the second, just the marked lines must be errors.
"""

import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
MYPY = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent"]
PYRIGHT = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]


def check(command: list[str], scripts: Path) -> None:
    """Compare the lines that a checker calls wrong with those that are."""
    ran = subprocess.run(
        [*command, "use.py", "misuse.py"], cwd=scripts, capture_output=True, text=True
    )
    found = set(re.findall(r"(\w+\.py):(\d+):.*\berror\b", ran.stdout))
    marked = {
        ("misuse.py", str(number))
        for number, line in enumerate(
            (scripts / "misuse.py").read_text(encoding="utf-8").splitlines(), 1
        )
        if line.endswith("# wrong")
    }
    if found != marked:
        print(ran.stdout, ran.stderr, flush=True)
        sys.exit(
            f"{command[2]}: {sorted(found - marked)} are errors and should not be, "
            f"{sorted(marked - found)} should be and are not"
        )
    print(f"{command[2]}: use.py passes, {len(marked)} lines of misuse.py do not.")


def main() -> None:
    """Check copies elsewhere, as pyright passes over directories like .ci."""
    with TemporaryDirectory() as directory:
        scripts = Path(copytree(HERE / "types", Path(directory) / "types"))
        check(MYPY, scripts)
        # Its Python package fetches the program itself when it is first run.
        ready = subprocess.run([*PYRIGHT[:3], "--version"], capture_output=True)
        if ready.returncode:
            print("SKIPPED: pyright is not there, or cannot be fetched")
        else:
            check(PYRIGHT, scripts)


if __name__ == "__main__":
    main()
