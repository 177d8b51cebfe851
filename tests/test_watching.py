"""watching: `fasthio watch` and what it prints."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from fasthio import cli, demo, watching
from fasthio.watching import Watch, WatchEnd, WatchPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
GONE = b"HTTP/1.1 204 No Content\r\n\r\n"


@contextlib.contextmanager
def serving(*replies: bytes | None) -> Iterator[tuple[str, list[bytes]]]:
    """Give each connection its reply and close it; None holds it open without a word.

    Yields:
        The URL, and the requests as they come.
    """
    requests: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(20.0)
    done = threading.Event()

    def serve() -> None:
        for reply in replies:
            try:
                cs, _ = listener.accept()
            except OSError:
                return
            with cs:
                cs.settimeout(20.0)
                request = b""
                while b"\r\n\r\n" not in request:
                    octets = cs.recv(4096)
                    if not octets:
                        break
                    request += octets
                requests.append(request)
                if reply is not None:
                    with contextlib.suppress(OSError):
                        cs.sendall(reply)
                if reply is None or reply.endswith(b": hold\n"):
                    done.wait(20.0)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/stream?a=1", requests
    finally:
        done.set()
        listener.close()
        thread.join(20.0)


def watch(url: str, **kwa: Any) -> tuple[WatchEnd, list[dict[str, Any]], list[str]]:
    """Watch and give the end, the events and the notes."""
    events: list[dict[str, Any]] = []
    notes: list[str] = []
    kwa.setdefault("timeout", 20.0)
    end = Watch(WatchPlan(url, **kwa), events.append, notes.append).run()
    return end, events, notes


def test_stream_is_taken_up_again_until_204() -> None:
    first = HEAD + b"retry: 20\n\nid: 1\ndata: a\n\ndata: lost"
    second = HEAD + b"id: 2\nevent: b\ndata: b\n\n"
    with serving(first, second, GONE) as (url, requests):
        end, events, notes = watch(url, headers=(("X-A", "1"), ("X-A", "2")))
    assert end == WatchEnd(2)
    assert [(event["id"], event["name"], event["data"]) for event in events] == [
        ("1", "", "a"),
        ("2", "b", "b"),
    ]
    assert notes == [
        "connected",
        "dropped; next attempt in 0.02 s",
        "connected again",
        "dropped; next attempt in 0.02 s",
    ]
    assert requests[0].startswith(b"GET /stream?a=1 HTTP/1.1\r\n")
    assert b"\r\nAccept: text/event-stream\r\n" in requests[0]
    assert b"\r\nX-A: 1\r\nX-A: 2\r\n" in requests[0]
    assert b"Last-Event-Id" not in requests[0]
    assert b"\r\nLast-Event-Id: 1\r\n" in requests[1]
    assert b"\r\nLast-Event-Id: 2\r\n" in requests[2]


def test_last_event_id_and_count() -> None:
    with serving(HEAD + b"id: 8\ndata: a\n\ndata: b\n\ndata: c\n\n: hold\n") as (url, requests):
        end, events, _ = watch(url, last_event_id="7é", count=2, headers=(("accept", "x/y"),))
    assert end == WatchEnd(2)
    assert [event["data"] for event in events] == ["a", "b"]
    assert b"\r\nLast-Event-Id: 7\xc3\xa9\r\n" in requests[0]
    assert b"\r\nAccept: x/y\r\n" in requests[0]
    assert b"text/event-stream" not in requests[0]


@pytest.mark.parametrize(
    ("reply", "failure", "error"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status-404", "404 Not Found"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n",
            "no-stream",
            "no event stream, but of type text/html",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "no-stream", None),
        (b"nonsense", "bad-start", None),
        (GONE, None, None),
    ],
)
def test_what_is_no_stream(reply: bytes, failure: str | None, error: str | None) -> None:
    with serving(reply) as (url, _):
        end, events, notes = watch(url)
    assert (end.failure, events, notes) == (failure, [], [])
    if error is not None:
        assert end.error == error


def test_stream_that_ends_with_an_error() -> None:
    first = HEAD + b"retry: 1\n\ndata: a\n\n"
    with serving(first, b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") as (url, _):
        end, events, _ = watch(url)
    assert (end.events, end.failure) == (1, "stream-status")
    assert len(events) == 1


def test_failed_attempts_are_noted() -> None:
    with serving(HEAD + b"retry: 1\n\ndata: a\n\n", b"", GONE) as (url, _):
        end, _, notes = watch(url)
    assert end == WatchEnd(1)
    assert notes[2].startswith("not connected, ")
    assert notes[2].endswith("; next attempt in 0.2 s")


def test_no_reconnect() -> None:
    with serving(HEAD + b"data: a\n\n") as (url, requests):
        end, events, _ = watch(url, reconnect=False)
    assert end == WatchEnd(1)
    assert len(events) == len(requests) == 1


def test_timeouts() -> None:
    with serving(None) as (url, _):
        end, _, _ = watch(url, timeout=0.2)
    assert end.failure == "timeout"
    hold = HEAD + b"data: a\n\n: hold\n"
    with serving(hold) as (url, _):
        assert watch(url, timeout=0.3)[0] == WatchEnd(1)  # watched for so long as was asked
    with serving(hold) as (url, _):
        end, _, _ = watch(url, timeout=0.3, count=2)
    assert (end.failure, end.error) == ("timeout", "1 of 2 events within 0.3 s")


def test_idle() -> None:
    with serving(HEAD + b"data: a\n\n: hold\n") as (url, _):
        end, _, _ = watch(url, idle=0.2, reconnect=False)
    assert end.failure == "timeout-idle"


def test_nobody_there(no_names: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    assert watch(url)[0].failure == "refused"
    assert watch("http://nobody.invalid/")[0].failure == "unresolved"


@pytest.mark.parametrize("url", ["ftp://x/", "nonsense", "http://u@h/"])
def test_bad_urls(url: str) -> None:
    with pytest.raises(watching.PlanError):
        Watch(WatchPlan(url), print, print)


def test_id_that_cannot_be_sent() -> None:
    with pytest.raises(watching.PlanError, match="control octet"):
        watch("http://127.0.0.1:9/", last_event_id="a\nb")


# printing


EVENT = {"id": "7", "name": "add", "data": "one\ntwo\x1b[31m\x9b"}
BARE = {"id": None, "name": "", "data": ""}


def test_plain() -> None:
    out = io.StringIO()
    printer = watching.make_printer(out, False)
    printer(EVENT)
    printer(BARE)
    assert re.sub(r"\d\d:\d\d:\d\d", "T", out.getvalue()) == (
        "T add #7 one\n    two\\x1b[31m\\x9b\nT message \n"
    )


def test_json() -> None:
    out = io.StringIO()
    watching.make_printer(out, True)(EVENT)
    (line,) = out.getvalue().splitlines()
    said = json.loads(line)
    assert said.pop("time") > 1e9
    assert said == EVENT


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_rich_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()
    printer = watching.make_printer(out, False)
    printer({"id": "[b]7", "name": "", "data": "[red]one\n" + "x" * 200})
    printer(EVENT)
    assert "\x1b[" in out.getvalue()
    text = re.sub(r"\x1b\[[\d;]*m", "", out.getvalue())
    lines = re.sub(r"\d\d:\d\d:\d\d", "T", text).splitlines()
    assert lines == [
        "T message #[b]7 [red]one",
        "    " + "x" * 200,
        "T add #7 one",
        "    two\\x1b[31m\\x9b",
    ]


def test_plain_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert isinstance(watching.make_printer(Terminal(), False), watching.Plain)


# the command


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The demo's server ends its stream after five events and goes on where it is told."""
    with demo.serving() as root:
        arguments = ["--json", "--count", "4", "--last-event-id", "3", "--timeout", "20"]
        assert cli.main(["watch", root + "/events", *arguments]) == 0
        assert cli.main(["watch", root + "/json"]) == 1
    captured = capsys.readouterr()
    events = [json.loads(line) for line in captured.out.splitlines()]
    assert [event["id"] for event in events] == ["4", "5", "6", "7"]
    notes = [line.split(" ", 1)[1] for line in captured.err.splitlines()]
    assert notes == [
        "connected",
        "FAILED no-stream: no event stream, but of type application/json",
    ]


def test_command_makes_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[WatchPlan] = []

    class Fake:
        def __init__(self, plan: WatchPlan, show: Any, note: Any) -> None:
            plans.append(plan)

        def run(self) -> WatchEnd:
            return WatchEnd(0)

    monkeypatch.setattr(watching, "Watch", Fake)
    url = "http://h/"
    assert cli.main(["watch", url]) == 0
    arguments = ["--header", "A: b", "--idle", "3", "--no-reconnect", "--count", "2"]
    assert cli.main(["watch", url, *arguments]) == 0
    assert plans == [
        WatchPlan(url),
        WatchPlan(url, headers=(("A", "b"),), count=2, idle=3.0, reconnect=False),
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["ftp://x/"],
        ["http://h/", "--count", "0"],
        ["http://h/", "--timeout", "0"],
        ["http://h/", "--idle", "-1"],
        ["http://h/", "--header", "nonsense"],
        ["http://127.0.0.1:9/", "--last-event-id", "a\r\nb"],
    ],
)
def test_command_given_wrongly(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status: Any
    try:
        status = cli.main(["watch", *arguments])
    except SystemExit as error:  # how argparse refuses
        status = error.code
    assert status == 2
    assert "usage: fasthio watch" in capsys.readouterr().err


def run_command(url: str, **kwa: Any) -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "fasthio", "watch", url, "--timeout", "60"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwa,
    )


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a signal")
def test_ctrl_c_ends_it_cleanly() -> None:
    with (
        serving(HEAD + b"data: a\n\n: hold\n") as (url, _),
        run_command(url, start_new_session=True) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline().endswith("message a\n")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert err.splitlines()[0].endswith("connected")
    assert len(err.splitlines()) == 1


@pytest.mark.skipif(os.name != "posix", reason="a pipe without a reader is told otherwise there")
def test_reader_that_leaves() -> None:
    beats = b"".join(b"data: %d\n\n" % i for i in range(50_000))
    with serving(HEAD + beats + b": hold\n") as (url, _), run_command(url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 1
        assert len(process.stderr.read().splitlines()) == 1
