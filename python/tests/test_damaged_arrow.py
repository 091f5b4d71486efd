"""A producer of Arrow that is wrong: exceptions, and never a crash.

Only what can be noticed is wrong here. A buffer that is shorter than the length says cannot be.
"""

import ctypes
import subprocess
import sys

import memkv
import pytest
from ctypes import POINTER, Structure, c_char_p, c_int, c_int32, c_int64, c_void_p, cast, pointer


class Schema(Structure):
    pass


class Array(Structure):
    pass


class Stream(Structure):
    pass


RELEASE_SCHEMA = ctypes.CFUNCTYPE(None, POINTER(Schema))
RELEASE_ARRAY = ctypes.CFUNCTYPE(None, POINTER(Array))
RELEASE_STREAM = ctypes.CFUNCTYPE(None, POINTER(Stream))
GET_SCHEMA = ctypes.CFUNCTYPE(c_int, POINTER(Stream), POINTER(Schema))
GET_NEXT = ctypes.CFUNCTYPE(c_int, POINTER(Stream), POINTER(Array))
GET_ERROR = ctypes.CFUNCTYPE(c_void_p, POINTER(Stream))

Schema._fields_ = [
    ("format", c_char_p),
    ("name", c_char_p),
    ("metadata", c_char_p),
    ("flags", c_int64),
    ("n_children", c_int64),
    ("children", POINTER(POINTER(Schema))),
    ("dictionary", POINTER(Schema)),
    ("release", c_void_p),
    ("private_data", c_void_p),
]
Array._fields_ = [
    ("length", c_int64),
    ("null_count", c_int64),
    ("offset", c_int64),
    ("n_buffers", c_int64),
    ("n_children", c_int64),
    ("buffers", POINTER(c_void_p)),
    ("children", POINTER(POINTER(Array))),
    ("dictionary", POINTER(Array)),
    ("release", c_void_p),
    ("private_data", c_void_p),
]
Stream._fields_ = [
    ("get_schema", c_void_p),
    ("get_next", c_void_p),
    ("get_last_error", c_void_p),
    ("release", c_void_p),
    ("private_data", c_void_p),
]

KEEP = []
RELEASED = []


def keep(thing):
    """Keeps memory for as long as the process lives."""
    KEEP.append(thing)
    return thing


@RELEASE_SCHEMA
def release_schema(schema):
    schema.contents.release = None
    RELEASED.append("schema")


@RELEASE_ARRAY
def release_array(array):
    array.contents.release = None
    RELEASED.append("array")


@RELEASE_STREAM
def release_stream(stream):
    stream.contents.release = None
    RELEASED.append("stream")


def address(function):
    return cast(function, c_void_p).value


def schema(of, children_=(), **fields):
    pointers = (POINTER(Schema) * max(1, len(children_)))(*[pointer(child) for child in children_])
    filled = Schema(
        of, b"", None, 2, len(children_), cast(keep(pointers), POINTER(POINTER(Schema)))
    )
    filled.release = address(release_schema)
    for name, value in fields.items():
        setattr(filled, name, value)
    return keep(filled)


def array(length_, buffers_, children_=(), **fields):
    memory = [
        None
        if b is None
        else keep(b if isinstance(b, ctypes.Array) else ctypes.create_string_buffer(b, len(b) + 64))
        for b in buffers_
    ]
    addresses = (c_void_p * max(1, len(buffers_)))(
        *[None if m is None else ctypes.addressof(m) for m in memory]
    )
    pointers = (POINTER(Array) * max(1, len(children_)))(*[pointer(child) for child in children_])
    filled = Array(
        length_,
        0,
        0,
        len(buffers_),
        len(children_),
        cast(keep(addresses), POINTER(c_void_p)),
        cast(keep(pointers), POINTER(POINTER(Array))),
    )
    filled.release = address(release_array)
    for name, value in fields.items():
        setattr(filled, name, value)
    return keep(filled)


new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype = ctypes.py_object
new_capsule.argtypes = [c_void_p, c_char_p, c_void_p]


def capsule(structure, name):
    return new_capsule(ctypes.addressof(structure), keep(name), None)


class Producer:
    def __init__(self, schema, array, names=(b"arrow_schema", b"arrow_array")):
        self.schema, self.array, self.names = schema, array, names

    def __arrow_c_schema__(self):
        return capsule(self.schema, self.names[0])

    def __arrow_c_array__(self, requested_schema=None):
        return capsule(self.schema, self.names[0]), capsule(self.array, self.names[1])


class StreamProducer:
    def __init__(self, schema, arrays, **fields):
        arrays = iter(arrays)

        @GET_SCHEMA
        def get_schema(_, out):
            if isinstance(schema, int):
                return schema
            out[0] = schema
            return 0

        @GET_NEXT
        def get_next(_, out):
            array = next(arrays, None)
            if isinstance(array, int):
                return array
            if array is None:
                out[0].release = None
                return 0
            out[0] = array
            return 0

        @GET_ERROR
        def get_error(_):
            return ctypes.addressof(
                keep(ctypes.create_string_buffer("gone: \xe9".encode("latin-1")))
            )

        functions = map(address, keep([get_schema, get_next, get_error]))
        self.stream = keep(Stream(*functions, address(release_stream)))
        for name, value in fields.items():
            setattr(self.stream, name, value)

    def __arrow_c_stream__(self, requested_schema=None):
        return capsule(self.stream, b"arrow_array_stream")


def int32s(*values):
    return (c_int32 * len(values))(*values)


def int64s(*values):
    return (c_int64 * len(values))(*values)


def view(length, buffer=0, start=0, inline=b""):
    return int32s(length, *([0, buffer, start] if not inline else memory_of(inline)))


def memory_of(inline):
    return [int.from_bytes(inline.ljust(12, b"\0")[i : i + 4], sys.byteorder) for i in (0, 4, 8)]


def good_strings():
    return array(2, [None, int32s(0, 1, 3), b"abb"])


def strings(of=b"u", **fields):
    return lambda: Producer(schema(of), array(2, [None, int32s(0, 1, 3), b"abb"], **fields))


LONG = b"0123456789abcdef"
DAMAGED = {
    "offsets that descend": lambda: Producer(
        schema(b"u"), array(2, [None, int32s(0, 3, 1), b"abb"])
    ),
    "large offsets that descend": lambda: Producer(
        schema(b"U"), array(2, [None, int64s(0, 3, 1), b"abb"])
    ),
    "a negative offset": lambda: Producer(schema(b"z"), array(2, [None, int32s(-5, 1, 3), b"abb"])),
    "a negative large offset": lambda: Producer(
        schema(b"Z"), array(2, [None, int64s(-5, 1, 3), b"abb"])
    ),
    "no bytes": lambda: Producer(schema(b"u"), array(2, [None, int32s(0, 1, 3), None])),
    "no offsets": lambda: Producer(schema(b"u"), array(2, [None, None, b"abb"])),
    "two buffers": lambda: Producer(schema(b"u"), array(2, [None, int32s(0, 1, 3)])),
    "one buffer": lambda: Producer(schema(b"u"), array(2, [None])),
    "no buffers": lambda: Producer(schema(b"u"), array(2, [])),
    "buffers that are absent": strings(buffers=None),
    "a negative number of buffers": strings(n_buffers=-1),
    "a negative length": strings(length=-1),
    "a negative start": strings(offset=-1),
    "a released array": strings(release=None),
    "a released type": lambda: Producer(schema(b"u", release=None), good_strings()),
    "a type without a format": lambda: Producer(schema(None), good_strings()),
    "an unknown type": lambda: Producer(schema(b"tdD"), good_strings()),
    "a type of no name": lambda: Producer(schema(b"\xff\xff"), good_strings()),
    "a dictionary": lambda: Producer(
        schema(b"i", dictionary=pointer(schema(b"u"))), good_strings()
    ),
    "a dictionary of text": lambda: Producer(
        schema(b"u", dictionary=pointer(schema(b"u"))), good_strings()
    ),
    "another capsule": lambda: Producer(
        schema(b"u"), good_strings(), (b"arrow_schema", b"arrow_schema")
    ),
    "capsules in the wrong order": lambda: Producer(
        schema(b"u"), good_strings(), (b"arrow_array", b"arrow_schema")
    ),
    "a view beyond its buffer": lambda: Producer(
        schema(b"vu"), array(1, [None, view(13, 0, 4), LONG, int64s(16)])
    ),
    "a view of a buffer that is not there": lambda: Producer(
        schema(b"vz"), array(1, [None, view(16, 1, 0), LONG, int64s(16)])
    ),
    "a view of a negative buffer": lambda: Producer(
        schema(b"vz"), array(1, [None, view(16, -1, 0), LONG, int64s(16)])
    ),
    "a view of a negative start": lambda: Producer(
        schema(b"vz"), array(1, [None, view(16, 0, -1), LONG, int64s(16)])
    ),
    "a view of a negative length": lambda: Producer(
        schema(b"vz"), array(1, [None, view(-16, 0, 0), LONG, int64s(16)])
    ),
    "a view of a negative buffer length": lambda: Producer(
        schema(b"vz"), array(1, [None, view(16, 0, 0), LONG, int64s(-16)])
    ),
    "a view without buffers": lambda: Producer(schema(b"vz"), array(1, [None, view(16)])),
    "a view without lengths": lambda: Producer(
        schema(b"vz"), array(1, [None, view(16), LONG, None])
    ),
    "a view of a buffer that is null": lambda: Producer(
        schema(b"vz"), array(1, [None, view(16), None, int64s(16)])
    ),
    "a table of no columns": lambda: Producer(schema(b"+s"), array(2, [None])),
    "a table with fewer columns than its type": lambda: Producer(
        schema(b"+s", [schema(b"u")]), array(2, [None])
    ),
    "a table whose columns are absent": lambda: Producer(
        schema(b"+s", [schema(b"u")]), array(2, [None], [good_strings()], children=None)
    ),
    "a table whose type has absent columns": lambda: Producer(
        schema(b"+s", [schema(b"u")], children=None), array(2, [None], [good_strings()])
    ),
    "a table whose column is shorter": lambda: Producer(
        schema(b"+s", [schema(b"u")]), array(3, [None], [good_strings()])
    ),
    "a table that starts after its column": lambda: Producer(
        schema(b"+s", [schema(b"u")]), array(2, [None], [good_strings()], offset=2**62)
    ),
    "a table whose column starts below zero": lambda: Producer(
        schema(b"+s", [schema(b"u")]),
        array(2, [None], [array(2, [None, int32s(0, 1, 3), b"abb"], offset=-1)]),
    ),
    "a table of a table": lambda: Producer(
        schema(b"+s", [schema(b"+s", [schema(b"u")])]),
        array(2, [None], [array(2, [None], [good_strings()])]),
    ),
    "a released stream": lambda: StreamProducer(schema(b"u"), [good_strings()], release=None),
    "a stream without functions": lambda: StreamProducer(
        schema(b"u"), [], get_schema=None, get_next=None, get_last_error=None
    ),
    "a stream without next": lambda: StreamProducer(schema(b"u"), [], get_next=None),
    "a stream whose type fails": lambda: StreamProducer(5, []),
    "a stream whose type is released": lambda: StreamProducer(
        schema(b"u", release=None), [good_strings()]
    ),
    "a stream that fails": lambda: StreamProducer(schema(b"u"), [good_strings(), 5]),
    "a stream that fails without a text": lambda: StreamProducer(
        schema(b"u"), [good_strings(), 22], get_last_error=None
    ),
    "a stream of a damaged array": lambda: StreamProducer(
        schema(b"u"), [good_strings(), array(2, [None, int32s(0, 3, 1), b"abb"])]
    ),
}
ERRORS = (ValueError, TypeError)


def uses(producer, path):
    """Returns everything that reads keys of Arrow."""
    index = memkv.Map({"a": 1})
    return [
        lambda: index.get_many(producer()),
        lambda: index.contains_many(producer(), threads=2),
        lambda: memkv.FrozenLayer.build(path, producer()),
        lambda: memkv.FrozenLayer.build(path, producer(), [1] * 4),
        lambda: memkv.LayerSet.build(f"{path}-set", producer()),
        lambda: memkv.Set(producer()),
        lambda: index.update(producer(), [1] * 4),
    ]


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_keys(name, tmp_path):
    for use in uses(DAMAGED[name], tmp_path / "it"):
        with pytest.raises(ERRORS):
            use()
    assert list(tmp_path.glob("it")) == []


VALUES = {
    "no values": lambda: Producer(schema(b"l"), array(2, [None, None])),
    "one buffer": lambda: Producer(schema(b"l"), array(2, [None])),
    "no buffers": lambda: Producer(schema(b"C"), array(2, [])),
    "absent buffers": lambda: Producer(schema(b"b"), array(2, [None, b"\3"], buffers=None)),
    "a negative length": lambda: Producer(schema(b"l"), array(-2, [None, int64s(1, 2)])),
    "released": lambda: Producer(schema(b"l"), array(2, [None, int64s(1, 2)], release=None)),
    "type released": lambda: Producer(schema(b"l", release=None), array(2, [None, int64s(1, 2)])),
    "offsets that descend": lambda: Producer(
        schema(b"z"), array(2, [None, int32s(0, 3, 1), b"abb"])
    ),
    "unknown": lambda: Producer(schema(b"tdD"), array(2, [None, int32s(1, 2)])),
    "too few": lambda: Producer(schema(b"l"), array(1, [None, int64s(1)])),
    "null": lambda: Producer(schema(b"l"), array(2, [b"\1", int64s(1, 2)], null_count=1)),
    "a table without columns": lambda: Producer(schema(b"+s"), array(2, [None])),
    "a dictionary": lambda: Producer(
        schema(b"i", dictionary=pointer(schema(b"u"))), array(2, [None, int32s(0, 1)])
    ),
}


@pytest.mark.parametrize("name", VALUES)
def test_damaged_values(name, tmp_path):
    for keys in (strings(), lambda: ["a", "bb"]):
        with pytest.raises(ERRORS):
            memkv.FrozenLayer.build(tmp_path / "it", keys(), VALUES[name]())
        with pytest.raises(ERRORS):
            memkv.Map(kind="i64").update(keys(), VALUES[name]())
    with pytest.raises(ERRORS):
        memkv.Map(strings()(), VALUES[name]())
    assert list(tmp_path.iterdir()) == []


GOOD = {
    "strings": (strings(), ["a", "bb"]),
    "from a start": (strings(b"z", offset=1, length=1), ["bb"]),
    "more buffers": (
        lambda: Producer(schema(b"u"), array(2, [None, int32s(0, 1, 3), b"abb", b"x"])),
        ["a", "bb"],
    ),
    "empty": (lambda: Producer(schema(b"u"), array(0, [None, None, None])), []),
    "empty without buffers": (lambda: Producer(schema(b"u"), array(0, [], buffers=None)), []),
    "all empty": (
        lambda: Producer(schema(b"u"), array(2, [None, int32s(0, 0, 0), None])),
        ["", ""],
    ),
    "inline": (
        lambda: Producer(schema(b"vu"), array(1, [None, view(12, inline=b"0123456789ab")])),
        ["0123456789ab"],
    ),
    "a view": (
        lambda: Producer(schema(b"vu"), array(1, [None, view(13, 0, 3), LONG, int64s(16)])),
        ["3456789abcdef"],
    ),
    "unaligned": (
        lambda: Producer(schema(b"u"), array(2, [None, int32s(0, 1, 3), b"abb"])),
        ["a", "bb"],
    ),
    "a table": (
        lambda: Producer(
            schema(b"+s", [schema(b"u")]),
            array(1, [None], [array(3, [None, int32s(0, 1, 2, 4), b"xabb"], offset=0)], offset=1),
        ),
        ["a"],
    ),
    "a stream": (
        lambda: StreamProducer(
            schema(b"u"), [good_strings(), array(0, [None, None, None]), good_strings()]
        ),
        ["a", "bb"] * 2,
    ),
    "a stream of nothing": (lambda: StreamProducer(schema(b"u"), []), []),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_right_is_read_and_released_once(name):
    producer, keys = GOOD[name]
    index = memkv.Map({"a": 1, "bb": 2, "": 3})
    RELEASED.clear()
    answers = index.get_many(producer())
    assert answers.to_pylist() == [index.get(key) for key in keys]
    releases = sorted(RELEASED)
    assert releases.count("schema") == 1
    if "stream" in name:
        assert releases.count("stream") == 1
    else:
        assert releases == ["array", "schema"]


def test_damaged_arrays_are_released_once():
    for name, producer in DAMAGED.items():
        RELEASED.clear()
        with pytest.raises(ERRORS):
            memkv.Map({"a": 1}).get_many(producer())
        assert RELEASED.count("stream") <= 1, name
        assert RELEASED.count("array") <= (2 if "stream" in name else 1), name


def test_objects_that_only_seem_to_be_arrow():
    class Wrong:
        def __init__(self, give):
            self.give = give

        def __arrow_c_array__(self, requested_schema=None):
            return self.give()

    class WrongStream(Wrong):
        __arrow_c_array__ = property()

        def __arrow_c_stream__(self, requested_schema=None):
            return self.give()

    def fail():
        raise LookupError("nothing")

    for give in (
        lambda: None,
        lambda: (None, None),
        lambda: 5,
        lambda: (1, 2, 3),
        lambda: ("a", "b"),
    ):
        for wrong in (Wrong(give), WrongStream(give)):
            with pytest.raises(ERRORS):
                memkv.Map().get_many(wrong)
    for wrong in (Wrong(fail), WrongStream(fail)):
        with pytest.raises(LookupError):
            memkv.Map().get_many(wrong)


def test_nothing_crashes_in_a_process_of_its_own():
    """What frees memory at the wrong time shows when the process ends."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import memkv, test_damaged_arrow as t\n"
        "for make in t.DAMAGED.values():\n"
        "    try: memkv.Map().get_many(make())\n"
        "    except (ValueError, TypeError): pass\n"
        "    else: raise SystemExit('no error')\n"
    )
    run = subprocess.run([sys.executable, "-X", "dev", "-c", code, __file__.rpartition("/")[0]])
    assert run.returncode == 0
