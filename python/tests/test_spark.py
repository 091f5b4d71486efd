"""memkv.spark against Spark's own joins, and with failures. Skipped without Spark."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pyarrow as pa
import pytest

pytest.importorskip("pyspark")
if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
    pytest.skip("there is no Java", allow_module_level=True)

from pyspark.sql import functions as F  # noqa: E402
from pyspark.sql.types import BinaryType, LongType, StructField, StructType  # noqa: E402
from spark_session import session  # noqa: E402

import memkv  # noqa: E402
import memkv.spark  # noqa: E402

KEYS = [f"https://example.org/{i % 7}/{i}".encode() for i in range(20_000)]
# What strings in Java and in Python order in other ways, or do not have.
KEYS += [b"", b"\0", b"\0\0", b"\xff", b"\xff\xff", b"\xc3\x28", b"a\0b", b"a"]
KEYS += ["\uffff".encode(), "\U00010000".encode(), "é".encode()]
PAIRS = [(key, i - 10) for i, key in enumerate(KEYS)]
SCHEMA = StructType([StructField("url", BinaryType()), StructField("n", LongType())])


@pytest.fixture(scope="module")
def spark():
    settings = {"spark.driver.memory": "1g", "spark.sql.shuffle.partitions": "3"}
    spark = session("local[2,4]", settings)
    yield spark
    spark.stop()


@pytest.fixture(scope="module")
def rows(spark):
    return spark.createDataFrame(PAIRS, SCHEMA).repartition(4).cache()


@pytest.fixture(scope="module")
def path(spark, rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("spark") / "set"
    info = memkv.spark.build(rows, path, value="n", partitions=3, keys_per_file=3000)
    assert (info.keys, info.kind) == (len(KEYS), "i64")
    return path


def members(path):
    return sorted(name for name in os.listdir(path) if name.startswith("member-"))


def test_a_set_has_the_keys_in_byte_order(path):
    with memkv.LayerSet.open(path, verify=True) as layers:
        assert list(layers.items()) == sorted(PAIRS)
        assert len(layers.parts) >= 7 and all(part.keys <= 3000 for part in layers.parts)


@pytest.mark.parametrize("shuffle", [False, True])
def test_answers_are_those_of_joins(spark, rows, path, shuffle):
    asked = [(key, 0) for key in KEYS[::2]] + [(key + b"x", 1) for key in KEYS[::3]] + [(None, 2)]
    asked = spark.createDataFrame(asked, SCHEMA).repartition(3).cache()
    there = rows.select("url", F.col("n").alias("value"))

    def same(ours, spark_s):
        assert ours.columns == spark_s.columns and ours.schema == spark_s.schema
        assert sorted(map(repr, ours.collect())) == sorted(map(repr, spark_s.collect()))

    same(
        memkv.spark.anti_join(asked, path, shuffle=shuffle),
        asked.join(there, "url", "left_anti"),
    )
    same(
        memkv.spark.semi_join(asked, path, shuffle=shuffle),
        asked.join(there, "url", "left_semi"),
    )
    same(
        memkv.spark.lookup(asked, path, shuffle=shuffle),
        asked.join(there, "url", "left").select("url", "n", "value"),
    )


def test_scans_read_what_filters_leave(spark, path):
    scan = spark.read.format("memkv").load(str(path))
    assert [tuple(row) for row in scan.collect()] == sorted(PAIRS)
    all_files = scan.rdd.getNumPartitions()
    with memkv.LayerSet.open(path) as layers:
        assert all_files == len(layers.parts)

    def check(found, expected, files):
        assert sorted(bytes(row.key) for row in found.collect()) == sorted(expected)
        assert found.rdd.getNumPartitions() <= files

    one = KEYS[77]
    check(scan.where(F.col("key") == F.lit(one)), [one], 1)
    check(scan.where(F.col("key") == F.lit(b"nowhere")), [], 1)
    check(scan.where(F.col("key").isin(KEYS[5], KEYS[6], b"no")), KEYS[5:7], 2)
    lo, hi = b"https://example.org/3/", b"https://example.org/30"
    within = [key for key in KEYS if lo <= key < hi]
    check(scan.where((F.col("key") >= F.lit(lo)) & (F.col("key") < F.lit(hi))), within, 3)
    check(scan.where(F.col("key") > F.lit(b"\xff")), [b"\xff\xff"], 1)
    check(scan.where(F.col("key") <= F.lit(b"\0")), [b"", b"\0"], 1)
    # Filters on other columns are Spark's.
    check(scan.where("value < -5"), KEYS[:5], all_files)
    reader = spark.read.format("memkv").option("prefix", "https://example.org/3/")
    check(reader.load(str(path)), within, 3)
    text = reader.option("keys", "string").load(str(path))
    starts = "https://example.org/3/1"
    found = text.where(F.col("key").startswith(starts))
    assert {row.key.encode() for row in found.collect()} == {
        key for key in KEYS if key.startswith(starts.encode())
    }
    assert found.rdd.getNumPartitions() <= 2
    keys = spark.read.format("memkv").schema("key binary").load(str(path))
    assert keys.columns == ["key"] and keys.count() == len(KEYS)
    # Keys that are no text are an error, and not other text.
    with pytest.raises(Exception, match="(?i)utf"):
        spark.read.format("memkv").option("keys", "string").load(str(path)).collect()


def test_filters_open_only_the_parts_they_need(path):
    prefix = b"https://example.org/3/19"
    wanted = [key for key in sorted(KEYS) if key.startswith(prefix)]
    assert 0 < len(wanted) <= len(KEYS) // 100
    source = memkv.spark._source.MemkvSource({"path": str(path), "prefix": prefix.decode()})
    reader = source.reader(source.schema())
    # In this process, whose open parts can be counted.
    memkv.spark._files.opened.clear()
    batches = [batch for part in reader.partitions() for batch in reader.read(part)]
    assert [key for batch in batches for key in batch["key"].to_pylist()] == wanted
    ((_, layers),) = memkv.spark._files.opened.values()
    with memkv.LayerSet.open(path) as all_parts:
        with_prefix = [
            part
            for part in all_parts.parts
            if part.first[: len(prefix)] <= prefix <= part.last[: len(prefix)]
        ]
    assert layers.open_parts == len(with_prefix) < len(layers.parts) / 3
    memkv.spark._files.opened.clear()


def test_sets_that_spark_has_brought(spark, rows, path):
    spark.sparkContext.addFile(str(path), recursive=True)
    brought = "sparkfiles:" + path.name
    assert memkv.spark.semi_join(rows, brought).count() == len(KEYS)
    assert memkv.spark.lookup(rows, brought, shuffle=True).where("value = n").count() == len(KEYS)
    scan = spark.read.format("memkv").load(brought)
    assert scan.count() == len(KEYS)
    with pytest.raises(Exception, match="is a copy"):
        scan.write.format("memkv").mode("overwrite").save(brought)


def test_a_killed_worker_is_replaced(spark, rows, tmp_path):
    killed = str(tmp_path / "killed")

    def kill_once(batches):
        for batch in batches:
            yield batch
            try:
                os.close(os.open(killed, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)

    path = tmp_path / "set"
    memkv.spark.build(rows.mapInArrow(kill_once, SCHEMA), path, value="n", keys_per_file=5000)
    assert os.path.exists(killed)
    with memkv.LayerSet.open(path) as layers:
        assert list(layers.items()) == sorted(PAIRS)


@pytest.mark.parametrize("is_sorted", [False, True])
def test_a_worker_that_is_killed_while_it_writes(spark, rows, tmp_path, is_sorted):
    path = tmp_path / "set"
    killed = str(tmp_path / "killed")

    def write(batches):
        def some():
            for i, batch in enumerate(batches):
                yield batch
                if i == 0:
                    try:
                        os.close(os.open(killed, os.O_CREAT | os.O_EXCL))
                    except FileExistsError:
                        continue
                    os.kill(os.getpid(), signal.SIGKILL)

        options = {"sorted": is_sorted, "keys_per_part": 5000}
        return memkv.spark._files.write_member(some(), str(path), "000000000000", options)

    path.mkdir()
    ranges = rows.select(F.col("url").alias("key"), F.col("n").alias("value"))
    ranges = ranges.repartitionByRange(3, "key")
    if is_sorted:
        ranges = ranges.sortWithinPartitions("key")
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "1000")
    try:
        written = [row.member for row in ranges.mapInArrow(write, "member string").collect()]
    finally:
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "50000")
    assert os.path.exists(killed) and len(members(path)) == 4 and len(written) == 3
    memkv.LayerSet.join(path, written)
    with memkv.LayerSet.open(path) as layers:
        assert list(layers.items()) == sorted(PAIRS)
        # What the killed attempt has left.
        layers.vacuum(0)
        assert members(path) == sorted(written) and list(layers.items()) == sorted(PAIRS)


@pytest.mark.parametrize("attempts", [1, 4])
def test_a_disk_that_is_full(spark, rows, tmp_path, monkeypatch, attempts):
    """Stands for it: a limit to the size of the files of some attempts of a task."""

    def write(batches, **arguments):
        import resource

        from pyspark import TaskContext

        # In the worker, whose module nobody has changed.
        context = TaskContext.get()
        if context.partitionId() == 1 and context.attemptNumber() < attempts:
            # The process ends with the attempt.
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        return memkv.spark._files.write_member(batches, **arguments)

    path = tmp_path / "set"
    memkv.spark.build(rows.where("n < 5"), path, value="n")
    before = members(path)
    monkeypatch.setattr(memkv.spark._files, "write_member", write)

    def build():
        memkv.spark.build(rows, path, value="n", mode="overwrite", partitions=3)

    if attempts == 4:
        with pytest.raises(Exception, match="File too large.*part-"):
            build()
        assert members(path) == before
        expected = sorted(pair for pair in PAIRS if pair[1] < 5)
    else:
        build()
        expected = sorted(PAIRS)
    with memkv.LayerSet.open(path) as layers:
        assert list(layers.items()) == expected


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_driver_that_is_killed(rows, path, tmp_path, moment):
    """The driver is a process of its own here, killed beside the replacement of the manifest."""
    program = textwrap.dedent(
        """
        import os, signal, sys
        import memkv.spark
        from spark_session import session

        path, moment = sys.argv[1:]
        spark = session("local[2]", {"spark.driver.memory": "1g"})
        print(spark.sparkContext._gateway.proc.pid, flush=True)
        commit = memkv.spark._files.commit

        def commit_killed(*arguments):
            if moment == "after":
                commit(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        memkv.spark._files.commit = commit_killed
        rows = spark.range(1000).selectExpr("cast(id as string) as url", "id")
        memkv.spark.build(rows, path, value="id", mode="overwrite")
        """
    )
    folder = tmp_path / "set"
    shutil.copytree(path, folder)
    driver = subprocess.run(
        [sys.executable, "-c", program, str(folder), moment],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": os.path.dirname(os.path.abspath(__file__))},
    )
    assert driver.returncode == -signal.SIGKILL
    numbers = {str(i).encode(): i for i in range(1000)}
    with memkv.LayerSet.open(folder) as layers:
        assert dict(layers) == (dict(PAIRS) if moment == "before" else numbers)
        # What the build that was killed, or the one before it, has left.
        before = len(members(folder))
        layers.vacuum(0)
        assert len(members(folder)) < before
        layers.verify()
    # Its Java process ends by itself.
    java = int(driver.stdout)
    for _ in range(600):
        if not os.path.exists(f"/proc/{java}"):
            break
        time.sleep(0.1)
    else:
        pytest.fail("Java was left behind")


def test_spill_files_are_spark_s(spark, rows, tmp_path):
    def name(_):
        yield pa.record_batch({"folder": [memkv.spark._files.local_folder()]})

    folders = {row.folder for row in rows.mapInArrow(name, "folder string").collect()}
    assert all("blockmgr" in folder for folder in folders)
    before = {folder: sorted(os.listdir(folder)) for folder in folders}
    path = tmp_path / "set"
    numbers = spark.range(100_000).selectExpr("concat(repeat('x', id % 50), id) as url", "id")
    memkv.spark.build(numbers, path, value="id", partitions=1, memory="1M")
    with memkv.LayerSet.open(path) as layers:
        assert dict(layers) == {b"x" * (i % 50) + str(i).encode(): i for i in range(100_000)}
    for folder, names in before.items():
        assert [name for name in os.listdir(folder) if name not in names and "." in name] == []


def test_modes(spark, rows, tmp_path):
    path = tmp_path / "set"
    first = rows.where("n < 0")
    memkv.spark.build(first, path, value="n")
    with memkv.LayerSet.open(path) as old:
        with pytest.raises(FileExistsError):
            memkv.spark.build(rows, path, value="n")
        memkv.spark.build(rows, path, value="n", mode="overwrite", partitions=2)
        # The old set goes on.
        assert dict(old) == {key: n for key, n in PAIRS if n < 0}
        assert old.refresh() and len(old) == len(KEYS)
        with pytest.raises(ValueError, match="begins before"):
            memkv.spark.build(first, path, value="n", mode="append")
        assert not old.refresh()
        later = spark.createDataFrame([(b"\xff\xff\xff", 5)], SCHEMA)
        memkv.spark.build(later, path, value="n", mode="append")
        assert old.refresh() and len(old) == len(KEYS) + 1
        old.vacuum(0)
        old.verify()
    with pytest.raises(FileNotFoundError):
        memkv.spark.build(rows, tmp_path / "none", mode="append")
    assert memkv.spark.build(rows.where("n > 99999999"), tmp_path / "empty", value="n").keys == 0
    assert memkv.spark.build(rows, tmp_path / "keys").kind == "none"


def test_keys_that_repeat(spark, tmp_path):
    pairs = [(b"same", i) for i in range(3000)] + [(b"other", 1)]
    rows = spark.createDataFrame(pairs, SCHEMA).repartition(5)
    with pytest.raises(Exception, match="same"):
        memkv.spark.build(rows, tmp_path / "error", value="n")
    assert members(tmp_path / "error") == []
    for rule, value in ("sum", sum(range(3000))), ("first", 0), ("last", 2999):
        order = "n" if rule != "sum" else None
        info = memkv.spark.build(
            rows, tmp_path / rule, value="n", on_duplicate=rule, order_by=order, partitions=4
        )
        assert (info.keys, info.duplicates) == (2, 2999)
        with memkv.LayerSet.open(tmp_path / rule) as layers:
            assert dict(layers) == {b"same": value, b"other": 1}
    with pytest.raises(ValueError, match="order_by"):
        memkv.spark.build(rows, tmp_path / "x", value="n", on_duplicate="first")
    with pytest.raises(Exception, match="null"):
        memkv.spark.build(spark.createDataFrame([(None, 1)], SCHEMA), tmp_path / "x", value="n")


def test_values_of_other_types(spark, rows, tmp_path):
    for type_, kind in ("double", "f64"), ("int", "i32"), ("binary", "bytes"), ("boolean", "bool"):
        number = F.col("n").cast("string") if type_ == "binary" else F.col("n")
        value = number.cast(type_)
        path = tmp_path / type_
        typed = rows.select("url", value.alias("n"))
        assert memkv.spark.build(typed, path, value="n").kind == kind
        found = memkv.spark.lookup(rows.select("url"), path)
        assert sorted(map(repr, found.collect())) == sorted(
            map(repr, typed.withColumnRenamed("n", "value").collect())
        )


def test_only_what_is_sorted_is_saved(spark, rows, tmp_path):
    path = tmp_path / "set"
    typed = rows.select(F.col("url").alias("key"), F.col("n").alias("value"))
    with pytest.raises(Exception, match="less than the key before it"):
        typed.write.format("memkv").mode("overwrite").save(str(path))
    assert os.listdir(path) == []
    # Sorted, and not by ranges.
    with pytest.raises(Exception, match="begins before"):
        by_hash = typed.repartition(2).sortWithinPartitions("key")
        by_hash.write.format("memkv").mode("overwrite").save(str(path))
    assert "manifest.json" not in os.listdir(path)
    by_range = typed.repartitionByRange(2, "key").sortWithinPartitions("key")
    by_range.write.format("memkv").mode("append").save(str(path))
    with memkv.LayerSet.open(path) as layers:
        assert list(layers.items()) == sorted(PAIRS)


def test_a_file_that_is_missing_is_an_error(spark, rows, tmp_path):
    path = tmp_path / "set"
    memkv.spark.build(rows, path, value="n", partitions=3)
    with memkv.LayerSet.open(path) as layers:
        part = layers.parts[1].path
    os.remove(part)
    with pytest.raises(Exception, match=part.name):
        memkv.spark.anti_join(rows, path).collect()
    with pytest.raises(Exception, match=part.name):
        spark.read.format("memkv").load(str(path)).collect()


def test_two_builds_at_a_time_make_one_set(spark, rows, tmp_path):
    path = tmp_path / "set"
    numbers = [rows.select("url", F.lit(i).cast("bigint").alias("n")) for i in range(2)]
    errors = []

    def build(i):
        try:
            memkv.spark.build(numbers[i], path, value="n", mode="overwrite")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=build, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with memkv.LayerSet.open(path) as layers:
        assert len(layers) == len(KEYS) and len(set(layers.values())) == 1
        layers.verify()


def test_a_driver_that_fails_leaves_the_old_set(spark, rows, tmp_path, monkeypatch):
    path = tmp_path / "set"
    memkv.spark.build(rows.where("n < 5"), path, value="n")
    before = members(path)

    def fail(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(memkv.spark._files, "commit", fail)
        with pytest.raises(KeyboardInterrupt):
            memkv.spark.build(rows, path, value="n", mode="overwrite")
    assert members(path) == before
    # After the manifest was replaced, the new set stays.
    commit = memkv.spark._files.commit

    def commit_and_fail(*arguments):
        commit(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(memkv.spark._files, "commit", commit_and_fail)
        with pytest.raises(KeyboardInterrupt):
            memkv.spark.build(rows, path, value="n", mode="overwrite")
    with memkv.LayerSet.open(path) as layers:
        assert list(layers.items()) == sorted(PAIRS)


def test_small_batches_are_said(spark, rows, path):
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "1000")
    try:
        with pytest.warns(UserWarning, match="maxRecordsPerBatch is 1000"):
            memkv.spark.anti_join(rows, path)
    finally:
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "50000")
    with pytest.raises(ValueError, match="no column"):
        memkv.spark.anti_join(rows, path, key="nothing")
    assert pa.__version__
