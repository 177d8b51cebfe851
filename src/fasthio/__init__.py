"""hio's HTTP client, made fast and safe: the drop-in for `hio.core.http.clienting`.

Importing the package is cheap: hio and the engine are loaded at the first use of
a public name, so that `install(lazy=True)` may stand in a `.pth` file.
"""

from __future__ import annotations

import importlib
import os

TYPE_CHECKING = False  # True to type checkers; typing would cost more than all else here
if TYPE_CHECKING:
    from typing import Any

    from .clienting import (
        Client,
        ClientDoer,
        Requester,
        Respondent,
        Response,
        backendRequest,
        openClient,
    )
    from .engine import ENGINE, EventParser, ResponseParser
    from .errors import ParseError, Reason
    from .eventing import EventSource
    from .grammar import LIMITS, Limits
    from .installing import install, installed, uninstall
    from .polling import Poller, PollerDoer, PollResult, ReadyDoist, Target, TargetSpec, poll

__version__ = "0.1.0"

__all__ = [
    "ENGINE",
    "LIMITS",
    "Client",
    "ClientDoer",
    "EventParser",
    "EventSource",
    "Limits",
    "ParseError",
    "PollResult",
    "Poller",
    "PollerDoer",
    "ReadyDoist",
    "Reason",
    "Requester",
    "Respondent",
    "Response",
    "ResponseParser",
    "Target",
    "TargetSpec",
    "__version__",
    "backendRequest",
    "install",
    "installed",
    "openClient",
    "poll",
    "uninstall",
]

#: The module that each public name is taken from at its first use.
_HOMES = {
    "ENGINE": "engine",
    "EventParser": "engine",
    "ResponseParser": "engine",
    "LIMITS": "grammar",
    "Limits": "grammar",
    "ParseError": "errors",
    "Reason": "errors",
    "EventSource": "eventing",
    "Client": "clienting",
    "ClientDoer": "clienting",
    "Requester": "clienting",
    "Respondent": "clienting",
    "Response": "clienting",
    "backendRequest": "clienting",
    "openClient": "clienting",
    "install": "installing",
    "installed": "installing",
    "uninstall": "installing",
    "PollResult": "polling",
    "Poller": "polling",
    "PollerDoer": "polling",
    "ReadyDoist": "polling",
    "Target": "polling",
    "TargetSpec": "polling",
    "poll": "polling",
}

#: Modules that are attributes of the package as soon as it is imported.
_MODULES = frozenset(
    [
        "clienting",
        "connecting",
        "demo",
        "engine",
        "errors",
        "eventing",
        "fleet",
        "grammar",
        "installing",
        "polling",
        "requesting",
        "responding",
    ]
)


def __getattr__(name: str) -> Any:
    """Load a public name, or a module, at its first use."""
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List public names and modules, loaded or not."""
    return sorted({*globals(), *__all__, *_MODULES})


def _check_engine() -> None:
    """Refuse an engine asked for by name that cannot be had, here and not in mid-flight."""
    wanted = os.environ.get("FASTHIO_ENGINE") or "auto"
    if wanted in ("auto", "py"):
        return
    import importlib.util  # costs nearly as much as typing

    if wanted != "c" or importlib.util.find_spec("._parser", __name__) is None:
        importlib.import_module(".engine", __name__)  # raises, with the reason


_check_engine()
