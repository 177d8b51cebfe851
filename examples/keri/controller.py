"""A program of keripy's that knows nothing of fasthio: two controllers and three witnesses.

It finds the witnesses, makes an identifier, adds events to it and has each receipted,
then sends messages that the other controller takes out of its mailbox at a witness,
an event stream. Prints what was done as JSON. Started by run.py.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import places
import tally
from hio.base import doing
from keri.app import agenting, forwarding, habbing, indirecting, oobiing
from keri.db import basing
from keri.help import helping
from keri.peer import exchanging

#: Messages sent through the mailbox, and seconds that one step may take.
MESSAGES, TIME = 5, 60.0
TOPICS = ["/receipt", "/replay", "/reply", "/note"]


class Notes:
    """Take the messages of one route."""

    resource = "/note"

    def __init__(self) -> None:
        self.taken: list[int] = []

    def verify(self, serder: Any, attachments: Any = None) -> bool:
        """Take whatever is signed."""
        return True

    def handle(self, serder: Any, attachments: Any = None) -> None:
        """Keep the number of the message."""
        self.taken.append(serder.ked["a"]["number"])


def until(doers: list[Any], done: Callable[[], object]) -> None:
    """Run doers until something holds, for `TIME` seconds at most."""
    doist = doing.Doist(real=True, tock=0.03125, doers=doers)
    doist.enter()
    deadline = time.monotonic() + TIME
    try:
        while not done():
            if time.monotonic() > deadline:
                raise TimeoutError("a step took too long")
            doist.recur()
            time.sleep(0.005)
    finally:
        doist.exit()


def find(hby: habbing.Habery, urls: list[str]) -> None:
    """Ask URLs for who is there and where (out-of-band introductions)."""
    for url in urls:
        hby.db.oobis.pin(keys=(url,), val=basing.OobiRecord(date=helping.nowIso8601()))
    oobiery = oobiing.Oobiery(hby=hby)
    until(oobiery.doers, lambda: all(hby.db.roobi.get(keys=(url,)) for url in urls))
    for url in urls:
        assert hby.db.roobi.get(keys=(url,)).state == oobiing.Result.resolved, url


def receipted(hby: habbing.Habery, hab: habbing.Hab) -> int:
    """Have the witnesses receipt the last event; returns how many did."""
    receiptor = agenting.Receiptor(hby=hby)
    got: list[list[str]] = []

    def ask(tymth: Any = None, tock: float = 0.0, **_: Any) -> Iterator[float]:
        yield tock
        witnesses = list((yield from receiptor.receipt(hab.pre, sn=hab.kever.sn)))
        assert (yield from receiptor.get(hab.pre, sn=hab.kever.sn)), "no receipt can be fetched"
        got.append(witnesses)

    until([receiptor, doing.doify(ask)], lambda: got)
    return len(got[0])


def main(witnesses: list[tuple[str, str]], folder: str) -> dict[str, Any]:
    """Do all of it; returns what was done."""
    places.keep_in(folder)
    prefixes = [prefix for prefix, _ in witnesses]
    introductions = [f"{url}/oobi/{prefix}/controller" for prefix, url in witnesses]
    with (
        habbing.openHby(name="pal", temp=True) as pal_hby,
        habbing.openHby(name="qin", temp=True) as qin_hby,
    ):
        for hby in (pal_hby, qin_hby):
            find(hby, introductions)
        pal = pal_hby.makeHab(name="pal", transferable=True, wits=prefixes, toad=3)
        receipts = [receipted(pal_hby, pal)]
        for _ in range(3):
            pal.interact()
            receipts.append(receipted(pal_hby, pal))
        for _ in range(2):
            pal.rotate()
            receipts.append(receipted(pal_hby, pal))

        qin = qin_hby.makeHab(name="qin", transferable=True, wits=prefixes, toad=3)
        receipts.append(receipted(qin_hby, qin))
        wit, url = witnesses[0]
        find(pal_hby, [f"{url}/oobi/{qin.pre}/witness/{wit}"])
        find(qin_hby, [f"{url}/oobi/{pal.pre}/witness/{wit}"])

        notes = Notes()
        exchanger = exchanging.Exchanger(hby=qin_hby, handlers=[notes])
        mailbox = indirecting.MailboxDirector(hby=qin_hby, topics=TOPICS, exc=exchanger)
        poster = forwarding.Poster(hby=pal_hby)
        for number in range(MESSAGES):
            note, _ = exchanging.exchange(route="/note", payload={"number": number}, sender=pal.pre)
            signed = pal.endorse(note, last=False, pipelined=False)
            poster.send(
                src=pal.pre,
                dest=qin.pre,
                topic="note",
                serder=note,
                attachment=bytearray(signed[note.size :]),
            )
        until([mailbox, poster], lambda: len(notes.taken) == MESSAGES)
        return {"receipts": receipts, "events": pal.kever.sn + 1, "notes": sorted(notes.taken)}


if __name__ == "__main__":
    print(json.dumps({"done": main(json.loads(sys.argv[1]), sys.argv[2]), **tally.report()}))
