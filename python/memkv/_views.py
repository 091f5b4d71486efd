"""What is written in Python: views of mappings, equality, pickling, and the operators of sets."""

import collections.abc
from collections.abc import Iterable, Iterator, Mapping, MutableSet
from typing import TYPE_CHECKING, Any, ClassVar

from memkv._memkv import FrozenLayer, LayerSet, _Set, _SortedMapping
from memkv._types import Key, KeyLike, Value

if TYPE_CHECKING:
    from memkv._memkv import _KeyForm


class KeysView(collections.abc.KeysView[Key]):
    """The keys of a mapping."""

    _mapping: _SortedMapping

    def __reversed__(self) -> Iterator[Key]:
        return reversed(self._mapping)


class ItemsView(collections.abc.ItemsView[Key, Value]):
    """The pairs of keys and values of a mapping, by one scan."""

    _mapping: _SortedMapping

    def __iter__(self) -> Iterator[tuple[Key, Value]]:
        return self._mapping.range()

    def __reversed__(self) -> Iterator[tuple[Key, Value]]:
        return self._mapping.range(reverse=True)


class ValuesView(collections.abc.ValuesView[Value]):
    """The values of a mapping, by one scan."""

    _mapping: _SortedMapping

    def __contains__(self, value: object) -> bool:
        return any(value is other or value == other for other in self)

    def __iter__(self) -> Iterator[Value]:
        return (value for _, value in self._mapping.range())

    def __reversed__(self) -> Iterator[Value]:
        return (value for _, value in self._mapping.range(reverse=True))


def equal(mapping: _SortedMapping, other: object) -> object:
    """Returns whether two mappings have the same keys and values."""
    if mapping is other:
        return True
    if not isinstance(other, Mapping):
        return NotImplemented
    if len(mapping) != len(other):
        return False
    if isinstance(other, _SortedMapping):
        return all(a == b for a, b in zip(mapping.range(), other.range()))
    absent = object()
    return all(other.get(key, absent) == value for key, value in mapping.range())


def open_layer(path: str, mmap: bool, keys: "_KeyForm") -> FrozenLayer:
    """Opens a layer that was pickled."""
    return FrozenLayer.open(path, mmap=mmap, keys=keys)


def open_set(path: str, mmap: bool, keys: "_KeyForm") -> LayerSet:
    """Opens a set that was pickled."""
    return LayerSet.open(path, mmap=mmap, keys=keys)


class Set(_Set, MutableSet[Key]):  # type: ignore[misc]
    """An ordered set of byte strings in memory that threads share, in less memory than its keys.

    It has the operators of ``set``. Each method is one atomic step, but those for many keys, which
    are one step a key. A forked process has a copy.

    >>> names = memkv.Set(["b", "a"], keys="str")
    >>> names.add("c")
    True
    >>> list(names | {"d"}), names.first(), list(names.range("b")), names >= {"a", "b"}
    (['a', 'b', 'c', 'd'], 'a', ['b', 'c'], True)
    """

    __slots__ = ()
    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def _from_iterable(  # type: ignore[override]
        self, items: Iterable[KeyLike]
    ) -> "Set":
        return Set(items, keys=self.key_type)

    def _own(self, other: object) -> "Set | None":
        """Returns another collection as a set whose keys have this one's form, if it has keys."""
        if isinstance(other, Set) and other.key_type == self.key_type:
            return other
        if not isinstance(other, Iterable) or isinstance(other, (str, bytes)):
            return None
        try:
            return self._from_iterable(other)
        except TypeError:
            return None

    def __le__(self, other: object) -> Any:
        own = self._own(other) if isinstance(other, collections.abc.Set) else None
        if own is None:
            return NotImplemented
        return len(self) <= len(own) and all(key in own for key in self)

    def __ge__(self, other: object) -> Any:
        own = self._own(other) if isinstance(other, collections.abc.Set) else None
        return NotImplemented if own is None else own <= self

    def __lt__(self, other: object) -> Any:
        own = self._own(other) if isinstance(other, collections.abc.Set) else None
        return NotImplemented if own is None else len(self) < len(own) and self <= own

    def __gt__(self, other: object) -> Any:
        own = self._own(other) if isinstance(other, collections.abc.Set) else None
        return NotImplemented if own is None else own < self

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, collections.abc.Set):
            return NotImplemented
        own = self._own(other)
        # What no set of keys is equal to.
        return own is not None and len(self) == len(own) and self <= own

    def __or__(self, other: object) -> Any:
        own = self._own(other)
        return NotImplemented if own is None else self.union(own)

    def __and__(self, other: object) -> Any:
        own = self._own(other)
        return NotImplemented if own is None else self.intersection(own)

    def __sub__(self, other: object) -> Any:
        own = self._own(other)
        return NotImplemented if own is None else self.difference(own)

    def __xor__(self, other: object) -> Any:
        own = self._own(other)
        return NotImplemented if own is None else self.symmetric_difference(own)

    __ror__ = __or__
    __rand__ = __and__
    __rxor__ = __xor__

    def __rsub__(self, other: object) -> Any:
        own = self._own(other)
        return NotImplemented if own is None else own.difference(self)

    def __ior__(self, other: object) -> Any:
        own = self._own(other)
        if own is None:
            return NotImplemented
        self.update(own)
        return self

    def __iand__(self, other: object) -> Any:
        own = self._own(other)
        if own is None:
            return NotImplemented
        for key in self:
            if key not in own:
                self.discard(key)
        return self

    def __isub__(self, other: object) -> Any:
        own = self._own(other)
        if own is None:
            return NotImplemented
        # A copy of the keys, if it is this set itself.
        for key in list(own) if own is self else own:
            self.discard(key)
        return self

    def __ixor__(self, other: object) -> Any:
        own = self._own(other)
        if own is None:
            return NotImplemented
        for key in list(own):
            if not self.discard(key):
                self.add(key)
        return self

    def isdisjoint(self, other: Iterable[KeyLike]) -> bool:
        """Returns whether the two have no key in common."""
        return not any(key in self for key in other)

    def union(self, *others: Iterable[KeyLike]) -> "Set":
        """Returns the keys of this set and of others."""
        union = self.copy()
        for other in others:
            union.update(other)
        return union

    def intersection(self, *others: Iterable[KeyLike]) -> "Set":
        """Returns the keys that this set has, and each of the others."""
        keys: Iterable[Key] = self
        for other in others:
            own = self._from_iterable(other)
            keys = [key for key in keys if key in own]
        return self._from_iterable(keys)

    def difference(self, *others: Iterable[KeyLike]) -> "Set":
        """Returns the keys of this set that none of the others has."""
        rest = self.copy()
        for other in others:
            for key in other:
                rest.discard(key)
        return rest

    def symmetric_difference(self, other: Iterable[KeyLike]) -> "Set":
        """Returns the keys that one of the two has, and not both."""
        own = self._from_iterable(other)
        return self.difference(own).union(own.difference(self))

    def copy(self) -> "Set":
        """Returns a copy."""
        return self._from_iterable(self)

    __copy__ = copy

    def __deepcopy__(self, memo: object) -> "Set":
        return self.copy()

    def issubset(self, other: Iterable[KeyLike]) -> bool:
        """Returns whether the other set has all keys of this one."""
        own = self._from_iterable(other)
        return all(key in own for key in self)

    def issuperset(self, other: Iterable[KeyLike]) -> bool:
        """Returns whether this set has all keys of the other one."""
        return all(key in self for key in other)
