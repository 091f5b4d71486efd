"""What a type checker should find out. It is checked, and not run."""

from collections.abc import Iterator, Mapping, MutableMapping, MutableSet
from pathlib import Path
from typing import assert_type

import memkv
from memkv._types import Key, Value


def layers(folder: Path) -> None:
    info = memkv.FrozenLayer.build(folder / "layer", {"a": 1, "b": 2}, on_duplicate="first")
    assert_type(info.keys, int)
    memkv.FrozenLayer.build("layer", ["a", b"b"], [1.5, 2.5], sorted=True, kind="f32")
    memkv.FrozenLayer.build("layer", (key for key in "abc"), memory="1GiB", threads=2)
    with memkv.FrozenLayer.open("layer", keys="str", mmap=False) as layer:
        mapping: Mapping[Key, Value] = layer
        assert_type(layer["a"], Value)
        assert_type(layer.get(b"a"), Value)
        assert_type(layer.get("a", 0), Value)
        assert_type(list(layer), list[Key])
        assert_type(layer.get_many(["a", b"b"]), list[Value])
        assert_type(layer.get_many((key for key in "ab"), threads=2), list[Value])
        assert_type(layer.contains_many({"a": 1}), list[bool])
        assert_type(layer.range("a", reverse=True), Iterator[tuple[Key, Value]])
        assert_type(layer.prefix(b"a"), Iterator[tuple[Key, Value]])
        assert_type(layer.irange("a", None, (False, True)), Iterator[Key])
        assert_type(layer.longest_prefix("ab"), tuple[Key, Value] | None)
        assert_type(layer.first(), tuple[Key, Value] | None)
        assert_type(layer.rank("b"), int)
        assert_type(layer.select(-1), tuple[Key, Value])
        assert_type(layer.search(regex="^a"), Iterator[tuple[Key, Value]])
        assert_type(layer.search(fuzzy="a", distance=2), Iterator[tuple[Key, Value]])
        assert_type(layer.to_arrow(prefix="a", batch_size=10), memkv.Batches)
        assert_type(layer.path, Path)
        layer.search(regex="a", fuzzy="b")  # type: ignore[call-overload]
        layer["a"] = 1  # type: ignore[index]
        len(mapping)
    memkv.FrozenLayer.open("layer", keys="text")  # type: ignore[arg-type]


def sets(folder: Path) -> None:
    memkv.LayerSet.build(folder, [("a")], keys_per_part=10, append=True)
    pages = memkv.LayerSet.open(folder)
    assert_type(pages.route("a"), int | None)
    assert_type(pages.route(["a", "b"]), list[int | None])
    assert_type([part.first for part in pages.parts], list[Key])
    assert_type(pages.vacuum(older_than=0), list[Path])
    assert_type(pages.boundaries(), list[Key])
    assert_type(pages.refresh(), bool)


def maps(folder: Path) -> None:
    counts = memkv.Map({"a": 1}, kind="i64", keys="str")
    memkv.Map([("a", 1), ("b", 2)])
    mapping: MutableMapping[Key, Value] = counts
    counts["a"] = 2
    assert_type(counts.pop("a"), Value)
    assert_type(counts.setdefault("a", 1), Value)
    assert_type(counts.popitem(0), tuple[Key, Value])
    counts.update({"a": 1})
    counts.update(["a", "b"], [1, 2])
    assert_type(counts.remove_many("a", lo="b"), int)
    assert_type(counts.freeze(folder), memkv.BuildInfo)
    assert_type(counts.copy(), memkv.Map)
    del mapping["a"]
    with memkv.Store.open(folder, durability="synced") as store:
        assert_type(store["a"], Value)
        store.sync()
        store.update(counts)
    assert_type(memkv.Store.recover(folder, folder), list[str])
    memkv.Store.open(folder, durability="none")  # type: ignore[arg-type]


def names() -> None:
    keys = memkv.Set(["a", b"b"], keys="str")
    keys_as_set: MutableSet[Key] = keys
    assert_type(keys.add("c"), bool)
    assert_type(keys.first(), Key | None)
    assert_type(list(keys.range("a")), list[Key])
    assert_type(keys.union(["d"], {"e"}), memkv.Set)
    keys |= {"d"}
    keys_as_set.discard("a")
