"""Targets files: what they say, and what is wrong with them, with file, line and key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from fasthio.pacing import Backoff, Circuit
from fasthio.targetfile import TargetsFile, TargetsFileError, load_targets

TOML = """\
# two of them
[defaults]
every = "30s"
headers = { Accept = "application/json" }

[[target]]
url = "https://example.org/health"
label = "front"
timeout = "2.5s"
expect = [200, 204]
conditional = true

[[target]]
url = "http://127.0.0.1:8080/"
every = 0.25
method = "POST"
body = '''
[[target]]
url = "not one"
'''
[target.headers]
X-One = "1"
[target.backoff]
cap = "1m"
[target.circuit]
failures = 3
cooldown = "10s"
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(text: str | bytes, name: str = "targets.toml") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_toml(write: Any) -> None:
    one, two = load_targets(write(TOML), {"every": 1.0, "retries": 2})
    assert (one.url, one.label, one.every, one.timeout) == (
        "https://example.org/health",
        "front",
        30.0,
        2.5,
    )
    assert (one.expect, one.conditional, one.retries) == (frozenset((200, 204)), True, 2)
    assert one.headers == (("Accept", "application/json"),)
    assert (two.every, two.method, two.headers) == (0.25, "POST", (("X-One", "1"),))
    assert two.body == b'[[target]]\nurl = "not one"\n'
    assert two.backoff == Backoff(cap=60.0)
    assert two.circuit == Circuit(failures=3, cooldown=10.0)


def test_lines(write: Any) -> None:
    text = "\ufeff# mine\nhttp://a.test/\n\n  https://b.test:8443/x?y=1  \r\n"
    specs = load_targets(write(text, "targets.txt"), {"every": 5.0})
    assert [(spec.url, spec.every) for spec in specs] == [
        ("http://a.test/", 5.0),
        ("https://b.test:8443/x?y=1", 5.0),
    ]


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ('[[target]]\nurl = "http://a/"\nevry = 1\n', 3, "evry"),
        ('[[target]]\nurl = "http://a/"\n\nevery = "soon"\n', 4, "every"),
        ('[[target]]\nurl = "http://a/"\nevery = -1\n', 3, "every"),
        ('[[target]]\nurl = "http://a/"\nevery = true\n', 3, "every"),
        ('[[target]]\nurl = "http://a/"\n[[target]]\nurl = "ftp://a/"\n', 4, "url"),
        ('[[target]]\nurl = "http://u:p@a/"\n', 2, "url"),
        ('[[target]]\nurl = "http://a:99999/"\n', 2, "url"),
        ("[[target]]\nurl = 5\n", 2, "url"),
        ('[[target]]\nlabel = "x"\n', 1, "url"),
        ('[[target]]\nurl = "http://a/"\nmethod = "G T"\n', 3, "method"),
        ('[[target]]\nurl = "http://a/"\nretries = 1.5\n', 3, "retries"),
        ('[[target]]\nurl = "http://a/"\nexpect = 42\n', 3, "expect"),
        ('[[target]]\nurl = "http://a/"\nlabel = 42\n', 3, "label"),
        ('[[target]]\nurl = "http://a/"\nheaders = "x"\n', 3, "headers"),
        ('[[target]]\nurl = "http://a/"\nheaders = { "A b" = "x" }\n', 3, "headers"),
        ('[[target]]\nurl = "http://a/"\nheaders = { A = "x\\r\\ny" }\n', 3, "headers"),
        ('[[target]]\nurl = "http://a/"\nbackoff = 3\n', 3, "backoff"),
        ('[[target]]\nurl = "http://a/"\nbackoff = { cup = 1 }\n', 3, "backoff.cup"),
        ('[[target]]\nurl = "http://a/"\n[target.backoff]\nfactor = "x"\n', 4, "backoff.factor"),
        ('[[target]]\nurl = "http://a/"\nbackoff.cap = "1 week"\n', 3, "backoff.cap"),
        ('[[target]]\nurl = "http://a/"\n[target.circuit]\ncooldown = 0\n', 4, "circuit.cooldown"),
        ('[defaults]\nevery = "x"\n[[target]]\nurl = "http://a/"\n', 2, "every"),
        ('[defaults]\nurl = "http://a/"\n', 2, "url"),
        ('[defaults]\nretries = -1\n[[target]]\nurl = "http://a/"\n', 2, "retries"),
        ("[other]\nx = 1\n", 1, "other"),
        ("defaults = 1\n", 1, "defaults"),
        ('target = "http://a/"\n', 1, "target"),
        ('[[target]]\nurl = "http://a/"\n[[target]]\nurl = "http://a/"\n', 4, "url"),
        (
            '[[target]]\nurl = "http://a/"\nlabel = "x"\n[[target]]\nurl = "http://b/"\n'
            'label = "x"\n',
            6,
            "label",
        ),
        ('[[target]]\nurl = "http://a/\n', 2, None),
        ("", None, None),
    ],
)
def test_what_is_wrong_is_told_with_line_and_key(
    write: Any, text: str, line: int | None, key: str | None
) -> None:
    path = write(text)
    with pytest.raises(TargetsFileError) as caught:
        load_targets(path)
    assert (caught.value.path, caught.value.line, caught.value.key) == (str(path), line, key)
    assert str(caught.value).startswith(str(path))
    if line is not None:
        assert f", line {line}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("http://a/\nnot a url\n", 2, "url"),
        ("http://a/\n\nhttp://a/\n", 3, "url"),
        (b"http://a/\nhttp://b/\xff\n", 2, None),
        ("# nothing\n", None, None),
    ],
)
def test_wrong_lines(write: Any, text: str | bytes, line: int | None, key: str | None) -> None:
    with pytest.raises(TargetsFileError) as caught:
        load_targets(write(text, "targets.txt"))
    assert (caught.value.line, caught.value.key) == (line, key)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TargetsFileError, match=r"none\.toml: No such file"):
        load_targets(tmp_path / "none.toml")


def test_a_file_that_is_too_large(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fasthio.targetfile.MOST", 10)
    with pytest.raises(TargetsFileError, match="larger"):
        load_targets(write(TOML))


class TestReload:
    def change(self, path: Path, text: str) -> None:
        path.write_text(text)
        found = path.stat()
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1_000_000))

    def test_when_it_changes(self, write: Any) -> None:
        path = write("http://a/\n", "targets.txt")
        file = TargetsFile(path)
        assert not file.reload()
        self.change(path, "http://a/\nhttp://b/\n")
        assert file.reload()
        assert [spec.url for spec in file.specs] == ["http://a/", "http://b/"]
        assert not file.reload()

    def test_an_error_keeps_the_old_set_and_is_told_once(self, write: Any) -> None:
        path = write("http://a/\n", "targets.txt")
        file = TargetsFile(path, {"every": 3.0})
        self.change(path, "nonsense here\n")
        with pytest.raises(TargetsFileError, match="line 1, url"):
            file.reload()
        assert [spec.url for spec in file.specs] == ["http://a/"]
        assert not file.reload()
        self.change(path, "http://c/\n")
        assert file.reload()
        assert [(spec.url, spec.every) for spec in file.specs] == [("http://c/", 3.0)]

    def test_a_file_that_goes_keeps_the_old_set(self, write: Any) -> None:
        path = write("http://a/\n", "targets.txt")
        file = TargetsFile(path)
        path.unlink()
        with pytest.raises(TargetsFileError, match="No such file"):
            file.reload()
        assert not file.reload()
        assert len(file.specs) == 1
