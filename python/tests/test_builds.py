"""Builds, from every kind of input."""

import collections
import itertools
import math
import os
import tempfile

import memkv
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model import INT_KINDS, KEYS, models, nothing_new_in, open_

WHAT = ["layer", "set"]


def build(what, path, *arguments, **options):
    return (memkv.FrozenLayer if what == "layer" else memkv.LayerSet).build(
        path, *arguments, **options
    )


def made(what, path, *arguments, **options):
    """Builds, and returns what was built as a dict."""
    info = build(what, path, *arguments, **options)
    with open_(path, what, verify=True) as index:
        assert info.keys == len(index) and info.kind == index.kind
        return dict(index.items())


MODEL = {b"b": 2, b"a": 1, b"\xff": 4, b"c\0": 3}
SORTED = dict(sorted(MODEL.items()))
KEY_LIST, VALUE_LIST = list(MODEL), list(MODEL.values())


def streamed(columns, rows=2):
    """Returns a reader of a table, in batches of some rows."""
    return pa.table(columns).to_reader(max_chunksize=rows)


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize(
    "arguments",
    [
        lambda: (KEY_LIST, VALUE_LIST),
        lambda: (tuple(KEY_LIST), iter(VALUE_LIST)),
        lambda: ((key for key in KEY_LIST), (value for value in VALUE_LIST)),
        lambda: (MODEL,),
        lambda: (collections.OrderedDict(MODEL), None),
        lambda: (memkv.Map(MODEL),),
        lambda: (MODEL.keys(), MODEL.values()),
        lambda: (KEY_LIST, np.array(VALUE_LIST, "u8")),
        lambda: (KEY_LIST, np.array(VALUE_LIST, "i2")),
        lambda: (np.array(KEY_LIST, "O"), VALUE_LIST),
        lambda: (pa.array(KEY_LIST), pa.array(VALUE_LIST, pa.uint64())),
        lambda: (pa.array(KEY_LIST, pa.binary_view()), VALUE_LIST),
        lambda: (KEY_LIST, pa.array(VALUE_LIST, pa.uint64())),
        lambda: (KEY_LIST, pa.chunked_array([[2], [], [1, 4, 3]], pa.uint64())),
        lambda: (pa.chunked_array([KEY_LIST[:3], KEY_LIST[3:]]), VALUE_LIST),
        lambda: (
            pa.chunked_array([[], KEY_LIST[:1], KEY_LIST[1:]], pa.binary()),
            pa.chunked_array([[2, 1, 4], [3]], pa.uint64()),
        ),
        lambda: (pa.table({"k": KEY_LIST, "v": pa.array(VALUE_LIST, pa.uint64())}),),
        lambda: (pa.record_batch({"k": KEY_LIST, "v": pa.array(VALUE_LIST, pa.uint64())}),),
        lambda: (streamed({"k": KEY_LIST, "v": pa.array(VALUE_LIST, pa.uint64())}),),
        lambda: (streamed({"k": KEY_LIST}), VALUE_LIST),
        lambda: (streamed({"k": KEY_LIST}), streamed({"v": pa.array(VALUE_LIST, pa.uint64())}, 3)),
        lambda: (pl.DataFrame({"k": KEY_LIST, "v": pl.Series(VALUE_LIST, dtype=pl.UInt64)}),),
        lambda: (
            pa.array([b"x", *KEY_LIST, b"y"]).slice(1, 4),
            pa.array([9, 9, *VALUE_LIST]).slice(2),
        ),
        lambda: (pa.table({"k": [b"x", *KEY_LIST], "v": [9, *VALUE_LIST]}).slice(1),),
    ],
)
def test_inputs(what, arguments, tmp_path):
    assert made(what, tmp_path / "it", *arguments()) == SORTED


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize(
    "keys",
    [
        lambda: KEY_LIST,
        lambda: set(KEY_LIST),
        lambda: memkv.Set(KEY_LIST),
        lambda: (key for key in KEY_LIST),
        lambda: np.array(KEY_LIST, "O"),
        lambda: pa.array(KEY_LIST),
        lambda: pa.chunked_array([KEY_LIST]),
        lambda: pa.table({"k": KEY_LIST}),
        lambda: streamed({"k": KEY_LIST}),
        lambda: pl.Series(KEY_LIST),
    ],
)
def test_inputs_without_values(what, keys, tmp_path):
    assert made(what, tmp_path / "it", keys()) == dict.fromkeys(SORTED)


@pytest.mark.parametrize("what", WHAT)
def test_another_layer_or_set_or_map(what, tmp_path):
    model = {b"%05d" % i: i for i in range(10_000)}
    build(what, tmp_path / "one", model)
    with open_(tmp_path / "one", what) as one:
        assert made(what, tmp_path / "two", one, sorted=True) == model
        assert made(what, tmp_path / "three", one.to_arrow(), sorted=True) == model
    assert made(what, tmp_path / "four", memkv.Map(model)) == model
    assert made(what, tmp_path / "five", pa.table(memkv.Map(model).to_arrow())) == model


@pytest.mark.parametrize("what", WHAT)
@given(st.data(), models())
def test_any_values_and_forms(what, data, of):
    kind, model = of
    keys = data.draw(st.permutations(list(model)))
    values = [model[key] for key in keys]
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/it"
        assert made(what, path, keys, values, kind=kind, threads=1) == model
        assert made(what, path, model, kind=kind, sorted=True) == model
        if kind != "char":
            types = {
                "f32": "float32",
                "f64": "float64",
                "bool": "bool_",
                "bytes": "binary",
                "none": "null",
            }
            of = getattr(
                pa,
                types.get(
                    kind, kind.replace("u", "uint").replace("i", "int").replace("uintnt", "uint")
                ),
            )()
            assert made(what, path, pa.array(keys, pa.binary()), pa.array(values, of)) == model
            table = pa.table({"k": pa.array(keys, pa.large_binary()), "v": pa.array(values, of)})
            if kind != "none":
                assert made(what, path, table) == model
            step = data.draw(st.integers(1, 9))
            assert (
                made(
                    what, path, table.select(["k"]).to_reader(max_chunksize=step), values, kind=kind
                )
                == model
            )


@pytest.mark.parametrize("what", WHAT)
@given(st.lists(st.tuples(KEYS, st.integers(0, 1000)), max_size=60), st.booleans())
def test_duplicates(what, items, is_sorted):
    if is_sorted:
        items.sort(key=lambda item: item[0])
    keys, values = [key for key, _ in items], [value for _, value in items]
    first, last, total = {}, {}, {}
    for key, value in items:
        first.setdefault(key, value)
        last[key] = value
        total[key] = total.get(key, 0) + value
    with tempfile.TemporaryDirectory() as folder:
        for rule, expected in [("first", first), ("last", last), ("sum", total)]:
            options = {"on_duplicate": rule, "sorted": is_sorted}
            found = made(what, f"{folder}/{rule}", keys, values, **options)
            assert found == dict(sorted(expected.items()))
            info = build(what, f"{folder}/{rule}", keys, values, **options)
            assert info.duplicates == len(items) - len(expected)
        if len(first) < len(items):
            again = next(key for key, count in collections.Counter(keys).items() if count > 1)
            for options in ({}, {"sorted": is_sorted}):
                with nothing_new_in(folder), pytest.raises(ValueError, match="key") as error:
                    build(what, f"{folder}/error", keys, values, **options)
                named = [k for k, c in collections.Counter(keys).items() if c > 1]
                assert any(repr_of(key) in str(error.value) for key in named), (again, error.value)


def repr_of(key):
    """Returns a key as messages have it."""
    escapes = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x22: '\\"', 0x27: "\\'", 0x5C: "\\\\"}
    return "".join(
        escapes.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}")
        for byte in key
    )


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("rule", ["error", "first", "sum"])
def test_unsorted_as_sorted_names_the_key(what, rule, tmp_path):
    keys = [*(b"%05d" % i for i in range(9000)), b"00777x", b"z"]
    for form in (lambda keys: keys, pa.array):
        with nothing_new_in(tmp_path), pytest.raises(ValueError, match="00777x"):
            build(what, tmp_path / "it", form(keys), range(9002), sorted=True, on_duplicate=rule)


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("kind", INT_KINDS)
def test_integers_out_of_range_name_the_key(what, kind, tmp_path):
    low, high = INT_KINDS[kind]
    assert made(what, tmp_path / "it", ["a", "b"], [low, high], kind=kind) == {
        b"a": low,
        b"b": high,
    }
    for wrong in (low - 1, high + 1, 2**64, -(2**63) - 1, 10**30):
        for place in (0, 1, 5000):
            keys, values = [f"key{i:05}" for i in range(6000)], [1] * 6000
            values[place] = wrong
            folder = nothing_new_in(tmp_path)
            with (
                folder,
                pytest.raises(OverflowError, match=f'b"key{place:05}".* does not fit {kind}'),
            ):
                build(what, tmp_path / "other", keys, values, kind=kind)
    for wrong, of in [(low - 1, pa.int64()), (high + 1, pa.uint64())]:
        if not (of == pa.int64() and -(2**63) <= wrong or of == pa.uint64() and 0 <= wrong < 2**64):
            continue
        values = pa.chunked_array([pa.array([1], of), pa.array([1, wrong], of)])
        with nothing_new_in(tmp_path), pytest.raises(OverflowError, match=f'b"c".*{wrong}.*{kind}'):
            build(what, tmp_path / "other", pa.array(["a", "b", "c"]), values, kind=kind)


@pytest.mark.parametrize("what", WHAT)
def test_a_value_is_named_by_its_key_whatever_the_parts_are(what, tmp_path):
    """Keys come in parts of 3, values all at once, and the other way round."""
    names = [f"k{i}" for i in range(10)]
    for wrong, error in [(-1, OverflowError), ("x", TypeError)]:
        for place in range(1, 10):
            values = [1] * 10
            values[place] = wrong
            for keys in (pa.table({"k": names}).to_reader(max_chunksize=3), names):
                with nothing_new_in(tmp_path), pytest.raises(error, match=f'b"k{place}"'):
                    build(what, tmp_path / "it", keys, values)


@pytest.mark.parametrize("what", WHAT)
def test_nulls(what, tmp_path):
    for keys, values, named in [
        (pa.array(["a", None]), [1, 2], "a key is null"),
        (pa.array(["a", "b"]), pa.array([1, None]), 'b"b" is null'),
        (pa.table({"k": ["a", "b"], "v": [None, 1]}), None, 'b"a" is null'),
        (["a", "b"], pa.array(["x", None]), 'b"b" is null'),
    ]:
        with nothing_new_in(tmp_path), pytest.raises(ValueError, match=named):
            build(what, tmp_path / "it", keys, values)
    with nothing_new_in(tmp_path), pytest.raises(TypeError, match='b"b".*NoneType'):
        build(what, tmp_path / "it", ["a", "b"], [1, None])
    with nothing_new_in(tmp_path), pytest.raises(TypeError):
        build(what, tmp_path / "it", ["a", None])


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize(
    "arguments,options,error",
    [
        ((5,), {}, TypeError),
        ((None,), {}, TypeError),
        (([5],), {}, TypeError),
        ((["a"], 5), {}, TypeError),
        ((["a"], [[]]), {}, TypeError),
        ((["a", "b"], [1, "x"]), {}, TypeError),
        ((["a", "b"], [1, 1.5]), {}, TypeError),
        ((["a", "b"], [1.5, "x"]), {}, TypeError),
        ((["a", "b"], [True, 5]), {}, TypeError),
        ((["a", "b"], [None, 5]), {}, TypeError),
        ((["a"], ["xy"]), {"kind": "char"}, TypeError),
        ((["a"], [5]), {"kind": "bytes"}, TypeError),
        ((["a"],), {"kind": "u64"}, TypeError),
        ((["a"], [1]), {"kind": "int"}, ValueError),
        ((["a"], [1]), {"on_duplicate": "sun"}, ValueError),
        ((["a"], [b"x"]), {"on_duplicate": "sum"}, ValueError),
        ((["a"], [1]), {"memory": "a lot"}, ValueError),
        ((["a"], [1]), {"memory": "1XB"}, ValueError),
        ((["a"], [1]), {"memory": ""}, ValueError),
        ((["a"], [1]), {"memory": []}, TypeError),
        ((["a"], [1]), {"threads": 0}, ValueError),
        ((["a"], [1]), {"threads": -1}, OverflowError),
        ((["a", "b"], [1]), {}, ValueError),
        ((["a"], [1, 2]), {}, ValueError),
        (([], [1]), {}, ValueError),
        ((["a"], []), {}, ValueError),
        ((["a"] * 2, [1]), {"on_duplicate": "first"}, ValueError),
        ((pa.array(["a", "b"]), pa.array([1])), {}, ValueError),
        ((pa.array(["a"]), pa.array([1, 2])), {}, ValueError),
        ((pa.array([1, 2]),), {}, TypeError),
        ((pa.array([], pa.int32()),), {}, TypeError),
        ((pa.array(["a"]), pa.array([[1]])), {}, TypeError),
        ((pa.array(["a"]).dictionary_encode(),), {}, TypeError),
        ((pa.array(["a"]), pa.array(["x"]).dictionary_encode()), {}, TypeError),
        ((pa.table({"k": ["a"], "v": [1], "w": [2]}),), {}, TypeError),
        ((pa.table({"k": ["a"], "v": [1]}), [1]), {}, TypeError),
        ((pa.table({}),), {}, TypeError),
    ],
    ids=lambda value: str(value)[:30],
)
def test_wrong_arguments(what, arguments, options, error, tmp_path):
    with nothing_new_in(tmp_path), pytest.raises(error):
        build(what, tmp_path / "it", *arguments, **options)


def test_values_of_numpy(tmp_path):
    for dtype, kind in [
        ("u1", "u64"),
        ("i8", "u64"),
        ("f4", "f64"),
        ("f8", "f64"),
        ("?", "bool"),
        ("S2", "bytes"),
        ("U2", "bytes"),
    ]:
        values = np.array([1, 0], dtype)
        info = memkv.FrozenLayer.build(tmp_path / "it", ["a", "b"], values)
        assert info.kind == kind
        expected = [v.encode() if isinstance(v, str) else v for v in values.tolist()]
        assert list(memkv.FrozenLayer.open(tmp_path / "it").values()) == expected


def test_memory_and_temp(tmp_path):
    keys = [f"{i * 7919 % 100_003:06}" for i in range(100_003)]
    expected = sorted(key.encode() for key in keys)
    (tmp_path / "temp").mkdir()
    for memory in (1 << 20, "1MiB", "0.001GB", "2m", 1 << 24, "1 MiB"):
        path = tmp_path / "it"
        memkv.FrozenLayer.build(path, keys, memory=memory, temp=tmp_path / "temp", threads=2)
        assert list(memkv.FrozenLayer.open(path)) == expected
        assert os.listdir(tmp_path / "temp") == []
        assert os.listdir(tmp_path) == ["it", "temp"] or sorted(os.listdir(tmp_path)) == [
            "it",
            "temp",
        ]
    with pytest.raises(OSError):
        memkv.FrozenLayer.build(tmp_path / "it", keys, memory=1 << 20, temp=tmp_path / "none")


def test_sets_in_parts(tmp_path):
    keys = [b"%05d" % i for i in range(1000)]
    info = memkv.LayerSet.build(tmp_path / "it", reversed(keys), range(1000), keys_per_part=300)
    assert (info.keys, info.parts) == (1000, 4) and info.bytes > 0
    index = memkv.LayerSet.open(tmp_path / "it")
    assert [part.keys for part in index.parts] == [300, 300, 300, 100]
    assert index.boundaries() == [part.first for part in index.parts] == keys[::300]
    assert [part.last for part in index.parts] == [*keys[299::300], keys[-1]]
    assert all(
        part.path.exists() and part.bytes == part.path.stat().st_size for part in index.parts
    )
    assert "keys=300" in repr(index.parts[0])
    assert [index.route(key) for key in keys] == [i // 300 for i in range(1000)]
    assert index.route(keys) == index.route(iter(keys)) == [i // 300 for i in range(1000)]
    assert index.route([]) == []
    assert index.route("0") is None and index.route("00299x") is None and index.route("z") is None
    for wrong in (5, [5], None):
        with pytest.raises(TypeError):
            index.route(wrong)
    assert index.open_parts == 0
    index["00500"]
    assert index.open_parts == 1
    index.limit_open_parts(2)
    assert list(index) == keys and index.open_parts <= 2
    with pytest.raises(ValueError):
        memkv.LayerSet.build(tmp_path / "other", keys, keys_per_part=0)


def test_append(tmp_path):
    path, keys = tmp_path / "it", [b"%05d" % i for i in range(1000)]
    memkv.LayerSet.build(path, keys[:400], range(400), keys_per_part=100)
    index = memkv.LayerSet.open(path)
    info = memkv.LayerSet.build(path, keys[400:], range(400, 1000), append=True, keys_per_part=300)
    assert (info.keys, info.parts) == (1000, 6)
    assert len(index) == 400 and index.refresh() and len(index) == 1000 and not index.refresh()
    assert list(index.items()) == list(zip(keys, range(1000)))
    with pytest.raises(ValueError, match="00000"):
        memkv.LayerSet.build(path, ["00000"], [1], append=True)
    with pytest.raises(ValueError):
        memkv.LayerSet.build(path, ["z"], ["bytes"], append=True)
    with pytest.raises((OSError, ValueError)):
        memkv.LayerSet.build(tmp_path / "none", ["z"], [1], append=True)
    assert not index.refresh()


def test_floats(tmp_path):
    values = [math.inf, -math.inf, -0.0, 5e-324, 1e308]
    assert list(made("layer", tmp_path / "it", "abcde", values).values()) == values
    assert made("layer", tmp_path / "it", "a", [3], kind="f64") == {b"a": 3.0}
    found = made("layer", tmp_path / "it", "a", [math.nan])
    assert math.isnan(found[b"a"])


def test_info(tmp_path):
    info = memkv.FrozenLayer.build(tmp_path / "it", ["a", "a", "b"], [1, 2, 3], on_duplicate="sum")
    assert (info.keys, info.duplicates, info.parts, info.kind) == (2, 1, 1, "u64")
    assert info.bytes == os.path.getsize(tmp_path / "it")
    assert repr(info) == f'BuildInfo(keys=2, duplicates=1, bytes={info.bytes}, parts=1, kind="u64")'
    with pytest.raises(AttributeError):
        info.keys = 5


@pytest.mark.parametrize("what", WHAT)
def test_sums_that_overflow_name_the_key(what, tmp_path):
    with nothing_new_in(tmp_path), pytest.raises((ValueError, OverflowError), match="many"):
        build(what, tmp_path / "it", ["many"] * 2, [2**64 - 1] * 2, on_duplicate="sum")


def test_many_parts_of_different_lengths(tmp_path):
    keys = [b"%05d" % i for i in range(20_000)]
    for of_keys, of_values in itertools.product(
        [1000, 4095, 4096, 4097, 20_000], [7000, 4096, None]
    ):
        readers = pa.table({"k": keys}).to_reader(max_chunksize=of_keys)
        values = range(20_000)
        if of_values:
            values = pa.table({"v": pa.array(values, pa.uint64())}).to_reader(
                max_chunksize=of_values
            )
        found = made("layer", tmp_path / "it", readers, values, sorted=True)
        assert list(found.items()) == list(zip(keys, range(20_000)))
