"""Layers, sets and maps as objects of Python: pickles, copies, weak references, equality."""

import collections.abc
import copy
import gc
import os
import pathlib
import pickle
import sys
import weakref

import memkv
import pytest
from model import build, open_

MODEL = {b"a": 1, b"b": 2, b"\xff": 3}
WHAT = ["layer", "set"]


@pytest.fixture(params=WHAT)
def path(request, tmp_path):
    build(tmp_path / request.param, MODEL, "u64", request.param)
    return tmp_path / request.param


def opened(path, **options):
    return open_(path, path.name, **options)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(path, protocol):
    for options in ({}, {"keys": "str"}, {"mmap": False}):
        index = opened(path, **options)
        other = pickle.loads(pickle.dumps(index, protocol))
        assert type(other) is type(index) and other == index and other is not index
        assert other.path == index.path and other.key_type == index.key_type
        assert other.__reduce__() == index.__reduce__()
    index.close()
    assert len(pickle.loads(pickle.dumps(index, protocol))) == 3
    pickled = pickle.dumps(index)
    os.rename(path, path.with_name("elsewhere"))
    with pytest.raises(FileNotFoundError):
        pickle.loads(pickled)


def test_relative_paths(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    index = opened(pathlib.Path(path.name))
    assert index.path == path and isinstance(index.path, pathlib.Path)
    monkeypatch.chdir("/")
    assert pickle.loads(pickle.dumps(index)) == index


def test_a_path_that_is_not_utf8(tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe")
    with pytest.raises(OSError, match="UTF-8"):
        memkv.FrozenLayer.build(name, MODEL)
    memkv.FrozenLayer.build(tmp_path / "it", MODEL)
    os.rename(tmp_path / "it", name)
    layer = memkv.FrozenLayer.open(name)
    assert os.fsencode(layer.path) == os.fsencode(name)
    assert pickle.loads(pickle.dumps(layer)) == layer
    repr(layer)


def test_copy(path):
    index = opened(path)
    for other in (copy.copy(index), copy.deepcopy(index)):
        assert other == index
        other.close()
    assert len(index) == 3


def test_weak_references_and_cycles(path):
    index = opened(path)
    reference = weakref.ref(index)
    assert reference() is index
    iterator = iter(index)
    del index
    gc.collect()
    assert reference() is None and list(iterator) == list(MODEL)
    for thing in (memkv.Map(MODEL), memkv.Set(MODEL)):
        assert weakref.ref(thing)() is thing


def test_context_manager(path):
    with opened(path) as index:
        assert not index.closed and index[b"a"] == 1
        iterator, items = iter(index), index.items()
        assert next(iterator) == b"a"
    assert index.closed and "closed" in repr(index)
    index.close()
    assert list(iterator) == [b"b", b"\xff"]
    for use in (
        lambda: index["a"],
        lambda: "a" in index,
        lambda: len(index),
        lambda: list(index),
        lambda: list(items),
        lambda: index.get("a"),
        lambda: index.get_many(["a"]),
        lambda: index.range(),
        lambda: index.rank("a"),
        lambda: index.select(0),
        lambda: index.search(regex="a"),
        lambda: index.verify(),
        lambda: index.kind,
        lambda: index == MODEL,
        lambda: index.__enter__(),
    ):
        with pytest.raises(ValueError, match="closed"):
            use()
    with pytest.raises(LookupError), opened(path) as index:
        raise LookupError
    assert index.closed
    if path.name == "set":
        for use in (
            lambda: index.parts,
            lambda: index.boundaries(),
            lambda: index.route("a"),
            lambda: index.route(["a"]),
            lambda: index.refresh(),
            lambda: index.vacuum(),
            lambda: index.open_parts,
            lambda: index.duplicates,
        ):
            with pytest.raises(ValueError, match="closed"):
                use()


def test_abstract_classes(path):
    index = opened(path)
    assert isinstance(index, collections.abc.Mapping)
    assert isinstance(index, collections.abc.Reversible)
    assert not isinstance(index, collections.abc.MutableMapping)
    assert isinstance(index.keys(), collections.abc.KeysView)
    assert isinstance(index.items(), collections.abc.ItemsView)
    assert isinstance(index.values(), collections.abc.ValuesView)
    assert isinstance(memkv.Map(), collections.abc.MutableMapping)
    assert isinstance(memkv.Set(), collections.abc.MutableSet)
    assert issubclass(memkv.Store, collections.abc.MutableMapping)


def test_equality_and_hashes(path):
    index, as_text = opened(path), opened(path, keys="str")
    assert index == MODEL and MODEL == index and index == opened(path)
    assert index == memkv.Map(MODEL) and memkv.Map(MODEL) == index
    assert index != {**MODEL, b"a": 2} and index != {**MODEL, b"c": 2} and index != {}
    assert index != [] and index != 5 and index is not None and not index == "a"
    assert as_text == {"a": 1, "b": 2, "\udcff": 3} and as_text != MODEL
    assert as_text != index
    for thing in (index, memkv.Map(), memkv.Set()):
        with pytest.raises(TypeError, match="unhashable"):
            hash(thing)
        with pytest.raises(TypeError):
            thing < thing.__class__


def test_views(path):
    index = opened(path)
    keys, values, items = index.keys(), index.values(), index.items()
    assert len(keys) == len(values) == len(items) == 3
    assert b"a" in keys and "a" in keys and b"x" not in keys
    assert (b"a", 1) in items and (b"a", 2) not in items and (b"x", 1) not in items
    assert 3 in values and 4 not in values
    assert (
        keys & {b"a", b"x"} == {b"a"}
        and keys | {b"x"} == {*MODEL, b"x"}
        and keys - {b"a"} == {b"b", b"\xff"}
    )
    assert keys == set(MODEL) and items == set(MODEL.items())
    assert dict(index) == {**index} == MODEL and list(zip(keys, values)) == list(items)
    assert "KeysView" in repr(keys)
    match index:
        case {"a": value}:
            assert value == 1
        case _:
            raise AssertionError


def test_repr(path):
    index = opened(path)
    assert str(path) in repr(index) and "3 keys" in repr(index)
    assert repr(memkv.Map(MODEL)) == '<memkv.Map, 3 keys, kind "u64">'


def test_attributes_cannot_be_set(path):
    index = opened(path)
    for name in ("path", "kind", "closed", "key_type"):
        with pytest.raises(AttributeError):
            setattr(index, name, 5)
    with pytest.raises(AttributeError):
        index.other = 5
    with pytest.raises(TypeError):
        index["a"] = 5
    with pytest.raises(TypeError):
        type("Sub", (type(index),), {})


def test_nothing_leaks_references(path):
    index = opened(path)
    key, value = b"some key", object()
    counts = sys.getrefcount(key), sys.getrefcount(value), sys.getrefcount(None)
    for _ in range(1000):
        index.get(key, value)
        key in index  # noqa: B015
        index.get_many([key, b"a"])
        list(index.range(key))
        index.longest_prefix(key)
        index.rank(key)
        with pytest.raises(KeyError):
            index[key]
    gc.collect()
    after = sys.getrefcount(key), sys.getrefcount(value), sys.getrefcount(None)
    assert all(abs(a - b) < 50 for a, b in zip(counts, after))


def test_files_are_closed(path):
    def files():
        return len(os.listdir("/proc/self/fd"))

    before = files()
    for _ in range(20):
        for mmap in (True, False):
            index = opened(path, mmap=mmap)
            list(index)
            index.close()
            opened(path, mmap=mmap)["a"]
    gc.collect()
    assert files() == before
    with open("/proc/self/maps") as maps:
        assert str(path) not in maps.read()
