"""What a review found, as the smallest inputs."""

import gc
import importlib
import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pyarrow as pa
import pytest

import memkv


def run(script, tmp_path):
    """Runs a script in a process of its own, which must end."""
    script = textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, timeout=30, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_mapping_that_changes_is_read_in_pairs(tmp_path):
    source = memkv.Map({f"{i:06}": i for i in range(20_000)})
    stop = threading.Event()

    def change():
        i = 20_000
        while not stop.is_set():
            source[f"{i:06}"] = i
            source.popitem(0)
            i += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(5):
            copy = memkv.Map()
            copy.update(source)
            assert all(int(key) == value for key, value in copy.items())
            memkv.FrozenLayer.build(tmp_path / "layer", source, sorted=True)
            layer = memkv.FrozenLayer.open(tmp_path / "layer")
            assert all(int(key) == value for key, value in layer.items())
    finally:
        stop.set()
        thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize(
    "script",
    [
        # The package is imported again, so its hooks run twice.
        """
        import importlib, os, memkv
        importlib.reload(memkv)
        if (child := os.fork()) == 0:
            memkv.Map({"a": 1}).clear()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        """,
        # Two threads fork, and a hook lets each other run.
        """
        import os, threading, time
        os.register_at_fork(before=lambda: time.sleep(0.01))
        import memkv
        def fork():
            for _ in range(5):
                if (child := os.fork()) == 0:
                    os._exit(0)
                assert os.waitpid(child, 0)[1] == 0
        threads = [threading.Thread(target=fork) for _ in range(2)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        """,
        # A hook changes a map.
        """
        import os
        import memkv
        m = memkv.Map({"a": 1})
        os.register_at_fork(before=m.clear, after_in_child=m.clear, after_in_parent=m.clear)
        if (child := os.fork()) == 0:
            os._exit(len(m))
        assert os.waitpid(child, 0)[1] == 0
        """,
        # A child reads a store that the parent is closing while it compacts.
        """
        import os, threading
        import memkv
        store = memkv.Store.open("store", background=False)
        store.update((f"{i:07}", i) for i in range(200_000))
        keys = iter(store)
        next(keys)
        threads = [threading.Thread(target=store.compact), threading.Thread(target=store.close)]
        [thread.start() for thread in threads]
        if (child := os.fork()) == 0:
            try:
                list(keys)
            except ValueError:
                pass
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        [thread.join() for thread in threads]
        """,
    ],
    ids=["reload", "two", "hook", "store"],
)
def test_forks_end(script, tmp_path):
    run("import signal; signal.alarm(20)\n" + textwrap.dedent(script), tmp_path)


def test_the_collector_of_garbage_may_close_a_layer(tmp_path):
    script = """
        import gc
        import memkv
        memkv.FrozenLayer.build("layer", {"a": 1})
        class Closes:
            def __init__(self, layer):
                self.layer, self.own = layer, self
            def __del__(self):
                self.layer.close()
        gc.set_threshold(1)
        for _ in range(50):
            layer = memkv.FrozenLayer.open("layer")
            Closes(layer)
            try:
                layer.first(), layer.select(0), layer.longest_prefix("ab")
            except ValueError:
                pass
        """
    run(script, tmp_path)


def test_a_batch_reserves_no_more_than_it_has():
    m = memkv.Map({"a": 1})
    assert pa.table(m.to_arrow(batch_size=2**31 - 1)).num_rows == 1


def test_operators_of_sets_have_one_form_of_keys():
    s = memkv.Set(["a", "b"])
    assert list(s & {"a"}) == list(s.intersection({"a"})) == [b"a"]
    assert list(s - {"a"}) == list(s.difference({"a"})) == list(s ^ {"a"}) == [b"b"]
    assert list({"a", "c"} - s) == [b"c"]
    assert s >= {"a", "b"} and s <= {"a", "b"} and s == {"a", "b"} and s < {"a", "b", "c"}
    assert s != {"a"} and s != {1, 2} and not s == 5 and s.issubset({"a", "b"})
    s &= {"a"}
    assert list(s) == [b"a"]
    s |= {"c"}
    s ^= {"a", "d"}
    s -= {"d"}
    assert list(s) == [b"c"]
    s -= s
    assert len(s) == 0


def test_threads_share_an_iterator():
    m = memkv.Map({f"{i:06}": i for i in range(50_000)})
    keys, found = iter(m), [[] for _ in range(4)]
    threads = [threading.Thread(target=found[i].extend, args=(keys,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sum(found, [])) == list(m)


def test_the_kind_of_a_map_is_that_of_what_is_given(tmp_path):
    class OnlyStream:
        def __init__(self, table):
            self.table = table

        def __arrow_c_stream__(self, requested_schema=None):
            return self.table.__arrow_c_stream__(requested_schema)

    stream = OnlyStream(pa.table({"k": ["a"], "v": pa.array([-1], pa.int32())}))
    assert dict(memkv.Map(stream)) == {b"a": -1}
    assert dict(memkv.Map(pa.array(["a"]), [1])) == {b"a": 1}
    assert dict(memkv.Map(["a"], pa.array([1.5]))) == {b"a": 1.5}
    assert memkv.Map([["a", 1]])["a"] == 1
    assert memkv.Map({"a": b"x"}).kind == "bytes"
    with pytest.raises(TypeError):
        memkv.Map(values=[1])
    with pytest.raises(TypeError):
        memkv.Map([["a", 1, 2]])


def test_methods_have_the_defaults_of_dict():
    m = memkv.Map(kind="none")
    assert m.setdefault("a") is None and "a" in m
    n = memkv.Map()
    n.update(b=2, a=1)
    n.update({"c": 3}, d=4)
    assert list(n.values()) == [1, 2, 3, 4]


def test_what_a_value_raises_goes_through():
    class Raises:
        def __index__(self):
            raise KeyboardInterrupt

        __float__ = __index__

    for kind in ("u64", "f64"):
        with pytest.raises(KeyboardInterrupt):
            memkv.Map(kind=kind)["a"] = Raises()
    with pytest.raises(OverflowError):
        memkv.Map(kind="f64")["a"] = 10**400


def test_floats_that_do_not_fit(tmp_path):
    with pytest.raises(OverflowError, match="b\"a\""):
        memkv.FrozenLayer.build(tmp_path / "layer", ["a"], [1e300], kind="f32")
    memkv.FrozenLayer.build(tmp_path / "layer", ["a"], [float("inf")], kind="f32")
    info = memkv.FrozenLayer.build(tmp_path / "layer", ["a", "b"], np.array([True, False]))
    assert info.kind == "bool"


def test_odd_arguments(tmp_path):
    m = memkv.Map({"a": 1})
    for threads in (0, 257):
        with pytest.raises(ValueError):
            m.get_many(["a"], threads=threads)
    memkv.FrozenLayer.build(tmp_path / "layer", m)
    layer = memkv.FrozenLayer.open(tmp_path / "layer")
    for rank in (1, -2, 2**63, -(2**70)):
        with pytest.raises(IndexError):
            layer.select(rank)
    nan = memkv.Map({"a": float("nan")})
    assert nan == nan


def test_many_iterations_leave_no_garbage():
    gc.collect()
    m = memkv.Map({"a": 1})
    importlib.import_module("copy").deepcopy(memkv.Set(["a"]))
    assert m == importlib.import_module("copy").deepcopy(m)


def test_sets_are_joined(tmp_path):
    for name, keys in ("member-0", ["b"]), ("member-1", ["a"]):
        memkv.LayerSet.build(tmp_path / "set" / name, {key: i for i, key in enumerate(keys)})
    info = memkv.LayerSet.join(tmp_path / "set", ["member-0", "member-1"])
    assert (info.keys, info.parts, info.kind) == (2, 2, "u64")
    with memkv.LayerSet.open(tmp_path / "set") as layers:
        assert dict(layers) == {b"a": 0, b"b": 0} and layers.boundaries() == [b"a", b"b"]
        assert layers.route(pa.array(["b", None, "A", "ab"])).to_pylist() == [1, None, None, None]
    memkv.LayerSet.build(tmp_path / "set" / "member-2", {"a": 1})
    with pytest.raises(ValueError, match="begins before"):
        memkv.LayerSet.join(tmp_path / "set", ["member-2"], append=True)
    memkv.LayerSet.build(tmp_path / "set" / "member-2", {"c": 1})
    memkv.LayerSet.join(tmp_path / "set", ["member-2"], append=True)
    with memkv.LayerSet.open(tmp_path / "set") as layers:
        assert list(layers) == [b"a", b"b", b"c"]
