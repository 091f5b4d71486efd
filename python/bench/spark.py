"""Times of memkv.spark beside Spark's own, in one session, in rounds that take turns.

usage: python bench/spark.py KEYS [ROUNDS]

KEYS is a file of keys, one a line, of which no two are equal. Half of the queries are absent.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time

os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")

from pyspark.sql import SparkSession  # noqa: E402
from pyspark.sql import functions as F  # noqa: E402

import memkv  # noqa: E402
import memkv.spark  # noqa: E402


def identity(batches):
    yield from batches


def main() -> None:
    keys, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.memory", "4g")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "50000")
        .config("spark.sql.autoBroadcastJoinThreshold", "-1")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("OFF")
    memkv.spark.register(spark)
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

    tasks = {
        "partition and sort": lambda: noop(
            rows.repartitionByRange(4, "url").sortWithinPartitions("url")
        ),
        "build": build,
        "identity mapInArrow": lambda: noop(asked.mapInArrow(identity, asked.schema)),
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

    print(f"seconds, medians of {rounds} rounds; answers equal: {same}")
    for name, seconds in times.items():
        print(f"  {name:22} {statistics.median(seconds):6.2f}")
    print(f"build : partition and sort        {ratio('build', 'partition and sort'):.2f}")
    print(f"Spark, shuffle hash : anti_join   {ratio('Spark, shuffle hash', 'anti_join'):.2f}")
    print(f"Spark, sort merge : anti_join     {ratio('Spark, sort merge', 'anti_join'):.2f}")
    routed = ratio("Spark, shuffle hash", "anti_join, shuffle")
    print(f"shuffle hash : anti_join, shuffle {routed:.2f}")


if __name__ == "__main__":
    main()
