"""The Markdown pages of the repository: one for each benchmark, and links between."""

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

PAGES = {
    "benchmarks/README.md": "measured/index",
    "CHANGELOG.md": "changes",
    "CONTRIBUTING.md": "contributing",
    "results": "measured/index",
}


def include_results(app: Sphinx) -> None:
    """Write a page for each page of results, which includes it."""
    for results in Path(app.srcdir).parent.glob("benchmarks/results/*.md"):
        page = Path(app.srcdir, "measured", results.name)
        text = f"```{{include}} ../../benchmarks/results/{results.name}\n```\n"
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def redirect(app: Sphinx, doctree: nodes.document) -> None:
    """Turn links to files that have a page here into links to the page."""
    for node in doctree.findall(pending_xref):
        page = PAGES.get(node["reftarget"])
        if page is not None:
            node.attributes.update(refdomain="std", reftype="doc", reftarget=f"/{page}")


def setup(app: Sphinx) -> dict[str, Any]:
    """Write pages before any is read, and listen for those that have been."""
    app.connect("builder-inited", include_results)
    app.connect("doctree-read", redirect)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
