"""What cannot be pickled: objects of one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsIndex

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Tied"]


class Tied:
    """Base of what belongs to a connection: copied for itself alone, never pickled.

    hio's clients and respondents hold generators, which nothing can copy either.
    """

    __slots__ = ()

    def __copy__(self) -> Self:
        """Make another one that shares all there is."""
        made = type(self).__new__(type(self))
        for name, value in vars(self).items():
            setattr(made, name, value)
        return made

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """Refuse to be pickled or copied deep, unless a subclass knows how.

        Raises:
            TypeError: none does.
        """
        if type(self).__reduce__ is not object.__reduce__:
            return self.__reduce__()
        raise TypeError(f"cannot pickle {type(self).__name__!r} object: it is of one connection")
