//! `Store`.

use crate::build::{Options, Target, build_from_index};
use crate::errors::Error;
use crate::index::{Changing, Found, Index, Result, Take};
use crate::map::ChangingMapping;
use crate::records::Yield;
use crate::sorted::{Sorted, SortedMapping};
use crate::text::{KeyForm, KeyRange};
use crate::value::{Field, Kind, misfit};
use arc_swap::ArcSwapOption;
use memkv::{HybridError, HybridOptions, HybridStore, Loss, ValueKind, Wal};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyType};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Time between two looks whether other threads have ended what they do with a store.
const CLOSE_WAIT: Duration = Duration::from_millis(1);

/// A store that can be closed while iterators refer to it.
pub(crate) struct StoreIndex {
    /// Without a lock, which a thread that a forked process does not have could hold.
    store: ArcSwapOption<HybridStore>,
    /// The process that opened it.
    process: u32,
}

impl StoreIndex {
    fn new(store: HybridStore) -> Self {
        StoreIndex { store: ArcSwapOption::from_pointee(store), process: std::process::id() }
    }

    fn with<R>(&self, work: impl FnOnce(&HybridStore) -> Result<R>) -> Result<R> {
        match self.store.load_full() {
            Some(store) => work(&store),
            None => Err(Error::Closed("store")),
        }
    }

    /// Closes the store. Its folder can be opened again then.
    fn close(&self) -> Result<()> {
        let Some(mut store) = self.store.swap(None) else { return Ok(()) };
        if std::process::id() != self.process {
            return Err(HybridError::Forked.into());
        }
        loop {
            match Arc::try_unwrap(store) {
                Ok(store) => return Ok(store.close()?),
                // Other threads still read, or write, or compact.
                Err(shared) => store = shared,
            }
            std::thread::sleep(CLOSE_WAIT);
        }
    }
}

impl Index for StoreIndex {
    fn len(&self) -> u64 {
        self.with(|store| Ok(store.len() as u64)).unwrap_or(0)
    }

    fn kind(&self) -> ValueKind {
        ValueKind::U64
    }

    fn get(&self, key: &[u8], found: Found<'_>) -> Result<()> {
        self.with(|store| {
            found(store.get(key).map(Field::Unsigned));
            Ok(())
        })
    }

    fn contains(&self, key: &[u8]) -> Result<bool> {
        self.with(|store| Ok(store.contains_key(key)))
    }

    fn get_many(&self, keys: &[&[u8]], found: Found<'_>) -> Result<()> {
        let values = self.with(|store| Ok(store.get_many(keys)))?;
        values.into_iter().for_each(|value| found(value.map(Field::Unsigned)));
        Ok(())
    }

    fn scan(&self, range: &KeyRange, is_reverse: bool, take: Take<'_>) -> Result<()> {
        self.with(|store| {
            let mut keys = store.range::<[u8], _>(range.bounds());
            while let Some((key, value)) =
                if is_reverse { keys.next_back_ref() } else { keys.next_ref() }
                && take(key, Field::Unsigned(value))
            {}
            Ok(())
        })
    }

    fn longest_prefix(&self, key: &[u8], found: &mut dyn FnMut(usize, Field<'_>)) -> Result<()> {
        self.with(|store| {
            if let Some((prefix, value)) = store.get_longest_prefix(key) {
                found(prefix.len(), Field::Unsigned(value));
            }
            Ok(())
        })
    }

    fn as_changing(&self) -> Option<&dyn Changing> {
        Some(self)
    }
}

/// Returns the number that a store keeps. It was checked when it was read.
fn number(value: Field<'_>) -> Result<u64> {
    u64::of_field(value).ok_or_else(|| misfit(None, ValueKind::U64, value).into())
}

impl Changing for StoreIndex {
    fn insert(&self, key: &[u8], value: Field<'_>, old: Found<'_>) -> Result<()> {
        let value = number(value)?;
        self.with(|store| {
            old(store.insert(key, value)?.map(Field::Unsigned));
            Ok(())
        })
    }

    fn remove(&self, key: &[u8], old: Found<'_>) -> Result<()> {
        self.with(|store| {
            old(store.remove(key)?.map(Field::Unsigned));
            Ok(())
        })
    }

    fn insert_absent(&self, key: &[u8], value: Field<'_>, now: Found<'_>) -> Result<()> {
        let value = number(value)?;
        self.with(|store| {
            now(Some(Field::Unsigned(store.get_or_insert_with(key, || value)?)));
            Ok(())
        })
    }

    fn pop(&self, is_last: bool, take: Take<'_>) -> Result<()> {
        self.with(|store| {
            if let Some((key, value)) = if is_last { store.pop_last() } else { store.pop_first() }?
            {
                take(&key, Field::Unsigned(value));
            }
            Ok(())
        })
    }

    fn clear(&self) -> Result<()> {
        self.with(|store| Ok(store.clear()?))
    }

    fn remove_range(&self, range: &KeyRange) -> Result<u64> {
        self.with(|store| Ok(store.remove_range::<[u8], _>(range.bounds())? as u64))
    }

    fn copied(&self) -> Option<Arc<dyn Index>> {
        None
    }

    fn waits(&self) -> bool {
        true
    }

    fn memory_bytes(&self) -> usize {
        self.with(|store| Ok(store.memory_usage().total())).unwrap_or(0)
    }
}

/// An ordered mapping in a folder, from byte strings to ``int`` (64 bits, without a sign), durable.
///
/// A store is a compressed base, which is in memory, and a log of the changes since. ``durability``
/// says what is kept of a change that has returned:
///
/// ==============  ============================  ==============================
/// durability      if the process crashes        if the machine crashes
/// ==============  ============================  ==============================
/// ``"written"``   everything (the default)      what was before ``sync()``
/// ``"synced"``    everything                    everything
/// ``"buffered"``  what was before ``sync()``    what was before ``sync()``
/// ``"off"``       what was before ``compact()``  what was before ``compact()``
/// ==============  ============================  ==============================
///
/// A folder is open for writing once at a time, and for reading (``read_only=True``) any number of
/// times. After ``fork`` the store belongs to the parent: in the child its changes raise
/// ``RuntimeError``. Closing it, or leaving the ``with`` block, writes
/// everything to disk, with ``"off"`` what was compacted.
///
/// >>> with memkv.Store.open("counts", keys="str") as store:
/// ...     store["b"] = 2
/// ...     store.update({"a": 1, "c": 3})
/// >>> with memkv.Store.open("counts", keys="str", read_only=True) as store:
/// ...     dict(store)
/// {'a': 1, 'b': 2, 'c': 3}
#[pyclass(frozen, extends = ChangingMapping, module = "memkv")]
pub(crate) struct Store {
    path: PathBuf,
    is_read_only: bool,
    index: Arc<StoreIndex>,
}

impl Store {
    fn sorted<'a>(slf: &'a Bound<'_, Self>) -> &'a Sorted {
        ChangingMapping::sorted(slf.as_super())
    }

    /// Passes the store to `work`, without the interpreter's lock.
    fn with<R: Send>(
        slf: &Bound<'_, Self>,
        work: impl FnOnce(&HybridStore) -> Result<R> + Send,
    ) -> PyResult<R> {
        let index = &slf.get().index;
        Ok(slf.py().detach(|| index.with(work))?)
    }
}

/// Returns the mode that has a name.
fn wal_named(name: &str) -> PyResult<Wal> {
    Ok(match name {
        "written" => Wal::Written,
        "synced" => Wal::Synced,
        "buffered" => Wal::Buffered,
        "off" => Wal::Off,
        _ => {
            return Err(PyValueError::new_err(format!(
                "durability={name:?} is none of written, synced, buffered, off"
            )));
        }
    })
}

#[pymethods]
impl Store {
    /// Opens the store in a folder, which is made if it is missing, unless ``create=False``.
    ///
    /// Without ``durability`` a folder has the one it was last opened with. With ``read_only=True``
    /// what others write is seen after ``refresh()``. With ``background=False`` only ``compact()``
    /// compacts.
    ///
    /// Raises ``InUseError`` if it is open for writing already; ``DamagedError``, after which
    /// ``Store.recover`` reads what is left; ``OSError``.
    #[classmethod]
    #[pyo3(signature = (path, *, durability=None, read_only=false, create=true, keys="bytes",
        background=true))]
    #[expect(clippy::too_many_arguments, reason = "named arguments of Python")]
    fn open<'py>(
        _class: &Bound<'py, PyType>,
        py: Python<'py>,
        path: PathBuf,
        durability: Option<&str>,
        read_only: bool,
        create: bool,
        keys: &str,
        background: bool,
    ) -> PyResult<Bound<'py, Self>> {
        let form = KeyForm::named(keys)?;
        let path = std::path::absolute(&path)?;
        let mut options = HybridOptions::new().background(background);
        if let Some(name) = durability {
            if read_only {
                return Err(PyValueError::new_err("a store that is read has no durability"));
            }
            options = options.wal(wal_named(name)?);
        }
        let store = py.detach(|| {
            let opened = if read_only {
                HybridStore::open_read_only(&path)
            } else if create {
                HybridStore::open_with(&path, options)
            } else {
                HybridStore::open_existing(&path, options)
            };
            opened.map_err(Error::from)
        })?;
        let index = Arc::new(StoreIndex::new(store));
        let sorted = Sorted::new(Arc::clone(&index) as _, form, Yield::Items, "store");
        let store = PyClassInitializer::from(sorted)
            .add_subclass(SortedMapping)
            .add_subclass(ChangingMapping)
            .add_subclass(Store { path, is_read_only: read_only, index });
        Bound::new(py, store)
    }

    /// Reads what is left of a damaged folder into a layer file, and returns what is lost, as text.
    ///
    /// The folder is not changed. ``Store.open`` a new folder and ``update`` it from the layer.
    #[staticmethod]
    fn recover<'py>(
        py: Python<'py>,
        path: PathBuf,
        layer: PathBuf,
    ) -> PyResult<Bound<'py, PyList>> {
        let (store, lost) = py.detach(|| HybridStore::recover(&path).map_err(Error::from))?;
        let index = StoreIndex::new(store);
        let options = Options::of(true, "error", None, None, None)?;
        build_from_index(py, &Target::Layer(layer), &index, &options)?;
        PyList::new(py, lost.iter().map(Loss::to_string))
    }

    /// The path of the folder, absolute.
    #[getter]
    fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is open for reading alone.
    #[getter]
    fn read_only(&self) -> bool {
        self.is_read_only
    }

    /// Writes all changes to disk. After that no crash loses them.
    fn sync(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::with(slf, |store| Ok(store.sync()?))
    }

    /// Merges the changes into a new base, which is on disk when this returns.
    fn compact(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::with(slf, |store| Ok(store.compact()?))
    }

    /// Reads what others have written to the folder since it was opened for reading.
    fn refresh(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::with(slf, |store| Ok(store.refresh()?))
    }

    /// Copies the store to another folder, where it can be opened.
    fn save(slf: &Bound<'_, Self>, path: PathBuf) -> PyResult<()> {
        Self::with(slf, |store| Ok(store.save(&path)?))
    }

    /// Writes everything to disk and closes the store. Iterators that are in use end with an error.
    ///
    /// With ``durability="off"`` what was not compacted is lost.
    ///
    /// In a forked process it does nothing: the store is the parent's.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::sorted(slf).replace(None);
        let index = &slf.get().index;
        slf.py().detach(|| match index.close() {
            Ok(()) | Err(Error::Store(HybridError::Forked)) => Ok(()),
            Err(error) => Err(error.into()),
        })
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        Self::sorted(&slf).index()?;
        Ok(slf)
    }

    fn __exit__(
        slf: &Bound<'_, Self>,
        _type: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        Self::close(slf)
    }

    /// Returns numbers about the base, the changes, the log and compactions.
    fn stats<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        let (stats, recovery) =
            Self::with(slf, |store| Ok((store.stats(), store.recovery().clone())))?;
        let dict = PyDict::new(slf.py());
        dict.set_item("base_keys", stats.base_keys)?;
        dict.set_item("base_bytes", stats.base_bytes)?;
        dict.set_item("delta_keys", stats.delta_keys)?;
        dict.set_item("delta_bytes", stats.delta_bytes)?;
        dict.set_item("log_bytes", stats.log_bytes)?;
        dict.set_item("compactions", stats.compactions)?;
        dict.set_item("failures", stats.failures)?;
        dict.set_item("last_failure", stats.last_failure)?;
        dict.set_item("was_closed", recovery.was_closed)?;
        dict.set_item("replayed", recovery.replayed)?;
        dict.set_item("cut_bytes", recovery.cut.iter().map(|end| end.bytes).sum::<u64>())?;
        Ok(dict)
    }

    /// Returns the bytes of memory that it takes.
    fn memory_usage(slf: &Bound<'_, Self>) -> PyResult<usize> {
        Self::with(slf, |store| Ok(store.memory_usage().total()))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let (path, sorted) = (slf.get().path.display(), Self::sorted(slf));
        if sorted.is_closed() {
            return Ok(format!("<memkv.Store {path}, closed>"));
        }
        let keys = sorted.with(|index| Ok(index.len()))?;
        Ok(format!("<memkv.Store {path}, {keys} keys>"))
    }
}
