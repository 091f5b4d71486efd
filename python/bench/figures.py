"""Prints how fast the package is beside Rust's library, and whether that is as fast as required.

usage: python bench/figures.py KEYS [--rounds 7] [--asked 1000000] [--folder DIR] [--wheel FILE]

KEYS is a file of keys, one a line. It needs the package, NumPy, pyarrow and cargo. The Rust side is
the program in bench/rust. It runs as a child process that reads the same files, asks for the same
keys in the same order, and answers one command at a time, so that the two sides take turns in one
run. Whatever else the machine does slows both. Each figure is the median of the ratios inside a
round. Ratios are of rates: above 1 the first side is faster.

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

    def measure(self, sides: Sides) -> None:
        """Measures sides in turns. Each round begins with another one."""
        for run in sides.values():
            run()
        names = list(sides)
        for turn in range(self.rounds):
            at = turn % len(names)
            for name in names[at:] + names[:at]:
                self.seconds.setdefault(name, []).append(sides[name]())

    def ratio(self, side: str, base: str) -> tuple[float, float, float]:
        """Returns the median, least and largest ratio of the rates of two sides in a round."""
        pairs = zip(self.seconds[side], self.seconds[base], strict=True)
        ratios = [base_seconds / side_seconds for side_seconds, base_seconds in pairs]
        return statistics.median(ratios), min(ratios), max(ratios)

    def line(self, what: str, side: str, base: str, bound: float | None = None, keys: int = 0) -> None:
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


def main() -> int:
    arguments = argparse.ArgumentParser(description="Figures beside Rust's library.")
    arguments.add_argument("keys", type=Path)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--asked", type=int, default=1_000_000)
    arguments.add_argument("--folder", type=Path, help="for temporary files")
    arguments.add_argument("--wheel", type=Path, help="the wheel, whose size is printed")
    arguments.add_argument("--only", help="groups, with commas: many,loop,map,scan,set,open,build")
    options = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="memkv-figures-", dir=options.folder))
    try:
        return run(options, folder)
    finally:
        shutil.rmtree(folder)


def run(options: argparse.Namespace, folder: Path) -> int:
    groups = (options.only or "many,loop,map,scan,set,open,build").split(",")
    random = np.random.default_rng(19)
    keys = list(dict.fromkeys(options.keys.read_bytes().split(b"\n")))
    keys = [key for key in keys if key]
    lines = random.permutation(len(keys))
    given = [keys[line] for line in lines]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    ascending = [keys[line] for line in order]
    asked = [keys[line] for line in random.permutation(len(keys))[: options.asked]]
    count, queries = len(keys), len(asked)
    del keys

    write_pairs(folder, "sorted", ascending, np.array(order))
    write_pairs(folder, "given", given, lines)
    write_pairs(folder, "asked", asked, np.zeros(queries))
    sorted_table = pa.table({"key": pa.array(ascending), "value": pa.array(order, pa.uint64())})
    given_table = pa.table({"key": pa.array(given), "value": pa.array(lines, pa.uint64())})
    build, build_set = memkv.FrozenLayer.build, memkv.LayerSet.build
    build(folder / "layer", sorted_table, sorted=True)
    build_set(folder / "set", sorted_table, sorted=True, keys_per_part=-(-count // 16))
    build_set(folder / "set-1000", sorted_table, sorted=True, keys_per_part=-(-count // 1000))
    child = Child(folder)
    layer = memkv.FrozenLayer.open(folder / "layer")
    layers = memkv.LayerSet.open(folder / "set")
    arrow = pa.array(asked)
    blob, text = b"\n".join(asked), b"\n".join(asked).decode("utf-8", "surrogateescape")
    fresh = lambda: blob.split(b"\n")  # noqa: E731

    # What both sides find is the same.
    total = sum(value for value in layer.get_many(arrow).to_pylist())
    rust_total = child.run("get 1")[1]
    assert total == rust_total, "the two sides find different values"

    info = "free-threaded" if not getattr(sys, "_is_gil_enabled", lambda: True)() else "with GIL"
    print(
        f"{count} keys of {sum(map(len, ascending)) / count:.1f} bytes, {queries} queries, "
        f"{options.rounds} rounds, {os.cpu_count()} cores, Python {sys.version.split()[0]} {info}, "
        f"pyarrow {pa.__version__}, load average {os.getloadavg()[0]:.1f}\n"
    )
    print("| figure | at least | ratio | least – largest | M/s | M/s of the other |")
    print("|---|---|---|---|---|---|")
    table = Table(options.rounds)

    if "many" in groups:
        strs, byte_strings = text.split("\n"), fresh()
        fixed = None
        if max(map(len, asked)) <= 64:
            fixed = np.array(asked)
        sides: Sides = {
            "arrow": timed(lambda: layer.get_many(arrow)),
            "rust": child.side("get_many 1"),
            "arrow 2": timed(lambda: layer.get_many(arrow, threads=2)),
            "rust 2": child.side("get_many 2"),
            "str": timed(lambda: layer.get_many(strs)),
            "bytes": timed(lambda: layer.get_many(byte_strings)),
            "contains": timed(lambda: layer.contains_many(arrow)),
        }
        if fixed is not None:
            sides["numpy"] = timed(lambda: layer.get_many(fixed))
        table.measure(sides)
        table.line("`get_many` Arrow → Arrow / Rust's", "arrow", "rust", 0.85, queries)
        table.line("the same, `threads=2`", "arrow 2", "rust 2", None, queries)
        table.line("`threads=2` / 1", "arrow 2", "arrow", 1.7, queries)
        table.line("Rust, two threads / one", "rust 2", "rust", None, queries)
        table.line("list of str → list / Arrow", "str", "arrow", 0.6, queries)
        table.line("list of bytes → list / Arrow", "bytes", "arrow", 0.6, queries)
        table.line("`contains_many` Arrow → Arrow / `get_many`", "contains", "arrow", None, queries)
        if fixed is not None:
            table.line("NumPy `S` → NumPy / Arrow", "numpy", "arrow", None, queries)
        del strs, byte_strings

    if "loop" in groups:
        # Objects that equal the dict's keys and are not them, and whose hashes are not computed
        # yet, as keys that come from input are.
        entries = {bytes(memoryview(key)): value for key, value in zip(given, lines.tolist())}
        own_keys = {key: key for key in entries}
        own = [own_keys[key] for key in asked]
        del own_keys
        table.measure({
            "layer": loop(fresh, layer),
            "dict": loop(fresh, entries),
            "dict own": loop(lambda: own, entries),
            "layer str": loop(lambda: text.split("\n"), layer),
            "layer[k]": get_loop(fresh, layer),
            "dict[k]": get_loop(fresh, entries),
            "rust contains": child.side("contains 1"),
        })  # fmt: skip
        table.line("`k in layer` / a dict", "layer", "dict", 0.85, queries)
        table.line("the same, beside the dict's own key objects", "layer", "dict own", None, queries)
        table.line("`k in layer` of str / of bytes", "layer str", "layer", None, queries)
        table.line("`layer[k]` / a dict", "layer[k]", "dict[k]", None, queries)
        table.line("`k in layer` / Rust's `contains_key`", "layer", "rust contains", None, queries)
        del entries, own

    if "map" in groups:
        child.run("map 1")
        shared = memkv.Map()
        shared.update(given_table)
        assert len(shared) == count
        table.measure({
            "map": timed(lambda: shared.get_many(arrow)),
            "rust map": child.side("map_get_many 1"),
            "map 2": timed(lambda: shared.get_many(arrow, threads=2)),
            "rust map 2": child.side("map_get_many 2"),
            "in map": loop(fresh, shared),
        })  # fmt: skip
        table.line("`Map.get_many` / `ConcurrentArt`'s", "map", "rust map", 0.85, queries)
        table.line("`Map.get_many`, `threads=2` / 1", "map 2", "map", 1.7, queries)
        table.line("`ConcurrentArt`, two threads / one", "rust map 2", "rust map", None, queries)
        table.line("`k in map` / `get_many`", "in map", "map", None, queries)
        del shared

    if "scan" in groups:
        table.measure({
            "export": timed(lambda: export(layer)),
            "rust scan": child.side("scan 1"),
            "items": timed(lambda: drain(layer.items())),
        })  # fmt: skip
        table.line("export to Arrow / Rust's scan", "export", "rust scan", 0.6, count)
        table.line("`for k, v in layer.items()` / Rust's scan", "items", "rust scan", None, count)

    if "set" in groups:
        table.measure({
            "set get": get_loop(fresh, layers),
            "layer get": get_loop(fresh, layer),
            "set many": timed(lambda: layers.get_many(arrow)),
            "layer many": timed(lambda: layer.get_many(arrow)),
            "set scan": timed(lambda: export(layers)),
            "layer scan": timed(lambda: export(layer)),
        })  # fmt: skip
        table.measure({
            "rust set get": child.side("set_get 1"),
            "rust layer get": child.side("get 1"),
            "rust set many": child.side("set_get_many 1"),
            "rust layer many": child.side("get_many 1"),
            "rust set scan": child.side("set_scan 1"),
            "rust layer scan": child.side("scan 1"),
        })  # fmt: skip
        many = ("`get_many`", "many", 0.95, queries)
        for what, side, bound, n in ("`get`", "get", 0.93, queries), many, ("scan", "scan", 0.97, count):
            table.line(
                f"`LayerSet` of {len(layers.parts)} parts / one layer: {what}",
                f"set {side}", f"layer {side}", bound, n,
            )  # fmt: skip
            table.line(f"in Rust: {what}", f"rust set {side}", f"rust layer {side}", None, n)

    if "open" in groups:
        open_set = memkv.LayerSet.open
        opened = open_set(folder / "set-1000")
        assert opened.open_parts == 0, "opening touches parts"
        table.measure({"open": timed(lambda: open_set(folder / "set-1000"))})
        seconds = 1e3 * statistics.median(table.seconds["open"])
        spread = f"{1e3 * min(table.seconds['open']):.1f} – {1e3 * max(table.seconds['open']):.1f} ms"
        table.row(
            f"opening a set of {len(opened.parts)} parts, no part touched", "≤ 20 ms",
            f"{seconds:.1f} ms", spread, "", "", seconds > 20,
        )  # fmt: skip

    if "build" in groups:
        new = folder / "built-python"
        both = {"memory": MEMORY, "threads": 1}
        table.measure({
            "sorted": timed(lambda: build(new, sorted_table, sorted=True, **both)),
            "rust sorted": child.side("build_sorted 1"),
            "list": timed(lambda: build(new, ascending, order, sorted=True, **both)),
        })  # fmt: skip
        table.line("build of sorted Arrow / Rust's builder", "sorted", "rust sorted", 0.9, count)
        table.line("build of sorted lists / Rust's builder", "list", "rust sorted", None, count)
        table.measure({
            "unsorted": timed(lambda: build(new, given_table, **both)),
            "rust unsorted": child.side("build_unsorted 1"),
        })  # fmt: skip
        base = "rust unsorted"
        table.line("build of unsorted Arrow / `build_external`", "unsorted", base, 0.85, count)
        assert new.read_bytes() == (folder / "built-rust").read_bytes(), "the files differ"

    if options.wheel:
        size = options.wheel.stat().st_size / 1e6
        table.row("wheel", "≤ 5 MB", f"{size:.1f} MB", "", "", "", size > 5)
    child.close()
    print(f"\nload average at the end {os.getloadavg()[0]:.1f}")
    if table.missed:
        print("Short of what is required: " + "; ".join(table.missed))
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
