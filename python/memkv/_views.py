"""What the compiled part takes from Python: views of mappings, equality, and pickling."""

import collections.abc
from collections.abc import Iterator, Mapping
from typing import Any

from memkv._memkv import FrozenLayer, LayerSet, _SortedMapping


class KeysView(collections.abc.KeysView[Any]):
    """The keys of a mapping."""

    _mapping: _SortedMapping

    def __reversed__(self) -> Iterator[Any]:
        return reversed(self._mapping)


class ItemsView(collections.abc.ItemsView[Any, Any]):
    """The pairs of keys and values of a mapping, by one scan."""

    _mapping: _SortedMapping

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._mapping.range()

    def __reversed__(self) -> Iterator[tuple[Any, Any]]:
        return self._mapping.range(reverse=True)


class ValuesView(collections.abc.ValuesView[Any]):
    """The values of a mapping, by one scan."""

    _mapping: _SortedMapping

    def __contains__(self, value: object) -> bool:
        return any(value is other or value == other for other in self)

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping.range())

    def __reversed__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping.range(reverse=True))


def equal(mapping: _SortedMapping, other: object) -> Any:
    """Returns whether two mappings have the same keys and values."""
    if not isinstance(other, Mapping):
        return NotImplemented
    if len(mapping) != len(other):
        return False
    if isinstance(other, _SortedMapping):
        return all(a == b for a, b in zip(mapping.range(), other.range()))
    absent = object()
    return all(other.get(key, absent) == value for key, value in mapping.range())


def open_layer(path: str, mmap: bool, keys: str) -> FrozenLayer:
    """Opens a layer that was pickled."""
    return FrozenLayer.open(path, mmap=mmap, keys=keys)


def open_set(path: str, mmap: bool, keys: str) -> LayerSet:
    """Opens a set that was pickled."""
    return LayerSet.open(path, mmap=mmap, keys=keys)
