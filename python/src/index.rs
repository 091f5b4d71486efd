//! What the classes read: layers, sets of layers and maps, of any kind of values, with one
//! interface.
//!
//! [`Index`] is what they have in common; [`Ranked`] is what layers and sets have besides. Maps and
//! stores that change implement it in map.rs and store.rs.

use crate::errors::Error;
use crate::text::KeyRange;
use crate::value::{Field, Kind};
use fst::automaton::Automaton;
use memkv::{FrozenLayer, LayerSet, LevenshteinAutomaton, RegexAutomaton, SetPart, ValueKind};
use pyo3::prelude::*;
use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Takes a value, or that there is none.
pub(crate) type Found<'f> = &'f mut dyn FnMut(Option<Field<'_>>);
/// Takes a key and its value. Returns whether to go on.
pub(crate) type Take<'f> = &'f mut dyn FnMut(&[u8], Field<'_>) -> bool;

/// Most keys that are looked up at once. More are divided, so that the work of a thread is its own:
/// a set looks up fewer than 8,192 on the thread that asks.
pub(crate) const KEYS_PER_LOOKUP: usize = 4096;

/// An ordered map that is read.
pub(crate) trait Index: Send + Sync {
    /// Returns the number of keys.
    fn len(&self) -> u64;

    /// Returns the kind of the values.
    fn kind(&self) -> ValueKind;

    /// Passes the value of a key to `found`.
    fn get(&self, key: &[u8], found: Found<'_>) -> Result<()>;

    /// Returns whether a key is there.
    fn contains(&self, key: &[u8]) -> Result<bool>;

    /// Passes the values of at most [`KEYS_PER_LOOKUP`] keys to `found`, in order.
    fn get_many(&self, keys: &[&[u8]], found: Found<'_>) -> Result<()>;

    /// Passes the keys of a range and their values to `take`, ascending or descending, until it
    /// returns false.
    fn scan(&self, range: &KeyRange, is_reverse: bool, take: Take<'_>) -> Result<()>;

    /// Passes the length of the longest key that is a prefix of `key`, and its value, to `found`.
    fn longest_prefix(&self, key: &[u8], found: &mut dyn FnMut(usize, Field<'_>)) -> Result<()>;

    /// Returns this, if it has ranks.
    fn as_ranked(&self) -> Option<&dyn Ranked> {
        None
    }

    /// Returns this, if it can be changed.
    fn as_changing(&self) -> Option<&dyn Changing> {
        None
    }

    /// Returns this, if it is a set of layers.
    fn as_set(&self) -> Option<&dyn Set> {
        None
    }
}

/// What maps and stores have besides.
pub(crate) trait Changing: Index {
    /// Sets a value, and passes the one before to `old`. The value is of this kind.
    fn insert(&self, key: &[u8], value: Field<'_>, old: Found<'_>) -> Result<()>;

    /// Removes a key, and passes its value to `old`.
    fn remove(&self, key: &[u8], old: Found<'_>) -> Result<()>;

    /// Sets a value if the key is absent, and passes the value that the key has then to `now`.
    fn insert_absent(&self, key: &[u8], value: Field<'_>, now: Found<'_>) -> Result<()>;

    /// Removes the first key, or the last, and passes it to `take`.
    fn pop(&self, is_last: bool, take: Take<'_>) -> Result<()>;

    /// Removes all keys.
    fn clear(&self) -> Result<()>;

    /// Removes the keys of a range. Returns how many they were.
    fn remove_range(&self, range: &KeyRange) -> Result<u64>;

    /// Returns a copy, if it has any.
    fn copied(&self) -> Option<Arc<dyn Index>>;

    /// Returns whether a change may wait for a disk.
    fn waits(&self) -> bool {
        false
    }

    /// Returns the bytes of memory.
    fn memory_bytes(&self) -> usize;
}

/// What files have besides.
pub(crate) trait Ranked: Index {
    /// Returns the number of keys that are less.
    fn rank(&self, key: &[u8]) -> Result<u64>;

    /// Passes the key of a rank and its value to `take`, if there is one.
    fn select(&self, rank: u64, take: Take<'_>) -> Result<()>;

    /// Passes the keys of a range that match, in order, to `take`, until it returns false.
    fn search(&self, pattern: &Pattern, range: &KeyRange, take: Take<'_>) -> Result<()>;

    /// Reads everything and checks it.
    fn verify(&self) -> Result<()>;
}

/// What sets have besides.
pub(crate) trait Set {
    fn parts(&self) -> &[SetPart];
    fn duplicates(&self) -> u64;
    fn route(&self, key: &[u8]) -> Option<usize>;
    fn vacuum(&self, older_than: Duration) -> Result<Vec<PathBuf>>;
    fn open_parts(&self) -> usize;
    fn limit_open_parts(&self, parts: usize);
    /// Returns the set as it is in its folder now, or `None` if it has not changed.
    fn refreshed(&self) -> Result<Option<Arc<dyn Index>>>;
}

impl<V: Kind + ?Sized> Index for FrozenLayer<V> {
    fn len(&self) -> u64 {
        self.len() as u64
    }

    fn kind(&self) -> ValueKind {
        V::KIND
    }

    fn get(&self, key: &[u8], found: Found<'_>) -> Result<()> {
        found(self.get(key).as_ref().map(|value| V::field(V::lent(value))));
        Ok(())
    }

    fn contains(&self, key: &[u8]) -> Result<bool> {
        Ok(self.contains_key(key))
    }

    fn get_many(&self, keys: &[&[u8]], found: Found<'_>) -> Result<()> {
        self.get_many_with(keys, |value| found(value.map(V::field)));
        Ok(())
    }

    fn scan(&self, range: &KeyRange, is_reverse: bool, take: Take<'_>) -> Result<()> {
        let mut keys = self.range::<[u8], _>(range.bounds());
        while let Some((key, value)) =
            if is_reverse { keys.next_back_ref() } else { keys.next_ref() }
            && take(key, V::field(value))
        {}
        Ok(())
    }

    fn longest_prefix(&self, key: &[u8], found: &mut dyn FnMut(usize, Field<'_>)) -> Result<()> {
        if let Some((prefix, value)) = self.get_longest_prefix(key) {
            found(prefix.len(), V::field(V::lent(&value)));
        }
        Ok(())
    }

    fn as_ranked(&self) -> Option<&dyn Ranked> {
        Some(self)
    }
}

impl<V: Kind + ?Sized> Ranked for FrozenLayer<V> {
    fn rank(&self, key: &[u8]) -> Result<u64> {
        Ok(self.rank(key) as u64)
    }

    fn select(&self, rank: u64, take: Take<'_>) -> Result<()> {
        if let Some((key, value)) = usize::try_from(rank).ok().and_then(|rank| self.select(rank)) {
            take(&key, V::field(V::lent(&value)));
        }
        Ok(())
    }

    fn search(&self, pattern: &Pattern, range: &KeyRange, take: Take<'_>) -> Result<()> {
        pattern.run(SearchOf { index: self, range, take })
    }

    fn verify(&self) -> Result<()> {
        Ok(self.verify()?)
    }
}

impl<V: Kind<Owned: Send> + ?Sized> Index for LayerSet<V> {
    fn len(&self) -> u64 {
        self.len()
    }

    fn kind(&self) -> ValueKind {
        V::KIND
    }

    fn get(&self, key: &[u8], found: Found<'_>) -> Result<()> {
        found(self.get(key)?.as_ref().map(|value| V::field(V::lent(value))));
        Ok(())
    }

    fn contains(&self, key: &[u8]) -> Result<bool> {
        Ok(self.contains_key(key)?)
    }

    fn get_many(&self, keys: &[&[u8]], found: Found<'_>) -> Result<()> {
        for value in self.get_many(keys)? {
            found(value.as_ref().map(|value| V::field(V::lent(value))));
        }
        Ok(())
    }

    fn scan(&self, range: &KeyRange, is_reverse: bool, take: Take<'_>) -> Result<()> {
        let mut keys = self.range::<[u8], _>(range.bounds());
        while let Some(record) = if is_reverse { keys.next_back_ref() } else { keys.next_ref() } {
            let (key, value) = record?;
            if !take(key, V::field(value)) {
                break;
            }
        }
        Ok(())
    }

    fn longest_prefix(&self, key: &[u8], found: &mut dyn FnMut(usize, Field<'_>)) -> Result<()> {
        if let Some((prefix, value)) = self.get_longest_prefix(key)? {
            found(prefix.len(), V::field(V::lent(&value)));
        }
        Ok(())
    }

    fn as_ranked(&self) -> Option<&dyn Ranked> {
        Some(self)
    }

    fn as_set(&self) -> Option<&dyn Set> {
        Some(self)
    }
}

impl<V: Kind<Owned: Send> + ?Sized> Ranked for LayerSet<V> {
    fn rank(&self, key: &[u8]) -> Result<u64> {
        Ok(self.rank(key)?)
    }

    fn select(&self, rank: u64, take: Take<'_>) -> Result<()> {
        if let Some((key, value)) = self.select(rank)? {
            take(&key, V::field(V::lent(&value)));
        }
        Ok(())
    }

    fn search(&self, pattern: &Pattern, range: &KeyRange, take: Take<'_>) -> Result<()> {
        pattern.run(SearchOf { index: self, range, take })
    }

    fn verify(&self) -> Result<()> {
        Ok(self.verify()?)
    }
}

impl<V: Kind<Owned: Send> + ?Sized> Set for LayerSet<V> {
    fn parts(&self) -> &[SetPart] {
        self.parts()
    }

    fn duplicates(&self) -> u64 {
        self.duplicates()
    }

    fn route(&self, key: &[u8]) -> Option<usize> {
        self.route(key)
    }

    fn vacuum(&self, older_than: Duration) -> Result<Vec<PathBuf>> {
        Ok(self.vacuum(older_than)?)
    }

    fn open_parts(&self) -> usize {
        self.open_parts()
    }

    fn limit_open_parts(&self, parts: usize) {
        self.limit_open_parts(parts);
    }

    fn refreshed(&self) -> Result<Option<Arc<dyn Index>>> {
        let mut set = self.clone();
        Ok(if set.refresh()? { Some(Arc::new(set)) } else { None })
    }
}

/// What a search matches.
pub(crate) enum Pattern {
    Regex(Box<RegexAutomaton>),
    /// Strings within an edit distance.
    Fuzzy(Box<LevenshteinAutomaton>),
}

impl Pattern {
    fn run(&self, search: impl Search) -> Result<()> {
        let interrupt = Interrupt::default();
        match self {
            Pattern::Regex(automaton) => search.run(&Interruptible(&**automaton, &interrupt))?,
            Pattern::Fuzzy(automaton) => search.run(&Interruptible(&**automaton, &interrupt))?,
        }
        interrupt.signal.into_inner().map_or(Ok(()), |signal| Err(signal.into()))
    }
}

/// A search, for an automaton of any type.
trait Search {
    fn run(self, automaton: &impl Automaton) -> Result<()>;
}

/// A search of an index.
struct SearchOf<'s, I: ?Sized> {
    index: &'s I,
    range: &'s KeyRange,
    take: Take<'s>,
}

impl<V: Kind + ?Sized> Search for SearchOf<'_, FrozenLayer<V>> {
    fn run(self, automaton: &impl Automaton) -> Result<()> {
        let mut matches = self.index.search_range::<_, [u8], _>(automaton, self.range.bounds());
        while let Some((key, value)) = matches.next_ref()
            && (self.take)(key, V::field(value))
        {}
        Ok(())
    }
}

impl<V: Kind<Owned: Send> + ?Sized> Search for SearchOf<'_, LayerSet<V>> {
    fn run(self, automaton: &impl Automaton) -> Result<()> {
        let mut matches = self.index.search_range::<_, [u8], _>(automaton, self.range.bounds());
        while let Some(record) = matches.next_ref() {
            let (key, value) = record?;
            if !(self.take)(key, V::field(value)) {
                break;
            }
        }
        Ok(())
    }
}

/// Bytes that an automaton reads between two looks at Python's signals: some milliseconds.
const BYTES_PER_LOOK: u32 = 1 << 18;

/// The signal that ends a search, such as that of Ctrl-C.
#[derive(Default)]
struct Interrupt {
    bytes: Cell<u32>,
    signal: RefCell<Option<PyErr>>,
}

/// An automaton that matches nothing any more after a signal.
struct Interruptible<'a, A>(&'a A, &'a Interrupt);

impl<A: Automaton> Automaton for Interruptible<'_, A> {
    type State = A::State;

    fn start(&self) -> A::State {
        self.0.start()
    }

    fn is_match(&self, state: &A::State) -> bool {
        self.0.is_match(state)
    }

    fn can_match(&self, state: &A::State) -> bool {
        self.0.can_match(state) && self.1.signal.borrow().is_none()
    }

    fn will_always_match(&self, state: &A::State) -> bool {
        self.0.will_always_match(state)
    }

    fn accept(&self, state: &A::State, byte: u8) -> A::State {
        let bytes = self.1.bytes.get() + 1;
        self.1.bytes.set(bytes % BYTES_PER_LOOK);
        if bytes == BYTES_PER_LOOK {
            let signal = Python::attach(|py| py.check_signals());
            *self.1.signal.borrow_mut() = signal.err();
        }
        self.0.accept(state, byte)
    }

    fn accept_eof(&self, state: &A::State) -> Option<A::State> {
        self.0.accept_eof(state)
    }
}
