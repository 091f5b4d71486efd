"""Times and memory of memkv.spark with many generated keys, on this machine (Linux).

usage: python bench/spark_large.py [KEYS] [FOLDER]

Builds a set of KEYS keys (50,000,000) with a value each in FOLDER, asks a fifth as many, of which
half are absent, with and without a shuffle, and scans the set. Prints seconds, and the peak of the
memory of the Java process and of the Python processes: pages that several have are divided.
"""

import glob
import os
import shutil
import sys
import tempfile
import threading
import time

from pyspark.sql import functions as F

import memkv.spark

# The session of the tests.
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests"))

from spark_session import session  # noqa: E402


def children(pid: int) -> list[int]:
    """Returns a process and those that it has begun."""
    found = [pid]
    for parent in found:
        for path in glob.glob(f"/proc/{parent}/task/*/children"):
            with open(path) as file:
                found += map(int, file.read().split())
    return found


class Memory(threading.Thread):
    """Watches this process and those that it has begun."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak: dict[str, int] = {}

    def run(self) -> None:
        while True:
            now = {"java": 0, "python": 0, "all": 0}
            for pid in children(os.getpid()):
                try:
                    with open(f"/proc/{pid}/comm") as file:
                        name = "java" if file.read().strip() == "java" else "python"
                    with open(f"/proc/{pid}/smaps_rollup") as file:
                        pss = next(int(x.split()[1]) for x in file if x.startswith("Pss:"))
                except OSError:
                    continue
                now[name] += pss
                now["all"] += pss
            for name, size in now.items():
                self.peak[name] = max(self.peak.get(name, 0), size)
            time.sleep(0.3)


def main() -> None:
    count = int(sys.argv[1].replace("_", "")) if len(sys.argv) > 1 else 50_000_000
    folder = tempfile.mkdtemp(dir=sys.argv[2] if len(sys.argv) > 2 else None)
    spark = session(
        "local[2]",
        {
            "spark.driver.memory": "2g",
            "spark.local.dir": folder,
            "spark.sql.shuffle.partitions": "8",
        },
    )
    path = os.path.join(folder, "set")

    def urls(numbers):
        """Returns keys like those of a crawler: hosts, folders, names."""
        mixed = F.xxhash64("id")
        host = F.abs(mixed) % (count // 50 + 1)
        words = ["news", "products", "archive", "images", "en", "about", "users", "articles"]
        word = F.element_at(F.array(*map(F.lit, words)), (F.abs(mixed) % 8 + 1).cast("int"))
        name = F.lower(F.hex(F.xxhash64(F.col("id") + 1)))
        key = F.concat(
            F.lit("https://www.host-"), host, F.lit(".example/"), word, F.lit("/"),
            F.substring(name, 1, 8), F.lit("-"), "id", F.lit(".html"),
        )  # fmt: skip
        return numbers.select(key.alias("url"), "id")

    memory = Memory()
    memory.start()

    def timed(name, task, rows) -> None:
        memory.peak.clear()
        start = time.monotonic()
        result = task()
        seconds = time.monotonic() - start
        peaks = ", ".join(f"{k} {v / 2**20:.2f} GiB" for k, v in memory.peak.items())
        rate = rows / seconds / 1e6
        print(f"{name:20} {seconds:7.1f} s  {rate:5.2f} M rows/s  {result}", flush=True)
        print(f"{'':20} peak: {peaks}")

    keys = urls(spark.range(count))
    text = keys.select(F.sum(F.length("url"))).first()[0]
    timed("build", lambda: memkv.spark.build(keys, path, value="id", partitions=16).keys, count)
    size = sum(os.path.getsize(file) for file in glob.glob(f"{path}/**", recursive=True))
    print(f"{size / count:.1f} bytes a key with its value, of {text / count:.1f} in the text")
    asked = count // 5
    lo = count - asked // 2
    queries = urls(spark.range(lo, lo + asked)).select("url")
    for shuffle in (False, True):
        name = "anti_join, shuffle" if shuffle else "anti_join"
        timed(name, lambda: memkv.spark.anti_join(queries, path, shuffle=shuffle).count(), asked)
    scan = spark.read.format("memkv").load(path)
    timed("scan", lambda: scan.agg(F.sum("value")).first()[0] == count * (count - 1) // 2, count)
    spark.stop()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
