"""Threads share layers, sets and maps, and the interpreter's lock is released."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import memkv
import pyarrow as pa
import pytest
from model import build, open_

MODEL = {b"%06d" % i: i for i in range(50_000)}
KEYS = list(MODEL)
WHAT = ["layer", "set"]


def gaps(use):
    """Returns how long another thread had to wait at most during a call, and how long it took."""
    longest, end = 0.0, threading.Event()
    ready = threading.Event()

    def run():
        nonlocal longest
        last = time.monotonic()
        ready.set()
        while not end.is_set():
            time.sleep(0.0005)
            now = time.monotonic()
            longest, last = max(longest, now - last), now

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    start = time.monotonic()
    use()
    took = time.monotonic() - start
    end.set()
    thread.join()
    return longest, took


@pytest.fixture(scope="module")
def arrow():
    return pa.array([f"{i * 7919 % 1_000_003:012}/{'x' * 40}" for i in range(1_000_003)])


def released(use):
    """Fails if a call that takes long keeps other threads from running for most of that time."""
    for _ in range(5):
        longest, took = gaps(use)
        if took > 0.1 and longest < took / 3:
            return
    raise AssertionError(f"another thread waited {longest:.3f} s of {took:.3f}")


def test_the_lock_is_released(arrow, tmp_path):
    path = tmp_path / "it"
    released(lambda: memkv.FrozenLayer.build(path, arrow, threads=1))
    layer = memkv.FrozenLayer.open(path)
    keys = pa.concat_arrays([arrow] * 2)
    released(lambda: layer.get_many(keys))
    released(lambda: layer.contains_many(keys, threads=2))
    released(lambda: [layer.verify() for _ in range(100)])
    released(lambda: list(layer.search(regex="[^x]$")))
    released(lambda: memkv.Set(arrow))
    released(lambda: memkv.LayerSet.build(tmp_path / "set", arrow, keys_per_part=100_000))


@pytest.mark.parametrize("what", WHAT)
def test_many_readers(what, tmp_path):
    build(tmp_path / "it", MODEL, "u64", what)
    index = open_(tmp_path / "it", what)
    if what == "set":
        index.limit_open_parts(1)
    expected = list(MODEL.items())

    def read(number):
        assert list(index.items()) == expected
        assert (
            index.get_many(KEYS[number::3], threads=1 + number % 3)
            == list(MODEL.values())[number::3]
        )
        assert list(index.range(KEYS[100], KEYS[400], reverse=True)) == expected[100:400][::-1]
        assert all(index[key] == value for key, value in expected[number::100])
        assert len(list(index.search(regex=f"{number}$"))) == 5000
        assert pa.table(index.to_arrow()).num_rows == len(MODEL)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(read, number) for number in range(8)]:
            done.result()


def together(*works, seconds=1.0):
    """Runs endless works in threads of their own. Fails if one fails."""
    end, errors = threading.Event(), []

    def run(work):
        try:
            while not end.is_set():
                work()
        except BaseException as error:
            errors.append(error)
            end.set()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        end.wait(seconds)
        end.set()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch)
    if errors:
        raise errors[0]


@pytest.mark.parametrize("what", WHAT)
def test_one_closes_while_others_read(what, tmp_path):
    build(tmp_path / "it", MODEL, "u64", what)
    indexes = [open_(tmp_path / "it", what)]

    def tolerant(use):
        def work():
            index = indexes[0]
            try:
                use(index)
            except ValueError as error:
                assert "closed" in str(error) and index.closed

        return work

    def close():
        index, indexes[0] = indexes[0], open_(tmp_path / "it", what)
        index.close()
        time.sleep(0.001)

    def read_all(index):
        # An iterator goes on.
        items = index.range(KEYS[1000], KEYS[3000])
        assert list(items) == list(MODEL.items())[1000:3000]

    def read_many(index):
        assert index.get_many(KEYS[:5000]) == list(range(5000))

    def read_one(index):
        assert index[KEYS[7]] == 7 and index.rank(KEYS[7]) == 7

    together(close, tolerant(read_all), tolerant(read_many), tolerant(read_one))


def test_one_replaces_a_set_while_others_read(tmp_path):
    path = tmp_path / "it"

    def replace(generation):
        model = {key: generation for key in KEYS[:2000]}
        memkv.LayerSet.build(path, model, keys_per_part=500, sorted=True)

    replace(0)
    index = memkv.LayerSet.open(path)
    generations = iter(range(1, 10**9))
    other = memkv.LayerSet.open(path)

    def write():
        replace(next(generations))

    def refresh():
        index.refresh()
        time.sleep(0.001)

    def read_all():
        # One scan has one generation, and so has one call for many.
        values = {value for _, value in index.items()}
        assert len(values) == 1, values
        assert len(set(index.get_many(KEYS[:2000], threads=2))) == 1

    def read_one():
        assert index[KEYS[7]] >= 0 and len(index) == 2000

    together(write, refresh, read_all, read_one)
    # What was opened first is still what it was.
    assert other == {key: 0 for key in KEYS[:2000]}
    assert other.refresh() and other.first()[1] > 0


def test_append_and_vacuum_while_open(tmp_path):
    path = tmp_path / "it"
    memkv.LayerSet.build(path, KEYS[:1000], range(1000), keys_per_part=100)
    first = memkv.LayerSet.open(path)
    opened = dict(first.items())
    unread = memkv.LayerSet.open(path)
    memkv.LayerSet.build(path, KEYS[1000:2000], range(1000, 2000), append=True)
    second = memkv.LayerSet.open(path)
    memkv.LayerSet.build(path, ["new"], [1])
    assert first == opened and len(second) == 2000 and list(second.values()) == list(range(2000))
    assert second.vacuum() == []
    removed = second.vacuum(older_than=0)
    assert len(removed) == 11 and not any(file.exists() for file in removed)
    # Files that are open are read on; others are missing.
    assert first == opened
    with pytest.raises(FileNotFoundError):
        list(unread)
    assert unread.refresh() and dict(unread) == {b"new": 1}
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises((ValueError, OverflowError)):
            unread.vacuum(wrong)
    assert unread.vacuum(older_than=0) == [] and unread.verify() is None


def test_threads_share_an_iterator(tmp_path):
    """Each item comes once, or a thread hears that another one is reading."""
    build(tmp_path / "it", MODEL, "u64")
    iterator, seen, refused = iter(open_(tmp_path / "it")), [], []

    def read():
        mine = []
        while True:
            try:
                mine.append(next(iterator))
            except StopIteration:
                break
            except RuntimeError as error:
                refused.append(str(error))
        seen.append(mine)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(key for mine in seen for key in mine) == KEYS
    assert all("borrowed" in text for text in refused)


def test_threads_change_a_map():
    counts = memkv.Map()
    names = [f"{i:05}" for i in range(2000)]

    def change(number):
        for i in range(5):
            counts.update({name: number for name in names})
            for name in names[number::8]:
                counts.setdefault(f"{name}/{number}", i)
            assert set(counts.get_many(names)) <= set(range(8))
            keys = list(counts)
            assert keys == sorted(keys)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(change, number) for number in range(8)]:
            done.result()
    assert len(counts) == 4000
    popped = []

    def pop():
        mine = []
        while True:
            try:
                mine.append(counts.popitem(0))
            except KeyError:
                break
        popped.extend(mine)

    threads = [threading.Thread(target=pop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(popped) == len(set(popped)) == 4000 and len(counts) == 0
