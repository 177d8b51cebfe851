"""ClientDoer: a client under a Doist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hio.base import doing

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ClientDoer"]


class ClientDoer(doing.Doer):  # type: ignore[misc]  # hio has no types
    """Run a client under a Doist; one class for hio before and after 0.6.19.

    Attributes:
        client: what is wound, reopened, serviced and closed.
    """

    def __init__(self, client: Any, **kwa: Any) -> None:
        """Take the client; wind it where there is a tymist already.

        Args:
            client: what has `wind`, `reopen`, `service` and `close`.
            kwa: as for hio's Doer.
        """
        super().__init__(**kwa)
        self.client = client
        if self.tymth:
            self.client.wind(self.tymth)

    def wind(self, tymth: Callable[[], float]) -> None:
        """Inject the tyme of a tymist into the doer and its client."""
        super().wind(tymth)
        self.client.wind(tymth)

    def enter(self, *, temp: bool | None = None) -> None:
        """Wind and open the client.

        Args:
            temp: of hio's doers since 0.6.19; a client has no files to be temporary.
        """
        if self.tymth:
            self.client.wind(self.tymth)
        self.client.reopen()

    def recur(self, tyme: float) -> None:
        """Service the client once."""
        self.client.service()

    def exit(self) -> None:
        """Close the client."""
        self.client.close()
