//! `FrozenLayer`.

use crate::build::{BuildInfo, Options, Target, build};
use crate::errors::Error;
use crate::index::Index;
use crate::records::Yield;
use crate::sorted::{Frozen, Sorted, SortedMapping};
use crate::text::KeyForm;
use crate::value::{Kind, with_kind};
use memkv::FrozenError;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An immutable ordered mapping from byte strings to small values, in a compressed file.
///
/// .. warning::
///    A file is mapped into memory, unless it is opened with ``mmap=False``. **If another program
///    cuts or overwrites the file while it is mapped, this process may be killed (``SIGBUS``), or
///    read other values.** Replace files by renaming a new one over the old one, as ``build`` does:
///    a layer that is open goes on with the old file.
///
/// A layer is opened by ``FrozenLayer.open``, and built by ``FrozenLayer.build``. Threads and
/// forked processes share it. It pickles as its path.
///
/// >>> info = memkv.FrozenLayer.build("pages", {"a/1": 10, "a/2": 20, "b": 30})
/// >>> info.keys
/// 3
/// >>> with memkv.FrozenLayer.open("pages", keys="str") as layer:
/// ...     layer["a/2"], "c" in layer, list(layer.prefix("a/")), layer.rank("b")
/// (20, False, [('a/1', 10), ('a/2', 20)], 2)
#[pyclass(frozen, extends = Frozen, module = "memkv")]
pub(crate) struct FrozenLayer {
    path: PathBuf,
    is_mapped: bool,
}

/// Opens a layer file of any kind of values.
fn open(path: &Path, is_mapped: bool) -> Result<Arc<dyn Index>, FrozenError> {
    fn of<V: Kind + ?Sized>(path: &Path, is_mapped: bool) -> Result<Arc<dyn Index>, FrozenError> {
        Ok(Arc::new(if is_mapped {
            // SAFETY: (A5) builds replace files and never change one in place; the page of the
            // class begins with what happens if another program does.
            unsafe { memkv::FrozenLayer::<V>::open_mapped_as(path)? }
        } else {
            memkv::FrozenLayer::<V>::open_as(path)?
        }))
    }
    match of::<u64>(path, is_mapped) {
        Err(FrozenError::Values { found, expected }) => {
            with_kind!(found, V => of::<V>(path, is_mapped), _ => {
                Err(FrozenError::Values { found, expected })
            })
        }
        opened => opened,
    }
}

#[pymethods]
impl FrozenLayer {
    /// Opens a file.
    ///
    /// With ``mmap=False`` it is read into memory. With ``verify=True`` everything in it is checked
    /// first; otherwise only its header and index are, and damage elsewhere makes keys seem absent.
    /// ``keys="str"`` makes keys come out as ``str``.
    ///
    /// Raises ``OSError``, such as ``FileNotFoundError``; ``DamagedError``; ``ValueError`` if it is
    /// another file.
    #[classmethod]
    #[pyo3(signature = (path, *, mmap=true, verify=false, keys="bytes"))]
    fn open<'py>(
        _class: &Bound<'py, PyType>,
        py: Python<'py>,
        path: PathBuf,
        mmap: bool,
        verify: bool,
        keys: &str,
    ) -> PyResult<Bound<'py, Self>> {
        let form = KeyForm::named(keys)?;
        let path = std::path::absolute(&path)?;
        let index = py.detach(|| {
            let named = |error| Error::File(path.clone(), error);
            let index = open(&path, mmap).map_err(named)?;
            match index.as_ranked() {
                Some(index) if verify => index.verify().map_err(|error| match error {
                    Error::Frozen(error) => named(error),
                    error => error,
                })?,
                _ => {}
            }
            Ok::<_, Error>(index)
        })?;
        let sorted = Sorted::new(index, form, Yield::Items, "layer");
        let layer = PyClassInitializer::from(sorted)
            .add_subclass(SortedMapping)
            .add_subclass(Frozen)
            .add_subclass(FrozenLayer { path, is_mapped: mmap });
        Bound::new(py, layer)
    }

    /// Builds a file, and replaces the one that may be there when it is complete.
    ///
    /// ``keys`` and ``values`` are iterables, or arrays of Arrow, or anything that hands out some
    /// (``__arrow_c_array__``, ``__arrow_c_stream__``). A mapping, or a table of two columns, has
    /// both. Without values the layer is a set of keys, whose values are ``None``.
    ///
    /// ``sorted=True`` means that keys ascend in the order of their bytes, which is checked, and is
    /// faster. ``on_duplicate`` is what happens to a key that comes again: ``"error"``,
    /// ``"first"``, ``"last"`` or ``"sum"``. ``kind`` is the type of the values, as ``"i64"``. By
    /// default it is that of the array of Arrow, or of the first value: ``"u64"`` for ``int``,
    /// ``"f64"``, ``"bool"``, ``"bytes"``. Unsorted keys beyond ``memory`` are sorted in files in
    /// the folder ``temp``, by default that of ``path``. ``threads`` are as many as cores unless
    /// said.
    ///
    /// The interpreter's lock is released. Ctrl-C ends a build, and leaves nothing of it.
    ///
    /// Raises ``ValueError`` or ``OverflowError`` that names the key; ``OSError``.
    #[staticmethod]
    #[pyo3(signature = (path, keys, values=None, *, sorted=false, on_duplicate="error", kind=None,
        memory=None, threads=None, temp=None))]
    #[expect(clippy::too_many_arguments, reason = "named arguments of Python")]
    fn build(
        py: Python<'_>,
        path: PathBuf,
        keys: &Bound<'_, PyAny>,
        values: Option<&Bound<'_, PyAny>>,
        sorted: bool,
        on_duplicate: &str,
        kind: Option<&str>,
        memory: Option<&Bound<'_, PyAny>>,
        threads: Option<usize>,
        temp: Option<PathBuf>,
    ) -> PyResult<BuildInfo> {
        let options = Options::of(sorted, on_duplicate, memory, threads, temp)?;
        build(py, &Target::Layer(path), keys, values, kind, &options)
    }

    /// The path of the file, absolute.
    #[getter]
    fn path(&self) -> &Path {
        &self.path
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let (path, sorted) = (slf.get().path.display(), Frozen::sorted(slf.as_super()));
        if sorted.is_closed() {
            return Ok(format!("<memkv.FrozenLayer {path}, closed>"));
        }
        let keys = sorted.with(|index| Ok(index.len()))?;
        Ok(format!("<memkv.FrozenLayer {path}, {keys} keys>"))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let open = slf.py().import("memkv._views")?.getattr("open_layer")?;
        let form = Frozen::sorted(slf.as_super()).form.name();
        let arguments = (&slf.get().path, slf.get().is_mapped, form);
        Ok((open, arguments).into_pyobject(slf.py())?.into_any())
    }
}
