"""Write RESULTS.md from the results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .clients import NOTES
from .goals import judge

__all__ = ["REJECTED", "write_report"]

#: Experiments and what came of them.
REJECTED = [
    "the mapping made with its size known, in place of eleven `add`s: adopted",
    "the template of a head kept again at each 16th differing head: adopted",
    "a list of segments and two passes for chunks: rejected, writing straight into the body is "
    "1.8 times as fast at 64 B chunks",
    "no `GetBuffer` while a line drips in: adopted",
    "values scanned and heads compared sixteen octets at a time (SSE2): adopted, a small response "
    "takes two thirds of the time",
    "multidict's C API: rejected, it makes no subclass (hio's Hict) of known size, and `add` "
    "without that takes two to three times as long as the mapping made from pairs; the pairs used "
    "again: adopted",
    "a mapping copied from an emptied one with room, then extended: rejected, 13 % slower",
    "bodies of unknown length made 16 times as long as what came, and cut at the end: rejected, "
    "the cut pieces go back to the system and 64 KiB in 64 B chunks take 54 us in place of 6",
    "bodies of known length made at once: adopted",
    "the copy in steps of 4 KiB, or by SSE2, in place of one memcpy: rejected, up to 20 % slower",
    "a swap of rx and body where rx holds nothing else: rejected, it would save the first copy "
    "alone",
    "the last chunk read with the chunks before it: adopted, 64 KiB in 4 KiB chunks 3.0 to 2.1 us",
    "a look at the socket and nothing else in the service that sends, as no answer can be there: "
    "rejected, on the loopback it mostly is, and `poll` and a second service cost 4 us more",
    "huge pages asked for where whole ones lie in a body: rejected for its whole block, since one "
    "that is split cannot be moved and is copied: 84 ms for 64 MiB in place of 34",
    "attributes that each exchange looks at, put beside the others by way of `__dict__`: rejected "
    "for `setattr`, which leaves CPython 3.11 its quick way: 10 % fewer instructions a poll",
]

MIB = 1024 * 1024


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return [*lines, ""]


def _short(value: float) -> str:
    """Give a figure with about three digits that count."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _goals(results: dict[str, Any]) -> list[str]:
    verdicts = judge(results)
    words = {True: "met", False: "**not met**", None: "not measured"}
    rows = [
        [
            each.goal.row,
            each.goal.text,
            "" if each.figure is None else f"{_short(each.figure)}{each.goal.unit}",
            words[each.met],
        ]
        for each in verdicts
    ]
    met = sum(each.met is True for each in verdicts)
    failed = sum(each.met is False for each in verdicts)
    rest = len(verdicts) - met - failed
    return [
        "## Goals",
        "",
        f"{met} met, {failed} not met, {rest} not measured in this run. Ratios of medians of "
        "processor time; above 1 fasthio is the faster one unless the goal says otherwise.",
        "",
        *_table(["case", "goal", "measured", ""], rows),
    ]


def _wrong(wrong: dict[str, str]) -> list[str]:
    if not wrong:
        return []
    lines = [f"- {name}: left out: {' '.join(reason.split())}" for name, reason in wrong.items()]
    return [*lines, ""]


def _timed(found: dict[str, dict[str, float]], ours: str, extra: str = "") -> list[str]:
    """Make the table of one measurement; `extra` names a further column."""
    base = found[ours]
    rows = []
    for name, each in sorted(found.items(), key=lambda item: item[1]["cpu_median"]):
        row = [
            f"**{name}**" if name.startswith("fasthio") else name,
            _short(each["cpu_median"]),
            _short(each["cpu_min"]),
            _short(each["wall_median"]),
            f"{each['cpu_median'] / base['cpu_median']:.2f}",
            f"{each['cpu_min'] / base['cpu_min']:.2f}",
        ]
        if extra:
            row.append(f"{each[extra] / MIB:.1f}")
        rows.append(row)
    head = ["", "CPU median", "CPU minimum", "wall median", f"/ {ours}", "of minima"]
    return _table([*head, "MiB"] if extra else head, rows)


def _parsers(results: dict[str, Any]) -> list[str]:
    lines = [
        "## Parsers",
        "",
        "Microseconds a message. Equal work: status as int, headers as str in a mapping that can "
        "be asked in any case (or with all keys in lower case), body in one bytes or bytearray. "
        "*fasthio C* and *fasthio Python* are `ResponseParser` filling hio's Hict, fed with bytes "
        "as the peers are; *fasthio C rx* takes the same octets out of a receive buffer, as a "
        "client does, which is one more copy and one more call for each piece. *fasthio "
        "Respondent* is hio's face over the C engine, with all of its attributes. *httptools* "
        "fills a plain dict, *httptools CIMultiDict* the mapping that hio's Hict is.",
        "",
        "![parsers](plots/parsers.svg)",
        "",
    ]
    for case in results["parsers"].values():
        lines += [f"### {case['title'][0].upper()}{case['title'][1:]}", ""]
        lines += [f"{case['octets']:,} octets a message.", ""]
        lines += _timed(case["us"], "fasthio C")
        lines += _wrong(case["wrong"])
    drips = results.get("drips")
    if drips:
        sizes = sorted({size for each in drips.values() for size in each}, key=int)
        lines += [
            "### Byte by byte, growing",
            "",
            "Half of the message one long field line, half body: nanoseconds an octet.",
            "",
            *_table(
                ["octets", *(f"{int(size):,}" for size in sizes)],
                [
                    [name, *(f"{each[size] * 1000:.0f}" if size in each else "" for size in sizes)]
                    for name, each in drips.items()
                ],
            ),
        ]
    return lines


def _instructions(results: dict[str, Any]) -> list[str]:
    found = results.get("instructions")
    if found is None:
        return []
    lines = ["## Instructions a response", ""]
    if not found["counts"]:
        return [*lines, f"Not counted: {found['reason']}", ""]
    cases = list(found["counts"])
    names = sorted(found["counts"]["small"], key=found["counts"]["small"].get)
    lines += [
        f"Thousands, {found['valgrind']} (callgrind): the difference of two run lengths in one "
        "process forked for each, so that start and warm-up do not count.",
        "",
        *_table(
            ["", *cases],
            [
                [name, *(_short(found["counts"][case].get(name, 0) / 1000) for case in cases)]
                for name in names
            ],
        ),
        *_wrong(found.get("wrong", {})),
    ]
    return lines


def _clients(results: dict[str, Any]) -> list[str]:
    found = results.get("clients")
    if found is None:
        return []
    lines = ["## Clients", ""]
    if not found["scenes"]:
        return [*lines, f"Not measured: {found['reason']}", ""]
    lines += [
        f"Whole clients against nginx {found['nginx']} on the loopback, each in a process of its "
        "own, taking turns. Microseconds a request; processor time is that of the client's "
        "process, all threads. MiB is how much its resident memory grew at most during its first "
        "requests. A *-spin* client calls `service()` without waiting in between.",
        "",
    ]
    if found.get("together"):
        lines += [
            "Clients and nginx share one processor. On two, each request also pays for waking the "
            "other one: 15 to 35 us on virtual machines, with a raw socket as with any client.",
            "",
        ]
    lines += [
        *(f"- {name}: {note}" for name, note in NOTES.items()),
        "",
        "![clients](plots/clients.svg)",
        "",
    ]
    for scene in found["scenes"].values():
        lines += [f"### {scene['title'][0].upper()}{scene['title'][1:]}", ""]
        lines += _timed(scene["us"], "fasthio", "memory")
        lines += _wrong(scene["wrong"])
    return lines


_CHORES = {
    "idle": "`service()` of a connected client with nothing to do",
    "waiting": "`service()` while a response is awaited",
    "make-http": "`Client()` for HTTP",
    "make-https": "`Client()` for HTTPS, from the second one on",
}


def _chores(results: dict[str, Any]) -> list[str]:
    found = results.get("chores")
    if found is None:
        return []
    rows = []
    for key, title in _CHORES.items():
        hio, ours = found[key]["hio"], found[key]["fasthio"]
        rows.append(
            [
                title,
                _short(ours["cpu_median"]),
                _short(ours["cpu_min"]),
                _short(hio["cpu_median"]),
                _short(hio["cpu_min"]),
                f"{hio['cpu_median'] / ours['cpu_median']:.1f}",
            ]
        )
    head = ["microseconds", "fasthio median", "minimum", "hio median", "minimum", "hio / fasthio"]
    return ["## A client between requests", "", *_table(head, rows)]


def _events(results: dict[str, Any]) -> list[str]:
    found = results.get("events")
    if not found:
        return []
    names = list(found[0]["us"])
    rows = []
    for row in found:
        cells = [
            f"{row['us'][name]:.3f}{'*' * (name in row['wrong'])}" if name in row["us"] else ""
            for name in names
        ]
        rows.append([row["ends"], f"{row['feed']:,}", *cells])
    return [
        "## Server-sent events",
        "",
        "Microseconds an event, medians. * loses events: the answer depends on where the octets "
        "were cut, or the line end is not known. hio takes time quadratic in a feed of LF: it is "
        "left out of the largest.",
        "",
        *_table(["line end", "octets a feed", *names], rows),
    ]


def _poller(results: dict[str, Any]) -> list[str]:
    found = results.get("poller")
    if not found:
        return []
    plot = (
        ["![scaling](plots/poller-scaling.svg)", "", "![poller](plots/poller.svg)", ""]
        if found.get("peers")
        else []
    )
    return ["## Poller", "", *plot, *found["text"].strip().splitlines(), ""]


def _measured(measured: dict[str, dict[str, Any]]) -> list[str]:
    """Say when and on what each part was measured."""
    lines = [
        f"- {part}: {each['date']}, commit {each['commit']}, load {each['load']}, "
        f"{each['rounds']} rounds"
        for part, each in measured.items()
    ]
    # parts measured on different machines or versions are told apart
    for key in ("processor", "system", "python", "engine"):
        lines.append(f"- {key}: " + "; ".join(dict.fromkeys(e[key] for e in measured.values())))
    versions: dict[str, None] = {}
    for each in measured.values():
        versions |= dict.fromkeys(f"{name} {number}" for name, number in each["packages"].items())
    return [*lines, f"- {', '.join(versions)}", ""]


def write_report(results: dict[str, Any]) -> str:
    """Give the text of RESULTS.md."""
    lines = [
        "# Results",
        "",
        "Made by `make bench` (`python -m bench.run`); do not edit. All figures of a section were "
        "measured in one run, peers in turn and in another order each round, the collector of "
        "cyclic garbage off while parsers are measured and on in the clients. CPU is processor "
        "time, which a busy machine disturbs least; wall time is given beside it.",
        "",
        *_measured(results["measured"]),
        *_goals(results),
        *_parsers(results),
        *_instructions(results),
        *_clients(results),
        *_chores(results),
        *_events(results),
        *_poller(results),
        "## Experiments",
        "",
        *(f"- {each}" for each in REJECTED),
        "",
    ]
    return "\n".join(lines)
