"""Files of sets, as the driver and the workers see them: paths, members, what is open."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark import SparkFiles, TaskContext
from pyspark.sql.pandas.types import to_arrow_type
from pyspark.sql.types import StructType

import memkv

# Paths of what SparkContext.addFile has brought to the workers.
SPARK_FILES = "sparkfiles:"


def asked_path(path: str | os.PathLike[str]) -> str:
    path = os.fspath(path)
    return path if path.startswith(SPARK_FILES) else os.path.abspath(path)


def written_path(path: str | os.PathLike[str]) -> str:
    path = asked_path(path)
    if path.startswith(SPARK_FILES):
        raise ValueError(f"{path} is a copy: nothing is saved there")
    return path


def here(path: str) -> str:
    """Returns what a path is called on this worker."""
    if path.startswith(SPARK_FILES):
        return str(SparkFiles.get(path.removeprefix(SPARK_FILES)))
    return path


def manifest(path: str) -> str:
    return os.path.join(path, "manifest.json")


# What this process has open, by path, with what tells whether another set is there now.
opened: dict[str, tuple[tuple[int, int, int], memkv.LayerSet | memkv.FrozenLayer]] = {}


def open_new(path: str) -> memkv.LayerSet | memkv.FrozenLayer:
    path = here(path)
    if os.path.isdir(path):
        return memkv.LayerSet.open(path)
    return memkv.FrozenLayer.open(path)


def opened_at(path: str) -> memkv.LayerSet | memkv.FrozenLayer:
    """Opens a set, or returns the one that this process has open if it is the same."""
    path = here(path)
    status = os.stat(manifest(path) if os.path.isdir(path) else path)
    version = (status.st_ino, status.st_mtime_ns, status.st_size)
    known = opened.get(path)
    if known is not None and known[0] == version:
        return known[1]
    layers = open_new(path)
    opened[path] = (version, layers)
    return layers


def check_mode(path: str, mode: str) -> None:
    exists = os.path.exists(manifest(path))
    if mode == "error" and exists:
        raise FileExistsError(f"{path} has a set: use mode='overwrite' or 'append'")
    if mode == "append" and not exists:
        raise FileNotFoundError(f"{path} has no set to append to")


def member_name(build_id: str) -> str:
    """Returns a folder for the files of this attempt of this task."""
    context = TaskContext.get()
    task, attempt = (context.partitionId(), context.taskAttemptId()) if context else (0, 0)
    return f"member-{build_id}-{task:05}-{attempt}"


def write_member(
    batches: Iterator[pa.RecordBatch], path: str, build_id: str, options: dict[str, Any]
) -> Iterator[pa.RecordBatch]:
    """Writes the rows of a task, and yields the name of its folder, if there are any."""
    member = build_member(batches, path, build_id, options)
    if member is not None:
        yield pa.record_batch({"member": [member]})


def local_folder() -> str | None:
    """Returns a folder for temporary files on a disk of the worker, if Spark has named any."""
    folders = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")
    context = TaskContext.get()
    return folders[context.partitionId() % len(folders) if context else 0] or None


def build_member(
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

    member = member_name(build_id)
    folder = os.path.join(path, member)
    try:
        memkv.LayerSet.build(
            folder,
            pa.RecordBatchReader.from_batches(first.schema, rest()),
            # The workers have the cores already.
            threads=1,
            temp=local_folder(),
            **options,
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return member


def commit(
    path: str, members: list[str], mode: str, schema: StructType, build_id: str
) -> memkv.BuildInfo:
    """Makes a set of what the tasks have written."""
    check_mode(path, mode)
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


def remove_members(path: str, build_id: str) -> None:
    """Removes what the tasks of a build have written, unless the set has it."""
    try:
        with open(manifest(path), encoding="utf-8") as file:
            named = file.read()
    except FileNotFoundError:
        named = ""
    # The manifest may have been replaced before the error, such as that of Ctrl-C.
    if f"member-{build_id}-" in named:
        return
    for name in os.listdir(path):
        if name.startswith(f"member-{build_id}-"):
            shutil.rmtree(os.path.join(path, name), ignore_errors=True)
