"""Count what each class of HTTP client does in this process, whichever hio's names give."""

from __future__ import annotations

import functools
import importlib.metadata
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

from hio.core import http  # with the .pth file this is where fasthio comes in

#: What is counted for each class.
KINDS = ("clients", "requests", "responses", "events")
#: The modules whose `Client` counts: hio's own is still there when its name gives another.
MODULES = ("hio.core.http.clienting", "fasthio.clienting")


def _subclasses(kind: type) -> Iterator[type]:
    for each in type.__subclasses__(kind):
        yield each
        yield from _subclasses(each)


def _watch(kind: Any, counts: Counter[str]) -> None:
    """Count in a class: clients made, requests sent, responses and events received."""
    init, transmit, service = kind.__init__, kind.transmit, kind.service

    @functools.wraps(init)
    def counted_init(self: Any, *pa: Any, **kwa: Any) -> None:
        counts["clients"] += 1
        init(self, *pa, **kwa)

    @functools.wraps(transmit)
    def counted_transmit(self: Any, *pa: Any, **kwa: Any) -> Any:
        counts["requests"] += 1
        return transmit(self, *pa, **kwa)

    @functools.wraps(service)
    def counted_service(self: Any) -> None:
        responses, events = len(self.responses), len(self.events)
        service(self)
        counts["responses"] += len(self.responses) - responses
        counts["events"] += len(self.events) - events

    kind.__init__, kind.transmit, kind.service = counted_init, counted_transmit, counted_service


_counts: dict[str, Counter[str]] = {module: Counter() for module in MODULES}
for _kind in set(_subclasses(object)):
    if _kind.__name__ == "Client" and _kind.__module__ in MODULES:
        _watch(_kind, _counts[_kind.__module__])


def report() -> dict[str, Any]:
    """Tell the counts, which client hio's name gives, and which versions are at work."""
    engine = sys.modules.get("fasthio.engine")
    return {
        "client": http.clienting.Client.__module__,
        "engine": getattr(engine, "ENGINE", None),
        "versions": {name: importlib.metadata.version(name) for name in ("keri", "hio")},
        "counts": {
            module: {kind: counts[kind] for kind in KINDS} for module, counts in _counts.items()
        },
    }
