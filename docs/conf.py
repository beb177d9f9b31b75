"""Sphinx configuration: ``python -m sphinx -W -b html docs docs/_build/html``."""

import sys
from pathlib import Path

import matplotlib

import skem

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))
matplotlib.use("agg")

project = "skem"
author = "The skem developers"
copyright = author
version = release = skem.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    # CHANGELOG, CONTRIBUTING and the pages of benchmarks are Markdown, and
    # included rather than copied, so that each measured number is written once.
    "myst_parser",
    "sphinx_design",
    "repository",
    # Formulas become MathML, which browsers draw by themselves: the pages need no
    # script from elsewhere, and can be read without a network.
    "mathml",
]
html_math_renderer = "mathml"
exclude_patterns = [
    "_build",
    "examples",
    "auto_examples/**.ipynb",
    "migration/differences.md",
]
templates_path = ["_templates"]
default_role = "literal"
smartquotes = False

# Names of other packages have no targets here: nothing is fetched during a build.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!skem\b).*")]

autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_validation_checks = {"GL08", "SS01", "PR01", "PR02", "RT01"}
# Its docstring is written, but numpydoc reads that of its value, None, which has none.
numpydoc_validation_exclude = {r"\.Family\.bounds$"}
myst_heading_anchors = 3

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "within_subsection_order": "gallery.place",
    "remove_config_comments": True,
    "backreferences_dir": "api/examples",
    "doc_module": ("skem",),
    "reference_url": {"skem": None},
    "capture_repr": ("_repr_html_", "__repr__"),
    "image_scrapers": ("matplotlib",),
    "image_srcset": ["2x"],
    "abort_on_example_error": True,
    "write_computation_times": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1e9,
    "download_all_examples": False,
    "plot_gallery": True,
}

html_title = f"skem {version}"
html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_favicon = html_logo = "_static/skem.svg"
html_context = {"default_mode": "auto"}
html_css_files = ["skem.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "logo": {"text": "skem"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
    "show_nav_level": 2,
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}
