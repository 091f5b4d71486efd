"""The examples in docstrings run, those of the compiled classes as well."""

import doctest
import inspect
import types

import memkv
import memkv._memkv
import memkv._views
import pytest


def documented():
    seen = set()
    for module in (memkv, memkv._memkv, memkv._views):
        yield module.__name__, module
        for name, thing in vars(module).items():
            if not inspect.isclass(thing) or id(thing) in seen or "memkv" not in thing.__module__:
                continue
            seen.add(id(thing))
            yield name, thing
            for attribute, member in vars(thing).items():
                if isinstance(member, (staticmethod, classmethod)):
                    member = member.__func__
                yield f"{name}.{attribute}", member


DOCS = {
    name: doc
    for name, thing in documented()
    if not isinstance(thing, (str, types.NoneType)) and isinstance(doc := thing.__doc__, str)
}
PUBLIC = [name for name in memkv.__all__ if inspect.isclass(getattr(memkv, name))]


@pytest.mark.parametrize("name", [name for name in DOCS if ">>>" in DOCS[name]])
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    test = doctest.DocTestParser().get_doctest(DOCS[name], {"memkv": memkv}, name, name, 0)
    output = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=output.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(output)


@pytest.mark.parametrize("name", ["FrozenLayer", "LayerSet", "Map", "Set", "Store"])
def test_classes_have_an_example(name):
    assert ">>>" in DOCS[name]


def test_everything_public_is_documented():
    missing = []
    for name in PUBLIC:
        thing = getattr(memkv, name)
        assert thing.__doc__, name
        for of in thing.__mro__:
            if "memkv" not in of.__module__ or issubclass(of, Exception):
                continue
            for attribute, member in vars(of).items():
                if not attribute.startswith("_") and not (member.__doc__ or "").strip():
                    missing.append(f"{of.__name__}.{attribute}")
    assert not missing
