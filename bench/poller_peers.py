"""One peer polling over many keep-alive connections, in a process of its own.

`python bench/poller_peers.py PEER PORT CONNECTIONS REQUESTS` prints what it cost as
one line of JSON. Every peer does the same: so many connections are kept busy, each
response is read whole, its status looked at, its body's length added up.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

PATH = "/small"


class Meter:
    """Measure between the end of the warming up and the end."""

    def __init__(self, connections: int, requests: int) -> None:
        self.connections = connections
        self.warm = connections * 2
        self.all = self.warm + requests
        self.requests = requests
        self.done = 0
        self.octets = 0
        self.before = memory()
        self.wall = self.cpu = 0.0
        self.kept = 0

    def count(self, status: int, octets: int) -> bool:
        """Count a response; True while more are wanted."""
        assert status == 200, status
        self.octets += octets
        self.done += 1
        if self.done == self.warm:
            gc.collect()
            self.kept = memory()
            self.wall, self.cpu = time.perf_counter(), time.process_time()
        elif self.done == self.all:
            self.wall = time.perf_counter() - self.wall
            self.cpu = time.process_time() - self.cpu
        return self.done < self.all

    def report(self) -> dict[str, Any]:
        """Give the figures."""
        return {
            "per_second": self.requests / self.wall,
            "cpu_us": self.cpu / self.requests * 1e6,
            "kib_each": (self.kept - self.before) / 1024 / self.connections,
            "octets": self.octets,
        }


def memory() -> int:
    """Give the octets of memory this process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def run_fasthio(port: int, connections: int, requests: int) -> dict[str, Any]:
    """Poll with `Poller`."""
    from fasthio.polling import Poller

    meter = Meter(connections, requests)
    poller = Poller(openings=2_000.0, concurrency=connections, backlog=connections * 2 + 8)
    for number in range(connections):
        poller.add(f"http://127.0.0.1:{port}{PATH}", every=0.0, label=str(number), timeout=60.0)
    results = poller.results
    # what is measured begins when all connections are open, as it does for the others
    while poller.connections < connections:
        poller.service()
        results.clear()
        poller.wait(1.0)
    going = True
    while going:
        poller.service()
        while results:
            result = results.popleft()
            going = meter.count(result.status or 0, result.octets) and going
        poller.wait(1.0)
    report = meter.report()
    poller.close()
    return report


def run_hio(port: int, connections: int, requests: int) -> dict[str, Any]:
    """Poll with hio's clients, each serviced in turn, as a Doist does."""
    from hio.core.http import clienting

    return _run_clients(clienting.Client, port, connections, requests)


def run_fasthio_clients(port: int, connections: int, requests: int) -> dict[str, Any]:
    """Poll with fasthio's clients in the same way: the drop-in without the poller."""
    from fasthio.clienting import Client

    return _run_clients(Client, port, connections, requests)


def _run_clients(cls: Any, port: int, connections: int, requests: int) -> dict[str, Any]:
    meter = Meter(connections, requests)
    clients = [cls(hostname="127.0.0.1", port=port, path=PATH) for _ in range(connections)]
    opened = 0
    while opened < connections:
        for client in clients[opened : opened + 100]:
            client.reopen()
        while not all(client.connector.connected for client in clients[opened : opened + 100]):
            for client in clients[opened : opened + 100]:
                client.service()
        opened += 100
    for client in clients:
        client.request(method="GET", path=PATH)
    going = True
    while going:
        for client in clients:
            client.service()
            if client.responses:
                response = client.responses.popleft()
                going = meter.count(response["status"], len(response["body"])) and going
                client.request(method="GET", path=PATH)
    report = meter.report()
    for client in clients:
        client.close()
    return report


def run_aiohttp(port: int, connections: int, requests: int) -> dict[str, Any]:
    """Poll with aiohttp, a task for each connection."""
    import aiohttp

    url = f"http://127.0.0.1:{port}{PATH}"

    async def main() -> dict[str, Any]:
        meter = Meter(connections, requests)
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=0)
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:

            async def work(number: int) -> None:
                await asyncio.sleep(number / 2_000)
                going = True
                while going and meter.done < meter.all:
                    async with session.get(url) as response:
                        body = await response.read()
                    going = meter.count(response.status, len(body))

            await asyncio.gather(*[work(number) for number in range(connections)])
        return meter.report()

    return asyncio.run(main())


def run_httpx(port: int, connections: int, requests: int) -> dict[str, Any]:
    """Poll with httpx, a task for each connection."""
    import httpx

    url = f"http://127.0.0.1:{port}{PATH}"

    async def main() -> dict[str, Any]:
        meter = Meter(connections, requests)
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        async with httpx.AsyncClient(limits=limits, timeout=600.0, trust_env=False) as client:

            async def work(number: int) -> None:
                await asyncio.sleep(number / 500)
                going = True
                while going and meter.done < meter.all:
                    response = await client.get(url)
                    going = meter.count(response.status_code, len(response.content))

            await asyncio.gather(*[work(number) for number in range(connections)])
        return meter.report()

    return asyncio.run(main())


def run_pycurl(port: int, connections: int, requests: int) -> dict[str, Any]:
    """Poll with pycurl's multi interface, driven by its sockets through epoll."""
    import select

    import pycurl

    url = f"http://127.0.0.1:{port}{PATH}"
    meter = Meter(connections, requests)
    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_MAXCONNECTS, connections + 10)
    epoll = select.epoll()
    masks = {
        pycurl.POLL_IN: select.EPOLLIN,
        pycurl.POLL_OUT: select.EPOLLOUT,
        pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
    }
    watched: set[int] = set()

    def watch(what: int, fd: int, multi: Any, data: Any) -> None:
        if what == pycurl.POLL_REMOVE:
            if fd in watched:
                watched.discard(fd)
                try:
                    epoll.unregister(fd)
                except OSError:
                    pass
        elif fd in watched:
            epoll.modify(fd, masks[what])
        else:
            watched.add(fd)
            epoll.register(fd, masks[what])

    multi.setopt(pycurl.M_SOCKETFUNCTION, watch)
    multi.setopt(pycurl.M_TIMERFUNCTION, lambda ms: None)

    def make() -> Any:
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.NOPROXY, "*")
        handle.body = bytearray()
        handle.fields = {}
        handle.setopt(pycurl.WRITEFUNCTION, handle.body.extend)
        fields = handle.fields

        def take(line: bytes) -> None:
            name, colon, value = line.partition(b":")
            if colon:
                fields[name.decode("iso-8859-1").lower()] = value.strip().decode("iso-8859-1")

        handle.setopt(pycurl.HEADERFUNCTION, take)
        return handle

    handles = [make() for _ in range(connections)]
    fresh = iter(handles)
    started = 0
    going = True
    began = time.perf_counter()
    while going:
        while started < connections and started < (time.perf_counter() - began) * 2_000:
            multi.add_handle(next(fresh))
            started += 1
        multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        for fd, mask in epoll.poll(0.01, 256):
            bits = (pycurl.CSELECT_IN if mask & ~select.EPOLLOUT else 0) | (
                pycurl.CSELECT_OUT if mask & select.EPOLLOUT else 0
            )
            multi.socket_action(fd, bits)
        while True:
            left, good, bad = multi.info_read(256)
            assert not bad, bad
            for handle in good:
                status = handle.getinfo(pycurl.RESPONSE_CODE)
                going = meter.count(status, len(handle.body)) and going
                handle.body.clear()
                handle.fields.clear()
                multi.remove_handle(handle)
                multi.add_handle(handle)
            if not left:
                break
    return meter.report()


PEERS: dict[str, Callable[[int, int, int], dict[str, Any]]] = {
    "fasthio Poller": run_fasthio,
    "fasthio Client": run_fasthio_clients,
    "hio": run_hio,
    "aiohttp": run_aiohttp,
    "httpx": run_httpx,
    "pycurl": run_pycurl,
}


def main() -> None:
    """Run one peer and print its figures."""
    name, port, connections, requests = sys.argv[1:5]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(json.dumps(PEERS[name](int(port), int(connections), int(requests))))


if __name__ == "__main__":
    main()
