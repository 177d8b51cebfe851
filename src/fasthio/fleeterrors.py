"""What goes wrong with a fleet: one error for each cause, naming host and cause."""

from __future__ import annotations

from typing import Final

__all__ = ["FLEET_ERRORS", "FleetError", "SchedulerError", "WorkerError"]

#: Every code, with what it says.
FLEET_ERRORS: Final = {
    "unreachable": "no scheduler answers at the address in time",
    "scheduler-lost": "the scheduler ended, restarted, or answers no more",
    "workers": "there is no worker that polls could go to",
    "silent": "a worker does not answer in time",
    "python": "a worker runs another Python",
    "missing": "a worker lacks a package",
    "version": "a worker has another version of a package",
    "files": "a worker cannot open its results files",
    "ended": "the fleet is stopping, or closed",
    "broken": "a worker cannot set up its poller",
}


class FleetError(Exception):
    """Tell that a fleet cannot begin, or cannot go on.

    Attributes:
        code: key of `FLEET_ERRORS`.
        host: address of the scheduler or worker that it is about.
    """

    def __init__(self, code: str, host: str, cause: str) -> None:
        """Name host and cause.

        Args:
            code: key of `FLEET_ERRORS`.
            host: address of the scheduler or worker that it is about.
            cause: what is wrong, in words.
        """
        super().__init__(f"{host}: {cause}")
        self.code = code
        self.host = host
        self.cause = cause

    def __reduce__(self) -> tuple[type[FleetError], tuple[str, str, str]]:
        """Let it go through a pickle."""
        return type(self), (self.code, self.host, self.cause)


class SchedulerError(FleetError, ConnectionError):
    """Tell that the scheduler cannot be reached, or is lost."""


class WorkerError(FleetError):
    """Tell what is wrong with a worker, or that there is none."""
