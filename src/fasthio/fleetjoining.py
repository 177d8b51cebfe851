"""How a fleet finds its scheduler and takes a worker in: reached, checked, set up.

Nothing is polled before all of that has succeeded; each failure is a FleetError
that names host and cause.
"""

from __future__ import annotations

import contextlib
import logging
import re
import signal
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from . import __version__
from .fleeterrors import SchedulerError, WorkerError
from .fleetworker import FleetActor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .fleetworker import Settings

__all__ = ["Enlisted", "connect", "enlist", "list_workers", "local", "make_security", "wait_for"]

#: Packages whose versions must be the same everywhere.
PACKAGES: Final = ("fasthio", "hio")
#: What the system or OpenSSL said, within the text of an error.
_SAID: Final = re.compile(r"\[(?:Errno -?\d+|SSL)[^\]]*\][^\n>]*")
#: How often the clock of a worker is looked at; the quickest look counts.
LOOKS: Final = 3


class Enlisted(NamedTuple):
    """A worker that was taken in.

    Attributes:
        actor: of it.
        future: keeps the actor alive.
    """

    actor: Any
    future: Any


def make_security(ca: str | None, cert: str | None, key: str | None) -> Any:
    """Make what Dask needs for TLS.

    Args:
        ca: path of the certificates that are trusted.
        cert: path of the certificate to show; None where `key` is None.
        key: path of its private key.
    Returns:
        A `distributed.Security`; None where nothing is given.
    """
    if ca is None and cert is None and key is None:
        return None
    from distributed import Security

    return Security(
        tls_ca_file=ca, tls_client_cert=cert, tls_client_key=key, require_encryption=True
    )


def connect(address: str, *, security: Any = None, timeout: float = 10.0) -> Any:
    """Connect to a scheduler.

    Args:
        address: as tcp://host:port, or tls://host:port.
        security: of `make_security`.
        timeout: seconds.
    Returns:
        A `distributed.Client`, which the caller closes.
    Raises:
        SchedulerError: none answers there in time.
    """
    from distributed import Client

    try:
        return Client(
            address,
            security=security,
            timeout=timeout,
            set_as_default=False,
            direct_to_workers=True,
            name="fasthio",
        )
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        text = _innermost(error)
        raise SchedulerError("unreachable", address, f"no scheduler answers: {text}") from error


def _innermost(error: BaseException) -> str:
    """Say in words what an error began with: what the system said, where it is in there."""
    each: BaseException | None = error
    while each is not None:
        found = _SAID.search(str(each))
        if found is not None:
            return found[0].strip()
        each = each.__cause__ or each.__context__
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold SIGINT back from this thread for the block, and for good from what is started in it.

    A terminal sends Ctrl-C to every process that it runs: workers would die of it before
    the coordinator can let their polls end. Threads and processes inherit the mask, those
    that a nanny starts later as well.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows  # pragma: no cover
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # now: the thread that starts it takes SIGINT again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)  # one that came meanwhile is raised


@contextlib.contextmanager
def local(workers: int, *, timeout: float = 30.0) -> Iterator[Any]:
    """Run a cluster on this machine for the time of the block.

    A process for each worker with one thread, under a nanny that starts it again
    when it dies; no dashboard. Ctrl-C is for this process alone: workers take none.

    Args:
        workers: how many.
        timeout: seconds until all must be there.
    Yields:
        A `distributed.Client`.
    Raises:
        SchedulerError: the cluster does not come up.
    """
    import dask
    from distributed import Client, LocalCluster

    with contextlib.ExitStack() as stack:
        try:
            # Dask's profiler looks at all threads a hundred times a second, for the dashboard
            with _interrupts_held(), dask.config.set({"distributed.worker.profile.enabled": False}):
                cluster = stack.enter_context(
                    LocalCluster(
                        n_workers=workers,
                        threads_per_worker=1,
                        processes=True,
                        dashboard_address=None,
                        # its HTTP server there is all the same: on a port that is free, not 8787
                        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                        host="127.0.0.1",
                        silence_logs=logging.ERROR,
                    )
                )
        except (OSError, RuntimeError) as error:
            raise SchedulerError("unreachable", "local cluster", _innermost(error)) from error
        client = stack.enter_context(Client(cluster, set_as_default=False, direct_to_workers=True))
        wait_for(client, workers, timeout)
        yield client


def address_of(client: Any) -> str:
    """Give the address of a client's scheduler."""
    scheduler = client.scheduler
    return str(scheduler.address) if scheduler is not None else "scheduler"


async def _identify(client: Any) -> Any:
    """Ask the scheduler itself: what the client keeps may be without the workers."""
    try:
        return await client.scheduler.identity(n_workers=-1)
    except TypeError:  # of a scheduler before 2025, which tells of all
        return await client.scheduler.identity()


def list_workers(client: Any) -> dict[str, str]:
    """Give the workers that run, as the scheduler knows them.

    Args:
        client: a `distributed.Client`.
    Returns:
        Names by address; of two with one name, the addresses.
    """
    info = client.sync(_identify, client)
    found = {
        address: address if each.get("name") is None else str(each["name"])
        for address, each in info["workers"].items()
        if each.get("status", "running") == "running"
    }
    names = list(found.values())
    return {address: name if names.count(name) == 1 else address for address, name in found.items()}


def wait_for(client: Any, count: int, timeout: float) -> dict[str, str]:
    """Wait until there are so many workers.

    Args:
        client: a `distributed.Client`.
        count: how many workers at least.
        timeout: seconds.
    Returns:
        As `list_workers`.
    Raises:
        SchedulerError: the scheduler is lost meanwhile.
        WorkerError: there are fewer then.
    """
    until = time.monotonic() + timeout
    while True:
        if client.status != "running":
            raise SchedulerError("scheduler-lost", address_of(client), "the scheduler is gone")
        workers = list_workers(client)
        if len(workers) >= count:
            return workers
        if time.monotonic() >= until:
            raise WorkerError(
                "workers",
                address_of(client),
                f"{len(workers)} workers after {timeout:g} s, {count} are needed",
            )
        time.sleep(0.05)


def _make_probe() -> Callable[[], dict[str, str]]:
    """Make what asks a worker for its packages; not importable, so that it travels whole."""

    def probe() -> dict[str, str]:
        import importlib

        found = {}
        for name in ("fasthio", "hio"):
            try:
                module = importlib.import_module(name)
            except ImportError as error:
                found[name] = f"missing: {error}"
                continue
            version = getattr(module, "__version__", None)
            if version is None:
                from importlib.metadata import version as read

                version = read(name)
            found[name] = str(version)
        return found

    return probe


def _own_version(name: str) -> str:
    return __version__ if name == "fasthio" else metadata.version(name)


async def _ask_python(client: Any, address: str) -> Any:
    answer = await client.scheduler.broadcast(
        msg={"op": "versions", "packages": []}, workers=[address]
    )
    return answer.get(address)


def check(client: Any, address: str, timeout: float) -> None:
    """See whether a worker runs what it has to run; Python is asked first, as code depends on it.

    Args:
        client: a `distributed.Client`.
        address: of the worker.
        timeout: seconds for each question.
    Raises:
        WorkerError: it does not.
    """
    try:
        versions = client.sync(_ask_python, client, address, callback_timeout=timeout)
    except OSError as error:  # TimeoutError is one
        raise _silent(address, timeout, error) from error
    if not isinstance(versions, dict):
        raise _silent(address, timeout, None)
    python = str(versions["host"]["python"])
    if python.split(".")[:2] != [str(part) for part in sys.version_info[:2]]:
        own = ".".join(map(str, sys.version_info[:3]))
        raise WorkerError("python", address, f"runs Python {python}, here it is {own}")
    future = client.submit(
        _make_probe(),
        workers=[address],
        allow_other_workers=False,
        pure=False,
        key=f"fasthio-probe-{uuid.uuid4().hex}",
    )
    found = _outcome(future, address, timeout)
    for name in PACKAGES:
        own, there = _own_version(name), found[name]
        if there.startswith("missing: "):
            raise WorkerError("missing", address, f"has no {name} ({there[9:]})")
        if there != own:
            raise WorkerError("version", address, f"has {name} {there}, here it is {own}")


def _silent(address: str, timeout: float, error: BaseException | None) -> WorkerError:
    why = f" ({_innermost(error)})" if error is not None and str(error) else ""
    return WorkerError("silent", address, f"does not answer within {timeout:g} s{why}")


def _outcome(future: Any, address: str, timeout: float) -> Any:
    """Wait for a task on a worker, or for a method of its actor."""
    try:
        return future.result(timeout=timeout)
    except ImportError as error:
        raise WorkerError("missing", address, str(error)) from error
    except OSError as error:
        raise _silent(address, timeout, error) from error
    except Exception as error:
        raise WorkerError("broken", address, _innermost(error)) from error


def enlist(
    client: Any, address: str, settings: Settings, tyme: Callable[[], float], timeout: float
) -> Enlisted:
    """Check a worker, set up its actor, and open its files. Nothing is polled yet.

    Args:
        client: a `distributed.Client`.
        address: of the worker.
        settings: of it.
        tyme: gives the fleet's tyme, in seconds.
        timeout: seconds for each step; the first lease, too.
    Raises:
        WorkerError: it cannot be used; the cause is named.
    """
    check(client, address, timeout)
    future = client.submit(
        FleetActor,
        settings,
        actor=True,
        workers=[address],
        allow_other_workers=False,
        pure=False,
        key=f"fasthio-fleet-{uuid.uuid4().hex}",
    )
    with client.as_current():  # what the actor's methods go through
        actor = _outcome(future, address, timeout)
        best, offset = float("inf"), 0.0
        for _ in range(LOOKS):
            before = tyme()
            there = _outcome(actor.clock(), address, timeout)
            after = tyme()
            if after - before < best:
                best, offset = after - before, (before + after) / 2 - there
        wrong = _outcome(actor.start(offset, tyme() + timeout), address, timeout)
    if wrong:
        raise WorkerError("files", address, wrong)
    return Enlisted(actor, future)


def enlist_all(
    client: Any,
    workers: dict[str, str],
    make: Callable[[str], Settings],
    tyme: Callable[[], float],
    timeout: float,
) -> dict[str, Enlisted]:
    """Take in several workers at once.

    Args:
        client: a `distributed.Client`.
        workers: names by address.
        make: gives the settings of a name.
        tyme: gives the fleet's tyme, in seconds.
        timeout: seconds for each step.
    Raises:
        WorkerError: one of them cannot be used; those that were taken in are let go.
    """
    enlisted: dict[str, Enlisted] = {}
    failure: WorkerError | None = None
    with ThreadPoolExecutor(min(16, len(workers))) as pool:
        tries = {
            address: pool.submit(enlist, client, address, make(name), tyme, timeout)
            for address, name in workers.items()
        }
        for address, each in tries.items():
            try:
                enlisted[address] = each.result()
            except WorkerError as error:
                failure = failure or error
    if failure is not None:
        for member in enlisted.values():
            member.actor.end("another worker cannot be used")
        raise failure
    return enlisted
