"""How the documentation is built: `make docs`, or `sphinx-build -W docs site`."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent

# the same pages on every machine: the engines have one stub, and it is the documentation
os.environ["FASTHIO_ENGINE"] = "py"
sys.path[:0] = [str(ROOT / "src"), str(DOCS / "_ext")]


def _load_stub() -> None:
    """Let autodoc see the stub of the C engine in the engine's place."""
    path = ROOT / "src" / "fasthio" / "_parser.pyi"
    loader = SourceFileLoader("fasthio._parser", str(path))
    spec = importlib.util.spec_from_file_location("fasthio._parser", path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fasthio._parser"] = module
    loader.exec_module(module)


sys.dont_write_bytecode = True  # nothing beside the stub
_load_stub()

import fasthio  # noqa: E402

project = "fasthio"
author = "The fasthio authors"
copyright = "2026, The fasthio authors. Apache License 2.0"
version = release = fasthio.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "from_grammar"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_generated", "differences.d"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autoclass_content = "both"
autodoc_inherit_docstrings = False  # hio's sentences are hio's
autodoc_preserve_defaults = True
napoleon_google_docstring = False  # from_grammar calls it where it is right
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = "fasthio"
smartquotes = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
