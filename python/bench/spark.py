"""Times of memkv.spark beside Spark's own, in one session, in rounds that take turns.

usage: python bench/spark.py KEYS [ROUNDS]

KEYS is a file of keys, one a line, of which no two are equal. Half of the queries are absent.
"""

import os
import shutil
import statistics
import sys
import tempfile
import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
from pyspark.sql import functions as F

import memkv
import memkv.spark

# The session of the tests.
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests"))

from spark_session import session  # noqa: E402


def identity(batches):
    yield from batches


def read(batches):
    for _ in batches:
        pass
    yield pa.record_batch({"done": ["yes"]})


def by_two(works) -> None:
    """Runs functions in two threads, as the two tasks do."""
    halves = [
        threading.Thread(target=lambda half=half: [work() for work in half])
        for half in (works[::2], works[1::2])
    ]
    for thread in halves:
        thread.start()
    for thread in halves:
        thread.join()


def main() -> None:
    keys, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    spark = session(
        "local[2]",
        {
            "spark.driver.memory": "4g",
            "spark.sql.shuffle.partitions": "4",
            "spark.sql.autoBroadcastJoinThreshold": "-1",
        },
    )
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "set")
    lines = spark.read.text(keys).select(F.col("value").cast("binary").alias("url"))
    numbered = lines.select("url", F.monotonically_increasing_id().alias("n"))
    numbered.orderBy(F.rand(1)).write.parquet(f"{folder}/keys")
    rows = spark.read.parquet(f"{folder}/keys")
    query = F.when(F.col("n") % 2 == 0, F.col("url")).otherwise(F.concat("url", F.lit(b"x")))
    rows.select(query.alias("url")).orderBy(F.rand(2)).write.parquet(f"{folder}/asked")
    asked, there = spark.read.parquet(f"{folder}/asked"), rows.select("url")

    def noop(frame) -> None:
        frame.write.format("noop").mode("overwrite").save()

    def build() -> None:
        memkv.spark.build(rows, path, value="n", partitions=4, mode="overwrite")

    def scan() -> None:
        target = f"{folder}/out"
        spark.read.format("memkv").load(path).write.mode("overwrite").parquet(target)

    def joined(hint: str):
        return asked.join(there.hint(hint), "url", "left_anti")

    build()
    layers = memkv.LayerSet.open(path)
    ranges = []
    for part in layers.parts:
        table = pa.RecordBatchReader.from_stream(layers.to_arrow(lo=part.first)).read_all()
        order = np.random.default_rng(3).permutation(part.keys)
        ranges.append(table.slice(0, part.keys).take(order).combine_chunks())
    queries = pa_parquet.read_table(f"{folder}/asked")
    batches = [batch["url"] for batch in queries.to_batches(50_000)]

    def build_alone() -> None:
        def one(i, table):
            target = f"{folder}/alone-{i}"
            shutil.rmtree(target, ignore_errors=True)
            memkv.LayerSet.build(target, table.to_reader(50_000), threads=1, memory="256M")

        by_two([lambda i=i, t=table: one(i, t) for i, table in enumerate(ranges)])

    def ask_alone() -> None:
        by_two([lambda b=batch: layers.contains_many(b) for batch in batches])

    tasks = {
        "partition and sort": lambda: noop(
            rows.repartitionByRange(4, "url").sortWithinPartitions("url")
        ),
        "partition, read by Python": lambda: (
            rows.repartitionByRange(4, "url").mapInArrow(read, "done string").collect()
        ),
        "build": build,
        "build without Spark": build_alone,
        "identity mapInArrow": lambda: noop(asked.mapInArrow(identity, asked.schema)),
        "lookups without Spark": ask_alone,
        "anti_join": lambda: noop(memkv.spark.anti_join(asked, path)),
        "anti_join, shuffle": lambda: noop(memkv.spark.anti_join(asked, path, shuffle=True)),
        "Spark, shuffle hash": lambda: noop(joined("shuffle_hash")),
        "Spark, sort merge": lambda: noop(joined("merge")),
        "scan to Parquet": scan,
    }
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(rounds + 1):
        for name, task in tasks.items():
            start = time.monotonic()
            task()
            # The first round compiles and fills caches.
            if turn > 0:
                times[name].append(time.monotonic() - start)
    same = memkv.spark.anti_join(asked, path).count() == joined("merge").count()
    spark.stop()
    shutil.rmtree(folder)

    def ratio(of: str, to: str) -> float:
        return statistics.median(a / b for a, b in zip(times[of], times[to]))

    def share(of: str, less: str, to: str) -> float:
        """Returns the ratio of what a task takes beyond another one to a third."""
        three = zip(times[of], times[less], times[to])
        return statistics.median((a - b) / c for a, b, c in three)

    builder = share("build", "partition, read by Python", "build without Spark")
    lookups = share("anti_join", "identity mapInArrow", "lookups without Spark")
    rows_of = {
        "build : partition and sort": ratio("build", "partition and sort"),
        "build less partition : builder": builder,
        "shuffle hash : anti_join": ratio("Spark, shuffle hash", "anti_join"),
        "sort merge : anti_join": ratio("Spark, sort merge", "anti_join"),
        "anti_join less identity : lookups": lookups,
        "shuffle hash : anti_join, shuffle": ratio("Spark, shuffle hash", "anti_join, shuffle"),
    }
    print(f"seconds, medians of {rounds} rounds; answers equal: {same}")
    for name, seconds in times.items():
        print(f"  {name:34} {statistics.median(seconds):6.2f}")
    for name, figure in rows_of.items():
        print(f"{name:36} {figure:6.2f}")


if __name__ == "__main__":
    main()
