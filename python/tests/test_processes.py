"""Forks, and processes that multiprocessing starts."""

import multiprocessing
import os
import signal
import threading
import time
import traceback
import warnings

import memkv
import pyarrow as pa
import pytest
from model import build, open_

warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork.*")
MODEL = {b"%06d" % i: i for i in range(20_000)}
KEYS = list(MODEL)
WHAT = ["layer", "set"]
SECONDS = 60


def in_child(work):
    """Runs a function in a forked child. Fails if it does, or if it does not end."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.002)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    raise AssertionError("the child does not end")


def check(index, model=MODEL):
    keys = list(model)
    assert index == model
    for threads in (1, 2, 3):
        assert index.get_many(keys, threads=threads) == list(model.values())
    assert index.get_many(pa.array(keys), threads=2).to_pylist() == list(model.values())
    assert index[keys[7]] == model[keys[7]]
    assert pa.table(index.to_arrow()).num_rows == len(model)


@pytest.mark.parametrize("what", WHAT)
def test_a_child_reads(what, tmp_path):
    build(tmp_path / "it", MODEL, "u64", what)
    index = open_(tmp_path / "it", what)
    in_child(lambda: check(index))
    check(index)

    def child():
        check(index)
        index.verify()
        check(open_(tmp_path / "it", what))
        index.close()

    for _ in range(3):
        in_child(child)
    check(index)


@pytest.mark.parametrize("what", WHAT)
def test_a_child_builds(what, tmp_path):
    """Whether or not the parent has built in parallel before."""
    keys = pa.array([f"{i * 7919 % 200_003:08}" for i in range(200_003)])
    of = memkv.FrozenLayer if what == "layer" else memkv.LayerSet

    def make(name):
        for options in ({}, {"threads": 2, "memory": "4MiB"}):
            of.build(tmp_path / name, keys, **options)
        assert len(of.open(tmp_path / name, verify=True)) == len(keys)

    in_child(lambda: make("child"))
    make("parent")
    for i in range(3):
        in_child(lambda i=i: make(f"child{i}"))
    make("parent")


def test_a_child_changes_its_copy_of_a_map():
    counts, names = memkv.Map(MODEL), memkv.Set(MODEL)

    def child():
        check(counts)
        counts.update({b"new": 5})
        counts.update(pa.array(KEYS), pa.array([7] * len(KEYS)))
        assert counts.pop("new") == 5 and set(counts.values()) == {7}
        counts.clear()
        names.add("new")
        assert names.pop() == b"new" and len(counts) == 0

    in_child(child)
    check(counts)
    assert list(names) == KEYS


def busy(*works):
    """Runs works in threads until `end` is called."""
    end = threading.Event()

    def run(work):
        while not end.is_set():
            work()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    time.sleep(0.02)

    def stop():
        end.set()
        for thread in threads:
            thread.join()

    return stop


def test_forks_while_other_threads_change_a_map():
    counts, other = memkv.Map(MODEL), memkv.Set(MODEL)
    keys = pa.array(KEYS)
    values = pa.array(range(len(KEYS)), pa.uint64())
    stop = busy(
        lambda: counts.update(keys, values),
        lambda: other.update(keys),
        lambda: counts.update({b"x%d" % i: 1 for i in range(100)}),
        lambda: counts.remove_many("x"),
        lambda: counts.get_many(keys),
    )

    def child():
        assert counts.get_many(KEYS) == list(range(len(KEYS)))
        counts.update(keys, values)
        counts["new"] = 1
        other.add("new")
        assert len(other) == len(MODEL) + 1
        counts.remove_many("x")
        assert len(counts) == len(MODEL) + 1

    try:
        for _ in range(30):
            in_child(child)
    finally:
        stop()


@pytest.mark.parametrize("what", WHAT)
def test_forks_while_other_threads_read_and_build(what, tmp_path):
    build(tmp_path / "it", MODEL, "u64", what)
    index = open_(tmp_path / "it", what)
    if what == "set":
        index.limit_open_parts(1)
    stop = busy(
        lambda: index.get_many(KEYS, threads=2),
        lambda: list(index),
        lambda: build(tmp_path / "other", MODEL, "u64", what),
    )
    try:
        for i in range(15):

            def child(i=i):
                check(index)
                build(tmp_path / f"child{i}", MODEL, "u64", what)

            in_child(child)
    finally:
        stop()


def test_an_iterator_that_a_child_has_too(tmp_path):
    build(tmp_path / "it", MODEL, "u64")
    iterator = iter(open_(tmp_path / "it"))
    assert [next(iterator) for _ in range(100)] == KEYS[:100]

    def child():
        assert list(iterator) == KEYS[100:]

    in_child(child)
    assert list(iterator) == KEYS[100:]


def test_a_stream_that_a_child_reads(tmp_path):
    build(tmp_path / "it", MODEL, "u64")
    reader = pa.RecordBatchReader.from_stream(open_(tmp_path / "it").to_arrow(batch_size=1000))
    reader.read_next_batch()

    def child():
        assert reader.read_next_batch()["value"].to_pylist() == list(range(1000, 2000))

    in_child(child)
    assert reader.read_next_batch()["value"].to_pylist() == list(range(1000, 2000))


def values_of(index, keys):
    """What a worker does."""
    return index.get_many(keys, threads=2)


def rows_of(index, path):
    memkv.FrozenLayer.build(path, {b"a": len(index)})
    return memkv.FrozenLayer.open(path)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(method, tmp_path):
    indexes = []
    for what in WHAT:
        build(tmp_path / what, MODEL, "u64", what)
        indexes.append(open_(tmp_path / what, what, keys="str"))
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        chunks = [KEYS[i : i + 5000] for i in range(0, len(KEYS), 5000)]
        for index in indexes:
            values = pool.starmap(values_of, [(index, chunk) for chunk in chunks])
            assert [value for chunk in values for value in chunk] == list(MODEL.values())
        layer = pool.apply(rows_of, (indexes[1], tmp_path / "new"))
        assert layer == {b"a": len(MODEL)} and layer.path == tmp_path / "new"
    for wrong in (memkv.Map(), memkv.Set()):
        with pytest.raises(TypeError):
            import pickle

            pickle.dumps(wrong)
