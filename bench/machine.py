"""Say what the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import sysconfig
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["describe"]

#: Distributions whose version matters.
PACKAGES = (
    "fasthio", "hio", "multidict", "httptools", "aiohttp", "zttp", "h11r", "h11", "urllib3",
    "requests", "httpx", "niquests", "urllib3-future", "geventhttpclient", "pycurl", "pyreqwest",
    "httpx-sse", "aiohttp-sse-client", "orjson",
)  # fmt: skip


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _git(*arguments: str) -> str:
    asked = subprocess.run(
        ["git", *arguments],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return asked.stdout.strip()


def _commit() -> str:
    """Give the commit, and whether what is measured differs from it."""
    results = [":!RESULTS.md", ":!results.json", ":!plots"]
    changed = _git("status", "--porcelain", "--", "../src", ".", *results)
    return (_git("rev-parse", "--short", "HEAD") or "?") + (" with changes" if changed else "")


def describe() -> dict[str, object]:
    """Give machine, system, Python and versions."""
    from fasthio import ENGINE

    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "load": " ".join(f"{each:.1f}" for each in os.getloadavg()),
        "system": f"{_system()}, Linux {platform.release()}"
        if sys.platform == "linux"
        else platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler": str(sysconfig.get_config_var("CC") or "?"),
        "engine": ENGINE,
        "packages": packages,
    }
