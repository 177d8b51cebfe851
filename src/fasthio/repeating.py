"""Requests that are kept, with what made them: the same again is found, not built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hio import help

if TYPE_CHECKING:
    from .requesting import Requester

__all__ = ["UNBUILT", "Built", "Queried", "Whole"]

Hict: Final[Any] = help.Hict
#: Types of qargs, headers and body of a `Whole`.
_KINDS: Final = (dict, Hict, bytes)


class Built(NamedTuple):
    """A head and what made it.

    Attributes:
        key: everything but the fields.
        fields: copy of the requester's headers.
        types: types of their values, None while all are str or octets.
        head: the head.
    """

    key: tuple[object, ...]
    fields: Any
    types: list[type] | None
    head: bytes


UNBUILT: Final = Built((), None, None, b"")


class Queried(NamedTuple):
    """A query and the names and values, with their types, that made it."""

    flat: list[object]
    types: list[type]
    query: str


class Whole:
    """A request that went out, with all that made it: the same again is the same octets.

    Only of requests without query, fragment, data and form, whose fields hold
    nothing that can change in place. Programs that poll send the same again and
    again; what is kept here is compared at once, in tuples and dicts, which costs a
    fifth of one by one, and copied, not made anew (measured).

    Attributes:
        method: of the request.
        path: of the request.
        body: of the request.
        fields: its headers; not to be changed.
        types: types of their values, None while all are str or octets.
        port: of the server.
        place: what else is the same in all requests of a requester.
        key: what `Requester._find` compares.
        lasting: True where it does not ask for its connection to be closed after it.
        head: octets of the head.
        msg: octets of the request.
    """

    __slots__ = (
        "_described",
        "_sent",
        "body",
        "fields",
        "head",
        "key",
        "lasting",
        "method",
        "msg",
        "path",
        "place",
        "port",
        "types",
    )

    def __init__(self, requester: Requester, built: Built, path: str) -> None:
        """Keep a request.

        Args:
            requester: it has just built the request.
            built: its head, and what made it.
            path: its path, nothing but a path.
        """
        self.method: str = requester.method
        self.path = path
        self.body: bytes = requester.body
        self.fields = built.fields
        self.types = built.types
        self.port = requester.port
        self.place: tuple[Any, ...] = (
            requester.hostname,
            requester.scheme,
            requester.portOptional,
            requester.HttpVersionString,
        )
        self.key: tuple[object, ...] = (
            *_KINDS,
            self.method,
            path,
            self.body,
            "",
            {},
            self.place,
            self.fields,
        )
        self.lasting = "connection" not in self.fields
        self.head = requester.head
        self.msg = requester.msg
        self._described: dict[str, Any] = {
            "method": self.method,
            "path": path,
            "qargs": {},
            "fragment": "",
            "headers": self.fields,
            "body": self.body,
            "data": None,
            "fargs": None,
        }
        self._sent: dict[str, Any] = {
            **self._described,
            "host": requester.hostname,
            "port": requester.port,
            "scheme": requester.scheme,
        }

    def makes(self, request: dict[str, Any]) -> bool:
        """Tell whether a request dict describes just this request, and nothing travels with it."""
        return (
            request == self._described
            and type(request["headers"]) is Hict
            and type(request["body"]) is bytes
            and (self.types is None or self.types_agree(request["headers"]))
        )

    def types_agree(self, headers: Any) -> bool:
        """Tell whether equal values are of the same types: 1 == True, but not as octets."""
        return self.types == list(map(type, headers.values()))

    def described(self) -> dict[str, Any]:
        """Describe the request, as `Client.request` queues it."""
        request = self._described.copy()
        request["qargs"] = {}
        request["headers"] = self.fields.copy()
        return request

    def sent(self) -> dict[str, Any]:
        """Describe the request, as its response tells of it."""
        request = self._sent.copy()
        request["qargs"] = {}
        request["headers"] = self.fields.copy()
        return request
