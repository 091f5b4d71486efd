"""Ctrl-C ends what takes long, and leaves nothing of it."""

import os
import signal
import threading
import time

import memkv
import pyarrow as pa
import pytest
from model import files_below, nothing_new_in


@pytest.fixture(scope="module", autouse=True)
def interrupts():
    """SIGINT raises, also where a shell started this in the background, and so without it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class interrupted:
    """Sends SIGINT after some seconds, and expects KeyboardInterrupt soon after."""

    def __init__(self, after):
        self.after, self.end = after, threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.send)
        self.thread.start()

    def send(self):
        if not self.end.wait(self.after):
            self.sent = time.monotonic()
            os.kill(os.getpid(), signal.SIGINT)

    def __exit__(self, kind, value, traceback):
        self.end.set()
        self.thread.join()
        assert hasattr(self, "sent"), "it ended before the signal"
        assert kind is KeyboardInterrupt
        assert time.monotonic() - self.sent < 5
        return True


COUNT = 3_000_000


@pytest.fixture(scope="module")
def keys():
    """Keys of no order, as an array: reading them takes no time in Python."""
    return pa.array([f"{i * 7919 % COUNT:012}/{i % 1000:030}" for i in range(COUNT)])


@pytest.mark.parametrize("after", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("what", ["layer", "set"])
def test_an_unsorted_build(what, after, keys, tmp_path):
    of = memkv.FrozenLayer if what == "layer" else memkv.LayerSet
    options = {"keys_per_part": 50_000} if what == "set" else {}
    stopped = threading.Event()

    def forever():
        # What is too fast is done again.
        while not stopped.is_set():
            of.build(tmp_path / "it", keys, memory="16MiB", threads=1, **options)

    with interrupted(after):
        forever()
    stopped.set()
    # Nothing, or what a build has completed before. The folder of a set is made first.
    if files_below(tmp_path):
        with of.open(tmp_path / "it", verify=True) as index:
            assert len(index) == COUNT
            parts = 1 if what == "layer" else len(index.parts) + 1
            assert len(files_below(tmp_path)) == parts


@pytest.mark.parametrize("what", ["layer", "set"])
def test_an_endless_iterable(what, tmp_path):
    def endless():
        i = 0
        while True:
            yield b"%020d" % i
            i += 1

    of = memkv.FrozenLayer if what == "layer" else memkv.LayerSet
    for sorted in (True, False):
        with nothing_new_in(tmp_path), interrupted(0.3):
            of.build(tmp_path / "it", endless(), sorted=sorted, memory="8MiB")


def test_an_endless_stream(tmp_path):
    schema = pa.schema([("key", pa.string())])
    batch = pa.record_batch({"key": [f"{i:010}" for i in range(1000)]})
    for use in (
        lambda reader: memkv.FrozenLayer.build(tmp_path / "it", reader, on_duplicate="first"),
        lambda reader: memkv.Set().update(reader),
    ):
        reader = pa.RecordBatchReader.from_batches(schema, (batch for _ in iter(int, 1)))
        with nothing_new_in(tmp_path), interrupted(0.3):
            use(reader)


@pytest.mark.parametrize("what", ["layer", "set"])
def test_a_search(what, tmp_path):
    """A search that finds nothing reads all keys."""
    keys = [f"{i:08}/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{i}" for i in range(400_000)]
    of = memkv.FrozenLayer if what == "layer" else memkv.LayerSet
    of.build(tmp_path / "it", keys, sorted=True)
    with of.open(tmp_path / "it") as index:
        for pattern in ({"regex": "a.*b"}, {"regex": "(a|aa)*x$"}, {"regex": "([0-9]/?a*)*x"}):
            with interrupted(0.1):
                for _ in range(1000):
                    assert list(index.search(**pattern)) == []
        assert len(list(index.search(regex="^00000001"))) == 1


def test_a_handler_that_does_not_raise(tmp_path):
    """A signal whose handler returns changes nothing."""
    calls = []
    before = signal.signal(signal.SIGUSR1, lambda *_: calls.append(1))
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        info = memkv.FrozenLayer.build(tmp_path / "it", (f"{i:09}" for i in range(300_000)))
        timer.join()
        assert info.keys == 300_000 and calls == [1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_update_of_a_map(keys):
    counts = memkv.Map()
    with interrupted(0.1):
        for _ in range(1000):
            counts.update(keys, range(COUNT))
    assert 0 < len(counts) <= COUNT
