"""Types of arguments and of what comes out, for annotations."""

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any, Protocol, TypeAlias

# What may be given as a key. Of a str it is the UTF-8.
KeyLike: TypeAlias = bytes | str | bytearray | memoryview
# A key that comes out: bytes, or str with keys="str".
Key: TypeAlias = bytes | str
Value: TypeAlias = int | float | bool | str | bytes | None
PathArg: TypeAlias = str | PathLike[str]


class ArrowArray(Protocol):
    """An array of Arrow."""

    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[Any, Any]:
        """Returns capsules of the type and of the array."""


class ArrowStream(Protocol):
    """Several arrays of Arrow, one after the other."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Returns a capsule of a stream."""


class NumPyArray(Protocol):
    """An array of NumPy."""

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """The memory."""

    @property
    def dtype(self) -> Any:
        """The type of the elements."""


Arrow: TypeAlias = ArrowArray | ArrowStream
# What may be given as keys with their values, or as keys alone.
Items: TypeAlias = (
    Mapping[str, Value]
    | Mapping[bytes, Value]
    | Iterable[tuple[KeyLike, Value]]
    | Iterable[list[Any]]
    | Iterable[KeyLike]
    | Arrow
)
