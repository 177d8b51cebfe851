"""Let the suite take, on POSIX, the ways that fasthio takes on Windows: `make elsewhere`.

There a socket is no file descriptor, so that it is asked through Python's own object, and sockets
are waited for with `select`. A plugin of pytest, before anything of fasthio is imported. What only
Windows itself has (its error codes, its compiler, its consoles) is not seen this way.
"""

import select
import selectors
import sys

for name in ("epoll", "kqueue", "devpoll", "poll"):
    if hasattr(select, name):
        delattr(select, name)
for name in ("EpollSelector", "KqueueSelector", "DevpollSelector", "PollSelector"):
    if hasattr(selectors, name):
        delattr(selectors, name)
selectors.DefaultSelector = selectors.SelectSelector
sys.modules["resource"] = None  # type: ignore[assignment]  # `import resource` fails

from fasthio import socketing  # noqa: E402

socketing._DIRECT = False


def pytest_report_header() -> str:
    """Tell of it."""
    return "sockets: by way of Python's own objects and select, as on Windows"
