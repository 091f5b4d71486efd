//! The parts of a set: which of them are open, and the checks of those that are opened.
//!
//! A part is opened when it is first needed. At most a given number are open: beyond it, one that
//! was not used since the hand of a clock passed it last is closed (Corbató, "A paging experiment
//! with the Multics system", 1968). A reader that is in a part keeps it until it is done.

use super::error::SetError;
use super::manifest::{Manifest, SetPart};
use crate::error::FileError;
use crate::frozen::{FrozenLayer, FrozenUsage, LayerValue, SharedTables};
use crate::io::dir::{Access, Dir};
use crate::io::mapped_layer::Unchanged;
use crate::io::process::Process;
use crate::key;
use crate::reclaim::{self, Swap};
use crate::sharded::Router;
use crate::tree::common_prefix;
use parking_lot::{Mutex, MutexGuard};
use std::cmp::Ordering;
use std::io;
use std::ops::{Bound, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// Parts that are open at once, unless the caller sets a limit.
const DEFAULT_OPEN_PARTS: usize = 1024;

/// How the files of parts are opened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Opening {
    /// Read into memory, and verified.
    Read,
    /// Mapped.
    Mapped(Unchanged),
}

/// A manifest, and the parts that are open.
pub(super) struct Parts<V: ?Sized> {
    pub(super) dir: Arc<Dir>,
    pub(super) manifest: Manifest,
    /// The manifest's bytes, which tell whether another one has replaced it.
    pub(super) bytes: Vec<u8>,
    pub(super) opening: Opening,
    /// Finds the part in which a key belongs: by the shortest string between each part and the one
    /// before it.
    router: Router,
    /// For each part, the number of keys before it.
    starts: Vec<u64>,
    slots: Vec<Slot<V>>,
    max_open: AtomicUsize,
    clock: Mutex<Clock>,
    /// The symbols of parts that were built with the same ones.
    tables: Mutex<SharedTables>,
    process: Process,
}

struct Slot<V: ?Sized> {
    /// It is replaced with the clock locked.
    layer: Swap<Option<FrozenLayer<V>>>,
    /// Whether it was used since the hand passed it.
    is_used: AtomicBool,
    /// Held while the part is opened, so that threads that need it wait for the first one. Threads
    /// of a rayon pool do not wait: the one that opens it may be lower on their own stack.
    opening: Mutex<()>,
}

#[derive(Default)]
struct Clock {
    hand: usize,
    /// Number of open parts.
    open: usize,
}

/// The place of a key among the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Within the range of a part.
    In(usize),
    /// After all keys of the parts before this one, and before its first.
    Before(usize),
}

impl<V: LayerValue + ?Sized + 'static> Parts<V> {
    /// Creates the parts of a manifest, which was read from `bytes`. None is opened.
    pub(super) fn new(
        dir: Arc<Dir>,
        (manifest, bytes): (Manifest, Vec<u8>),
        opening: Opening,
    ) -> Self {
        let slot = |_: &SetPart| Slot {
            layer: Swap::new(None),
            is_used: AtomicBool::new(false),
            opening: Mutex::new(()),
        };
        let starts = manifest.parts.iter().scan(0, |sum, part| {
            let start = *sum;
            *sum += part.keys;
            Some(start)
        });
        let pairs = manifest.parts.iter().zip(manifest.parts.iter().skip(1));
        let separators = pairs.map(|(before, part)| {
            part.first[..common_prefix(&before.last, &part.first) + 1].into()
        });
        Parts {
            router: Router::new(separators.collect()),
            starts: starts.collect(),
            slots: manifest.parts.iter().map(slot).collect(),
            dir,
            manifest,
            bytes,
            opening,
            max_open: AtomicUsize::new(DEFAULT_OPEN_PARTS),
            clock: Mutex::default(),
            tables: Mutex::default(),
            process: Process::current(),
        }
    }

    /// Locks a mutex. In a forked process it does not wait: a thread that was not forked may have
    /// it. Such a process reads parts that are locked without keeping them open.
    fn lock<'m, T>(&self, mutex: &'m Mutex<T>) -> Option<MutexGuard<'m, T>> {
        if self.process.is_current() { Some(mutex.lock()) } else { mutex.try_lock() }
    }

    /// Takes over the open parts of another manifest of the same folder that this one names too.
    pub(super) fn take_over(&self, before: &Self) {
        self.max_open.store(before.max_open.load(Relaxed), Relaxed);
        let mut old = before.manifest.parts.iter().zip(&before.slots).peekable();
        for (part, slot) in self.manifest.parts.iter().zip(&self.slots) {
            while old.next_if(|(old, _)| old.first < part.first).is_some() {}
            if let Some((_, old)) = old.next_if(|(old, _)| *old == part) {
                let pin = reclaim::pin();
                if let Some(layer) = old.layer.load(&pin) {
                    slot.layer.replace(Some(layer.clone()), &pin);
                    self.clock.lock().open += 1;
                }
            }
        }
    }

    /// Returns the number of parts.
    pub(super) fn count(&self) -> usize {
        self.slots.len()
    }

    /// Returns the number of keys before a part, or of all keys for the number of parts.
    pub(super) fn start(&self, part: usize) -> u64 {
        self.starts.get(part).copied().unwrap_or_else(|| self.manifest.keys())
    }

    /// Returns the part that has the key of a rank.
    pub(super) fn part_of_rank(&self, rank: u64) -> Option<usize> {
        (rank < self.manifest.keys())
            .then(|| self.starts.partition_point(|&start| start <= rank) - 1)
    }

    /// Returns the part that has a key, if the set has it. For a key between two parts it returns
    /// one of them only if that is open, or was lately.
    #[inline]
    pub(super) fn part_of(&self, key: &[u8]) -> Option<usize> {
        let part = self.router.route(key);
        let slot = self.slots.get(part)?;
        (slot.is_used.load(Relaxed) || self.place(key) == Place::In(part)).then_some(part)
    }

    /// Returns the place of a key. It opens no part.
    pub(super) fn place(&self, key: &[u8]) -> Place {
        let part = self.router.route(key);
        match self.manifest.parts.get(part) {
            Some(found) if *key > *found.last => Place::Before(part + 1),
            Some(found) if *key >= *found.first => Place::In(part),
            _ => Place::Before(part),
        }
    }

    /// Returns the parts that may have keys between two bounds. It opens no part.
    pub(super) fn between(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Range<usize> {
        if key::is_empty(start, end) {
            return 0..0;
        }
        let first = match start {
            Bound::Unbounded => 0,
            Bound::Included(key) | Bound::Excluded(key) => match self.place(key) {
                Place::In(part) | Place::Before(part) => part,
            },
        };
        let after = match end {
            Bound::Unbounded => self.count(),
            Bound::Included(key) | Bound::Excluded(key) => match self.place(key) {
                Place::In(part) => part + 1,
                Place::Before(part) => part,
            },
        };
        first..after.max(first)
    }

    /// Sets the number of parts that may be open, at least 1, and closes those beyond it.
    pub(super) fn limit_open(&self, parts: usize) {
        self.max_open.store(parts.max(1), Relaxed);
        if let Some(mut clock) = self.lock(&self.clock) {
            self.close_some(&mut clock, None);
        }
    }

    /// Returns the number of open parts.
    pub(super) fn open_count(&self) -> usize {
        match self.lock(&self.clock) {
            Some(clock) => clock.open,
            None => {
                self.slots.iter().filter(|slot| slot.layer.load(&reclaim::pin()).is_some()).count()
            }
        }
    }

    /// Returns the bytes of the open parts, and as part of the index those of the manifest.
    pub(super) fn memory_usage(&self) -> FrozenUsage {
        let pin = reclaim::pin();
        let layers: Vec<FrozenLayer<V>> =
            self.slots.iter().filter_map(|slot| slot.layer.load(&pin).clone()).collect();
        let mut usage = FrozenUsage { index: self.own_bytes(), ..FrozenUsage::default() };
        for part in layers.iter().map(FrozenLayer::memory_usage) {
            usage.keys += part.keys;
            usage.values += part.values;
            usage.index += part.index;
            usage.mapped += part.mapped;
        }
        let (tables, none) = (self.lock(&self.tables), SharedTables::default());
        let tables = tables.as_deref().unwrap_or(&none);
        usage.symbols = tables.heap_bytes_with(layers.iter().flat_map(FrozenLayer::decoders));
        usage
    }

    /// Returns the bytes of the manifest and of what finds a part.
    fn own_bytes(&self) -> usize {
        let named: usize = self.manifest.parts.iter().map(SetPart::heap_bytes).sum();
        let each = size_of::<SetPart>() + size_of::<u64>() + size_of::<Slot<V>>();
        let parts = self.count() * each + named;
        size_of::<Self>() + self.bytes.len() + self.router.heap_bytes() + parts
    }

    /// Passes a part to `read`, and opens it before if it is not open.
    #[inline]
    pub(super) fn with<R>(
        &self,
        part: usize,
        read: impl FnOnce(&FrozenLayer<V>) -> R,
    ) -> Result<R, SetError> {
        let slot = &self.slots[part];
        {
            let pin = reclaim::pin();
            if let Some(layer) = slot.layer.load(&pin) {
                if !slot.is_used.load(Relaxed) {
                    slot.is_used.store(true, Relaxed);
                }
                return Ok(read(layer));
            }
        }
        self.layer(part).map(|layer| read(&layer))
    }

    /// Returns a part, and opens it if it is not open.
    #[cold]
    pub(super) fn layer(&self, part: usize) -> Result<FrozenLayer<V>, SetError> {
        let slot = &self.slots[part];
        let current = || slot.layer.load(&reclaim::pin()).clone();
        slot.is_used.store(true, Relaxed);
        if let Some(layer) = current() {
            return Ok(layer);
        }
        let _opening = match rayon::current_thread_index() {
            None => self.lock(&slot.opening),
            Some(_) => slot.opening.try_lock(),
        };
        if let Some(layer) = current() {
            return Ok(layer);
        }
        let layer = self.read(part)?;
        let Some(mut clock) = self.lock(&self.clock) else { return Ok(layer) };
        if let Some(layer) = current() {
            return Ok(layer);
        }
        slot.layer.replace(Some(layer.clone()), &reclaim::pin());
        clock.open += 1;
        self.close_some(&mut clock, Some(part));
        Ok(layer)
    }

    /// Closes parts until no more than the limit are open, but never `kept`.
    fn close_some(&self, clock: &mut Clock, kept: Option<usize>) {
        let max_open = self.max_open.load(Relaxed);
        // Each part is passed twice at most: once to clear its mark, and once to close it.
        for _ in 0..2 * self.slots.len() {
            if clock.open <= max_open {
                return;
            }
            let at = clock.hand;
            clock.hand = (at + 1) % self.slots.len();
            let (slot, pin) = (&self.slots[at], reclaim::pin());
            if Some(at) != kept
                && slot.layer.load(&pin).is_some()
                && !slot.is_used.swap(false, Relaxed)
            {
                slot.layer.replace(None, &pin);
                clock.open -= 1;
            }
        }
    }

    /// Opens the file of a part, whether or not the part is open, and checks that it is the one
    /// that the manifest names.
    pub(super) fn read(&self, part: usize) -> Result<FrozenLayer<V>, SetError> {
        let part = &self.manifest.parts[part];
        let path = || self.dir.path_of(&part.path);
        let differs = |problem| SetError::Part { part: path(), problem };
        let file = self.dir.file(&part.path, Access::Read).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SetError::Missing { part: path() },
            _ => SetError::File(error),
        })?;
        let metadata = file.metadata().map_err(|error| FileError::new("read", path(), error))?;
        match metadata.len().cmp(&part.bytes) {
            Ordering::Less => return Err(differs("it is shorter")),
            Ordering::Equal => {}
            Ordering::Greater => return Err(differs("it is longer")),
        }
        let layer = match self.opening {
            Opening::Read => FrozenLayer::<V>::read(file, &path()),
            Opening::Mapped(unchanged) => FrozenLayer::map(&file, &path(), unchanged),
        };
        let mut layer = layer.map_err(|error| SetError::Layer { part: path(), error })?;
        if let Some(mut tables) = self.lock(&self.tables) {
            layer.share_symbols(&mut tables);
        }
        if layer.len() as u64 != part.keys {
            return Err(differs("it has another number of keys"));
        }
        let ends = [layer.key_of(0), layer.key_of(layer.len() - 1)];
        if ends.each_ref().map(Option::as_deref) != [Some(&*part.first), Some(&*part.last)] {
            return Err(differs("it has another range of keys"));
        }
        Ok(layer)
    }
}
