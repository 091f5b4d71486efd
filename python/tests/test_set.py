"""Set against a set of Python."""

import copy
import operator

import memkv
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model import KEYS, text_of

SETS = st.sets(KEYS, max_size=20)


@pytest.mark.parametrize("form", ["bytes", "str"])
@given(SETS, SETS)
def test_operators(form, a, b):
    out = text_of if form == "str" else bytes
    a, b = {out(key) for key in a}, {out(key) for key in b}
    operators = [operator.or_, operator.and_, operator.sub, operator.xor]
    for one, two in [
        (memkv.Set(a, keys=form), memkv.Set(b, keys=form)),
        (memkv.Set(a, keys=form), b),
    ]:
        for use in operators:
            result = use(one, two)
            assert isinstance(result, memkv.Set) and result.key_type == form
            assert set(result) == use(a, b)
            assert use(two, one) == use(b, a)
        for use in (operator.le, operator.lt, operator.ge, operator.gt, operator.eq, operator.ne):
            assert use(one, two) == use(a, b)
            assert use(two, one) == use(b, a)
        assert one.isdisjoint(two) == a.isdisjoint(b)
        for name in (
            "union",
            "intersection",
            "difference",
            "issubset",
            "issuperset",
            "symmetric_difference",
        ):
            expected = getattr(a, name)(b)
            result = getattr(one, name)(two)
            assert result == expected
        for use in (operator.ior, operator.iand, operator.isub, operator.ixor):
            changed, expected = memkv.Set(a, keys=form), set(a)
            changed = use(changed, two)
            assert isinstance(changed, memkv.Set) and set(changed) == use(expected, b)
    assert set(one) == a


def test_operators_with_itself():
    for use, left in [
        (operator.ior, 2),
        (operator.iand, 2),
        (operator.isub, 0),
        (operator.ixor, 0),
    ]:
        names = memkv.Set(["a", "b"])
        names = use(names, names)
        assert len(names) == left


@given(
    SETS,
    st.lists(st.tuples(st.sampled_from(["add", "discard", "remove", "pop"]), KEYS), max_size=30),
)
def test_changes(start, changes):
    names, model = memkv.Set(start), set(start)
    for change, key in changes:
        if change == "add":
            assert names.add(key) == (key not in model)
            model.add(key)
        elif change == "discard":
            assert names.discard(key) == (key in model)
            model.discard(key)
        elif change == "remove":
            if key in model:
                names.remove(key)
                model.remove(key)
            else:
                with pytest.raises(KeyError) as error:
                    names.remove(key)
                assert error.value.args == (key,)
        elif model:
            last = len(key) % 2
            expected = max(model) if last else min(model)
            assert names.pop(-last) == expected
            model.remove(expected)
        else:
            with pytest.raises(KeyError):
                names.pop()
        assert list(names) == sorted(model) and len(names) == len(model)
    assert list(reversed(names)) == sorted(model, reverse=True)
    assert names.first() == min(model, default=None) and names.last() == max(model, default=None)
    for key in list(model)[:5]:
        assert list(names.prefix(key)) == [k for k in sorted(model) if k.startswith(key)]
        assert (
            list(names.range(key))
            == list(names.irange(key))
            == [k for k in sorted(model) if k >= key]
        )
        assert list(names.range(None, key, reverse=True)) == sorted(
            (k for k in model if k < key), reverse=True
        )
    assert names.contains_many([*model, b"not there"]) == [True] * len(model) + [False]
    assert names.remove_many("a") == sum(key.startswith(b"a") for key in model)


def test_inputs():
    keys = ["b", "a", "b"]
    for form in (
        keys,
        iter(keys),
        tuple(keys),
        pa.array(keys),
        pa.chunked_array([keys, []]),
        pa.table({"k": keys}),
        {"a": 1, "b": 2},
        memkv.Map({"a": 1, "b": 2}),
        memkv.Set(keys),
        pa.array(keys, pa.string_view()),
    ):
        assert list(memkv.Set(form)) == [b"a", b"b"]
    for wrong in (5, [5], pa.array([5]), pa.table({"k": keys, "v": keys}), pa.array(["a", None])):
        with pytest.raises((TypeError, ValueError)):
            memkv.Set(wrong)
    with pytest.raises(ValueError):
        memkv.Set(keys="text")
    names = memkv.Set()
    for use in (names.add, names.discard, names.remove, names.__contains__):
        with pytest.raises(TypeError):
            use(5)


def test_freeze_and_copies(tmp_path):
    names = memkv.Set([f"{i:05}" for i in range(40_000)], keys="str")
    info = names.freeze(tmp_path / "it")
    assert (info.keys, info.kind) == (40_000, "none")
    with memkv.FrozenLayer.open(tmp_path / "it", keys="str") as layer:
        assert names == layer.keys() and list(layer.values()) == [None] * 40_000
        assert memkv.Set(layer, keys="str") == names
    for other in (names.copy(), copy.copy(names), copy.deepcopy(names)):
        assert other == names and other.key_type == "str"
        other.clear()
        assert len(names) == 40_000 and len(other) == 0
    assert "40000" in repr(names)


def test_no_mapping():
    names = memkv.Set(["a"])
    for attribute in ("keys", "values", "items", "get", "get_many", "to_arrow"):
        assert not hasattr(names, attribute)
    with pytest.raises(TypeError):
        names["a"]
    assert names != ["a"] and names != 5 and names == {b"a"} and names != {5}
