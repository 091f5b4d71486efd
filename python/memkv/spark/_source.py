"""The format ``memkv`` of Spark: scans with filters, and a writer of what is sorted already."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
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
from pyspark.sql.pandas.types import to_arrow_schema
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
from memkv.spark import _files

# Spark's types of values, by the kind of a set, and Arrow's.
TYPES: dict[str, tuple[DataType, pa.DataType]] = {
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


class MemkvSource(DataSource):
    """The format ``memkv``: see :func:`memkv.spark.register`."""

    def __init__(self, options: dict[str, str]) -> None:
        super().__init__(options)
        path = options.get("path")
        if not path:
            raise ValueError("the format memkv needs a path")
        self._path = _files.asked_path(path.removeprefix("file:"))

    @classmethod
    def name(cls) -> str:
        return "memkv"

    def schema(self) -> StructType:
        keys = self.options.get("keys", "binary")
        if keys not in ("binary", "string"):
            raise ValueError(f"the option keys is {keys!r}, neither binary nor string")
        key_type = BinaryType() if keys == "binary" else StringType()
        fields = [StructField("key", key_type, False)]
        with _files.open_new(self._path) as layers:
            if layers.kind in TYPES:
                fields.append(StructField("value", TYPES[layers.kind][0], False))
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
        with _files.open_new(self._path) as layers:
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
        layers = _files.opened_at(self._path)
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
        self._path = _files.written_path(path)
        self._schema = schema
        self._overwrite = overwrite
        self._build_id = uuid.uuid4().hex[:12]
        os.makedirs(self._path, exist_ok=True)

    def write(self, iterator: Iterator[pa.RecordBatch]) -> WriterCommitMessage:
        options = {"sorted": True}
        return _Written(_files.build_member(iterator, self._path, self._build_id, options))

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        members = [m.member for m in messages if isinstance(m, _Written) and m.member]
        exists = os.path.exists(_files.manifest(self._path))
        mode = "append" if exists and not self._overwrite else "overwrite"
        _files.commit(self._path, members, mode, self._schema, self._build_id)

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        _files.remove_members(self._path, self._build_id)
