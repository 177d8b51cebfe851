"""D20 to D39: what hio's Respondent does, and what ours does in its place, on both engines."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType

import pytest
from hio.core.http import clienting, httping

from fasthio import errors, responding

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
STEPS = 50

Make = Callable[..., responding.Respondent]


@pytest.fixture
def make(respondents: ModuleType) -> Make:
    """Make a Respondent of ours on the engine under test."""

    def make(octets: bytes = b"", **kwa: object) -> responding.Respondent:
        return responding.Respondent(msg=bytearray(octets), **kwa)

    return make


def run(respondent: clienting.Respondent, closed: bool = False) -> clienting.Respondent:
    """Parse for a bounded number of steps, then with the connection closed if so asked."""
    for _ in range(STEPS):
        respondent.parse()
    if closed:
        respondent.close()
        for _ in range(STEPS):
            respondent.parse()
    return respondent


def hio(octets: bytes = b"", **kwa: object) -> clienting.Respondent:
    return clienting.Respondent(msg=bytearray(octets), **kwa)


def test_d20_closing_before_the_first_parse_counts(make: Make) -> None:
    theirs, ours = hio(), make()
    for respondent in (theirs, ours):
        respondent.close()
        run(respondent)
    assert not theirs.ended
    assert ours.ended
    assert ours.errored
    assert ours.error.code == "closed-before-start"
    assert isinstance(ours.fault, httping.PrematureClosure)
    assert len(ours.headers) == 0


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (b"HTTP/1.1 2", "closed-in-head"),
        (OK + b"A: b", "closed-in-head"),
        (OK + b"Content-Length: 5\r\n\r\nhel", "closed-in-body"),
        (CHUNKED + b"5\r\nhel", "closed-in-chunk"),
    ],
)
def test_d21_closing_inside_a_message_is_an_error(make: Make, octets: bytes, code: str) -> None:
    theirs = run(hio(octets), closed=True)
    assert not theirs.ended  # it waits for more
    ours = run(make(octets), closed=True)
    assert (ours.ended, ours.errored, ours.error.code) == (True, True, code)


def test_d21_closing_after_the_last_chunk_is_the_end(make: Make) -> None:
    ours = run(make(CHUNKED + b"5\r\nhello\r\n0\r\n"), closed=True)
    assert (ours.ended, ours.errored, ours.body) == (True, False, b"hello")


def test_d22_another_buffer_starts_afresh(make: Make) -> None:
    old, new = OK + b"Content-Length: 5\r\n\r\nhel", OK + b"Content-Length: 2\r\n\r\nhi"
    theirs, ours = hio(old), make(old)
    for respondent in (theirs, ours):
        run(respondent)
        respondent.reinit(msg=bytearray(new))
        run(respondent)
    assert theirs.body != b"hi"
    assert (ours.ended, ours.errored, ours.body) == (True, False, b"hi")


def test_d23_each_response_owns_its_body(make: Make) -> None:
    held = []
    for respondent in (hio(), make()):
        bodies = []
        for word in (b"one", b"two"):
            respondent.msg.extend(CHUNKED + b"3\r\n" + word + b"\r\n0\r\n\r\n")
            run(respondent)
            bodies.append(respondent.body)
            respondent.makeParser()
        held.append(bodies)
    theirs, ours = held
    assert theirs[0] is theirs[1]
    assert ours == [b"one", b"two"]


def test_d24_repeated_fields_are_kept(make: Make) -> None:
    octets = OK + b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n"
    assert run(hio(octets)).headers.getall("set-cookie") == ["b=2"]
    assert run(make(octets)).headers.getall("set-cookie") == ["a=1", "b=2"]


def test_d25_no_space_after_the_colon_is_needed(make: Make) -> None:
    octets = OK + b"Content-Length:2\r\n\r\nhi"
    with pytest.raises(ValueError, match="not enough values"):
        run(hio(octets))
    ours = run(make(octets))
    assert (ours.errored, ours.body) == (False, b"hi")


@pytest.mark.parametrize("line", [b"no colon", b": value", b"Name : value", b"Na\x00me: x"])
def test_d25_bad_field_is_typed(make: Make, line: bytes) -> None:
    ours = run(make(OK + line + b"\r\n\r\n"))
    assert ours.ended
    assert ours.errored
    assert isinstance(ours.fault, errors.FieldError)
    assert isinstance(ours.fault, (httping.HTTPException, ValueError))


def test_d26_308_is_a_redirect(make: Make) -> None:
    octets = b"HTTP/1.1 308 Permanent Redirect\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"
    assert not run(hio(octets)).redirectant
    assert run(make(octets)).redirectant is True


def test_d27_last_event_id_can_be_given(make: Make) -> None:
    assert hio(leid="7").leid is None
    assert make(leid="7").leid == "7"


def test_d28_json_nested_too_deep_is_no_json(make: Make) -> None:
    body = b"[" * 200_000
    octets = OK + b"Content-Type: application/json\r\nContent-Length: 200000\r\n\r\n" + body
    with pytest.raises(RecursionError):
        run(hio(octets)).dictify()
    ours = run(make(octets))
    ours.dictify()
    assert ours.data is None


def test_d29_encoding_is_the_charset(make: Make) -> None:
    octets = OK + b"Content-Type: text/plain; charset=UTF-8\r\nContent-Length: 0\r\n\r\n"
    assert run(hio(octets)).encoding == " charset=UTF-8"
    assert run(make(octets)).encoding == "UTF-8"


def test_d30_interim_responses_are_not_final(make: Make) -> None:
    final = OK + b"Content-Length: 2\r\n\r\nhi"
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    assert run(hio(early + final)).status == 103
    with pytest.raises(RuntimeError):
        run(hio(b"HTTP/1.1 100 Continue\r\n\r\n" + final))
    ours = run(make(b"HTTP/1.1 100 Continue\r\n\r\n" + early + final))
    assert (ours.status, ours.body, ours.engine.interims) == (200, b"hi", 2)
    assert "link" not in ours.headers


@pytest.mark.parametrize("value", [b"+5", b"-5", b"1_0", b"0x5", b"5 5", b"", b"5, 6"])
def test_d31_bad_lengths_are_refused(make: Make, value: bytes) -> None:
    octets = OK + b"Content-Length: " + value + b"\r\n\r\nhello"
    assert not run(hio(octets)).errored
    ours = run(make(octets))
    assert isinstance(ours.fault, errors.FramingError)
    assert run(make(OK + b"Content-Length: 5, 5\r\n\r\nhello")).body == b"hello"


def test_d32_transfer_encoding_is_a_list(make: Make) -> None:
    octets = OK + b"Transfer-Encoding: gzip, Chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    assert not run(hio(octets)).chunked
    ours = run(make(octets))
    assert (ours.chunked, ours.body, ours.engine.codings) == (True, b"hi", ("gzip",))
    bad = run(make(OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n"))
    assert bad.error.code == "chunked-not-last"


@pytest.mark.parametrize("size", [b"0x5", b"+5", b"0_5"])
def test_d33_bad_chunk_sizes_are_refused(make: Make, size: bytes) -> None:
    octets = CHUNKED + size + b"\r\nhello\r\n0\r\n\r\n"
    assert run(hio(octets)).body == b"hello"
    ours = run(make(octets))
    assert isinstance(ours.fault, errors.ChunkError)


def test_d33_extensions_are_kept(make: Make) -> None:
    octets = CHUNKED + b'2;a=b;c="d e";f\r\nhi\r\n0\r\n\r\n'
    with pytest.raises(TypeError):
        run(hio(octets))
    ours = run(make(octets))
    assert (ours.body, ours.parms) == (b"hi", {"a": "b", "c": "d e", "f": None})


def test_d34_splits_change_nothing(make: Make) -> None:
    octets = OK + b"A: b\nC: d\r\nContent-Length: 2\r\n\nhi"
    seen = {"hio": set(), "ours": set()}
    for cut in range(len(octets)):
        for name, respondent in (("hio", hio(octets[:cut])), ("ours", make(octets[:cut]))):
            run(respondent)
            respondent.msg.extend(octets[cut:])
            try:
                run(respondent)
            except ValueError:
                seen[name].add("ValueError")
                continue
            seen[name].add((respondent.ended, repr(respondent.headers), bytes(respondent.body)))
    assert len(seen["hio"]) > 1
    assert len(seen["ours"]) == 1


def test_d35_heads_are_bounded(make: Make) -> None:
    folded = b" x" * 30_000 + b"\r\n"
    octets = OK + b"A: b\r\n" + folded * 6
    ours = run(make(octets))
    assert ours.error.code == "head-too-large"
    assert isinstance(ours.fault, httping.LineTooLong)
    many = run(make(b"HTTP/1.1 100 Continue\r\n\r\n" * 40))
    assert many.error.code == "too-many-interims"


def test_d36_head_has_no_body(make: Make) -> None:
    octets = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    assert not run(hio(octets, method="HEAD")).ended
    ours = run(make(octets, method="HEAD"))
    assert (ours.ended, ours.errored, ours.length) == (True, False, 0)


def test_d37_nothing_is_left_of_the_last_response(make: Make) -> None:
    first = OK + b"Content-Type: application/json; charset=x\r\nContent-Length: 2\r\n\r\n{}"
    second = OK + b"Content-Length: 0\r\n\r\n"
    left = []
    for respondent in (hio(), make()):
        for octets in (first, second):
            respondent.msg.extend(octets)
            run(respondent)
            respondent.makeParser()
            respondent.reinit()
        left.append((bool(respondent.jsoned), respondent.encoding.strip()))
    assert left == [(True, "charset=x"), (False, "ISO-8859-1")]


def test_d38_status_lines_are_strict(make: Make) -> None:
    assert run(hio(b"HTTP/1.1 404 Not  Found\r\n\r\n")).reason == "Not Found"
    assert run(make(b"HTTP/1.1 404 Not  Found\r\n\r\n")).reason == "Not  Found"
    assert run(hio(b"HTTP/1.x 200 OK\r\n\r\n")).status == 200
    assert isinstance(run(make(b"HTTP/1.x 200 OK\r\n\r\n")).fault, httping.BadStatusLine)
    assert isinstance(run(make(b"HTTP/2.0 200 OK\r\n\r\n")).fault, httping.UnknownProtocol)


def test_d39_trailers_are_fields_of_their_own(make: Make) -> None:
    octets = CHUNKED + b"2\r\nhi\r\n0\r\nA: 1\r\nA:2\r\n\r\n"
    with pytest.raises(ValueError, match="not enough values"):
        run(hio(octets))
    ours = run(make(octets))
    assert list(ours.trails.items()) == [("A", "1"), ("A", "2")]
    assert "a" not in ours.headers


@pytest.mark.parametrize(
    "octets",
    [
        OK + b"Content-Length: 0\r\n",
        CHUNKED + b"4\r\nWiki\r\n0\r\nTrailer: value\r\n",
        b"HTTP/1.1 200",
        CHUNKED + b"4\r\nWiki\r\n",
        OK + b"Content-Length: 4\r\n\r\nte",
    ],
)
def test_a_cut_is_told_in_words_that_programs_look_for(make: Make, octets: bytes) -> None:
    """Where hio comes to an end at all, its `error` has them too."""
    for respondent in (hio(octets), make(octets)):
        run(respondent, closed=True)
        if isinstance(respondent, responding.Respondent):
            assert respondent.errored
        if respondent.errored:
            assert "closed unexpectedly" in respondent.error.lower()


@pytest.mark.parametrize(
    "text",
    ["{}", " {}", "{} ", "\r\n[1, 2]\n", '"x"', "1", "1.5e3", "null", "NaN", "-Infinity", "", " ",
     "{} {}", "{", "[1,]", "x", "'x'", "\ufeff{}", '{"a": 1, "a": 2}', "12345678901234567890123"],
)  # fmt: skip
def test_json_as_the_standard_library_reads_it(text: str) -> None:
    """The quick way in gives what json.loads gives."""

    respondent = responding.Respondent(msg=bytearray(), dictable=True)
    respondent.body = bytearray(text.encode())
    respondent.dictify()
    try:
        expected = json.loads(text)
    except ValueError:
        expected = None
    assert repr(respondent.data) == repr(expected)
