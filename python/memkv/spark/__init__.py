"""Sets of layers on Apache Spark: built, asked and scanned by the workers.

Needs ``pyspark`` 4.1 or later, ``pyarrow``, and this package on the driver and on each worker. A
path is one that all of them see: on one machine any, on a cluster a shared file system. To ask and
to scan, it may also be ``sparkfiles:NAME``, which is a folder or file that ``SparkContext.addFile``
has brought to each of them.

>>> import memkv.spark  # doctest: +SKIP
>>> memkv.spark.build(urls, "/data/seen", key="url")  # doctest: +SKIP
>>> new = memkv.spark.anti_join(crawled, "/data/seen", key="url")  # doctest: +SKIP
"""

from __future__ import annotations

import functools
import os
import uuid
import warnings
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StructField, StructType

import memkv
from memkv.spark import _files, _source

__all__ = ["anti_join", "build", "lookup", "register", "semi_join"]

OnDuplicate: TypeAlias = Literal["error", "first", "last", "sum"]

# Rows of a batch below which Python takes longer than the lookups.
_MIN_BATCH_ROWS = 50_000
_BATCH_ROWS = "spark.sql.execution.arrow.maxRecordsPerBatch"

def build(
    df: DataFrame,
    path: str | os.PathLike[str],
    key: str = "url",
    value: str | None = None,
    *,
    partitions: int | None = None,
    keys_per_file: int = 20_000_000,
    on_duplicate: OnDuplicate = "error",
    order_by: str | Column | Sequence[str | Column] | None = None,
    mode: str = "error",
    memory: int | str = "256M",
) -> memkv.BuildInfo:
    """Builds a set of the keys in a column, and of the values in another one.

    Spark sends each range of keys to a task, which sorts it and writes its files. The driver writes
    the manifest last: until then, and on any error, a set that was there is unchanged. What has
    the old set open goes on with it.

    ``on_duplicate`` says what happens to a key that occurs several times: ``"error"``, ``"sum"``,
    ``"first"`` or ``"last"``, of which the last two need ``order_by``. ``mode`` says what happens
    to a set that is there: ``"error"``, ``"overwrite"``, or ``"append"``, for which all keys must
    be greater than its own. A file has at most ``keys_per_file`` keys. ``partitions`` is the number
    of ranges; by default Spark chooses it. ``memory`` is what a task may take to sort, in its
    Python process; what is more goes through temporary files in Spark's local folders.

    Values are integers, floats, booleans, binaries or strings; these come back as binaries.
    """
    path = _files.written_path(path)
    if mode not in ("error", "overwrite", "append"):
        raise ValueError(f"mode={mode!r} is none of error, overwrite, append")
    if on_duplicate not in ("error", "sum", "first", "last"):
        raise ValueError(f"on_duplicate={on_duplicate!r} is none of error, sum, first, last")
    if (on_duplicate in ("first", "last")) != (order_by is not None):
        raise ValueError("order_by belongs to on_duplicate='first' and 'last'")
    _files.check_mode(path, mode)
    orders = [order_by] if isinstance(order_by, (str, Column)) else list(order_by or [])
    columns = [F.col(key).cast("binary").alias("key")]
    if value is not None:
        columns.append(F.col(value).alias("value"))
    # Columns to sort by have names of their own, and are dropped before Python sees them.
    names = [f"order{i}" for i in range(len(orders))]
    columns += [
        (F.col(order) if isinstance(order, str) else order).alias(name)
        for name, order in zip(names, orders)
    ]
    rows = df.select(*columns)
    rows = (
        rows.repartitionByRange("key")
        if partitions is None
        else rows.repartitionByRange(partitions, "key")
    )
    # Spark sorts strings that begin alike slowly: it does so only where other columns matter.
    if names:
        rows = rows.sortWithinPartitions("key", *names).drop(*names)
    build_id = uuid.uuid4().hex[:12]
    write = functools.partial(
        _files.write_member,
        path=path,
        build_id=build_id,
        options={
            "keys_per_part": keys_per_file,
            "on_duplicate": on_duplicate,
            "sorted": bool(names),
            "memory": memory,
        },
    )
    os.makedirs(path, exist_ok=True)
    try:
        with _large_batches(df.sparkSession):
            written = rows.mapInArrow(write, "member string").collect()
        return _files.commit(path, [row.member for row in written], mode, rows.schema, build_id)
    except BaseException:
        _files.remove_members(path, build_id)
        raise


def lookup(
    df: DataFrame,
    path: str | os.PathLike[str],
    key: str = "url",
    value: str = "value",
    *,
    shuffle: bool = False,
) -> DataFrame:
    """Returns the rows with the value of each key in a new column, which is null for a key that is
    null or that the set does not have.

    By default each worker opens the files that it needs. With ``shuffle=True`` the rows are first
    sent to where others of the same files are, so that a worker reads few files: for sets that are
    larger than the memory of a worker. The files must not change while the query runs.
    """
    with _files.open_new(_files.asked_path(path)) as layers:
        if layers.kind not in _source.TYPES:
            raise TypeError(f"a set of the kind {layers.kind!r} has no values: use semi_join")
        value_type, _ = _source.TYPES[layers.kind]
    if value in df.columns:
        raise ValueError(f"there is a column {value!r} already")
    found = StructType(df.schema.fields + [StructField(value, value_type, True)])
    return _ask(df, path, key, functools.partial(_lookup, value=value), found, shuffle)


def anti_join(
    df: DataFrame, path: str | os.PathLike[str], key: str = "url", *, shuffle: bool = False
) -> DataFrame:
    """Returns the rows whose key the set does not have, and those whose key is null.

    ``shuffle`` is that of :func:`lookup`.
    """
    filter_ = functools.partial(_filter, keeps_found=False)
    return _ask(df, path, key, filter_, df.schema, shuffle)


def semi_join(
    df: DataFrame, path: str | os.PathLike[str], key: str = "url", *, shuffle: bool = False
) -> DataFrame:
    """Returns the rows whose key the set has.

    ``shuffle`` is that of :func:`lookup`.
    """
    filter_ = functools.partial(_filter, keeps_found=True)
    return _ask(df, path, key, filter_, df.schema, shuffle)


def register(spark: SparkSession) -> None:
    """Makes the format ``memkv`` known to a session, and turns on that filters are pushed down.

    ``spark.read.format("memkv").load(path)`` has the columns ``key`` and ``value``, and a partition
    a file. Files that filters on ``key`` exclude are not opened. With the option ``keys`` set to
    ``string`` keys are strings, as ``startsWith`` needs them; the option ``prefix`` limits the scan
    in any case. A schema with one of the columns reads that one.

    ``df.write.format("memkv").mode("overwrite").save(path)`` takes rows that are partitioned by
    ranges of ``key`` and sorted, and refuses others: :func:`build` sorts.
    """
    spark.dataSource.register(_source.MemkvSource)
    spark.conf.set("spark.sql.python.filterPushdown.enabled", "true")


class _large_batches:
    """Makes batches large while a query of ours runs."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark

    def __enter__(self) -> None:
        self._before = self._spark.conf.get(_BATCH_ROWS)
        if int(self._before or 0) < _MIN_BATCH_ROWS:
            self._spark.conf.set(_BATCH_ROWS, str(_MIN_BATCH_ROWS))

    def __exit__(self, *_: object) -> None:
        self._spark.conf.set(_BATCH_ROWS, str(self._before))


def _lookup(
    batches: Iterator[pa.RecordBatch], path: str, key: str, value: str
) -> Iterator[pa.RecordBatch]:
    layers = _files.opened_at(path)
    _, arrow_type = _source.TYPES[layers.kind]
    for batch in batches:
        found = layers.get_many(batch.column(key))
        yield batch.append_column(value, found.cast(arrow_type))


def _filter(
    batches: Iterator[pa.RecordBatch], path: str, key: str, keeps_found: bool
) -> Iterator[pa.RecordBatch]:
    layers = _files.opened_at(path)
    for batch in batches:
        found = pc.fill_null(layers.contains_many(batch.column(key)), False)
        yield batch.filter(found if keeps_found else pc.invert(found))


# The column by which rows are sent to where others of the same files are.
_PART = "__memkv_part"


def _route(batches: Iterator[pa.RecordBatch], path: str, key: str) -> Iterator[pa.RecordBatch]:
    layers = _files.opened_at(path)
    assert isinstance(layers, memkv.LayerSet), "rows are sent to the parts of a set"
    for batch in batches:
        parts = layers.route(batch.column(key)).cast(pa.int32())
        yield batch.append_column(_PART, pc.fill_null(parts, 0))


def _ask(
    df: DataFrame,
    path: str | os.PathLike[str],
    key: str,
    ask: functools.partial[Iterator[pa.RecordBatch]],
    schema: StructType,
    shuffle: bool,
) -> DataFrame:
    """Returns the answers to a question about the keys of each batch."""
    path = _files.asked_path(path)
    if key not in df.columns:
        raise ValueError(f"there is no column {key!r}")
    rows = int(df.sparkSession.conf.get(_BATCH_ROWS) or 0)
    if rows < _MIN_BATCH_ROWS:
        warnings.warn(
            f"{_BATCH_ROWS} is {rows}: lookups are faster in batches of {_MIN_BATCH_ROWS} rows",
            stacklevel=3,
        )
    if shuffle:
        with _files.open_new(path) as layers:
            parts = len(layers.parts) if isinstance(layers, memkv.LayerSet) else 1
        if parts > 1:
            routed = StructType(df.schema.fields + [StructField(_PART, IntegerType())])
            route = functools.partial(_route, path=path, key=key)
            df = df.mapInArrow(route, routed).repartition(F.col(_PART)).drop(_PART)
    return df.mapInArrow(functools.partial(ask, path=path, key=key), schema)


