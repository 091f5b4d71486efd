"""Layers and sets of layers against a sorted dict."""

import bisect
import itertools
import re
import tempfile

import memkv
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model import KEYS, build, models, open_, plain, text_of

WHAT = ["layer", "set"]


def distance(a, b):
    """Returns the edit distance of two texts."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


@pytest.mark.parametrize("what", WHAT)
@given(st.data(), models(), st.booleans(), st.booleans())
def test_against_a_dict(what, data, of, mmap, as_text):
    kind, model = of
    out = text_of if as_text else (lambda key: key)
    with tempfile.TemporaryDirectory() as folder:
        info = build(f"{folder}/it", model, kind, what)
        assert (info.keys, info.duplicates, info.kind) == (len(model), 0, kind)
        index = open_(
            f"{folder}/it", what, mmap=mmap, verify=True, keys="str" if as_text else "bytes"
        )
        with index:
            compare(index, model, out, data)
        assert index.closed


def compare(index, model, out, data):
    keys = list(model)
    items = [(out(key), value) for key, value in model.items()]
    assert len(index) == len(model) and bool(index) == bool(model)
    assert list(index) == list(index.keys()) == [key for key, _ in items]
    assert list(index.items()) == list(index.range()) == items
    assert list(index.values()) == [value for _, value in items]
    assert list(reversed(index)) == list(reversed(index.keys())) == [key for key, _ in items[::-1]]
    assert list(reversed(index.items())) == items[::-1]
    assert list(reversed(index.values())) == [value for _, value in items[::-1]]
    assert index == dict(items)
    assert index.first() == (items[0] if items else None)
    assert index.last() == (items[-1] if items else None)
    for rank, (key, value) in enumerate(items):
        assert index[key] == value and type(index[key]) is type(value)
        assert key in index and index.get(key, "absent") == value
        assert index.rank(key) == rank
        assert index.select(rank) == index.peekitem(rank) == (key, value)
        assert index.select(rank - len(items)) == (key, value)
    if items:
        assert index.peekitem() == items[-1]
    for rank in (len(items), -len(items) - 1, 2**62, -(2**63)):
        with pytest.raises(IndexError):
            index.select(rank)
    others = data.draw(st.lists(KEYS, max_size=8))
    for key in others:
        rank = bisect.bisect_left(keys, key)
        assert index.rank(key) == index.rank(text_of(key)) == rank
        assert (key in index) == (key in model)
        assert index.get(key, 5) == model.get(key, 5)
        if key not in model:
            with pytest.raises(KeyError) as error:
                index[key]
            assert error.value.args == (key,)
            assert index.get(key) is None
        prefixes = [k for k in keys if key.startswith(k)]
        longest = (out(prefixes[-1]), model[prefixes[-1]]) if prefixes else None
        assert index.longest_prefix(key) == longest
        begun = [item for item in items if plain(item[0]).startswith(key)]
        assert list(index.prefix(key)) == begun
        assert list(index.prefix(text_of(key), reverse=True)) == begun[::-1]
    for lo, hi in itertools.product([None, *others[:4]], repeat=2):
        within = [
            item
            for item in items
            if (lo is None or plain(item[0]) >= lo) and (hi is None or plain(item[0]) < hi)
        ]
        assert list(index.range(lo, hi)) == within
        assert list(index.range(lo, hi, reverse=True)) == within[::-1]
        for with_lo, with_hi in itertools.product([True, False], repeat=2):
            within = [
                out(key)
                for key in keys
                if (lo is None or key > lo or with_lo and key == lo)
                and (hi is None or key < hi or with_hi and key == hi)
            ]
            assert list(index.irange(lo, hi, (with_lo, with_hi))) == within
            assert list(index.irange(lo, hi, (with_lo, with_hi), True)) == within[::-1]
    asked = others + keys[:3]
    assert index.get_many(asked) == [model.get(key) for key in asked]
    assert index.contains_many(asked) == [key in model for key in asked]


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 100, 5000])
def test_scans_go_on_where_they_were(what, count, tmp_path):
    model = {b"%06d" % i: i for i in range(count)}
    build(tmp_path / "it", model, "u64", what)
    index = open_(tmp_path / "it", what)
    assert list(index.items()) == list(model.items())
    assert list(index.range(reverse=True)) == list(model.items())[::-1]
    assert list(index.search(regex="")) == list(model.items())


TEXTS = st.text(alphabet="abc/é1", max_size=8)


@pytest.mark.parametrize("what", WHAT)
@given(st.data())
def test_search(what, data):
    model = {key.encode(): i for i, key in enumerate(data.draw(st.sets(TEXTS, max_size=60)))}
    model = dict(sorted(model.items()))
    patterns = st.sampled_from(
        ["^a", "b$", "a.c", "^(a|b)+$", "[^a]", "é", "c{2}", "/.*1", "", "^a|^c"]
    )
    pattern, near = data.draw(patterns), data.draw(TEXTS)
    lo, hi, prefix = (data.draw(st.none() | TEXTS) for _ in range(3))

    def within(key):
        return (
            (lo is None or key >= lo.encode())
            and (hi is None or key < hi.encode())
            and (prefix is None or key.startswith(prefix.encode()))
        )

    with tempfile.TemporaryDirectory() as folder:
        build(f"{folder}/it", model, "u64", what)
        with open_(f"{folder}/it", what) as index:
            matches = [i for i in model.items() if re.search(pattern, i[0].decode())]
            assert list(index.search(regex=pattern)) == matches
            found = index.search(regex=pattern.encode(), lo=lo, hi=hi, prefix=prefix)
            assert list(found) == [item for item in matches if within(item[0])]
            for most in (None, 0, 1, 2, 3):
                bound = 1 if most is None else most
                matches = [i for i in model.items() if distance(i[0].decode(), near) <= bound]
                assert list(index.search(fuzzy=near, distance=most)) == matches
                found = index.search(fuzzy=near, distance=most, lo=lo, hi=hi, prefix=prefix)
                assert list(found) == [item for item in matches if within(item[0])]


@pytest.mark.parametrize("what", WHAT)
def test_search_of_many_and_its_errors(what, tmp_path):
    model = {b"%05d" % i: i for i in range(20000)}
    build(tmp_path / "it", model, "u64", what)
    index = open_(tmp_path / "it", what)
    expected = [item for item in model.items() if item[0].endswith(b"7")]
    assert list(index.search(regex="7$")) == expected
    assert list(index.search(regex="^000")) == list(model.items())[:100]
    for wrong, error in [
        ({}, TypeError),
        ({"regex": "a", "fuzzy": "b"}, TypeError),
        ({"regex": "a", "distance": 1}, TypeError),
        ({"regex": "("}, ValueError),
        ({"regex": b"\xff"}, ValueError),
        ({"fuzzy": "a", "distance": 8}, ValueError),
        ({"fuzzy": "a", "distance": -1}, ValueError),
        ({"regex": 5}, TypeError),
    ]:
        with pytest.raises(error):
            index.search(**wrong)


@pytest.mark.parametrize("what", WHAT)
def test_types_of_arguments(what, tmp_path):
    build(tmp_path / "it", {b"a": 1, b"\xc3\xa9": 2}, "u64", what)
    index = open_(str(tmp_path / "it"), what)
    for key in (b"a", "a", bytearray(b"a"), memoryview(b"a")):
        assert index[key] == 1 and key in index and index.get(key) == 1
        assert index.rank(key) == 0 and next(index.prefix(key)) == (b"a", 1)
    assert index["é"] == 2
    for wrong in (5, None, 1.5, ["a"], ("a",)):
        for call in (index.__getitem__, index.__contains__, index.get, index.rank, index.prefix):
            with pytest.raises(TypeError):
                call(wrong)
    for wrong in (5, [1]):
        with pytest.raises(TypeError):
            index.range(wrong)
        with pytest.raises(TypeError):
            index.irange(None, wrong)
    with pytest.raises(ValueError):
        open_(tmp_path / "it", what, keys="text")
    with pytest.raises(TypeError):
        type(index)()


def test_surrogates(tmp_path):
    model = {b"\xff\xfe": 1, b"a\x80": 2, "é\0".encode(): 3}
    memkv.FrozenLayer.build(tmp_path / "it", model)
    layer = memkv.FrozenLayer.open(tmp_path / "it", keys="str")
    assert set(layer) == {"\udcff\udcfe", "a\udc80", "é\0"}
    assert {plain(key): layer[key] for key in layer} == model
    with pytest.raises(UnicodeEncodeError):
        layer["\ud800"]


def test_kinds_of_values_without_a_kind(tmp_path):
    for values, kind in [
        ([1, 2], "u64"),
        ([1.5, 2.0], "f64"),
        ([True, False], "bool"),
        ([b"x", b""], "bytes"),
        (["x", "é"], "bytes"),
        ([None, None], "none"),
        (None, "none"),
    ]:
        info = memkv.FrozenLayer.build(tmp_path / kind, ["a", "b"], values)
        layer = memkv.FrozenLayer.open(tmp_path / kind)
        assert info.kind == layer.kind == kind
        expected = values or [None, None]
        expected = [value.encode() if isinstance(value, str) else value for value in expected]
        assert list(layer.values()) == expected
