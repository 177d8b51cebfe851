"""What cannot be pickled: objects of one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsIndex

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Tied"]


class Tied:
    """Base of what belongs to a connection: copied for itself alone, never pickled.

    hio's clients and respondents hold generators, which nothing can copy either. A subclass
    that says what a copy has is copied and pickled so, as it would be without this base.
    """

    __slots__ = ()

    #: False in a subclass that says what a copy has.
    _tied = True

    def __init_subclass__(cls, **kwa: Any) -> None:
        """See whether a subclass says what a copy has."""
        super().__init_subclass__(**kwa)
        if (
            cls.__reduce__ is not object.__reduce__
            or cls.__reduce_ex__ is not Tied.__reduce_ex__
            # which object has since Python 3.11
            or getattr(cls, "__getstate__", None) is not getattr(object, "__getstate__", None)
        ):
            cls._tied = False
            if cls.__copy__ is Tied.__copy__:
                cls.__copy__ = None  # type: ignore[assignment]  # by what it says, too

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
        if self._tied:
            raise TypeError(
                f"cannot pickle {type(self).__name__!r} object: it is of one connection"
            )
        return super().__reduce_ex__(protocol)
