"""What is written in Python: views of mappings, equality, pickling, and the operators of sets."""

import collections.abc
from collections.abc import Iterable, Iterator, Mapping, MutableSet
from typing import TYPE_CHECKING, ClassVar

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

    def union(self, *others: Iterable[KeyLike]) -> "Set":
        """Returns the keys of this set and of others."""
        union = self._from_iterable(self)
        for other in others:
            union.update(other)
        return union

    def intersection(self, *others: Iterable[KeyLike]) -> "Set":
        """Returns the keys that this set has, and each of the others."""
        keys: Iterable[Key] = self
        for other in others:
            found = other if isinstance(other, collections.abc.Set) else self._from_iterable(other)
            keys = [key for key in keys if key in found]
        return self._from_iterable(keys)

    def difference(self, *others: Iterable[KeyLike]) -> "Set":
        """Returns the keys of this set that none of the others has."""
        rest = self._from_iterable(self)
        for other in others:
            for key in other:
                rest.discard(key)
        return rest

    def copy(self) -> "Set":
        """Returns a copy."""
        return self._from_iterable(self)

    __copy__ = copy

    def issubset(self, other: Iterable[KeyLike]) -> bool:
        """Returns whether the other set has all keys of this one."""
        return self <= self._from_iterable(other)

    def issuperset(self, other: Iterable[KeyLike]) -> bool:
        """Returns whether this set has all keys of the other one."""
        return all(key in self for key in other)
