"""Three of keripy's witnesses on free loopback ports, until standard input ends.

The first line of output is JSON with the identifier and URL of each; the last one
tells how many requests they were sent. Started by run.py.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from typing import Any

import places
import tally
from hio.base import doing
from hio.core import http, tcp
from keri import kering
from keri.app import habbing, indirecting
from keri.help import helping

NAMES = ("wan", "wil", "wes")
ports: list[int] = []  # of the servers, in their order
served: Counter[str] = Counter()  # requests by the first part of their path


def loopback_server(*pa: Any, **kwa: Any) -> http.Server:
    """Make the server of a witness on a free loopback port, whatever port keripy has in mind."""
    (app,) = [each for each in (*pa, *kwa.values()) if callable(each)]

    def counted(environ: Any, start_response: Any) -> Any:
        served[environ["PATH_INFO"].split("/")[1]] += 1
        return app(environ, start_response)

    servant = tcp.Server(host="127.0.0.1", port=0)
    if not servant.reopen():
        raise RuntimeError("no port is free")
    servant.eha = servant.ha  # hio compares the addresses of connections with it
    ports.append(servant.ha[1])
    return http.Server(app=counted, servant=servant)


def introduce(hab: Any, url: str) -> None:
    """Let a witness tell where it can be reached."""
    stamp = helping.nowIso8601()
    hab.psr.parse(
        ims=hab.makeEndRole(eid=hab.pre, role=kering.Roles.controller, stamp=stamp)
        + hab.makeLocScheme(url=url, scheme=kering.Schemes.http, stamp=stamp)
    )


def main(folder: str) -> None:
    """Serve until standard input ends."""
    places.keep_in(folder)
    indirecting.createHttpServer = loopback_server
    doers, witnesses = [], []
    for name in NAMES:
        hby = habbing.Habery(name=name, temp=True)
        doers += [habbing.HaberyDoer(habery=hby)]
        doers += indirecting.setupWitness(alias=name, hby=hby, tcpPort=None, httpPort=0)
        hab = hby.habByName(name)
        url = f"http://127.0.0.1:{ports[-1]}"
        introduce(hab, f"{url}/")
        witnesses.append((hab.pre, url))
    print(json.dumps(witnesses), flush=True)

    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    doist = doing.Doist(real=True, tock=0.03125, doers=doers)
    doist.enter()
    while not ended.is_set():
        doist.recur()
        ended.wait(0.005)
    doist.exit()
    print(json.dumps({"served": served, **tally.report()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
