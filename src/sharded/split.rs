//! Splitting a shard while others use it, and what else replaces the table.
//!
//! ```text
//!              ┌──────────────────────┐        ┌──────┬───────────────┐        ┌──────────────┬───────┐
//!   old table  │ old: [a, b)          │  step  │ new  │ old: [c, b)   │  step  │ new: [a, c') │ old   │  …
//!              └──────────────────────┘   ──▶  └──────┴───────────────┘   ──▶  └──────────────┴───────┘
//! ```
//! A step closes the old shard's gate, copies its first keys behind those of the new one, replaces the table, which so moves the boundary over the
//! copied keys, and removes them from the old shard. Writers of that shard wait for a step, some hundred microseconds; all others, and all
//! readers, wait for nothing.
//!
//! * A writer is inside the gate when it looks whether the table is still the one that led it there. If so, no step of its shard has begun since, and
//!   none begins before it leaves. If not, it is led anew.
//! * A reader reads a tree, and then looks whether the table is still the one that led it. If so, no step's removals had begun before: what it read was
//!   current. If not, it reads anew. What a removal leaves is published after the table, so who has seen the one sees the other.
//! * Trees hold keys outside their part only during a step: the new one behind its part before the table is replaced, the old one before its
//!   part after it. Nobody is led there.
//!
//! One thread at a time replaces the table: the one that holds `admin`.

#![forbid(unsafe_code)]

use super::ShardedArt;
use super::scan::Run;
use super::table::{Shard, Table, separator};
use crate::error::{InsertError, fail};
use crate::reclaim::{self, Pin};
use crate::sync::RwLockWriteGuard;
use crate::sync::deferred::{LockScope, ScopedGuard};
use crate::tree::{Expected, RawTree};
use crate::value::{Bits, Value};
#[cfg(not(loom))]
use std::cell::Cell;
use std::ops::Bound;
use std::sync::Arc;

/// Keys moved in one step.
const STEP: usize = if cfg!(loom) { 2 } else { 128 };
/// Writes of a thread between two looks at how the shards have grown.
#[cfg(not(loom))]
const WRITES: u32 = 256;
/// Steps that a thread makes then: four keys for each write, so that a split is done before its shard has grown by an eighth.
#[cfg(not(loom))]
const STEPS: usize = 8;
/// Keys that a map has for each shard it strives for, at least, before one is split unasked.
const LEAST: usize = 1024;
/// As many where there are as many shards already: while a map is small, some are ahead of others only for a while.
const LEAST_MORE: usize = 16 << 10;

/// What whoever replaces the table has to itself.
pub(super) struct Admin<B: Bits> {
    /// The split under way, of which writers make steps.
    split: Option<Split<B>>,
}

impl<B: Bits> Admin<B> {
    pub(super) fn new() -> Self {
        Admin { split: None }
    }
}

/// A split under way. If the two shards are not neighbours any more, it has ended.
struct Split<B: Bits> {
    old: Arc<Shard<B>>,
    new: Arc<Shard<B>>,
    until: Until,
    begun: bool,
}

/// Where a split ends.
enum Until {
    /// The boundary is this key.
    PinnedTree(Vec<u8>),
    /// The new shard has as many keys, or as many as the old one.
    Has(usize),
}

impl<B: Bits> Split<B> {
    fn of(old: &Arc<Shard<B>>, until: Until) -> Self {
        Split { old: Arc::clone(old), new: Shard::new(RawTree::new()), until, begun: false }
    }
}

#[cfg(not(loom))]
thread_local! {
    /// Writes of this thread until it looks how the shards have grown.
    static LEFT: Cell<u32> = const { Cell::new(WRITES) };
}

impl<V: Value> ShardedArt<V> {
    /// Waits to be the one that changes the table.
    pub(super) fn admin(&self) -> ScopedGuard<RwLockWriteGuard<'_, Admin<V::Bits>>> {
        ScopedGuard::new(|| self.admin.write())
    }

    /// Moves some keys. False when the split has ended.
    fn step(&self, split: &mut Split<V::Bits>) -> Result<bool, InsertError> {
        let Split { old, new, until, begun } = split;
        let (at, most) = match until {
            Until::PinnedTree(key) => (Some(&key[..]), STEP),
            Until::Has(count) => (None, STEP.min(count.saturating_sub(new.tree.len()))),
        };
        let pin = reclaim::pin_to_write();
        let _closed = (!mutant!(ShardNotLocked)).then(|| old.gate.lock_all());
        let table = self.table.load(&pin);
        let Some(i) = table.position(old) else { return Ok(false) };
        if most == 0 || *begun && (i == 0 || !Arc::ptr_eq(table.shard(i - 1), new)) {
            return Ok(false);
        }
        // Until the table says otherwise, who asks for a key that is copied there asks the old shard; so nobody may pop it.
        let _first =
            (*begun && i == 1 && !mutant!(FirstShardNotLocked)).then(|| new.gate.lock_all());
        let low = table.low(i);
        if at.is_some_and(|at| at <= &low[..] || table.high(i).is_some_and(|high| high <= at)) {
            return Ok(false);
        }
        let mut run = Run::new();
        let behind = run.read(table, i, Bound::Included(low), at, most);
        let bound: Arc<[u8]> = match (&behind, at) {
            (Some(key), _) => separator(run.get(run.len() - 1).0, key),
            (None, Some(at)) => at.into(),
            (None, None) => return Ok(false),
        };
        copy(&run, new, &pin)?;
        if mutant!(RemovedFirst) {
            remove(&run, 0..run.len(), old, &pin);
        }
        let behind_bound = (Arc::clone(&bound), Arc::clone(old));
        self.table.replace(
            if *begun {
                table.with(i..i + 1, [behind_bound])
            } else {
                table.with(i..i + 1, [(Arc::clone(low), Arc::clone(new)), behind_bound])
            },
            &pin,
        );
        *begun = true;
        remove(&run, 0..run.len(), old, &pin);
        Ok(behind.is_some()
            && match until {
                Until::PinnedTree(_) => true,
                Until::Has(count) => new.tree.len() < old.tree.len().min(*count),
            })
    }

    /// Splits the shard that has `key`, so that one of the two begins with it. False if one does already. Others use the map meanwhile; who writes
    /// to that shard waits for some hundred microseconds at a time. O(keys of the shard before `key`).
    ///
    /// # Errors
    /// There is no memory. What was moved until then stays so; the map has all its keys.
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
    /// assert_eq!(map.split("b"), Ok(true));
    /// assert!(map.shards().iter().map(|shard| shard.len).eq([1, 2]));
    /// assert_eq!(map.get("c"), Some(3));
    /// ```
    pub fn split(&self, key: impl AsRef<[u8]>) -> Result<bool, InsertError> {
        let key = key.as_ref();
        if key.len() > crate::MAX_KEY_LEN {
            return Err(InsertError::KeyTooLong { len: key.len() });
        }
        let _admin = self.admin();
        let mut split = {
            let pin = reclaim::pin();
            let table = self.table.load(&pin);
            Split::of(table.shard(table.route(key)), Until::PinnedTree(key.to_vec()))
        };
        while self.step(&mut split)? {}
        Ok(split.begun)
    }

    /// Splits shards that have grown far beyond their share, until there are none: as writers do a little at a time. O(keys moved).
    ///
    /// The share of a shard is what it would have if there were as many as asked for at the beginning, with the same number of keys. Where there
    /// are fewer shards, one that has half as much again is split from 1024 keys a share on; where there are as many, and fewer than twice as many, one
    /// that has twice its share, from 16,384 on. It gives a share away, so that most keys move once.
    ///
    /// # Errors
    /// There is no memory, as in [`split`](Self::split).
    ///
    /// ```
    /// use memkv::{ConcurrentArt, ShardedArt};
    ///
    /// let map: ConcurrentArt = (0..100_000u64).map(|i| (i.to_be_bytes(), i)).collect();
    /// let map = ShardedArt::from(map);
    /// map.rebalance()?;
    /// assert!(map.shards().len() > 10);
    /// # Ok::<(), memkv::InsertError>(())
    /// ```
    pub fn rebalance(&self) -> Result<(), InsertError> {
        while self.advance(&mut self.admin())? {}
        Ok(())
    }

    /// Makes a step of the split under way, or begins one where a shard has outgrown the others. False if there is nothing to do.
    fn advance(&self, admin: &mut Admin<V::Bits>) -> Result<bool, InsertError> {
        let mut split = match admin.split.take() {
            Some(split) => split,
            None => match self.overgrown() {
                Some(split) => split,
                None => return Ok(false),
            },
        };
        // Without memory the split has ended.
        if self.step(&mut split)? {
            admin.split = Some(split);
        }
        Ok(true)
    }

    fn overgrown(&self) -> Option<Split<V::Bits>> {
        let pin = reclaim::pin();
        let table = self.table.load(&pin);
        let lens = || table.parts().iter().map(|(_, shard)| shard.tree.len());
        let (i, most) = lens().enumerate().max_by_key(|&(_, len)| len)?;
        let share = lens().sum::<usize>() / self.target;
        let (least, limit) = if table.len() < self.target {
            (LEAST, share + share / 2)
        } else {
            (LEAST_MORE, 2 * share)
        };
        let grown = share >= least && table.len() < 2 * self.target && most > limit;
        grown.then(|| Split::of(table.shard(i), Until::Has(share.min(most / 2))))
    }

    /// Counts a write, and now and then moves some keys out of a shard that has outgrown the others.
    #[inline]
    #[cfg(not(loom))]
    pub(super) fn wrote(&self) {
        let left = LEFT.get();
        LEFT.set(left.wrapping_sub(1));
        if left == 0 {
            self.tend();
        }
    }

    /// Models choose what happens.
    #[cfg(loom)]
    pub(super) fn wrote(&self) {}

    #[cfg(not(loom))]
    #[cold]
    fn tend(&self) {
        LEFT.set(WRITES);
        let _locking = LockScope::new();
        if let Some(mut admin) = self.admin.try_write() {
            for _ in 0..STEPS {
                // Without memory for it the shard stays as it is.
                if !self.advance(&mut admin).unwrap_or(false) {
                    break;
                }
            }
        }
    }

    /// Removes the least key, or the greatest.
    pub(super) fn pop_under(&self, pin: &Pin, last: bool) -> Option<(Vec<u8>, V)> {
        let mut key = Vec::new();
        self.pop_bits(pin, last, &mut key).map(|bits| (key, V::from_bits(bits)))
    }

    fn pop_bits(&self, pin: &Pin, last: bool, key: &mut Vec<u8>) -> Option<V::Bits> {
        loop {
            let table = self.table.load(pin);
            let shard = table.shard(if last { table.len() - 1 } else { 0 });
            let _inside = shard.gate.read();
            if !self.table.is_current(table, pin) && !mutant!(WriterNotChecked) {
                continue;
            }
            // Whoever would put another shard at this end has to close the gate.
            match shard.tree.pop(pin, last, key).unwrap_or_else(|error| fail(error)) {
                Some(bits) => return Some(bits),
                None if table.len() == 1 => return None,
                None => break,
            }
        }
        self.pop_cold(pin, last, key)
    }

    /// [`pop_bits`](Self::pop_bits) where the shard at the end is empty: the one beside it takes its place.
    #[cold]
    fn pop_cold(&self, pin: &Pin, last: bool, key: &mut Vec<u8>) -> Option<V::Bits> {
        let _admin = self.admin();
        loop {
            let table = self.table.load(pin);
            let n = table.len();
            let shard = table.shard(if last { n - 1 } else { 0 });
            let _closed = shard.gate.lock_all();
            if let Some(bits) = shard.tree.pop(pin, last, key).unwrap_or_else(|error| fail(error)) {
                return Some(bits);
            }
            if n == 1 {
                return None;
            }
            // A table's first boundary is the empty key.
            let end = if last { n - 1 } else { 0 };
            self.table.replace(table.with(end..end + 1, []), pin);
        }
    }

    /// Replaces every shard by an empty one, at one moment.
    pub(super) fn clear_all(&self) {
        let _admin = self.admin();
        let pin = reclaim::pin_to_write();
        let table = self.table.load(&pin);
        let _closed: Vec<_> =
            table.parts().iter().map(|(_, shard)| shard.gate.lock_all()).collect();
        if mutant!(ClearedOneByOne) {
            table.parts().iter().rev().for_each(|(_, shard)| _ = shard.tree.clear(&pin, |_| ()));
        }
        let parts =
            table.parts().iter().map(|(low, _)| (Arc::clone(low), Shard::new(RawTree::new())));
        self.table.replace(Table::new(parts.collect()), &pin);
    }
}

/// Copies a run behind the other keys of a shard: all of it, or nothing.
fn copy<B: Bits>(run: &Run<B>, to: &Shard<B>, pin: &Pin) -> Result<(), InsertError> {
    for i in 0..run.len() {
        let (key, value) = run.get(i);
        if let Err(error) = to.tree.change(pin, key, Expected::Any, Some(value)) {
            remove(run, 0..i, to, pin);
            return Err(error);
        }
    }
    Ok(())
}

/// Removes a part of a run from a shard. There must be memory for it, or keys would come back when the boundary moves.
fn remove<B: Bits>(run: &Run<B>, range: std::ops::Range<usize>, from: &Shard<B>, pin: &Pin) {
    for i in range {
        if let Err(error) = from.tree.change(pin, run.get(i).0, Expected::Any, None) {
            fail(error);
        }
    }
}
