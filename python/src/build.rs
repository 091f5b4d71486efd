//! Builds of layers and of sets of layers.

use crate::errors::Error;
use crate::index::{Index, Result};
use crate::records::{Records, Scan};
use crate::source::Source;
use crate::text::KeyRange;
use crate::value::{Field, Kind, kind_named, misfit, name_of, with_kind};
use memkv::{
    ExternalBuilder, FrozenError, FrozenLayerBuilder, FrozenOptions, LayerSetBuilder, OnDuplicate,
    SetInfo, SetOptions, ValueKind,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;

/// What a build has made.
#[pyclass(frozen, get_all, module = "memkv")]
pub(crate) struct BuildInfo {
    /// The number of keys.
    pub(crate) keys: u64,
    /// How many items had the key of another one.
    pub(crate) duplicates: u64,
    /// The bytes of the file, or of all parts.
    pub(crate) bytes: u64,
    /// The number of parts of a set; of a layer 1.
    pub(crate) parts: usize,
    /// The kind of the values.
    pub(crate) kind: &'static str,
}

#[pymethods]
impl BuildInfo {
    fn __repr__(&self) -> String {
        let BuildInfo { keys, duplicates, bytes, parts, kind } = self;
        format!(
            "BuildInfo(keys={keys}, duplicates={duplicates}, bytes={bytes}, parts={parts}, \
             kind={kind:?})"
        )
    }
}

/// How to build.
pub(crate) struct Options {
    pub(crate) is_sorted: bool,
    pub(crate) frozen: FrozenOptions,
    /// The rule, as the caller has named it.
    pub(crate) on_duplicate: OnDuplicate,
}

impl Options {
    /// Reads the arguments that builds have in common.
    pub(crate) fn of(
        is_sorted: bool,
        on_duplicate: &str,
        memory: Option<&Bound<'_, PyAny>>,
        threads: Option<usize>,
        temp: Option<PathBuf>,
    ) -> PyResult<Self> {
        let on_duplicate = match on_duplicate {
            "error" => OnDuplicate::Error,
            "first" => OnDuplicate::First,
            "last" => OnDuplicate::Last,
            "sum" => OnDuplicate::Sum,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "on_duplicate={on_duplicate:?} is none of error, first, last, sum"
                )));
            }
        };
        let mut frozen = FrozenOptions::new()
            .on_duplicate(on_duplicate)
            .memory(memory.map_or(Ok(1 << 30), memory_bytes)?);
        if let Some(threads) = threads {
            if threads == 0 {
                return Err(PyValueError::new_err("threads is 0"));
            }
            frozen = frozen.threads(threads);
        }
        if let Some(folder) = temp {
            frozen = frozen.temp_folder(folder);
        }
        Ok(Options { is_sorted, frozen, on_duplicate })
    }
}

/// Reads a number of bytes, such as `"1GiB"`, `"512MB"` or an integer.
fn memory_bytes(memory: &Bound<'_, PyAny>) -> PyResult<usize> {
    if let Ok(bytes) = memory.extract::<usize>() {
        return Ok(bytes);
    }
    let not_bytes = || {
        PyValueError::new_err(format!("memory={memory} is not a number of bytes such as \"1GiB\""))
    };
    if memory.is_instance_of::<PyInt>() || memory.is_instance_of::<PyFloat>() {
        return Err(not_bytes());
    }
    let text: String = memory.extract()?;
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => u32::MAX,
    };
    match text[..digits].parse::<f64>() {
        Ok(number) if unit < u32::MAX => Ok((number * f64::from(unit).exp2()) as usize),
        _ => Err(not_bytes()),
    }
}

/// A builder of a layer or of a set.
pub(crate) trait Sink: Send {
    /// Adds a record.
    fn insert(&mut self, key: &[u8], value: Field<'_>) -> Result<()>;

    /// Completes the file or the set. `progress` is called every few thousand keys.
    fn finish(self: Box<Self>, progress: &mut dyn FnMut()) -> Result<Built>;
}

/// What a sink has made.
pub(crate) struct Built {
    pub(crate) keys: u64,
    pub(crate) duplicates: u64,
    pub(crate) bytes: u64,
    pub(crate) parts: usize,
}

impl Built {
    pub(crate) fn of(info: &SetInfo) -> Self {
        let SetInfo { keys, duplicates, bytes, parts, .. } = *info;
        Built { keys, duplicates, bytes, parts }
    }
}

/// Returns a value of the sink's type.
fn of_field<'v, V: Kind + ?Sized>(key: &[u8], value: Field<'v>) -> Result<V::Lent<'v>> {
    V::of_field(value).ok_or_else(|| misfit(Some(key), V::KIND, value).into())
}

impl<V: Kind + ?Sized> Sink for FrozenLayerBuilder<V>
where
    Self: Send,
{
    fn insert(&mut self, key: &[u8], value: Field<'_>) -> Result<()> {
        Ok(self.insert(key, of_field::<V>(key, value)?)?)
    }

    fn finish(self: Box<Self>, _progress: &mut dyn FnMut()) -> Result<Built> {
        Ok(Built { keys: self.finish_file()?, duplicates: 0, bytes: 0, parts: 1 })
    }
}

impl<V: Kind + ?Sized> Sink for ExternalBuilder<V>
where
    Self: Send,
{
    fn insert(&mut self, key: &[u8], value: Field<'_>) -> Result<()> {
        Ok(self.insert(key, of_field::<V>(key, value)?)?)
    }

    fn finish(self: Box<Self>, progress: &mut dyn FnMut()) -> Result<Built> {
        let records = self.len();
        let keys = self.finish_file_with(|_, _| progress())?;
        Ok(Built { keys, duplicates: records - keys, bytes: 0, parts: 1 })
    }
}

impl<V: Kind + ?Sized> Sink for LayerSetBuilder<V>
where
    Self: Send,
{
    fn insert(&mut self, key: &[u8], value: Field<'_>) -> Result<()> {
        Ok(self.insert(key, of_field::<V>(key, value)?)?)
    }

    fn finish(self: Box<Self>, progress: &mut dyn FnMut()) -> Result<Built> {
        Ok(Built::of(&self.finish_with(|_, _| progress())?))
    }
}

/// What is built.
pub(crate) enum Target {
    /// A file.
    Layer(PathBuf),
    /// A folder, with this number of keys in a part.
    Set { folder: PathBuf, keys_per_part: u64, is_append: bool },
}

impl Target {
    /// Returns a builder for values of a kind. It takes keys with duplicates, and in any order,
    /// unless they are sorted and duplicates are errors.
    fn sink(&self, kind: ValueKind, options: &Options) -> Result<Box<dyn Sink>> {
        fn of<V: Kind<Owned: Send> + ?Sized>(
            target: &Target,
            options: &Options,
        ) -> Result<Box<dyn Sink>> {
            let (frozen, is_strict) = (options.frozen.clone(), options.is_strict());
            Ok(match target {
                Target::Layer(path) if is_strict => {
                    Box::new(FrozenLayerBuilder::<V>::create_as(path, frozen)?)
                }
                Target::Layer(path) => Box::new(ExternalBuilder::<V>::create_as(path, frozen)?),
                Target::Set { folder, keys_per_part, is_append } => {
                    let options = SetOptions::new().keys_per_part(*keys_per_part).layers(frozen);
                    Box::new(match (is_append, is_strict) {
                        (true, true) => LayerSetBuilder::<V>::append_as(folder, options)?,
                        (true, false) => LayerSetBuilder::<V>::append_external_as(folder, options)?,
                        (false, true) => LayerSetBuilder::<V>::create_as(folder, options)?,
                        (false, false) => LayerSetBuilder::<V>::external_as(folder, options)?,
                    })
                }
            })
        }
        with_kind!(kind, V => of::<V>(self, options), _ => {
            Err(FrozenError::Option("values of a later release").into())
        })
    }
}

impl Options {
    fn is_strict(&self) -> bool {
        self.is_sorted && self.on_duplicate == OnDuplicate::Error
    }
}

/// Calls of `progress` between two looks at Python's signals.
const CALLS_PER_LOOK: u32 = 16;

/// Records of an index, and their bytes, that are added between two looks at Python's signals.
const RECORDS_PER_LOOK: usize = 1 << 15;
const MAX_LOOK_BYTES: usize = 1 << 24;

/// What unwinds through a build that a signal ends, so that its files are removed.
struct Interrupted(PyErr);

/// Builds a layer or a set.
///
/// The interpreter's lock is released while records are added and written. A signal whose handler
/// raises an exception, such as that of Ctrl-C, ends the build: nothing is left of it.
pub(crate) fn build(
    py: Python<'_>,
    target: &Target,
    keys: &Bound<'_, PyAny>,
    values: Option<&Bound<'_, PyAny>>,
    kind: Option<&str>,
    options: &Options,
) -> PyResult<BuildInfo> {
    let mut source = Source::new(keys, values, kind.map(kind_named).transpose()?)?;
    let kind = source.kind();
    let mut sink = py.detach(|| target.sink(kind, options))?;
    let mut last: Option<Vec<u8>> = None;
    let checks_order = options.is_sorted && !options.is_strict();
    while let Some(pairs) = source.next(py)? {
        py.detach(|| {
            pairs.each(|key, value| {
                if checks_order {
                    let last = last.get_or_insert_default();
                    if key < &**last {
                        let key = key.escape_ascii();
                        return Err(Error::from(PyValueError::new_err(format!(
                            "keys are not sorted: b\"{key}\" is less than the key before it"
                        ))));
                    }
                    last.clear();
                    last.extend_from_slice(key);
                }
                sink.insert(key, value)
            })
        })?;
        py.check_signals()?;
    }
    finish(py, target, sink, kind)
}

/// Builds a layer or a set of what an index has.
pub(crate) fn build_from_index(
    py: Python<'_>,
    target: &Target,
    index: &dyn Index,
    options: &Options,
) -> PyResult<BuildInfo> {
    let kind = index.kind();
    let mut scan = Scan::new(KeyRange::ALL, false);
    let mut sink = py.detach(|| target.sink(kind, options))?;
    let mut records = Records::new(kind);
    loop {
        py.detach(|| {
            records.fill(index, &mut scan, RECORDS_PER_LOOK, MAX_LOOK_BYTES)?;
            let Records { keys, values } = &records;
            (0..keys.len()).try_for_each(|i| match values.get(i) {
                Some(value) => sink.insert(keys.get(i), value),
                None => Ok(()),
            })
        })?;
        if records.keys.len() == 0 {
            return finish(py, target, sink, kind);
        }
        py.check_signals()?;
    }
}

/// Completes a build.
fn finish(
    py: Python<'_>,
    target: &Target,
    sink: Box<dyn Sink>,
    kind: ValueKind,
) -> PyResult<BuildInfo> {
    let built = py.detach(|| {
        let mut calls = 0;
        let progress = &mut || {
            calls += 1;
            if calls % CALLS_PER_LOOK == 0
                && let Err(signal) = Python::attach(|py| py.check_signals())
            {
                resume_unwind(Box::new(Interrupted(signal)));
            }
        };
        match catch_unwind(AssertUnwindSafe(|| sink.finish(progress))) {
            Ok(built) => built,
            Err(panic) => match panic.downcast::<Interrupted>() {
                Ok(interrupted) => Err(interrupted.0.into()),
                Err(panic) => resume_unwind(panic),
            },
        }
    })?;
    let bytes = match target {
        Target::Layer(path) => std::fs::metadata(path)?.len(),
        Target::Set { .. } => built.bytes,
    };
    let Built { keys, duplicates, parts, .. } = built;
    Ok(BuildInfo { keys, duplicates, bytes, parts, kind: name_of(kind) })
}
