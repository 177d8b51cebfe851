"""Requests that are kept, with what made them: the same again is found, not built."""

from __future__ import annotations

from typing import Any, ClassVar, Final, NamedTuple

from hio import help

from .engine import intact

__all__ = ["UNBUILT", "Built", "Queried", "Repeater", "Whole"]

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

    def __init__(self, requester: Repeater, built: Built, path: str) -> None:
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

    def described(self, headers: Any) -> dict[str, Any]:
        """Describe the request, as `Client.request` queues it.

        Args:
            headers: its headers, whose names may be in another case; they are copied.
        """
        request = self._described.copy()
        request["qargs"] = {}
        request["headers"] = headers.copy()
        return request

    def sent(self, headers: Any) -> dict[str, Any]:
        """Describe the request, as its response tells of it.

        Args:
            headers: its headers, whose names may be in another case; nobody else has them.
        """
        request = self._sent.copy()
        request["qargs"] = {}
        request["headers"] = headers
        return request


class Repeater:
    """Find again the request that was made last; the part of `Requester` that does so."""

    hostname: str
    port: Any
    scheme: str
    portOptional: Any
    HttpVersionString: Any
    method: Any
    path: Any
    qargs: Any
    fragment: Any
    headers: Any
    body: Any
    data: Any
    fargs: Any
    target: str | None
    head: bytes
    msg: bytes
    _lined: bytes
    _lines: list[bytes] | None
    _whole: Whole | None
    #: The methods that make requests, as they are by themselves.
    _Ways: ClassVar[tuple[tuple[str, Any], ...]]
    _built: Built
    _queried: Queried | None
    _path: object  # the path that was taken apart last ...
    _plain: object  # ... the same, if it may be compared by value

    def _find(
        self,
        method: Any,
        path: Any,
        qargs: Any,
        fragment: Any,
        headers: Any,
        body: Any,
        data: Any,
        fargs: Any,
    ) -> Whole | None:
        """Find the request that these arguments make, where it is the one that was made last."""
        whole = self._whole
        if (
            whole is not None
            and intact(self, self._Ways)
            and data is None
            and fargs is None
            and self.port is whole.port  # 80 == 80.0, which is no port
            # types first: nothing of another type is ever compared; fields in order, their
            # names without regard to case
            and whole.key
            == (
                type(qargs), type(headers), type(body),
                method, path, body, fragment, qargs,
                (self.hostname, self.scheme, self.portOptional, self.HttpVersionString),
                headers,
            )
            and (whole.types is None or whole.types_agree(headers))
        ):  # fmt: skip
            return whole
        return None

    def recall(self, method: str | None, path: str | None) -> Whole | None:
        """Find the request that was made last, where the attributes and these make it again.

        Args:
            method: method, None for that of the attributes.
            path: path, None for that of the attributes.
        """
        whole = self._whole
        if (
            whole is None
            or whole.body
            or self.qargs
            or self.fragment != ""
            or (self.path if path is None else path) != whole.path
            or (self.method if method is None else method) != whole.method
            or type(self.headers) is not Hict
            or self.headers != whole.fields
            or self.port is not whole.port
            or whole.place
            != (self.hostname, self.scheme, self.portOptional, self.HttpVersionString)
            or not (whole.types is None or whole.types_agree(self.headers))
        ):
            return None
        return whole

    def repeat(self, request: dict[str, Any]) -> Whole | None:
        """Take over a request that is the one made last, as `rebuild` does.

        Args:
            request: arguments of `rebuild` by name.
        Returns:
            The request; None where it is another, or more is to travel with it.
        """
        whole = self._whole
        if (
            whole is None
            or not intact(self, self._Ways)
            or self.port is not whole.port
            or whole.place
            != (self.hostname, self.scheme, self.portOptional, self.HttpVersionString)
            or not whole.makes(request)
        ):
            return None
        self._retake(whole, request["qargs"], request["headers"])
        return whole

    def forget(self) -> None:
        """Find nothing that was made before: its making was interrupted."""
        self._whole = None
        self._built = UNBUILT
        self._queried = None
        self._path = self._plain = UNBUILT  # which is no path

    def _retake(self, whole: Whole, qargs: Any, headers: Any) -> None:
        """Set the attributes as the building of a request that is kept would."""
        self.method = whole.method
        self.path = whole.path
        self.qargs = qargs
        self.fragment = ""
        self.headers = headers.copy()
        self.body = whole.body
        self.data = self.fargs = self.target = None
        self.head = self._lined = whole.head
        self._lines = None
        self.msg = whole.msg
