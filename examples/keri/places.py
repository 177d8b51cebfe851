"""Keep all files of keripy in one folder; it has more than one place for them."""

from __future__ import annotations

from hio.base import filing
from keri.db import dbing


def keep_in(folder: str) -> None:
    """Put what is kept for good, and what is temporary, into a folder."""
    for kind in (filing.Filer, dbing.LMDBer):
        kind.HeadDirPath = kind.TempHeadDir = folder
