"""Store against a sorted dict, after reopening, after crashes and in forked processes."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

import memkv
import pyarrow as pa
import pytest
from hypothesis import settings
from hypothesis.stateful import rule
from model import files_below
from test_map import Machine
from test_processes import in_child


class StoreMachine(Machine):
    kinds = ["u64"]

    def start(self, kind, form):
        self.folder = tempfile.mkdtemp()
        self.form = form
        self.map = memkv.Store.open(self.folder, keys=form)
        assert self.map.kind == kind

    @rule()
    def reopen(self):
        self.map.close()
        self.map = memkv.Store.open(self.folder, keys=self.form)

    @rule()
    def read_only(self):
        self.map.sync()
        with memkv.Store.open(self.folder, keys=self.form, read_only=True) as reader:
            assert reader == self.map

    @rule()
    def compact(self):
        self.map.compact()

    def teardown(self):
        if hasattr(self, "folder"):
            self.map.close()
            shutil.rmtree(self.folder)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(stateful_step_count=25, max_examples=20)


@pytest.mark.parametrize("durability", ["written", "synced", "buffered", "off"])
def test_it_is_there_after_closing(durability, tmp_path):
    # Each change waits for the disk.
    count = 300 if durability == "synced" else 5000
    model = {f"{i:05}".encode(): i for i in range(count)}
    with memkv.Store.open(tmp_path / "it", durability=durability) as store:
        store.update(model)
        del store[b"00007"]
        if durability == "off":
            store.compact()
            store["lost"] = 5
        assert store.path == tmp_path / "it" and not store.read_only and not store.closed
        stats = store.stats()
        assert stats["delta_keys"] + stats["base_keys"] >= count - 1
        assert store.memory_usage() > 0 and "keys" in repr(store)
    assert store.closed and "closed" in repr(store)
    store.close()
    del model[b"00007"]
    with memkv.Store.open(tmp_path / "it", create=False) as store:
        assert store == model and store.stats()["was_closed"]
        # Any integers, as Arrow makes them of those of Python.
        store.update(pa.table({"k": ["00000"], "v": [0]}))
        store.update(pa.array(["00001"]), pa.array([1], pa.int8()))
        with pytest.raises(OverflowError):
            store.update(pa.table({"k": ["00000"], "v": [-1]}))
        assert pa.table(store.to_arrow())["value"].to_pylist() == list(model.values())
        store.freeze(tmp_path / "layer")
        store.save(tmp_path / "copy")
    assert memkv.FrozenLayer.open(tmp_path / "layer") == model
    with memkv.Store.open(tmp_path / "copy") as store:
        assert store == model


def test_errors(tmp_path):
    path = tmp_path / "it"
    with pytest.raises((FileNotFoundError, ValueError)):
        memkv.Store.open(path, create=False)
    with pytest.raises((FileNotFoundError, ValueError)):
        memkv.Store.open(path, read_only=True)
    assert not path.exists()
    for wrong in (
        {"durability": "none"},
        {"keys": "text"},
        {"read_only": True, "durability": "synced"},
    ):
        with pytest.raises(ValueError):
            memkv.Store.open(path, **wrong)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(OSError):
        memkv.Store.open(tmp_path / "file")
    with memkv.Store.open(path) as store:
        with pytest.raises(memkv.InUseError) as error:
            memkv.Store.open(path)
        assert isinstance(error.value, OSError) and "it" in str(error.value)
        for value, kind in [(-1, OverflowError), (2**64, OverflowError), ("x", TypeError)]:
            with pytest.raises(kind):
                store["a"] = value
        with pytest.raises(TypeError):
            memkv.Store()
        iterator = iter(store)
    for use in (
        lambda: store["a"],
        lambda: len(store),
        lambda: store.sync(),
        lambda: store.compact(),
        lambda: store.update({"a": 1}),
        lambda: store.__setitem__("a", 1),
        lambda: store.stats(),
        lambda: list(store),
        lambda: store.pop("a"),
        lambda: store.clear(),
        lambda: store.get_many(["a"]),
        lambda: store.__enter__(),
        lambda: store.freeze(tmp_path / "x"),
        lambda: next(iterator),
    ):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_read_only(tmp_path):
    path = tmp_path / "it"
    with memkv.Store.open(path) as store:
        store["a"] = 1
        reader = memkv.Store.open(path, read_only=True, keys="str")
        other = memkv.Store.open(path, read_only=True)
        assert reader == {"a": 1} and reader.read_only
        store["b"] = 2
        reader.refresh()
        assert reader == {"a": 1, "b": 2}
        store.compact()
        del store["a"]
        reader.refresh()
        assert reader == {"b": 2}
        for use in (
            lambda: reader.__setitem__("x", 1),
            lambda: reader.pop("b"),
            lambda: reader.clear(),
            lambda: reader.update({"x": 1}),
            lambda: reader.setdefault("x", 1),
            lambda: reader.remove_many("b"),
            lambda: reader.popitem(),
        ):
            with pytest.raises(PermissionError):
                use()
        other.close()
    assert reader == {"b": 2}
    reader.close()


CRASH = """
import os, sys, memkv
store = memkv.Store.open(sys.argv[1], durability=sys.argv[2])
for i in range(600):
    store[f"{i:05}"] = i
    if i == 399:
        store.sync()
        if sys.argv[2] == "off":
            store.compact()
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(
    "durability,at_least", [("written", 600), ("synced", 600), ("buffered", 400), ("off", 400)]
)
def test_a_process_that_is_killed(durability, at_least, tmp_path):
    run = subprocess.run([sys.executable, "-c", CRASH, str(tmp_path / "it"), durability])
    assert run.returncode == -signal.SIGKILL
    with memkv.Store.open(tmp_path / "it") as store:
        assert store.stats()["was_closed"] == (durability == "off")
        assert at_least <= len(store) <= 600
        assert store == {f"{i:05}".encode(): i for i in range(len(store))}


def test_damage(tmp_path):
    path = tmp_path / "it"
    model = {f"{i:05}".encode(): i for i in range(20_000)}
    with memkv.Store.open(path, background=False) as store:
        store.update(model)
        store.compact()
        store["new"] = 5
    largest = max((path / name for name in files_below(path)), key=lambda file: file.stat().st_size)
    content = largest.read_bytes()
    largest.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    with pytest.raises(memkv.DamagedError):
        memkv.Store.open(path)
    before = files_below(path)
    lost = memkv.Store.recover(path, tmp_path / "layer")
    assert lost and all(isinstance(loss, str) for loss in lost)
    assert files_below(path) == before
    with memkv.FrozenLayer.open(tmp_path / "layer", verify=True) as layer:
        assert layer["new"] == 5 and set(layer) <= {*model, b"new"}
        with memkv.Store.open(tmp_path / "again") as store:
            store.update(layer)
            assert store == layer


def test_a_forked_child(tmp_path):
    path = tmp_path / "it"
    store = memkv.Store.open(path)
    store["a"] = 1

    def child():
        for use in (
            lambda: store.__setitem__("b", 2),
            lambda: store.pop("a"),
            lambda: store.update({"b": 2}),
            lambda: store.setdefault("b", 2),
            lambda: store.clear(),
            lambda: store.remove_many("a"),
            lambda: store.popitem(),
            lambda: store.sync(),
            lambda: store.compact(),
            lambda: store.__delitem__("a"),
        ):
            with pytest.raises(RuntimeError, match="process that opened it"):
                use()
        with pytest.raises(memkv.InUseError):
            memkv.Store.open(path)
        assert memkv.Store.open(path, read_only=True) == {b"a": 1}
        with memkv.Store.open(tmp_path / "other") as other:
            other["mine"] = 1
        store.close()

    def drops():
        nonlocal store
        store = None

    for _ in range(3):
        in_child(child)
        in_child(drops)
    store["b"] = 2
    with pytest.raises(memkv.InUseError):
        memkv.Store.open(path)
    store.sync()
    store.close()
    with memkv.Store.open(path) as again:
        assert again == {b"a": 1, b"b": 2}
    with memkv.Store.open(tmp_path / "other") as other:
        assert other == {b"mine": 1}


def test_a_child_that_outlives_its_parents_store(tmp_path):
    """The folder can be opened again although a child has the files open."""
    path = tmp_path / "it"
    store = memkv.Store.open(path)
    store["a"] = 1
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    store.close()
    with memkv.Store.open(path) as store:
        store["b"] = 2
    os.close(writing)
    os.waitpid(process, 0)
    os.close(reading)
    with memkv.Store.open(path) as store:
        assert store == {b"a": 1, b"b": 2}


def test_forks_while_other_threads_write(tmp_path):
    path = tmp_path / "it"
    store, end = memkv.Store.open(path), threading.Event()
    counts = [0] * 3

    def write(number):
        while not end.is_set():
            store.update({f"{number}/{counts[number]:06}": counts[number]})
            counts[number] += 1
            if counts[number] % 50 == 0:
                store.compact()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()

    def child():
        with pytest.raises(RuntimeError):
            store["x"] = 1
        own = memkv.Map({"a": 1})
        own.update({f"{i}": i for i in range(1000)})
        store.close()

    try:
        for _ in range(15):
            in_child(child)
    finally:
        end.set()
        for thread in threads:
            thread.join()
    store.close()
    with memkv.Store.open(path) as store:
        expected = {f"{n}/{i:06}".encode(): i for n in range(3) for i in range(counts[n])}
        assert store == expected


def test_threads_write_while_one_closes(tmp_path):
    store = memkv.Store.open(tmp_path / "it")
    written = [[] for _ in range(3)]

    def write(number):
        for i in range(10**6):
            try:
                store[f"{number}/{i:06}"] = i
            except ValueError as error:
                assert "closed" in str(error)
                return
            written[number].append(f"{number}/{i:06}".encode())

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    while min(map(len, written)) < 100:
        pass
    store.close()
    for thread in threads:
        thread.join()
    with memkv.Store.open(tmp_path / "it") as store:
        assert set(store) >= {key for keys in written for key in keys}
        assert len(store) <= sum(map(len, written)) + 3
