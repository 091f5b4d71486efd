"""get_many and contains_many: every form of keys, and the type of what they give."""

import memkv
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model import KEYS, KINDS, build, open_

COUNT = 30_000
MODEL = {b"%07d" % (2 * i): i for i in range(COUNT)}
ASKED = [b"%07d" % (i * 7919 % (2 * COUNT)) for i in range(20_000)]
FOUND = [MODEL.get(key) for key in ASKED]
IS_FOUND = [key in MODEL for key in ASKED]
ARROW = {
    "u64": pa.uint64(),
    "u32": pa.uint32(),
    "u16": pa.uint16(),
    "u8": pa.uint8(),
    "i64": pa.int64(),
    "i32": pa.int32(),
    "i16": pa.int16(),
    "i8": pa.int8(),
    "f32": pa.float32(),
    "f64": pa.float64(),
    "bool": pa.bool_(),
    "char": pa.uint32(),
    "bytes": pa.large_binary(),
    "none": pa.null(),
}
SAMPLES = {
    "f32": [1.5, -2.0],
    "f64": [1e300, 0.1],
    "bool": [True, False],
    "char": ["é", "\U0001f600"],
    "bytes": [b"", b"x\0\xff"],
    "none": [None, None],
}


@pytest.fixture(scope="module", params=["layer", "set", "map"])
def index(request, tmp_path_factory):
    if request.param == "map":
        yield memkv.Map(MODEL)
        return
    path = tmp_path_factory.mktemp("many") / "it"
    build(path, MODEL, "u64", request.param)
    with open_(path, request.param) as index:
        yield index


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_iterables(index, threads):
    forms = [list, tuple, iter, lambda keys: (key for key in keys), dict.fromkeys]
    for form in forms:
        unique = form is dict.fromkeys
        found = [MODEL.get(key) for key in dict.fromkeys(ASKED)] if unique else FOUND
        values = index.get_many(form(ASKED), threads=threads)
        assert type(values) is list and values == found
        contained = index.contains_many(form(ASKED), threads=threads)
        assert type(contained) is list and contained == [value is not None for value in found]
    assert index.get_many([key.decode() for key in ASKED], threads=threads) == FOUND
    assert index.get_many([], threads=threads) == index.contains_many((), threads=threads) == []


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    "of",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.binary_view(),
    ],
    ids=str,
)
def test_arrow(index, of, threads):
    if "string" in str(of):
        asked = [key.decode() for key in ASKED]
        long = "é" * 40
    else:
        asked = ASKED
        long = b"\xff" * 40
    asked = [None, *asked, None, asked[0][:0], long]
    found, contained = [None, *FOUND, None, None, None], [None, *IS_FOUND, None, False, False]
    array = pa.array(asked, of)
    values = index.get_many(array, threads=threads)
    assert values.type == pa.uint64() and values.to_pylist() == found
    assert values.null_count == sum(value is None for value in found)
    values.validate(full=True)
    bits = index.contains_many(array, threads=threads)
    assert bits.type == pa.bool_() and bits.to_pylist() == contained
    bits.validate(full=True)
    for start, length in [(0, 5), (1, 8), (13, 4096), (4095, 8195), (17, 0), (len(asked), 0)]:
        piece = array.slice(start, length)
        assert index.get_many(piece, threads=threads).to_pylist() == found[start : start + length]
        bits = index.contains_many(piece, threads=threads)
        assert bits.to_pylist() == contained[start : start + length]
    pieces = [array.slice(0, 5), array.slice(5, 0), array.slice(5, 6000), array.slice(6005)]
    chunked = pa.chunked_array(pieces, of)
    values = index.get_many(chunked, threads=threads)
    assert isinstance(values, pa.ChunkedArray) and values.to_pylist() == found
    bits = index.contains_many(chunked, threads=threads)
    assert isinstance(bits, pa.ChunkedArray) and bits.to_pylist() == contained
    batch = pa.record_batch({"key": array})
    table = pa.table({"key": chunked})
    assert index.get_many(batch, threads=threads).to_pylist() == found
    assert index.get_many(batch.slice(3, 9), threads=threads).to_pylist() == found[3:12]
    assert index.get_many(table, threads=threads).to_pylist() == found
    with pytest.raises(TypeError, match="2 columns"):
        index.get_many(pa.record_batch({"key": array, "other": array}))
    reader = table.to_reader(max_chunksize=777)
    assert index.get_many(reader, threads=threads).to_pylist() == found


def test_arrow_that_is_empty(index):
    for of in (pa.string(), pa.string_view()):
        assert index.get_many(pa.array([], of)).to_pylist() == []
        assert index.get_many(pa.chunked_array([], of)).to_pylist() == []
        assert index.get_many(pa.array([None, None], of)).to_pylist() == [None, None]
        assert index.contains_many(pa.array([None, None], of)).to_pylist() == [None, None]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_numpy(index, threads):
    text = [key.decode() for key in ASKED]
    arrays = [
        np.array(ASKED, "S"),
        np.array(ASKED, "S20"),
        np.array(text, "U"),
        np.array(text, "O"),
    ]
    arrays += [np.array(ASKED, "O"), np.array(ASKED * 2, "S")[::2]]
    for array in arrays:
        asked = array.tolist()
        keys = [key.encode() if isinstance(key, str) else key for key in asked]
        found = np.array([key in MODEL for key in keys])
        values, mask = index.get_many(array, threads=threads)
        assert values.dtype == np.uint64 and mask.dtype == bool
        assert (mask == found).all()
        assert values[mask].tolist() == [MODEL[key] for key in keys if key in MODEL]
        contained = index.contains_many(array, threads=threads)
        assert contained.dtype == bool and (contained == found).all()
        values[0] = 1
    two = np.array(ASKED[:6], "S").reshape(2, 3)
    assert index.contains_many(two).tolist() == [IS_FOUND[:3], IS_FOUND[3:6]]
    with pytest.raises(TypeError, match="masked"):
        index.get_many(np.ma.array(two))
    for dtype in ("S3", "U3", "O", "S0"):
        values, mask = index.get_many(np.array([], dtype))
        assert len(values) == len(mask) == 0 and values.dtype == np.uint64
    with pytest.raises(TypeError):
        index.get_many(np.arange(3))


def test_polars(index):
    series = pl.Series([key.decode() for key in ASKED] + [None])
    values = index.get_many(series)
    assert isinstance(values, pl.Series) and values.to_list() == [*FOUND, None]
    bits = index.contains_many(series)
    assert isinstance(bits, pl.Series) and bits.to_list() == [*IS_FOUND, None]
    assert index.get_many(pl.DataFrame({"key": series})).to_list() == [*FOUND, None]


class Foreign:
    """A column of a library that nobody knows."""

    def __init__(self, array):
        self.array = array

    def __arrow_c_array__(self, requested_schema=None):
        return self.array.__arrow_c_array__(requested_schema)


def test_memkv_array(index):
    values = index.get_many(Foreign(pa.array(ASKED)), threads=2)
    assert type(values) is memkv.Array and len(values) == len(FOUND)
    assert values.to_pylist() == FOUND
    for _ in range(2):
        assert pa.array(values).to_pylist() == FOUND
    assert pl.Series(values).to_list() == FOUND
    assert "20000" in repr(values)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["layer", "set"])
def test_kinds(kind, what, tmp_path):
    one, two = SAMPLES.get(kind, [5, 100])
    model = {b"a": one, b"b": two, b"c": one}
    build(tmp_path / "it", model, kind, what)
    index = open_(tmp_path / "it", what)
    asked = ["b", "x", "a"]
    assert index.get_many(asked) == [two, None, one]
    array = index.get_many(pa.array([*asked, None]))
    array.validate(full=True)
    assert array.type == ARROW[kind]
    expected = [two, None, one, None]
    if kind == "char":
        expected = [None if value is None else ord(value) for value in expected]
    assert array.to_pylist() == expected
    values, mask = index.get_many(np.array(asked))
    assert mask.tolist() == [True, False, True]
    assert [values[0], values[2]] == [two, one]
    if kind[1:].isdigit():
        assert values.dtype == np.dtype(f"{kind[0]}{int(kind[1:]) // 8}")
    else:
        assert values.dtype == (bool if kind == "bool" else object)
    for dtype in ("S3", "U3"):
        empty, mask = index.get_many(np.array([], dtype))
        assert empty.dtype == values.dtype and len(empty) == len(mask) == 0
    empty = index.get_many(pa.array([], pa.string()))
    assert empty.type == ARROW[kind] and len(empty) == 0
    large = pa.array(["a", "x", "b"] * 5000)
    expected = [expected[2], None, expected[0]] * 5000
    assert index.get_many(large, threads=2).to_pylist() == expected


@given(st.dictionaries(KEYS, st.integers(0, 2**64 - 1), max_size=30), st.lists(KEYS, max_size=30))
def test_any_keys(model, others):
    index, asked = memkv.Map(model), [*model, *others]
    expected = [model.get(key) for key in asked]
    assert index.get_many(asked) == expected
    assert index.get_many(pa.array(asked, pa.binary())).to_pylist() == expected
    assert index.get_many(pa.array(asked, pa.binary_view())).to_pylist() == expected


@pytest.mark.parametrize(
    "keys",
    [
        5,
        None,
        ["a", 5],
        ["a", None],
        pa.array([1, 2]),
        pa.array(["a"]).dictionary_encode(),
        pa.table({}),
        pa.array([["a"]]),
        pa.array([], pa.int64()),
        np.array([None, "a"]),
    ],
    ids=str,
)
def test_wrong_types(index, keys):
    for ask in (index.get_many, index.contains_many):
        with pytest.raises(TypeError):
            ask(keys)


def test_wrong_arguments(index):
    with pytest.raises(ValueError):
        index.get_many(["a"], threads=0)
    for threads in (-1, 1.5, "a"):
        with pytest.raises((TypeError, OverflowError)):
            index.get_many(["a"], threads=threads)
    with pytest.raises(TypeError):
        index.get_many(["a"], 2)


def test_an_iterable_that_fails(index):
    def keys():
        yield "a"
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        index.get_many(keys())


def test_a_stream_that_fails(index):
    def batches():
        yield pa.record_batch({"key": ["a"]})
        raise ValueError("no more batches")

    schema = pa.schema([("key", pa.string())])
    reader = pa.RecordBatchReader.from_batches(schema, batches())
    with pytest.raises(ValueError, match="no more batches"):
        index.get_many(reader)


def test_rows_that_are_null(index):
    keys, mask = pa.array(ASKED[:3]), pa.array([False, False, True])
    rows = pa.StructArray.from_arrays([keys], ["key"], mask=mask)
    with pytest.raises(ValueError, match="null"):
        index.get_many(rows)
    assert index.get_many(rows[:2]).to_pylist() == FOUND[:2]
