"""Map against a sorted dict."""

import copy
import itertools

import memkv
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from model import KEYS, text_of, values_of

MAP_KINDS = ["u32", "u64", "i64", "f64", "bytes", "none"]


class Machine(RuleBasedStateMachine):
    """Operations on a mapping, and on a dict. What is opened is chosen by subclasses."""

    kinds = MAP_KINDS

    def start(self, kind, form):
        self.map = memkv.Map(kind=kind, keys=form)

    @initialize(data=st.data())
    def open(self, data):
        self.kind = data.draw(st.sampled_from(self.kinds))
        form = data.draw(st.sampled_from(["bytes", "str"]))
        self.out = text_of if form == "str" else bytes
        self.model = {}
        self.start(self.kind, form)

    def value(self, data):
        return data.draw(values_of(self.kind))

    def known(self, data):
        """Returns a key, often one that is there."""
        return data.draw(st.sampled_from(sorted(self.model)) | KEYS if self.model else KEYS)

    @rule(data=st.data())
    def set_item(self, data):
        key, value = self.known(data), self.value(data)
        self.map[key] = self.model[key] = value

    @rule(data=st.data())
    def delete_item(self, data):
        key = self.known(data)
        if key in self.model:
            del self.map[key], self.model[key]
        else:
            with pytest.raises(KeyError) as error:
                del self.map[key]
            assert error.value.args == (key,)

    @rule(data=st.data())
    def pop(self, data):
        key = self.known(data)
        assert self.map.pop(key, "absent") == self.model.pop(key, "absent")
        with pytest.raises(KeyError):
            self.map.pop(key)
        assert self.map.pop(key, None) is None

    @rule(index=st.sampled_from([0, -1]))
    def pop_item(self, index):
        if self.model:
            key = sorted(self.model)[index]
            assert self.map.popitem(index) == (self.out(key), self.model.pop(key))
        else:
            with pytest.raises(KeyError):
                self.map.popitem(index)

    @rule(data=st.data())
    def set_default(self, data):
        key, value = self.known(data), self.value(data)
        assert self.map.setdefault(key, value) == self.model.setdefault(key, value)

    @rule(
        data=st.data(), form=st.sampled_from(["dict", "pairs", "lists", "arrow", "table", "polars"])
    )
    def update(self, data, form):
        items = data.draw(st.dictionaries(KEYS, values_of(self.kind), max_size=30))
        of = {
            "u32": pa.uint32(),
            "u64": pa.uint64(),
            "i64": pa.int64(),
            "f64": pa.float64(),
            "bytes": pa.binary(),
            "none": pa.null(),
        }[self.kind]
        keys, values = pa.array(list(items), pa.binary()), pa.array(list(items.values()), of)
        if form == "dict":
            self.map.update(items)
        elif form == "pairs":
            self.map.update(list(items.items()))
        elif form == "lists":
            self.map.update(iter(items), list(items.values()))
        elif form == "arrow":
            self.map.update(keys, values)
        elif form == "table" or self.kind == "none":
            self.map.update(pa.table({"key": keys, "value": values}).to_reader(max_chunksize=7))
        else:
            self.map.update(pl.DataFrame(pa.table({"key": keys, "value": values})))
        self.model.update(items)

    @rule(data=st.data())
    def remove_many(self, data):
        prefix, lo, hi = (data.draw(st.none() | KEYS) for _ in range(3))
        if prefix is lo is hi is None:
            return
        gone = [
            key
            for key in self.model
            if (prefix is None or key.startswith(prefix))
            and (lo is None or key >= lo)
            and (hi is None or key < hi)
        ]
        assert self.map.remove_many(prefix, lo=lo, hi=hi) == len(gone)
        for key in gone:
            del self.model[key]

    @rule()
    def clear(self):
        self.map.clear()
        self.model.clear()

    @invariant()
    def is_equal(self):
        if not hasattr(self, "model"):
            return
        items = [(self.out(key), self.model[key]) for key in sorted(self.model)]
        assert len(self.map) == len(items)
        assert list(self.map.items()) == items
        assert self.map == dict(items)
        assert list(reversed(self.map)) == [key for key, _ in items][::-1]
        assert self.map.first() == (items[0] if items else None)
        assert self.map.last() == (items[-1] if items else None)

    @rule(data=st.data())
    def read(self, data):
        keys = sorted(self.model)
        asked = data.draw(st.lists(KEYS, max_size=4))
        for key in asked:
            assert (key in self.map) == (key in self.model)
            assert self.map.get(key, 0.5) == self.model.get(key, 0.5)
            begun = [(self.out(k), self.model[k]) for k in keys if k.startswith(key)]
            assert list(self.map.prefix(key)) == begun
            assert list(self.map.prefix(key, reverse=True)) == begun[::-1]
            longest = [(self.out(k), self.model[k]) for k in keys if key.startswith(k)]
            assert self.map.longest_prefix(key) == (longest[-1] if longest else None)
        assert self.map.get_many(asked + keys) == [self.model.get(key) for key in asked + keys]
        for lo, hi in itertools.product([None, *asked[:2]], repeat=2):
            for with_lo, with_hi in itertools.product([True, False], repeat=2):
                within = [
                    self.out(key)
                    for key in keys
                    if (lo is None or key > lo or with_lo and key == lo)
                    and (hi is None or key < hi or with_hi and key == hi)
                ]
                assert list(self.map.irange(lo, hi, (with_lo, with_hi))) == within
                assert (
                    list(self.map.irange(lo, hi, (with_lo, with_hi), reverse=True)) == within[::-1]
                )


TestMap = Machine.TestCase
TestMap.settings = settings(stateful_step_count=30, max_examples=40)


@pytest.mark.parametrize("kind", MAP_KINDS)
def test_freeze(kind, tmp_path):
    value = {"f64": 0.5, "bytes": b"x", "none": None}.get(kind, 7)
    counts = memkv.Map({f"{i:05}": value for i in range(40_000)}, kind=kind)
    info = counts.freeze(tmp_path / "it")
    assert (info.keys, info.kind, info.parts) == (40_000, kind, 1)
    assert memkv.FrozenLayer.open(tmp_path / "it", verify=True) == counts
    assert memkv.Map(memkv.FrozenLayer.open(tmp_path / "it"), kind=kind) == counts
    with pytest.raises(OSError):
        counts.freeze(tmp_path / "none" / "it")
    memkv.Map().freeze(tmp_path / "empty")
    assert len(memkv.FrozenLayer.open(tmp_path / "empty")) == 0


@pytest.mark.parametrize(
    "arguments,options,kind,expected",
    [
        ((), {}, "u64", {}),
        (({"a": 1},), {}, "u64", {b"a": 1}),
        (([("a", 1), (b"b", 2)],), {}, "u64", {b"a": 1, b"b": 2}),
        ((["a", "b"], [1, 2]), {}, "u64", {b"a": 1, b"b": 2}),
        (({"a": -1},), {"kind": "i64"}, "i64", {b"a": -1}),
        (({"a": "x"},), {"kind": "bytes"}, "bytes", {b"a": b"x"}),
        ((pa.table({"k": ["a"], "v": [-1]}),), {}, "i64", {b"a": -1}),
        ((pa.table({"k": ["a"], "v": ["x"]}),), {}, "bytes", {b"a": b"x"}),
        ((pa.table({"k": ["a"], "v": pa.array([1], pa.uint8())}),), {}, "u32", {b"a": 1}),
        ((pa.table({"k": ["a"], "v": pa.array([1.5], pa.float32())}),), {}, "f64", {b"a": 1.5}),
        ((pa.array(["a"]), pa.array([3], pa.int16())), {}, "i64", {b"a": 3}),
        ((pa.array(["a"]), pa.array([3], pa.int16())), {"kind": "u64"}, "u64", {b"a": 3}),
        ((memkv.Map({"a": 1}),), {}, "u64", {b"a": 1}),
    ],
    ids=str,
)
def test_constructor(arguments, options, kind, expected):
    counts = memkv.Map(*arguments, **options)
    assert counts.kind == kind and counts == expected


@pytest.mark.parametrize(
    "arguments,options,error",
    [
        ((5,), {}, TypeError),
        (([5],), {}, (TypeError, ValueError)),
        (([("a",)],), {}, (TypeError, ValueError)),
        (([("a", 1, 2)],), {}, (TypeError, ValueError)),
        (({"a": -1},), {"kind": "u64"}, OverflowError),
        (({"a": 2**64},), {}, OverflowError),
        (({"a": "x"},), {"kind": "u64"}, TypeError),
        (({"a": 1.5},), {"kind": "u64"}, TypeError),
        (({5: 1},), {}, TypeError),
        ((["a", "b"], [1]), {}, ValueError),
        ((["a"], [1, 2]), {}, ValueError),
        ((pa.table({"k": ["a"], "v": [None]}),), {"kind": "u64"}, TypeError),
        ((pa.table({"k": ["a"], "v": ["x"]}),), {"kind": "u64"}, TypeError),
        ((pa.table({"k": ["a"], "v": [1.5]}),), {"kind": "u64"}, TypeError),
        ((pa.table({"k": ["a"], "v": [-1]}),), {"kind": "u64"}, OverflowError),
        ((pa.table({"k": ["a"], "v": [True]}),), {"kind": "u64"}, TypeError),
        ((pa.table({"k": ["a"], "v": pa.array([None], pa.int64())}),), {}, ValueError),
        ((), {"kind": "u8"}, ValueError),
        ((), {"kind": "text"}, ValueError),
        ((), {"keys": "text"}, ValueError),
        ((), {"values": [1]}, (TypeError, ValueError)),
    ],
    ids=str,
)
def test_wrong_arguments(arguments, options, error):
    with pytest.raises(error):
        memkv.Map(*arguments, **options)


def test_values_out_of_range():
    counts = memkv.Map({"a": 1})
    for value, error in [
        (-1, OverflowError),
        (2**64, OverflowError),
        ("x", TypeError),
        (1.5, TypeError),
        (None, TypeError),
    ]:
        for use in (
            lambda v: counts.__setitem__("b", v),
            lambda v: counts.setdefault("b", v),
            lambda v: counts.update({"b": v}),
            lambda v: counts.update(["b"], [v]),
        ):
            with pytest.raises(error):
                use(value)
    assert counts == {b"a": 1}


def test_an_update_that_fails():
    counts = memkv.Map()
    with pytest.raises(OverflowError):
        counts.update([("a", 1), ("b", -1), ("c", 3)])
    assert set(counts.items()) <= {(b"a", 1)}

    def items():
        yield "x", 1
        raise LookupError

    with pytest.raises(LookupError):
        counts.update(items())
    assert set(counts.items()) <= {(b"a", 1), (b"x", 1)}
    with pytest.raises(LookupError):
        counts.update((f"{i:06}", i) if i < 20_000 else next(items(), {}[i]) for i in range(30_000))
    assert 10_000 < len(counts) <= 20_002


def test_changes_while_it_is_read():
    counts = memkv.Map({f"{i:06}": i for i in range(10_000)})
    seen = []
    for key in counts:
        seen.append(key)
        del counts[key]
    assert len(seen) == 10_000 and len(counts) == 0
    for i in range(100):
        counts[f"{i:06}"] = i
    for key in counts:
        if len(counts) < 3000:
            counts[key + b"x"] = 1
    assert len(counts) >= 200
    counts.update(counts)
    counts.update(counts.to_arrow())


def test_copies():
    for kind in ("u64", "bytes"):
        counts = memkv.Map({"a": 1} if kind == "u64" else {"a": b"x"}, kind=kind, keys="str")
        for other in (counts.copy(), copy.copy(counts), copy.deepcopy(counts)):
            assert other == counts and other.key_type == "str" and other.kind == kind
            other.clear()
            assert len(counts) == 1


def test_memory_usage():
    small, large = memkv.Map(), memkv.Map({f"{i:06}": i for i in range(100_000)})
    assert 0 <= small.memory_usage() < large.memory_usage() < 100_000 * 40
    texts = memkv.Map({"a": b"x" * 100_000}, kind="bytes")
    assert texts.memory_usage() > 100_000


def test_long_keys_and_values():
    counts = memkv.Map(kind="bytes")
    counts[b"x" * 100_000] = b"y" * 1_000_000
    counts[b"x" * 100_001] = b""
    assert counts[b"x" * 100_000] == b"y" * 1_000_000
    assert [len(key) for key in counts] == [100_000, 100_001]


def test_kinds_beside_the_default():
    flags = memkv.Map(kind="none")
    flags["a"] = None
    assert flags == {b"a": None} and flags.get_many(["a", "b"]) == [None, None]
    assert flags.contains_many(["a", "b"]) == [True, False]
    with pytest.raises(TypeError):
        flags["a"] = 1
    with pytest.raises(OverflowError):
        memkv.Map(kind="u32")["a"] = 2**32
