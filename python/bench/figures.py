"""Prints how fast the package is beside Rust's library, and whether that is as fast as required.

usage: python bench/figures.py KEYS [--rounds 7] [--asked 1000000] [--folder DIR] [--wheel FILE]
                               [--only GROUPS] [--wait SECONDS]

KEYS is a file of keys, one a line. It needs the package, NumPy, pyarrow and cargo. The Rust side is
the program in bench/rust. It runs as a child process that reads the same files, asks for the same
keys in the same order, and answers one command at a time, so that the two sides take turns in one
run. Whatever else the machine does slows both. Each figure is the median of the ratios inside a
round. Ratios are of rates: above 1 the first side is faster.

Two threads are no faster than one while other programs use the second core. With --wait a round of
what needs two begins when the cores have been idle for a moment, or after that many seconds.

Keys and queries are shuffled with a fixed seed. All queries are for keys that are there. The values
are the numbers of the lines.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Any

import memkv
import numpy as np
import pyarrow as pa

RUST = Path(__file__).parent / "rust"
MEMORY = "1GiB"


class Child:
    """The Rust side."""

    def __init__(self, folder: Path) -> None:
        command = ["cargo", "run", "--quiet", "--release", "--manifest-path"]
        self.process = subprocess.Popen(
            [*command, RUST / "Cargo.toml", "--", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, command: str) -> tuple[float, int]:
        """Runs a command such as `get_many 1`. Returns its seconds and what it has computed."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if len(answer) != 2:
            sys.exit(f"the Rust side has no answer to {command!r}")
        return float(answer[0]), int(answer[1])

    def side(self, command: str) -> Callable[[], float]:
        """Returns what runs a command and returns its seconds."""
        return lambda: self.run(command)[0]

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def write_pairs(folder: Path, name: str, keys: list[bytes], values: "np.ndarray[Any, Any]") -> None:
    """Writes keys and values as the Rust side reads them."""
    ends = np.zeros(len(keys) + 1, "<u8")
    np.cumsum([len(key) for key in keys], out=ends[1:])
    (folder / f"{name}.ends").write_bytes(ends.tobytes())
    (folder / f"{name}.bytes").write_bytes(b"".join(keys))
    (folder / f"{name}.values").write_bytes(values.astype("<u8").tobytes())


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """Returns what runs `work` and returns its seconds."""

    def run() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return run


def is_idle() -> bool:
    """Returns whether the cores are idle for a fifth of a second. Linux says so."""

    def times() -> tuple[int, int]:
        words = Path("/proc/stat").read_text().split("\n")[0].split()[1:]
        return int(words[3]) + int(words[4]), sum(map(int, words))

    if not Path("/proc/stat").exists():
        return True
    idle, total = times()
    time.sleep(0.2)
    idle, total = times()[0] - idle, times()[1] - total
    return idle > 0.9 * total


def loop(keys: Callable[[], list[Any]], mapping: Container[Any]) -> Callable[[], float]:
    """Returns what looks keys up one by one. They are made before the clock starts."""

    def run() -> float:
        asked, found = keys(), 0
        start = time.perf_counter()
        for key in asked:
            if key in mapping:
                found += 1
        seconds = time.perf_counter() - start
        assert found == len(asked), "a key is missing"
        return seconds

    return run


def get_loop(keys: Callable[[], list[Any]], mapping: Any) -> Callable[[], float]:
    """Returns what gets the values of keys one by one."""

    def run() -> float:
        asked = keys()
        start = time.perf_counter()
        for key in asked:
            mapping[key]
        return time.perf_counter() - start

    return run


def export(mapping: Any) -> None:
    """Reads all of a mapping as batches of Arrow."""
    for batch in pa.RecordBatchReader.from_stream(mapping.to_arrow()):
        assert len(batch) > 0


def drain(items: Iterable[object]) -> None:
    """Reads an iterator to its end."""
    for _ in items:
        pass


Sides = dict[str, Callable[[], float]]


class Table:
    """The times of all sides, by rounds."""

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.seconds: dict[str, list[float]] = {}
        self.missed: list[str] = []

    def measure(self, sides: Sides, wait: float = 0) -> None:
        """Measures sides in turns. Each round begins with another one."""
        assert not self.seconds.keys() & sides.keys(), "two sides have one name"
        for run in sides.values():
            run()
        names = list(sides)
        for turn in range(self.rounds):
            at = turn % len(names)
            end = time.monotonic() + wait
            while time.monotonic() < end and not is_idle():
                pass
            for name in names[at:] + names[:at]:
                self.seconds.setdefault(name, []).append(sides[name]())

    def ratio(self, side: str, base: str) -> tuple[float, float, float]:
        """Returns the median, least and largest ratio of the rates of two sides in a round."""
        pairs = zip(self.seconds[side], self.seconds[base], strict=True)
        ratios = [base_seconds / side_seconds for side_seconds, base_seconds in pairs]
        return statistics.median(ratios), min(ratios), max(ratios)

    def line(
        self, what: str, side: str, base: str, bound: float | None = None, keys: int = 0
    ) -> None:
        """Prints a figure."""
        ratio, least, largest = self.ratio(side, base)
        rate = keys / statistics.median(self.seconds[side]) / 1e6
        base_rate = keys / statistics.median(self.seconds[base]) / 1e6
        need = "" if bound is None else f"{bound:.2f}"
        is_missed = bound is not None and ratio < bound
        self.row(
            what, need, f"{ratio:.2f}", f"{least:.2f} – {largest:.2f}", f"{rate:.2f}",
            f"{base_rate:.2f}", is_missed,
        )  # fmt: skip

    def row(
        self, what: str, need: str, ratio: str, spread: str, rate: str, base: str, is_missed: bool
    ) -> None:
        """Prints a line of the table."""
        if is_missed:
            self.missed.append(what)
        mark = " **short**" if is_missed else ""
        print(f"| {what} | {need} | {ratio}{mark} | {spread} | {rate} | {base} |", flush=True)


class Bench:
    """What is measured: keys, and both sides of what holds them."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.table = Table(options.rounds)
        random = np.random.default_rng(19)
        lines = options.keys.read_bytes().split(b"\n")
        keys = [key for key in dict.fromkeys(lines) if key]
        self.numbers = random.permutation(len(keys))
        self.given = [keys[number] for number in self.numbers]
        self.order = sorted(range(len(keys)), key=keys.__getitem__)
        self.ascending = [keys[number] for number in self.order]
        self.asked = [keys[i] for i in random.permutation(len(keys))[: options.asked]]
        self.count, self.queries = len(keys), len(self.asked)
        self.blob = b"\n".join(self.asked)
        self.text = self.blob.decode("utf-8", "surrogateescape")
        self.arrow = pa.array(self.asked)

        write_pairs(folder, "sorted", self.ascending, np.array(self.order))
        write_pairs(folder, "given", self.given, self.numbers)
        write_pairs(folder, "asked", self.asked, np.zeros(self.queries))
        values = pa.array(self.order, pa.uint64())
        self.sorted_table = pa.table({"key": pa.array(self.ascending), "value": values})
        values = pa.array(self.numbers, pa.uint64())
        self.given_table = pa.table({"key": pa.array(self.given), "value": values})
        memkv.FrozenLayer.build(folder / "layer", self.sorted_table, sorted=True)
        for name, parts in ("set", 16), ("set-1000", 1000):
            keys_per_part = -(-self.count // parts)
            memkv.LayerSet.build(
                folder / name, self.sorted_table, sorted=True, keys_per_part=keys_per_part
            )
        self.child = Child(folder)
        self.layer = memkv.FrozenLayer.open(folder / "layer")
        found = sum(value for value in self.layer.get_many(self.arrow).to_pylist())
        assert found == self.child.run("get 1")[1], "the two sides find different values"

    def fresh(self) -> list[bytes]:
        """Returns the queries as new objects.

        They equal a dict's keys and are not them, and their hashes are not computed yet, as is so
        for keys that come from input.
        """
        return self.blob.split(b"\n")

    def many(self) -> None:
        """Many keys at once, by one thread."""
        layer, arrow, table, queries = self.layer, self.arrow, self.table, self.queries
        strs, byte_strings = self.text.split("\n"), self.fresh()
        fixed = np.array(self.asked) if max(map(len, self.asked)) <= 64 else None
        sides: Sides = {
            "arrow": timed(lambda: layer.get_many(arrow)),
            "rust": self.child.side("get_many 1"),
            "str": timed(lambda: layer.get_many(strs)),
            "bytes": timed(lambda: layer.get_many(byte_strings)),
            "contains": timed(lambda: layer.contains_many(arrow)),
        }
        if fixed is not None:
            sides["numpy"] = timed(lambda: layer.get_many(fixed))
        table.measure(sides)
        table.line("`get_many` Arrow → Arrow / Rust's", "arrow", "rust", 0.85, queries)
        table.line("list of str → list / Arrow", "str", "arrow", 0.6, queries)
        table.line("list of bytes → list / Arrow", "bytes", "arrow", 0.6, queries)
        table.line("`contains_many` Arrow / `get_many`", "contains", "arrow", None, queries)
        if fixed is not None:
            table.line("NumPy `S` → NumPy / Arrow", "numpy", "arrow", None, queries)

    def threads(self) -> None:
        """Many keys at once, by two threads."""
        layer, arrow, table, queries = self.layer, self.arrow, self.table, self.queries
        sides = {
            "arrow 2": timed(lambda: layer.get_many(arrow, threads=2)),
            "arrow 1": timed(lambda: layer.get_many(arrow)),
            "rust 2": self.child.side("get_many 2"),
            "rust 1": self.child.side("get_many 1"),
        }
        table.measure(sides, self.options.wait)
        table.line("`get_many`, `threads=2` / 1", "arrow 2", "arrow 1", 1.7, queries)
        table.line("Rust's, two threads / one", "rust 2", "rust 1", None, queries)
        table.line("`get_many`, `threads=2` / Rust's", "arrow 2", "rust 2", None, queries)

    def loop(self) -> None:
        """One key after the other, in Python's own loop."""
        layer, table, queries = self.layer, self.table, self.queries
        entries = dict(zip(self.given, self.numbers.tolist(), strict=True))
        own_keys = {key: key for key in entries}
        own = [own_keys[key] for key in self.asked]
        del own_keys
        sides = {
            "layer": loop(self.fresh, layer),
            "dict": loop(self.fresh, entries),
            "dict own": loop(lambda: own, entries),
            "layer str": loop(lambda: self.text.split("\n"), layer),
            "layer[k]": get_loop(self.fresh, layer),
            "dict[k]": get_loop(self.fresh, entries),
            "rust contains": self.child.side("contains 1"),
        }
        table.measure(sides)
        table.line("`k in layer` / a dict", "layer", "dict", 0.85, queries)
        table.line("`k in layer` / a dict, its own key objects", "layer", "dict own", None, queries)
        table.line("`k in layer` of str / of bytes", "layer str", "layer", None, queries)
        table.line("`layer[k]` / a dict", "layer[k]", "dict[k]", None, queries)
        table.line("`k in layer` / Rust's `contains_key`", "layer", "rust contains", None, queries)

    def map(self) -> None:
        """A map that is shared by threads."""
        arrow, table, queries = self.arrow, self.table, self.queries
        self.child.run("map 1")
        shared = memkv.Map()
        shared.update(self.given_table)
        assert len(shared) == self.count
        sides = {
            "map": timed(lambda: shared.get_many(arrow)),
            "rust map": self.child.side("map_get_many 1"),
            "in map": loop(self.fresh, shared),
        }
        table.measure(sides)
        table.line("`Map.get_many` / `ConcurrentArt`'s", "map", "rust map", 0.85, queries)
        table.line("`k in map` / `Map.get_many`", "in map", "map", None, queries)
        sides = {
            "map 2": timed(lambda: shared.get_many(arrow, threads=2)),
            "map 1": timed(lambda: shared.get_many(arrow)),
            "rust map 2": self.child.side("map_get_many 2"),
            "rust map 1": self.child.side("map_get_many 1"),
        }
        table.measure(sides, self.options.wait)
        table.line("`Map.get_many`, `threads=2` / 1", "map 2", "map 1", 1.7, queries)
        table.line("`ConcurrentArt`'s, two / one", "rust map 2", "rust map 1", None, queries)

    def scan(self) -> None:
        """All keys in order."""
        layer, table = self.layer, self.table
        sides = {
            "export": timed(lambda: export(layer)),
            "rust scan": self.child.side("scan 1"),
            "items": timed(lambda: drain(layer.items())),
        }
        table.measure(sides)
        table.line("export to Arrow / Rust's scan", "export", "rust scan", 0.6, self.count)
        table.line("`layer.items()` / Rust's scan", "items", "rust scan", None, self.count)

    def set(self) -> None:
        """A set of layers beside one layer."""
        layer, arrow, table = self.layer, self.arrow, self.table
        layers = memkv.LayerSet.open(self.folder / "set")
        sides = {
            "set get": get_loop(self.fresh, layers),
            "layer get": get_loop(self.fresh, layer),
            "set many": timed(lambda: layers.get_many(arrow)),
            "layer many": timed(lambda: layer.get_many(arrow)),
            "set scan": timed(lambda: export(layers)),
            "layer scan": timed(lambda: export(layer)),
        }
        table.measure(sides)
        sides = {
            "rust set get": self.child.side("set_get 1"),
            "rust layer get": self.child.side("get 1"),
            "rust set many": self.child.side("set_get_many 1"),
            "rust layer many": self.child.side("get_many 1"),
            "rust set scan": self.child.side("set_scan 1"),
            "rust layer scan": self.child.side("scan 1"),
        }
        table.measure(sides)
        bounds = {"get": 0.93, "many": 0.95, "scan": 0.97}
        for kind, bound in bounds.items():
            keys = self.count if kind == "scan" else self.queries
            what = f"`LayerSet` of {len(layers.parts)} parts / a layer: {kind}"
            table.line(what, f"set {kind}", f"layer {kind}", bound, keys)
            table.line("the same in Rust", f"rust set {kind}", f"rust layer {kind}", None, keys)

    def open(self) -> None:
        """Opening a set."""
        opened = memkv.LayerSet.open(self.folder / "set-1000")
        assert opened.open_parts == 0, "opening touches parts"
        self.table.measure({"open": timed(lambda: memkv.LayerSet.open(opened.path))})
        times = [1e3 * seconds for seconds in self.table.seconds["open"]]
        median = statistics.median(times)
        self.table.row(
            f"opening a set of {len(opened.parts)} parts, no part touched", "≤ 20 ms",
            f"{median:.1f} ms", f"{min(times):.1f} – {max(times):.1f}", "", "", median > 20,
        )  # fmt: skip

    def build(self) -> None:
        """Builds, by one thread."""
        new, table = self.folder / "built-python", self.table
        sorted_table, given_table = self.sorted_table, self.given_table
        ascending, order = self.ascending, self.order

        def build(keys: Any, values: Any, is_sorted: bool) -> Callable[[], float]:
            return timed(
                lambda: memkv.FrozenLayer.build(
                    new, keys, values, sorted=is_sorted, memory=MEMORY, threads=1
                )
            )

        sides = {
            "sorted": build(sorted_table, None, True),
            "rust sorted": self.child.side("build_sorted 1"),
            "list": build(ascending, order, True),
        }
        table.measure(sides)
        table.line("build, sorted Arrow / Rust's", "sorted", "rust sorted", 0.9, self.count)
        table.line("build, sorted lists / Rust's", "list", "rust sorted", None, self.count)
        sides = {
            "unsorted": build(given_table, None, False),
            "rust unsorted": self.child.side("build_unsorted 1"),
        }
        table.measure(sides)
        base = "rust unsorted"
        table.line("build, unsorted Arrow / `build_external`", "unsorted", base, 0.85, self.count)
        built = self.folder / "built-rust"
        assert new.read_bytes() == built.read_bytes(), "the files differ"


GROUPS = ["many", "threads", "loop", "map", "scan", "set", "open", "build"]


def run(options: argparse.Namespace, folder: Path) -> int:
    """Measures, and prints the table."""
    bench = Bench(options, folder)
    length = sum(map(len, bench.ascending)) / bench.count
    print(
        f"{bench.count} keys of {length:.1f} bytes, {bench.queries} queries, {options.rounds} "
        f"rounds, {os.cpu_count()} cores, Python {sys.version.split()[0]}, pyarrow "
        f"{pa.__version__}, load average {os.getloadavg()[0]:.1f}\n\n"
        "| figure | at least | ratio | least – largest | M/s | M/s of the other |\n"
        "|---|---|---|---|---|---|"
    )
    for group in options.only.split(","):
        getattr(bench, group)()
    if options.wheel:
        size = options.wheel.stat().st_size / 1e6
        bench.table.row("wheel", "≤ 5 MB", f"{size:.1f} MB", "", "", "", size > 5)
    bench.child.close()
    print(f"\nLoad average at the end {os.getloadavg()[0]:.1f}.")
    if bench.table.missed:
        print("Short of what is required: " + "; ".join(bench.table.missed))
    return 1 if bench.table.missed else 0


def main() -> int:
    arguments = argparse.ArgumentParser(description="Figures beside Rust's library.")
    arguments.add_argument("keys", type=Path)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--asked", type=int, default=1_000_000)
    arguments.add_argument("--folder", type=Path, help="for temporary files")
    arguments.add_argument("--wheel", type=Path, help="the wheel, whose size is printed")
    arguments.add_argument("--only", default=",".join(GROUPS), help="some of: " + ",".join(GROUPS))
    arguments.add_argument("--wait", type=float, default=0, help="seconds for cores to be idle")
    options = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="memkv-figures-", dir=options.folder))
    try:
        return run(options, folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
