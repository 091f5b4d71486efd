"""Prints the package beside other maps of Python: bytes a key, lookups a second, time to build.

usage: python bench/peers.py KEYS [--asked 1000000] [--rounds 3] [--folder DIR]

KEYS is a file of keys in UTF-8, one a line. Peers that are not installed are skipped and named:
pip install marisa-trie lexindex lmdb rocksdict

Each structure is built and asked in processes of its own.

* Values are the numbers of the lines, in 4 bytes where the peer has byte strings. marisa-trie's
  BinaryTrie and lexindex give each key a number of their own instead.
* Bytes of what is in memory are those that the process has more of (RSS) once the structure is
  built and the list of keys is dropped. Those of a file are what it takes on the disk.
* Builds of layers, and of lmdb, get keys in order, without the time to sort. The others get them
  shuffled. Keys are lists of objects, and one thread builds.
* Lookups are of keys that are there, in random order, one after the other in a loop. The keys are
  new objects, as those that come from input are. Files are in the page cache.
* get_many asks for all of them at once, from an array of Arrow.
* lmdb has no keys of more than 511 bytes: those are left out. rocksdict has filters and a cache
  that has room for all.

Times are the best of the rounds, of builds that of one.
"""

import argparse
import concurrent.futures
import contextlib
import ctypes
import gc
import importlib.util
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import memkv
import numpy as np
import pyarrow as pa

Answers = dict[str, float]


class Source(NamedTuple):
    """Where keys are, and where a peer may write."""

    keys: Path
    folder: Path
    asked: int
    rounds: int

    def path(self, name: str) -> Path:
        """Returns where a peer may write."""
        return self.folder / "".join(c if c.isalnum() else "-" for c in name)

    def lines(self) -> list[bytes]:
        """Returns the keys, without those that come again."""
        lines = self.keys.read_bytes().split(b"\n")
        return [key for key in dict.fromkeys(lines) if key]

    def shuffled(self) -> tuple[list[bytes], list[int]]:
        """Returns keys in random order, and their values."""
        lines = self.lines()
        numbers = np.random.default_rng(19).permutation(len(lines)).tolist()
        return [lines[number] for number in numbers], numbers

    def ascending(self) -> tuple[list[bytes], list[int]]:
        """Returns keys in order, and their values."""
        lines = self.lines()
        numbers = sorted(range(len(lines)), key=lines.__getitem__)
        return [lines[number] for number in numbers], numbers

    def queries(self) -> bytes:
        """Returns keys in another random order, one a line."""
        lines = self.lines()
        places = np.random.default_rng(91).permutation(len(lines))[: self.asked]
        return b"\n".join(lines[place] for place in places)


def rss() -> int:
    """Returns the bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def size_of(path: Path) -> int:
    """Returns the bytes that a file, or the files of a folder, take on the disk."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(min(file.stat().st_size, 512 * file.stat().st_blocks) for file in files)


class Peer:
    """A structure. `build` makes it; what is in a file is opened by `open`."""

    module = "builtins"
    # Keys are given in order.
    needs_order = False
    is_file = False
    is_text = False
    values = "int"

    def build(self, keys: list[Any], values: list[int], path: Path) -> Any:
        """Builds it, and returns it if it is in memory."""
        raise NotImplementedError

    def open(self, path: Path) -> Any:
        """Opens what is in a file."""
        raise NotImplementedError

    def ask(self, built: Any, keys: list[Any]) -> None:
        """Looks up one key after the other."""
        for key in keys:
            built[key]

    def ask_many(self, built: Any, keys: Any) -> bool:
        """Looks up an array of Arrow. Returns whether it can."""
        return False


class Memkv(Peer):
    module = "memkv"

    def ask_many(self, built: Any, keys: Any) -> bool:
        return len(built.get_many(keys)) > 0


class Layer(Memkv):
    is_file, needs_order = True, True

    def build(self, keys: list[Any], values: list[int], path: Path) -> Any:
        memkv.FrozenLayer.build(path, keys, values, sorted=True, threads=1)

    def open(self, path: Path) -> Any:
        return memkv.FrozenLayer.open(path)


class UnsortedLayer(Layer):
    needs_order = False

    def build(self, keys: list[Any], values: list[int], path: Path) -> Any:
        memkv.FrozenLayer.build(path, keys, values, threads=1)


class Ranks(Layer):
    values = "rank"

    def build(self, keys: list[Any], values: list[int], path: Path) -> Any:
        memkv.FrozenLayer.build(path, keys, sorted=True, threads=1)

    def ask(self, built: Any, keys: list[Any]) -> None:
        for key in keys:
            built.rank(key)

    def ask_many(self, built: Any, keys: Any) -> bool:
        return False


class Map(Memkv):
    def build(self, keys: list[Any], values: list[int], path: Path) -> Any:
        built = memkv.Map()
        built.update(keys, values)
        return built


class Store(Memkv):
    is_file = True

    def build(self, keys: list[Any], values: list[int], path: Path) -> Any:
        with memkv.Store.open(path) as store:
            store.update(keys, values)
            store.compact()

    def open(self, path: Path) -> Any:
        return memkv.Store.open(path, read_only=True)


class Dict(Peer):
    def build(self, keys: list[Any], values: list[int], path: Path) -> Any:
        return dict(zip(keys, values, strict=True))


class HashSet(Peer):
    values = "none"

    def build(self, keys: list[Any], values: list[int], path: Path) -> Any:
        return set(keys)

    def ask(self, built: Any, keys: list[Any]) -> None:
        for key in keys:
            key in built  # noqa: B015


class Marisa(Peer):
    module, values = "marisa_trie", "its own"

    def build(self, keys: list[Any], values: list[int], path: Path) -> Any:
        return importlib.import_module("marisa_trie").BinaryTrie(keys)


class MarisaRecords(Peer):
    module, is_text = "marisa_trie", True

    def build(self, keys: list[Any], values: list[int], path: Path) -> Any:
        records = zip(keys, ((value,) for value in values), strict=True)
        return importlib.import_module("marisa_trie").RecordTrie("<I", records)


class Lexindex(Peer):
    module, is_file, is_text, values = "lexindex", True, True, "rank"

    def build(self, keys: list[Any], values: list[int], path: Path) -> Any:
        importlib.import_module("lexindex").DictIndex(keys).save(str(path))

    def open(self, path: Path) -> Any:
        return importlib.import_module("lexindex").DictIndex.load_mmap(str(path))

    def ask(self, built: Any, keys: list[Any]) -> None:
        get = built.get
        for key in keys:
            get(key)

    def ask_many(self, built: Any, keys: Any) -> bool:
        return len(built.ids_of_arrow(keys)) > 0


class Lmdb(Peer):
    module, is_file, needs_order = "lmdb", True, True

    def build(self, keys: list[Any], values: list[int], path: Path) -> Any:
        # Longer keys are refused.
        pairs = [
            (key, value.to_bytes(4, "little"))
            for key, value in zip(keys, values, strict=True)
            if len(key) <= 511
        ]
        store = importlib.import_module("lmdb").open(str(path), map_size=1 << 34)
        with store, store.begin(write=True) as change:
            change.cursor().putmulti(pairs, append=True)

    def open(self, path: Path) -> Any:
        store = importlib.import_module("lmdb").open(str(path), readonly=True, lock=False)
        return store.begin(buffers=True)

    def ask(self, built: Any, keys: list[Any]) -> None:
        get = built.get
        for key in keys:
            get(key)


class Rocks(Peer):
    module, is_file = "rocksdict", True

    def options(self, rocksdict: Any) -> Any:
        """Returns options as for lookups: a cache that has room for all, and filters."""
        options, table = rocksdict.Options(raw_mode=True), rocksdict.BlockBasedOptions()
        table.set_block_cache(rocksdict.Cache(1 << 30))
        table.set_bloom_filter(10, False)
        options.set_block_based_table_factory(table)
        return options

    def build(self, keys: list[Any], values: list[int], path: Path) -> Any:
        rocksdict = importlib.import_module("rocksdict")
        store = rocksdict.Rdict(str(path), self.options(rocksdict))
        for start in range(0, len(keys), 10_000):
            batch, part = rocksdict.WriteBatch(raw_mode=True), slice(start, start + 10_000)
            for key, value in zip(keys[part], values[part], strict=True):
                batch.put(key, value.to_bytes(4, "little"))
            store.write(batch)
        store.flush()
        store.compact_range(None, None)
        store.close()

    def open(self, path: Path) -> Any:
        rocksdict = importlib.import_module("rocksdict")
        access = rocksdict.AccessType.read_only()
        return rocksdict.Rdict(str(path), self.options(rocksdict), access_type=access)


PEERS: dict[str, Peer] = {
    "`memkv.FrozenLayer`": Layer(),
    "the same, built unsorted": UnsortedLayer(),
    "the same without values": Ranks(),
    "`memkv.Map`": Map(),
    "`memkv.Store`": Store(),
    "dict": Dict(),
    "set": HashSet(),
    "marisa-trie `BinaryTrie`": Marisa(),
    "marisa-trie `RecordTrie`": MarisaRecords(),
    "lexindex `DictIndex`": Lexindex(),
    "lmdb": Lmdb(),
    "rocksdict": Rocks(),
}


def trim() -> None:
    """Gives the memory that is free back to the system."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def measure_lookups(peer: Peer, built: Any, source: Source) -> Answers:
    """Asks one by one, and all at once."""
    queries = source.queries()
    blob: Any = queries.decode() if peer.is_text else queries
    newline: Any = "\n" if peer.is_text else b"\n"
    arrow = pa.array(blob.split(newline))
    single, many = [], []
    for _ in range(source.rounds):
        keys = blob.split(newline)
        if isinstance(peer, Lmdb):
            keys = [key for key in keys if len(key) <= 511]
        start = time.perf_counter()
        peer.ask(built, keys)
        single.append((time.perf_counter() - start) / len(keys))
        start = time.perf_counter()
        if peer.ask_many(built, arrow):
            many.append((time.perf_counter() - start) / len(arrow))
    answers = {"lookups": 1 / min(single)}
    return answers | ({"many": 1 / min(many)} if many else {})


def build(name: str, source: Source) -> Answers:
    """Builds a peer in this process. What is in memory is asked here too."""
    peer = PEERS[name]
    importlib.import_module(peer.module)
    trim()
    before = rss()
    keys: list[Any]
    keys, values = source.ascending() if peer.needs_order else source.shuffled()
    if peer.is_text:
        keys = [key.decode() for key in keys]
    count = len(keys)
    start = time.perf_counter()
    built = peer.build(keys, values, source.path(name))
    answers = {"build": time.perf_counter() - start}
    if peer.is_file:
        return answers | {"bytes": size_of(source.path(name)) / count}
    del keys, values
    trim()
    answers["bytes"] = (rss() - before) / count
    return answers | measure_lookups(peer, built, source)


def ask(name: str, source: Source) -> Answers:
    """Opens a file in this process, and asks it."""
    return measure_lookups(PEERS[name], PEERS[name].open(source.path(name)), source)


def run_apart(work: Callable[[str, Source], Answers], name: str, source: Source) -> Answers:
    """Runs work in a new process."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, name, source).result()


def main() -> int:
    arguments = argparse.ArgumentParser(description="The package beside other maps of Python.")
    arguments.add_argument("keys", type=Path)
    arguments.add_argument("--asked", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--folder", type=Path, help="for temporary files")
    options = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="memkv-peers-", dir=options.folder))
    source = Source(options.keys, folder, options.asked, options.rounds)
    lines = source.lines()
    print(
        f"{len(lines)} keys of {sum(map(len, lines)) / len(lines):.1f} bytes, "
        f"{min(len(lines), source.asked)} queries, {os.cpu_count()} cores, Python "
        f"{sys.version.split()[0]}, load average {os.getloadavg()[0]:.1f}\n\n"
        "| | values | bytes a key | of | build, s | lookups, M/s | `get_many`, M/s |\n"
        "|---|---|---|---|---|---|---|"
    )
    del lines
    skipped = []
    try:
        for name, peer in PEERS.items():
            if importlib.util.find_spec(peer.module) is None:
                skipped.append(peer.module)
                continue
            found = run_apart(build, name, source)
            if peer.is_file:
                found |= run_apart(ask, name, source)
            many = f"{found['many'] / 1e6:.2f}" if "many" in found else "–"
            print(
                f"| {name} | {peer.values} | {found['bytes']:.1f} | "
                f"{'file' if peer.is_file else 'memory'} | {found['build']:.1f} | "
                f"{found['lookups'] / 1e6:.2f} | {many} |",
                flush=True,
            )
    finally:
        shutil.rmtree(folder)
    print(f"\nLoad average at the end {os.getloadavg()[0]:.1f}.")
    for module in sorted(set(skipped)):
        print(f"Skipped, since it is not installed: {module}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
