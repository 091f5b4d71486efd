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
import shutil
import uuid
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import SparkFiles, TaskContext
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.datasource import (
    DataSource,
    DataSourceArrowWriter,
    DataSourceReader,
    EqualTo,
    Filter,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    InputPartition,
    IsNotNull,
    LessThan,
    LessThanOrEqual,
    StringStartsWith,
    WriterCommitMessage,
)
from pyspark.sql.pandas.types import to_arrow_schema, to_arrow_type
from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    ByteType,
    DataType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
    StructField,
    StructType,
)

import memkv

__all__ = ["anti_join", "build", "lookup", "register", "semi_join"]

OnDuplicate: TypeAlias = Literal["error", "first", "last", "sum"]

# Rows of a batch below which Python takes longer than the lookups.
_MIN_BATCH_ROWS = 50_000
_BATCH_ROWS = "spark.sql.execution.arrow.maxRecordsPerBatch"

# Spark's types of values, by the kind of a set, and Arrow's.
_TYPES: dict[str, tuple[DataType, pa.DataType]] = {
    "u8": (ShortType(), pa.int16()),
    "u16": (IntegerType(), pa.int32()),
    "u32": (LongType(), pa.int64()),
    "u64": (LongType(), pa.int64()),
    "i8": (ByteType(), pa.int8()),
    "i16": (ShortType(), pa.int16()),
    "i32": (IntegerType(), pa.int32()),
    "i64": (LongType(), pa.int64()),
    "f32": (FloatType(), pa.float32()),
    "f64": (DoubleType(), pa.float64()),
    "bool": (BooleanType(), pa.bool_()),
    "bytes": (BinaryType(), pa.binary()),
}


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
    of ranges; by default Spark chooses it. ``memory`` is what a task may take to sort, in its Python
    process; what is more goes through temporary files in Spark's local folders.

    Values are integers, floats, booleans, binaries or strings; these come back as binaries.
    """
    path = _written_path(path)
    if mode not in ("error", "overwrite", "append"):
        raise ValueError(f"mode={mode!r} is none of error, overwrite, append")
    if on_duplicate not in ("error", "sum", "first", "last"):
        raise ValueError(f"on_duplicate={on_duplicate!r} is none of error, sum, first, last")
    if (on_duplicate in ("first", "last")) != (order_by is not None):
        raise ValueError("order_by belongs to on_duplicate='first' and 'last'")
    _check_mode(path, mode)
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
        _write_member,
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
        return _commit(path, [row.member for row in written], mode, rows.schema, build_id)
    except BaseException:
        _remove_members(path, build_id)
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
    path = _asked_path(path)
    with _open_new(path) as layers:
        if layers.kind not in _TYPES:
            raise TypeError(f"a set of the kind {layers.kind!r} has no values: use semi_join")
        value_type, _ = _TYPES[layers.kind]
    if value in df.columns:
        raise ValueError(f"there is a column {value!r} already")
    found = StructType(df.schema.fields + [StructField(value, value_type, True)])
    ask = functools.partial(_lookup, path=path, key=key, value=value)
    return _ask(df, path, key, ask, found, shuffle)


def anti_join(
    df: DataFrame, path: str | os.PathLike[str], key: str = "url", *, shuffle: bool = False
) -> DataFrame:
    """Returns the rows whose key the set does not have, and those whose key is null.

    ``shuffle`` is that of :func:`lookup`.
    """
    path = _asked_path(path)
    ask = functools.partial(_filter, path=path, key=key, keeps_found=False)
    return _ask(df, path, key, ask, df.schema, shuffle)


def semi_join(
    df: DataFrame, path: str | os.PathLike[str], key: str = "url", *, shuffle: bool = False
) -> DataFrame:
    """Returns the rows whose key the set has.

    ``shuffle`` is that of :func:`lookup`.
    """
    path = _asked_path(path)
    ask = functools.partial(_filter, path=path, key=key, keeps_found=True)
    return _ask(df, path, key, ask, df.schema, shuffle)


def register(spark: SparkSession) -> None:
    """Makes the format ``memkv`` known to a session, and turns on that filters are pushed down.

    ``spark.read.format("memkv").load(path)`` has the columns ``key`` and ``value``, and a partition
    a file. Files that filters on ``key`` exclude are not opened. With the option ``keys`` set to
    ``string`` keys are strings, as ``startsWith`` needs them; the option ``prefix`` limits the scan
    in any case. A schema with one of the columns reads that one.

    ``df.write.format("memkv").mode("overwrite").save(path)`` takes rows that are partitioned by
    ranges of ``key`` and sorted, and refuses others: :func:`build` sorts.
    """
    spark.dataSource.register(MemkvSource)
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


def _manifest(path: str) -> str:
    return os.path.join(path, "manifest.json")


def _check_mode(path: str, mode: str) -> None:
    exists = os.path.exists(_manifest(path))
    if mode == "error" and exists:
        raise FileExistsError(f"{path} has a set: use mode='overwrite' or 'append'")
    if mode == "append" and not exists:
        raise FileNotFoundError(f"{path} has no set to append to")


def _member(build_id: str) -> str:
    """Returns a folder for the files of this attempt of this task."""
    context = TaskContext.get()
    task, attempt = (context.partitionId(), context.taskAttemptId()) if context else (0, 0)
    return f"member-{build_id}-{task:05}-{attempt}"


def _write_member(
    batches: Iterator[pa.RecordBatch], path: str, build_id: str, options: dict[str, Any]
) -> Iterator[pa.RecordBatch]:
    """Writes the rows of a task, and yields the name of its folder, if there are any."""
    member = _build_member(batches, path, build_id, options)
    if member is not None:
        yield pa.record_batch({"member": [member]})


def _local_folder() -> str | None:
    """Returns a folder for temporary files on a disk of the worker, if Spark has named any."""
    folders = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")
    context = TaskContext.get()
    return folders[context.partitionId() % len(folders) if context else 0] or None


def _build_member(
    batches: Iterator[pa.RecordBatch], path: str, build_id: str, options: dict[str, Any]
) -> str | None:
    first = next(batches, None)
    while first is not None and first.num_rows == 0:
        first = next(batches, None)
    if first is None:
        return None

    def rest() -> Iterator[pa.RecordBatch]:
        yield first
        yield from batches

    member = _member(build_id)
    folder = os.path.join(path, member)
    try:
        memkv.LayerSet.build(
            folder,
            pa.RecordBatchReader.from_batches(first.schema, rest()),
            # The workers have the cores already.
            threads=1,
            temp=_local_folder(),
            **options,
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return member


def _commit(
    path: str, members: list[str], mode: str, schema: StructType, build_id: str
) -> memkv.BuildInfo:
    """Makes a set of what the tasks have written."""
    _check_mode(path, mode)
    if not members:
        # A set without keys, of the type of the values.
        member = f"member-{build_id}-none"
        arrays = [pa.array([], pa.binary())]
        if len(schema.fields) > 1:
            arrays.append(pa.array([], to_arrow_type(schema.fields[1].dataType)))
        table = pa.table(arrays, names=["key", "value"][: len(arrays)])
        memkv.LayerSet.build(os.path.join(path, member), table)
        members = [member]
    return memkv.LayerSet.join(path, members, append=mode == "append")


def _remove_members(path: str, build_id: str) -> None:
    """Removes what the tasks of a build have written, unless the set has it."""
    try:
        with open(_manifest(path), encoding="utf-8") as manifest:
            named = manifest.read()
    except FileNotFoundError:
        named = ""
    # The manifest may have been replaced before the error, such as that of Ctrl-C.
    if f"member-{build_id}-" in named:
        return
    for name in os.listdir(path):
        if name.startswith(f"member-{build_id}-"):
            shutil.rmtree(os.path.join(path, name), ignore_errors=True)


# What this process has open, by path, with what tells whether another set is there now.
_opened: dict[str, tuple[tuple[int, int, int], memkv.LayerSet | memkv.FrozenLayer]] = {}


_SPARK_FILES = "sparkfiles:"


def _asked_path(path: str | os.PathLike[str]) -> str:
    path = os.fspath(path)
    return path if path.startswith(_SPARK_FILES) else os.path.abspath(path)


def _written_path(path: str | os.PathLike[str]) -> str:
    path = _asked_path(path)
    if path.startswith(_SPARK_FILES):
        raise ValueError(f"{path} is a copy: nothing is saved there")
    return path


def _here(path: str) -> str:
    """Returns what a path is called on this worker."""
    if path.startswith(_SPARK_FILES):
        return SparkFiles.get(path.removeprefix(_SPARK_FILES))
    return path


def _open_new(path: str) -> memkv.LayerSet | memkv.FrozenLayer:
    path = _here(path)
    if os.path.isdir(path):
        return memkv.LayerSet.open(path)
    return memkv.FrozenLayer.open(path)


def _open(path: str) -> memkv.LayerSet | memkv.FrozenLayer:
    """Opens a set, or returns the one that this process has open if it is the same."""
    path = _here(path)
    status = os.stat(_manifest(path) if os.path.isdir(path) else path)
    version = (status.st_ino, status.st_mtime_ns, status.st_size)
    known = _opened.get(path)
    if known is not None and known[0] == version:
        return known[1]
    layers = _open_new(path)
    _opened[path] = (version, layers)
    return layers


def _lookup(
    batches: Iterator[pa.RecordBatch], path: str, key: str, value: str
) -> Iterator[pa.RecordBatch]:
    layers = _open(path)
    _, arrow_type = _TYPES[layers.kind]
    for batch in batches:
        found = layers.get_many(batch.column(key))
        yield batch.append_column(value, found.cast(arrow_type))


def _filter(
    batches: Iterator[pa.RecordBatch], path: str, key: str, keeps_found: bool
) -> Iterator[pa.RecordBatch]:
    layers = _open(path)
    for batch in batches:
        found = pc.fill_null(layers.contains_many(batch.column(key)), False)
        yield batch.filter(found if keeps_found else pc.invert(found))


# The column by which rows are sent to where others of the same files are.
_PART = "__memkv_part"


def _route(batches: Iterator[pa.RecordBatch], path: str, key: str) -> Iterator[pa.RecordBatch]:
    layers = _open(path)
    assert isinstance(layers, memkv.LayerSet), "rows are sent to the parts of a set"
    for batch in batches:
        parts = layers.route(batch.column(key)).cast(pa.int32())
        yield batch.append_column(_PART, pc.fill_null(parts, 0))


def _ask(
    df: DataFrame,
    path: str,
    key: str,
    ask: functools.partial[Iterator[pa.RecordBatch]],
    schema: StructType,
    shuffle: bool,
) -> DataFrame:
    """Returns the answers to a question about the keys of each batch."""
    if key not in df.columns:
        raise ValueError(f"there is no column {key!r}")
    rows = int(df.sparkSession.conf.get(_BATCH_ROWS) or 0)
    if rows < _MIN_BATCH_ROWS:
        warnings.warn(
            f"{_BATCH_ROWS} is {rows}: lookups are faster in batches of {_MIN_BATCH_ROWS} rows",
            stacklevel=3,
        )
    if shuffle:
        with _open_new(path) as layers:
            parts = len(layers.parts) if isinstance(layers, memkv.LayerSet) else 1
        if parts > 1:
            routed = StructType(df.schema.fields + [StructField(_PART, IntegerType())])
            route = functools.partial(_route, path=path, key=key)
            df = df.mapInArrow(route, routed).repartition(F.col(_PART)).drop(_PART)
    return df.mapInArrow(ask, schema)


class MemkvSource(DataSource):
    """The format ``memkv``: see :func:`register`."""

    def __init__(self, options: dict[str, str]) -> None:
        super().__init__(options)
        path = options.get("path")
        if not path:
            raise ValueError("the format memkv needs a path")
        self._path = _asked_path(path.removeprefix("file:"))

    @classmethod
    def name(cls) -> str:
        return "memkv"

    def schema(self) -> StructType:
        keys = self.options.get("keys", "binary")
        if keys not in ("binary", "string"):
            raise ValueError(f"the option keys is {keys!r}, neither binary nor string")
        key_type = BinaryType() if keys == "binary" else StringType()
        fields = [StructField("key", key_type, False)]
        with _open_new(self._path) as layers:
            if layers.kind in _TYPES:
                fields.append(StructField("value", _TYPES[layers.kind][0], False))
        return StructType(fields)

    def reader(self, schema: StructType) -> MemkvReader:
        return MemkvReader(self._path, schema, self.options.get("prefix", ""))

    def writer(self, schema: StructType, overwrite: bool) -> MemkvWriter:
        return MemkvWriter(self._path, schema, overwrite)


@dataclass
class _Range(InputPartition):
    """The keys of a file that are wanted, without ``hi``."""

    lo: bytes
    hi: bytes


def _after(prefix: bytes) -> bytes | None:
    """Returns the least key after those that begin with a prefix, if there is one."""
    prefix = prefix.rstrip(b"\xff")
    return prefix[:-1] + bytes([prefix[-1] + 1]) if prefix else None


def _as_bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


class MemkvReader(DataSourceReader):
    """A scan of a set."""

    def __init__(self, path: str, schema: StructType, prefix: str) -> None:
        self._path = path
        self._arrow = to_arrow_schema(schema)
        unknown = set(schema.names) - {"key", "value"}
        if unknown:
            raise ValueError(f"a set has the columns key and value, not {sorted(unknown)}")
        self._lo = b""
        self._hi: bytes | None = None
        self._only: set[bytes] | None = None
        self._limit_prefix(prefix.encode())

    def _limit_lo(self, lo: bytes) -> None:
        self._lo = max(self._lo, lo)

    def _limit_hi(self, hi: bytes | None) -> None:
        if hi is not None:
            self._hi = hi if self._hi is None else min(self._hi, hi)

    def _limit_prefix(self, prefix: bytes) -> None:
        self._limit_lo(prefix)
        self._limit_hi(_after(prefix))

    def _limit_only(self, keys: Iterable[Any]) -> None:
        only = {_as_bytes(key) for key in keys if key is not None}
        self._only = only if self._only is None else self._only & only

    def pushFilters(self, filters: list[Filter]) -> Iterable[Filter]:
        for filter in filters:
            if getattr(filter, "attribute", None) != ("key",):
                yield filter
                continue
            match filter:
                case EqualTo():
                    self._limit_only([filter.value])
                case In():
                    self._limit_only(filter.value)
                case GreaterThan():
                    self._limit_lo(_as_bytes(filter.value) + b"\0")
                case GreaterThanOrEqual():
                    self._limit_lo(_as_bytes(filter.value))
                case LessThan():
                    self._limit_hi(_as_bytes(filter.value))
                case LessThanOrEqual():
                    self._limit_hi(_as_bytes(filter.value) + b"\0")
                case StringStartsWith():
                    self._limit_prefix(_as_bytes(filter.value))
                case IsNotNull():
                    pass
                case _:
                    yield filter

    def _wanted(self, lo: bytes, hi: bytes) -> list[bytes]:
        return sorted(key for key in self._only or () if lo <= key < hi)

    def partitions(self) -> Sequence[InputPartition]:
        with _open_new(self._path) as layers:
            if isinstance(layers, memkv.LayerSet):
                ends = [(_as_bytes(part.first), _as_bytes(part.last)) for part in layers.parts]
            else:
                ends = []
                if len(layers) > 0:
                    ends = [(_as_bytes(layers.select(0)[0]), _as_bytes(layers.select(-1)[0]))]
        ranges = []
        for first, last in ends:
            lo, hi = max(first, self._lo), last + b"\0"
            if self._hi is not None:
                hi = min(hi, self._hi)
            if lo < hi and (self._only is None or self._wanted(lo, hi)):
                ranges.append(_Range(lo, hi))
        # Spark asks for one at least.
        return ranges or [_Range(b"", b"")]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        assert isinstance(partition, _Range)
        if partition.hi == b"":
            return
        layers = _open(self._path)
        if self._only is None:
            stream = layers.to_arrow(lo=partition.lo, hi=partition.hi)
            for batch in pa.RecordBatchReader.from_stream(stream):
                yield self._columns(batch)
            return
        keys = pa.array(self._wanted(partition.lo, partition.hi), pa.binary())
        keys = keys.filter(layers.contains_many(keys))
        if len(keys):
            batch = pa.record_batch({"key": keys, "value": layers.get_many(keys)})
            yield self._columns(batch)

    def _columns(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        # The cast of keys refuses what is not UTF-8.
        columns = [batch.column(field.name).cast(field.type) for field in self._arrow]
        return pa.record_batch(columns, schema=self._arrow)


@dataclass
class _Written(WriterCommitMessage):
    """The folder of a task, if it had rows."""

    member: str | None


class MemkvWriter(DataSourceArrowWriter):
    """Writes rows that are partitioned by ranges of keys and sorted."""

    def __init__(self, path: str, schema: StructType, overwrite: bool) -> None:
        if schema.names not in (["key"], ["key", "value"]):
            raise ValueError(f"a set has the columns key and value, not {schema.names}")
        self._path = _written_path(path)
        self._schema = schema
        self._overwrite = overwrite
        self._build_id = uuid.uuid4().hex[:12]
        os.makedirs(self._path, exist_ok=True)

    def write(self, iterator: Iterator[pa.RecordBatch]) -> WriterCommitMessage:
        return _Written(_build_member(iterator, self._path, self._build_id, {"sorted": True}))

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        members = [m.member for m in messages if isinstance(m, _Written) and m.member]
        exists = os.path.exists(_manifest(self._path))
        mode = "append" if exists and not self._overwrite else "overwrite"
        _commit(self._path, members, mode, self._schema, self._build_id)

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        _remove_members(self._path, self._build_id)
