"""to_arrow, and what it gives to libraries of Arrow."""

import tempfile

import memkv
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model import KEYS, KINDS, build, models, open_
from test_many import ARROW


def batches_of(index, **options):
    reader = pa.RecordBatchReader.from_stream(index.to_arrow(**options))
    batches = list(reader)
    for batch in batches:
        batch.validate(full=True)
    return reader.schema, batches


@pytest.mark.parametrize("what", ["layer", "set", "map"])
@given(st.data(), models(kinds=["u64", "i64", "f64", "bytes"]))
def test_against_a_dict(what, data, of):
    kind, model = of
    with tempfile.TemporaryDirectory() as folder:
        if what == "map":
            index = (
                memkv.Map(list(model), list(model.values()), kind=kind)
                if model
                else memkv.Map(kind=kind)
            )
        else:
            build(f"{folder}/it", model, kind, what)
            index = open_(f"{folder}/it", what)
        prefix, lo, hi = (data.draw(st.none() | KEYS) for _ in range(3))
        size = data.draw(st.integers(1, 70))
        expected = [
            (key, value)
            for key, value in model.items()
            if (prefix is None or key.startswith(prefix))
            and (lo is None or key >= lo)
            and (hi is None or key < hi)
        ]
        schema, batches = batches_of(index, prefix=prefix, lo=lo, hi=hi, batch_size=size)
        assert schema.names == ["key", "value"] and schema.field("key").type == pa.binary()
        rows = [row for batch in batches for row in zip(*(c.to_pylist() for c in batch.columns))]
        assert rows == expected
        counts = [batch.num_rows for batch in batches]
        assert counts == [size] * (len(expected) // size) + [len(expected) % size] * (
            len(expected) % size > 0
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 1, 1000])
def test_types(kind, count, tmp_path):
    from hypothesis import find
    from model import values_of

    value = find(values_of(kind), lambda value: True)
    model = {b"%04d" % i: value for i in range(count)}
    build(tmp_path / "it", model, kind)
    layer = open_(tmp_path / "it", keys="str")
    table = pa.table(layer.to_arrow())
    table.validate(full=True)
    of = pa.binary() if kind == "bytes" else ARROW[kind]
    assert table.schema.types == [pa.string(), of]
    assert table["key"].to_pylist() == [key.decode() for key in model]
    expected = ord(value) if kind == "char" else value
    assert table["value"].to_pylist() == [expected] * count
    frame = pl.DataFrame(layer.to_arrow(batch_size=100))
    assert frame["key"].to_list() == list(layer)


def test_read_once(tmp_path):
    build(tmp_path / "it", {b"a": 1}, "u64")
    batches = open_(tmp_path / "it").to_arrow()
    for _ in range(2):
        batches.__arrow_c_schema__()
    pa.table(batches)
    with pytest.raises(ValueError, match="read"):
        pa.table(batches)


def test_what_is_not_read(tmp_path):
    """Capsules that nobody takes free what they have."""
    build(tmp_path / "it", {b"%05d" % i: i for i in range(10_000)}, "u64")
    layer = open_(tmp_path / "it")
    for _ in range(50):
        layer.to_arrow()
        layer.to_arrow().__arrow_c_stream__()
        layer.to_arrow().__arrow_c_schema__()
        reader = pa.RecordBatchReader.from_stream(layer.to_arrow(batch_size=10))
        reader.read_next_batch()
        del reader


def test_it_goes_on_after_the_layer_is_closed(tmp_path):
    model = {b"%05d" % i: i for i in range(10_000)}
    build(tmp_path / "it", model, "u64")
    layer = open_(tmp_path / "it")
    reader = pa.RecordBatchReader.from_stream(layer.to_arrow(batch_size=100))
    first = reader.read_next_batch()
    layer.close()
    rest = reader.read_all()
    assert first["key"].to_pylist() + rest["key"].to_pylist() == list(model)
    with pytest.raises(ValueError, match="closed"):
        layer.to_arrow()


def test_columns_outlive_everything(tmp_path):
    model = {b"%05d" % i: i for i in range(1000)}
    build(tmp_path / "it", model, "u64")
    layer = open_(tmp_path / "it")
    columns = [
        batch["value"] for batch in pa.RecordBatchReader.from_stream(layer.to_arrow(batch_size=7))
    ]
    keys = pa.array(layer.get_many(pa.array(list(model))))
    del layer
    assert [value for column in columns for value in column.to_pylist()] == list(range(1000))
    assert keys.to_pylist() == list(range(1000))


def test_keys_that_are_not_utf8(tmp_path):
    build(tmp_path / "it", {b"a": 1, b"\xff": 2}, "u64")
    layer = open_(tmp_path / "it", keys="str")
    with pytest.raises(Exception, match=r'b"\\xff" is not UTF-8'):
        pa.table(layer.to_arrow())
    assert pa.table(layer.to_arrow(hi="b"))["key"].to_pylist() == ["a"]
    # Two keys that are UTF-8 together, and not each by itself.
    build(tmp_path / "two", {b"a\xc3": 1, b"\xa9": 2}, "u64")
    with pytest.raises(Exception, match="is not UTF-8"):
        pa.table(open_(tmp_path / "two", keys="str").to_arrow())


@pytest.mark.parametrize(
    "options,error",
    [
        ({"batch_size": 0}, ValueError),
        ({"batch_size": 2**31}, ValueError),
        ({"batch_size": -1}, OverflowError),
        ({"batch_size": 1.5}, TypeError),
        ({"prefix": 5}, TypeError),
        ({"lo": 5}, TypeError),
        ({"hi": []}, TypeError),
    ],
)
def test_wrong_arguments(options, error, tmp_path):
    build(tmp_path / "it", {b"a": 1}, "u64")
    with pytest.raises(error):
        open_(tmp_path / "it").to_arrow(**options)
    assert len(pa.table(open_(tmp_path / "it").to_arrow(batch_size=2**31 - 1))) == 1


def test_an_error_in_the_middle(tmp_path):
    build(tmp_path / "it", {b"%05d" % i: i for i in range(1000)}, "u64", "set", keys_per_part=100)
    index = open_(tmp_path / "it", "set")
    index.parts[5].path.unlink()
    reader = pa.RecordBatchReader.from_stream(index.to_arrow(batch_size=50))
    read = []
    with pytest.raises(Exception, match=index.parts[5].path.name):
        while True:
            read += reader.read_next_batch()["value"].to_pylist()
    assert read == list(range(len(read))) and len(read) <= 500
