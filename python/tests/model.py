"""What the tests share: keys and values, files and sets of them, and a model: a sorted dict."""

import contextlib
import os
import struct

import memkv
from hypothesis import strategies as st

INT_KINDS = {
    f"{sign}{bits}": (
        (0, 2**bits - 1) if sign == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )
    for sign in "ui"
    for bits in (8, 16, 32, 64)
}

# Shared prefixes, zeros, the largest byte, bytes that are no UTF-8, long ones, the empty one.
ALPHABET = [b"\0", b"\xff", b"a", b"b", b"/", "é".encode(), b"\xc3", b"ab", b"https://", b"x" * 300]
KEYS = st.one_of(
    st.lists(st.sampled_from(ALPHABET), max_size=6).map(b"".join), st.binary(max_size=8)
)


def float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def values_of(kind):
    """Returns a strategy for the values of a kind."""
    if kind in INT_KINDS:
        low, high = INT_KINDS[kind]
        return st.integers(low, high)
    return {
        "f32": st.floats(width=32, allow_nan=False),
        "f64": st.floats(allow_nan=False),
        "bool": st.booleans(),
        "char": st.characters(exclude_categories=["Cs"]),
        "bytes": st.binary(max_size=20),
        "none": st.none(),
    }[kind]


KINDS = [*INT_KINDS, "f32", "f64", "bool", "char", "bytes", "none"]


@st.composite
def models(draw, kinds=KINDS, max_size=60):
    """Returns a kind, and a dict in the order of its keys."""
    kind = draw(st.sampled_from(list(kinds)))
    items = draw(st.dictionaries(KEYS, values_of(kind), max_size=max_size))
    return kind, dict(sorted(items.items()))


def text_of(key):
    return key.decode("utf-8", "surrogateescape")


def plain(key):
    """Returns a key as bytes."""
    return key if isinstance(key, bytes) else key.encode("utf-8", "surrogateescape")


def build(path, model, kind, what="layer", **options):
    """Builds a layer or a set of several parts."""
    if what == "layer":
        return memkv.FrozenLayer.build(
            path, list(model), list(model.values()), kind=kind, **options
        )
    options = {"keys_per_part": max(1, len(model) // 3), **options}
    return memkv.LayerSet.build(path, list(model), list(model.values()), kind=kind, **options)


def open_(path, what="layer", **options):
    return (memkv.FrozenLayer if what == "layer" else memkv.LayerSet).open(path, **options)


def files_below(folder):
    """Returns the files of a folder, those in its folders as well."""
    found = []
    for at, _, names in os.walk(folder):
        found += [os.path.relpath(os.path.join(at, name), folder) for name in names]
    return sorted(found)


@contextlib.contextmanager
def nothing_new_in(folder):
    """Fails if what is in a folder changes."""
    before = files_below(folder)
    yield
    assert files_below(folder) == before
