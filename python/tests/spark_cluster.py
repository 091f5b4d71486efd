"""memkv.spark with executors of their own, which are killed. Takes a minute; not part of CI.

usage: python tests/spark_cluster.py

Runs Spark's local-cluster of two executors, and the process of one is killed while it builds, and
while it asks; then the disk of one executor is full, for which a limit to the size of files stands.
"""

import os
import signal
import tempfile

import pyarrow as pa
from pyspark.sql import functions as F
from spark_session import session

import memkv
import memkv.spark

COUNT = 2_000_000


def once(path: str) -> bool:
    """Returns whether nobody has asked this before."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def kill_executor() -> None:
    """Kills the Java process that this worker belongs to."""
    pid = os.getppid()
    while True:
        with open(f"/proc/{pid}/comm") as file:
            name = file.read().strip()
        if name == "java":
            break
        with open(f"/proc/{pid}/stat") as file:
            pid = int(file.read().rsplit(")", 1)[1].split()[1])
    os.kill(pid, signal.SIGKILL)


def killed_at(batches, path: str, batch: int):
    """Yields batches, and kills the executor once, at one of them."""
    for i, rows in enumerate(batches):
        if i == batch and once(path):
            kill_executor()
        yield rows


def main() -> None:
    folder = tempfile.mkdtemp()
    settings = {"spark.executor.memory": "1g", "spark.sql.shuffle.partitions": "4"}
    spark = session("local-cluster[2,1,1024]", settings)
    path = os.path.join(folder, "set")
    rows = spark.range(0, COUNT, numPartitions=4).select(
        F.concat(F.lit("https://example.org/"), F.xxhash64("id"), F.lit("/"), "id").alias("url"),
        "id",
    )

    def write_killed(batches, **arguments):
        some = killed_at(batches, f"{folder}/build", 2)
        return memkv.spark._files.write_member(some, **arguments)

    def write_limited(batches, **arguments):
        import resource

        if once(f"{folder}/full"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        return memkv.spark._files.write_member(batches, **arguments)

    def check(what: str, made: str) -> None:
        assert os.path.exists(os.path.join(folder, made)), f"{made} did not happen"
        with memkv.LayerSet.open(path, verify=True) as layers:
            assert len(layers) == COUNT
            values = pa.RecordBatchReader.from_stream(layers.to_arrow()).read_all()["value"]
            assert sum(values.to_pylist()) == COUNT * (COUNT - 1) // 2
            left = len(os.listdir(path))
            layers.vacuum(0)
            left -= len(os.listdir(path))
        print(f"{what}: the set is right; vacuum removed {left} folders of failed and old builds")

    write_member = memkv.spark._files.write_member
    for what, made, write in (
        ("executor killed while it writes", "build", write_killed),
        ("disk of an executor full", "full", write_limited),
    ):
        memkv.spark._files.write_member = write
        memkv.spark.build(rows, path, value="id", partitions=4, mode="overwrite")
        memkv.spark._files.write_member = write_member
        check(what, made)

    asked = rows.select(F.when(F.col("id") % 2 == 0, F.col("url")).otherwise("x").alias("url"))
    for shuffle in (False, True):
        marker = f"{folder}/asked-{shuffle}"
        killed = asked.mapInArrow(lambda batches: killed_at(batches, marker, 3), asked.schema)
        count = memkv.spark.anti_join(killed, path, shuffle=shuffle).count()
        assert os.path.exists(marker) and count == COUNT // 2, count
        print(f"executor killed while it asks, shuffle={shuffle}: {count} rows, as they should be")
    spark.stop()


if __name__ == "__main__":
    main()
