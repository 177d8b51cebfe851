"""What a target may be: options that cannot be are refused by name, before anything is polled."""

from __future__ import annotations

from typing import Any

import pytest

from fasthio.clienting import Client
from fasthio.judging import judge
from fasthio.polling import Poller, poll
from fasthio.results import PollResult
from fasthio.targets import Target, TargetSpec, parse_url

URL = "http://127.0.0.1:9/"

WRONG_URLS = {
    "http:///path": "names no host",
    "http://:80/": "names no host",
    "http://a:0/": "has port 0",
    "http://a:b/": "Port could not be cast",
    "ftp://a/": "must begin with http",
    "http://me@a/": "holds user information",
    "http://[::1/": "Invalid IPv6 URL",
    "http://a/ b": "holds white space",
    "http://a/\ud800": "surrogates not allowed",
}

WRONG_OPTIONS: dict[str, list[Any]] = {
    "every": ["1", None, True, -1.0, 5e-324, 0.9e-9, float("nan"), float("inf")],
    "timeout": ["1", False, 0.0],
    "connect_timeout": ["1", 0.0],
    "jitter": ["1", -1.0, 1.0],  # must be below every
    "retries": [1.5, True, -1],
    "count": [0, "1"],
    "max_body": [-1, 1.0],
    "body": [None, 1, ["a"]],
    "headers": [1, ["ab", "c"], [("a", "b", "c")]],
    "expect": ["200", b"200", [], 99, [200, "201"], True, 1.5],
    "label": [1, b"a"],
    "backoff": [2.0, None],
    "circuit": ["open", None],
}


@pytest.mark.parametrize("url", WRONG_URLS)
def test_wrong_urls(url: str) -> None:
    """RFC 9110 4.2: scheme, host and port must be there and be right."""
    with pytest.raises(ValueError, match=WRONG_URLS[url]):
        TargetSpec(url)
    with pytest.raises(ValueError, match=WRONG_URLS[url]):
        parse_url(url)


@pytest.mark.parametrize("url", [None, b"http://a/", 1])
def test_url_must_be_text(url: Any) -> None:
    with pytest.raises(ValueError, match="URL must be str"):
        TargetSpec(url)


def test_characters_that_no_url_holds_are_encoded() -> None:
    origin, target = parse_url("http://Ex.test/caf\u00e9?q=\u20ac#x")
    assert (origin.scheme, origin.host, origin.port) == ("http", "ex.test", 80)
    assert target == "/caf%C3%A9?q=%E2%82%AC"


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, each in WRONG_OPTIONS.items() for value in each]
)
def test_wrong_options(name: str, value: Any) -> None:
    """The text begins with the option's name, so that a file's line or a flag can be blamed."""
    with pytest.raises(ValueError, match=f"^{name} "):
        TargetSpec(URL, **{name: value})


@pytest.mark.parametrize("kind", [Client, Poller])
def test_limits_of_another_type(kind: Any) -> None:
    with pytest.raises(ValueError, match=r"^limits must be Limits, not dict$"):
        kind(limits={"body": 100})


def test_results_go_to_what_can_be_called() -> None:
    with pytest.raises(ValueError, match=r"^on_result must be callable: list$"):
        Poller(on_result=[])  # type: ignore[arg-type]


def test_options_go_into_the_spec_or_beside_the_url() -> None:
    poller = Poller()
    with pytest.raises(TypeError, match="options are in the TargetSpec already"):
        poller.add(TargetSpec(URL), every=2.0)
    assert len(poller) == 0
    assert poller  # also without targets: `poller or other` means this one


def test_targets_say_which_they_are() -> None:
    assert repr(Target(TargetSpec(URL, label="api"))) == "<Target api waiting>"


def test_a_function_that_expects_something_else() -> None:
    """What it refuses is unexpected, though the status is a success."""
    for expect, error in (
        (lambda result: False, "not as expected"),
        (lambda result: 1 / 0, "expect raised ZeroDivisionError('division by zero')"),
    ):
        target = Target(TargetSpec(URL, expect=expect))
        result = PollResult(target, "ok", due=0.0, number=0, started=0.0, status=200)
        judge(target, result)
        assert (result.outcome, result.reason) == ("unexpected", "expect")
        assert result.error == error
    target = Target(TargetSpec(URL))
    result = PollResult(target, "ok", due=0.0, number=0, started=0.0, status=200)
    judge(target, result)
    assert (result.outcome, result.reason, result.error) == ("ok", "", "")


@pytest.mark.parametrize("one", ["http://a.test/", TargetSpec("http://a.test/")])
def test_poll_takes_several(one: Any) -> None:
    """A str would be taken for a URL for each of its characters."""
    with pytest.raises(TypeError, match="targets must be several, as in "):
        poll(one)
