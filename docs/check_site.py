"""Check that built pages load nothing from elsewhere, and that their links lead on.

python docs/check_site.py docs/_build/html
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src"}
"""Elements that a browser loads without being asked."""


class Page(HTMLParser):
    """The targets of a page, what it links to and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element."""
        values = dict(attrs)
        self.ids.update(value for key in ("id", "name") if (value := values.get(key)))
        if tag == "a" and (target := values.get("href")):
            self.links.append(target)
        if (key := LOADED.get(tag)) and (target := values.get(key)):
            self.loads.append(target)


def problems(root: Path) -> list[str]:
    """Return a line for each reference that leads nowhere, or outside to load."""
    written = set(root.rglob("*.html")) - set(root.rglob("_static/**/*.html"))
    pages = {path: Page(path) for path in sorted(written)}
    found = []
    for path, page in pages.items():
        for target in page.links + page.loads:
            url = urlsplit(target)
            if url.scheme or url.netloc:
                if target in page.loads and url.scheme != "data":
                    found.append(f"{path}: loads {target}")
                continue
            file = (path.parent / unquote(url.path)).resolve() if url.path else path
            fragment = unquote(url.fragment)
            if not file.is_file():
                found.append(f"{path}: no file for {target}")
            elif fragment and file in pages and fragment not in pages[file].ids:
                found.append(f"{path}: no target for {target}")
    return found


def main(root: str) -> int:
    """Print the problems; the exit status tells whether there are any."""
    found = problems(Path(root).resolve())
    print(*found, sep="\n", end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
