"""Errors of files: which exception, and what it names."""

import errno
import os
import random
import shutil

import memkv
import pytest
from model import build, nothing_new_in, open_

MODEL = {b"%07d" % (i * i): i for i in range(3000)}
WHAT = ["layer", "set"]


def test_classes():
    assert issubclass(memkv.InUseError, OSError) and issubclass(memkv.DamagedError, Exception)
    assert not issubclass(memkv.DamagedError, OSError)


@pytest.mark.parametrize("what", WHAT)
def test_what_is_not_there(what, tmp_path):
    for mmap in (True, False):
        with pytest.raises(FileNotFoundError) as error:
            open_(tmp_path / "none", what, mmap=mmap)
        assert error.value.errno == errno.ENOENT and "none" in str(error.value)
        assert str(tmp_path) in str(error.value.filename)
    for wrong in (5, None, b"path\0", ["a"]):
        with pytest.raises((TypeError, ValueError, OSError)):
            open_(wrong, what)


def test_a_folder_and_a_file(tmp_path):
    with pytest.raises(OSError):
        memkv.FrozenLayer.open(tmp_path)
    with pytest.raises(OSError):
        memkv.FrozenLayer.build(tmp_path, ["a"])
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(OSError):
        memkv.LayerSet.open(tmp_path / "file")
    with pytest.raises(OSError):
        memkv.LayerSet.build(tmp_path / "file", ["a"])
    with pytest.raises(ValueError, match="no manifest"):
        memkv.LayerSet.open(tmp_path)
    with pytest.raises(OSError):
        memkv.FrozenLayer.build(tmp_path / "none" / "file", ["a"])
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("content", [b"", b"x", b"PK\3\4" + b"x" * 1000, bytes(10_000), b"memkv"])
def test_files_of_other_content(content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    for mmap in (True, False):
        with pytest.raises((ValueError, memkv.DamagedError)) as error:
            memkv.FrozenLayer.open(tmp_path / "file", mmap=mmap)
        assert "file" in str(error.value)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "manifest.json").write_bytes(content)
    with pytest.raises((ValueError, memkv.DamagedError)) as error:
        memkv.LayerSet.open(tmp_path / "set")
    assert "manifest.json" in str(error.value)


@pytest.mark.parametrize("mmap", [True, False])
def test_truncated_files(mmap, tmp_path):
    build(tmp_path / "it", MODEL, "u64")
    content = (tmp_path / "it").read_bytes()
    for length in [0, 1, 7, 8, 100, len(content) // 2, len(content) - 100, len(content) - 1]:
        (tmp_path / "cut").write_bytes(content[:length])
        with pytest.raises((memkv.DamagedError, ValueError)) as error:
            memkv.FrozenLayer.open(tmp_path / "cut", mmap=mmap)
        assert "cut" in str(error.value)


def test_altered_files(tmp_path):
    build(tmp_path / "it", MODEL, "u64")
    content = (tmp_path / "it").read_bytes()
    chance = random.Random(5)
    for _ in range(150):
        altered = bytearray(content)
        altered[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        (tmp_path / "altered").write_bytes(altered)
        with pytest.raises((memkv.DamagedError, ValueError)) as error:
            memkv.FrozenLayer.open(tmp_path / "altered", verify=True)
        assert "altered" in str(error.value)
        try:
            layer = memkv.FrozenLayer.open(tmp_path / "altered", mmap=chance.random() < 0.5)
        except (memkv.DamagedError, ValueError):
            continue
        # Anything may come out but a crash.
        for read in (
            lambda: list(layer.items()),
            lambda: layer.get_many(list(MODEL)[::7]),
            lambda: [layer.rank(key) for key in list(MODEL)[::50]],
            lambda: [layer.select(i) for i in range(0, 3000, 50)],
            lambda: list(layer.search(regex="7.*7")),
        ):
            try:
                read()
            except (memkv.DamagedError, ValueError, IndexError):
                pass
        with pytest.raises((memkv.DamagedError, ValueError)):
            layer.verify()


@pytest.mark.parametrize("form", ["missing", "cut", "altered", "another"])
def test_parts_of_a_set(form, tmp_path):
    path = tmp_path / "it"
    build(path, MODEL, "u64", "set", keys_per_part=500)
    index = open_(path, "set")
    part = index.parts[3]
    content = part.path.read_bytes()
    if form == "missing":
        part.path.unlink()
    elif form == "cut":
        part.path.write_bytes(content[:-1])
    elif form == "altered":
        part.path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    else:
        shutil.copy(index.parts[2].path, part.path)
    keys = list(MODEL)
    inside = keys[1500:2000]
    errors = (FileNotFoundError, memkv.DamagedError, ValueError)
    name = part.path.name
    with pytest.raises(errors, match=name):
        index.verify()
    with pytest.raises(errors, match=name):
        open_(path, "set", verify=True)
    if form == "altered":
        return
    for use in (
        lambda: index[inside[5]],
        lambda: index.get(inside[5]),
        lambda: inside[5] in index,
        lambda: index.get_many(keys),
        lambda: index.contains_many(keys, threads=2),
        lambda: list(index),
        lambda: list(index.range(reverse=True)),
        lambda: list(index.prefix(inside[9])),
        lambda: list(index.search(regex="5")),
        lambda: index.rank(inside[5]),
        lambda: index.select(1700),
        lambda: index == MODEL,
        lambda: 12345678 in index.values(),
    ):
        for _ in range(2):
            with pytest.raises(errors, match=name):
                use()
    # Other keys are there, and keys between two parts are absent.
    assert index[keys[0]] == 0 and index.get_many(keys[:500]) == list(range(500))
    assert list(index.range(hi=index.parts[2].last + b"\0"))[-1] == (keys[1499], 1499)


def test_an_iterator_after_an_error(tmp_path):
    path = tmp_path / "it"
    build(path, MODEL, "u64", "set", keys_per_part=500)
    index = open_(path, "set")
    index.parts[1].path.unlink()
    for iterator in (iter(index), index.range(), index.search(regex="")):
        read = []
        with pytest.raises(FileNotFoundError):
            for item in iterator:
                read.append(item)
        assert len(read) <= 500
        for _ in range(3):
            with pytest.raises((FileNotFoundError, StopIteration)):
                next(iterator)


@pytest.mark.parametrize("what", WHAT)
def test_exceptions_of_iterables_go_through(what, tmp_path):
    class Own(Exception):
        pass

    def keys(count):
        for i in range(count):
            yield b"%06d" % i
        raise Own("keys")

    def values(count):
        for i in range(count):
            yield i
        raise Own("values")

    class Wrong:
        def __iter__(self):
            raise Own("iter")

        def keys(self):
            raise Own("method")

        items = values = keys

    class Item:
        def __index__(self):
            raise Own("index")

    of = memkv.FrozenLayer if what == "layer" else memkv.LayerSet
    for count in (0, 1, 4095, 4096, 10_000):
        for sorted in (False, True):
            with nothing_new_in(tmp_path), pytest.raises(Own, match="keys"):
                of.build(tmp_path / "it", keys(count), sorted=sorted)
            names = [b"%06d" % i for i in range(20_000)]
            with nothing_new_in(tmp_path), pytest.raises(Own, match="values"):
                of.build(tmp_path / "it", names, values(count), sorted=sorted)
    with nothing_new_in(tmp_path), pytest.raises(Own):
        of.build(tmp_path / "it", Wrong())
    with nothing_new_in(tmp_path), pytest.raises(Own):
        of.build(tmp_path / "it", ["a"], Wrong())
    with nothing_new_in(tmp_path), pytest.raises(Own, match="index"):
        of.build(tmp_path / "it", ["a"], [Item()])


@pytest.mark.parametrize("what", WHAT)
def test_a_build_that_fails_leaves_what_was_there(what, tmp_path):
    build(tmp_path / "it", MODEL, "u64", what)
    of = memkv.FrozenLayer if what == "layer" else memkv.LayerSet
    for sorted in (False, True):
        with nothing_new_in(tmp_path), pytest.raises(ValueError):
            of.build(tmp_path / "it", ["b", "a", "a"], sorted=sorted)
    assert open_(tmp_path / "it", what, verify=True) == MODEL


def test_permissions(tmp_path):
    build(tmp_path / "it", MODEL, "u64")
    os.chmod(tmp_path / "it", 0)
    if os.access(tmp_path / "it", os.R_OK):
        pytest.skip("root reads everything")
    with pytest.raises(PermissionError):
        memkv.FrozenLayer.open(tmp_path / "it")
