//! Splitting and joining shards while other threads use them, and the other changes that replace
//! the shard table. When that is done, `balance` decides.
//!
//! ```text
//!              ┌────────────────┐      ┌──────┬─────────────┐      ┌────────────┬──────┐
//!   old table  │ old: [a, b)    │ step │ new  │ old: [c, b) │ step │ new: [a, d)│ old  │ …
//!              └────────────────┘  ──▶ └──────┴─────────────┘  ──▶ └────────────┴──────┘
//! ```
//!
//! A step locks all stripes of the old shard, and copies its first keys to the end of the new one.
//! It then replaces the table, which moves the boundary past the copied keys, and removes them from
//! the old shard. Writers of that shard wait for a step, some hundred microseconds. All other
//! writers, and all readers, wait for nothing.
//!
//! A join is the same: the keys of a shard are moved to the one before it, until none is left. The
//! last step takes the entry out of the table instead of moving the boundary. It removes nothing:
//! the tree is in no table any more, and is freed with the last table that has it.
//!
//! An empty shard is added after the last key of another in one step, which moves nothing. It locks
//! all stripes of that shard, reads its last key, and replaces the table by one in which the new
//! shard begins just after it. A writer that inserts a greater key has either done so before, and
//! the boundary is greater, too; or it is routed again. A reader needs no more than it does beside
//! a split.
//!
//! * A writer checks the table after it has locked its stripe. If the table is still the one that
//!   routed it, no step of its shard has begun since, and none begins before it unlocks. Otherwise
//!   it is routed again.
//! * A reader reads a tree, and then checks the table. If it is still the one that routed it, no
//!   step's removals had begun before, so it read a current state. Otherwise it reads again. A
//!   removal is published after the table, so a thread that has read the removal reads the new
//!   table.
//! * Trees hold keys outside their range only during a step: the new one after its range until the
//!   table is replaced, the old one before its range afterwards. No thread is routed there.
//!
//! One thread at a time replaces the table: the one that holds the lock `admin`.

#![forbid(unsafe_code)]

use super::ShardedArt;
use super::split_state::{Admin, Transfer, Until};
use super::table::{Shard, Table, separator};
use crate::MAX_KEY_LEN;
use crate::error::{InsertError, or_fail};
use crate::reclaim::{self, Pin};
use crate::sync::RwLockWriteGuard;
use crate::sync::deferred::ScopedGuard;
use crate::tree::{Expected, Scan};
use crate::value::{Bits, Value};
use std::ops::Bound;
use std::sync::Arc;

/// The keys that one step of a split or join moves.
const KEYS_PER_STEP: usize = if cfg!(memkv_loom) { 2 } else { 128 };
/// The shards of a map for which a step moves one key more. A step replaces the table, which takes
/// O(shards), so that with a fixed number of keys a split of each shard would take O(shards²).
const SHARDS_PER_KEY: usize = 8;

/// Returns the keys that one step moves in a map of `shards` shards.
pub(super) fn keys_per_step(shards: usize) -> usize {
    KEYS_PER_STEP.max(shards / SHARDS_PER_KEY)
}

impl<V: Value> ShardedArt<V> {
    /// Locks the right to replace the table.
    pub(super) fn admin(&self) -> ScopedGuard<RwLockWriteGuard<'_, Admin<V::Bits>>> {
        ScopedGuard::new(|| self.admin.write())
    }

    /// Moves some keys, and returns `false` when the transfer has ended.
    pub(super) fn step(&self, transfer: &mut Transfer<V::Bits>) -> Result<bool, InsertError> {
        let Transfer { old, new, until, begun } = transfer;
        let pin = reclaim::pin_to_write();
        let _locked = (!mutant!(ShardNotLocked)).then(|| old.lock.lock_all());
        let table = self.table.load(&pin);
        let max_keys = keys_per_step(table.len());
        let (at, max_keys) = match until {
            Until::Boundary(key) => (Some(&key[..]), max_keys),
            Until::Keys(count) => (None, max_keys.min(count.saturating_sub(new.tree.len()))),
            Until::Joined => (None, max_keys),
        };
        let Some(i) = table.position(old) else { return Ok(false) };
        if max_keys == 0 || *begun && (i == 0 || !Arc::ptr_eq(table.shard(i - 1), new)) {
            return Ok(false);
        }
        // A copied key belongs to the old shard until the table is replaced, so no thread may pop
        // it from the new one.
        let _locked_first =
            (*begun && i == 1 && !mutant!(FirstShardNotLocked)).then(|| new.lock.lock_all());
        let low = table.low(i);
        if at.is_some_and(|at| at <= &low[..] || table.high(i).is_some_and(|high| high <= at)) {
            return Ok(false);
        }
        let (moved, next) = first_pairs(old, low, at, max_keys);
        // Without a boundary the old shard ends.
        let bound: Option<Arc<[u8]>> = match (&next, &*until, moved.last()) {
            (Some(key), _, Some((last, _))) => Some(separator(last, key)),
            (None, Until::Boundary(at), _) => Some(at[..].into()),
            (None, Until::Joined, _) => None,
            _ => return Ok(false),
        };
        let replace = |bound: &Option<Arc<[u8]>>| {
            let rest = bound.as_ref().map(|bound| (Arc::clone(bound), Arc::clone(old)));
            let first = (!*begun).then(|| (Arc::clone(low), Arc::clone(new)));
            self.table.replace(table.with(i..i + 1, first.into_iter().chain(rest)), &pin);
        };
        if mutant!(JoinedBeforeCopied) {
            replace(&bound);
        }
        copy(&moved, new, &pin)?;
        if mutant!(RemovedFirst) {
            remove(&moved, old, &pin);
        }
        if !mutant!(JoinedBeforeCopied) {
            replace(&bound);
        }
        *begun = true;
        if bound.is_none() {
            return Ok(false);
        }
        remove(&moved, old, &pin);
        Ok(next.is_some()
            && match until {
                Until::Boundary(_) | Until::Joined => true,
                Until::Keys(count) => new.tree.len() < old.tree.len().min(*count),
            })
    }

    /// Adds an empty shard for the keys after the last one of `old`. Returns `false` if there can
    /// be none.
    pub(super) fn add_after(&self, old: &Arc<Shard<V::Bits>>) -> bool {
        let pin = reclaim::pin_to_write();
        let read_early = mutant!(LastKeyReadEarly).then(|| after_last(old));
        let _locked = (!mutant!(ShardNotLocked)).then(|| old.lock.lock_all());
        let table = self.table.load(&pin);
        let Some(i) = table.position(old) else { return false };
        let Some(bound) = read_early.unwrap_or_else(|| after_last(old)) else { return false };
        if table.high(i).is_some_and(|high| high <= &bound[..]) {
            return false;
        }
        let added = (bound.into(), Shard::empty_like(old));
        self.table.replace(table.with(i + 1..i + 1, [added]), &pin);
        true
    }

    /// Splits the shard of `key`, so that a shard begins with it. Returns `false` if one already
    /// did.
    ///
    /// Other threads may use the map while it runs. Writers of that shard wait for some hundred
    /// microseconds at a time.
    ///
    /// # Errors
    /// Returns an error when out of memory. The keys that were moved stay in the new shard; the map
    /// has all its keys.
    ///
    /// # Complexity
    /// O(keys of the shard before `key`).
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2), ("c", 3)]);
    /// assert_eq!(map.split("b"), Ok(true));
    /// assert!(map.shards().iter().map(|shard| shard.len).eq([1, 2]));
    /// assert_eq!(map.get("c"), Some(3));
    /// ```
    pub fn split(&self, key: impl AsRef<[u8]>) -> Result<bool, InsertError> {
        let key = key.as_ref();
        if key.len() > MAX_KEY_LEN {
            return Err(InsertError::KeyTooLong { len: key.len() });
        }
        let _admin = self.admin();
        let mut split = {
            let pin = reclaim::pin();
            let table = self.table.load(&pin);
            Transfer::split(table.shard(table.route(key)), Until::Boundary(key.to_vec()))
        };
        while self.step(&mut split)? {}
        Ok(split.begun)
    }

    /// Joins the shard of `key` with the one before it. Returns `false` if there is none. For
    /// tests: writers join shards by themselves.
    ///
    /// # Errors
    /// Returns an error when out of memory, as [`split`](Self::split) does.
    #[doc(hidden)]
    pub fn join(&self, key: impl AsRef<[u8]>) -> Result<bool, InsertError> {
        let _admin = self.admin();
        let mut join = {
            let pin = reclaim::pin();
            let table = self.table.load(&pin);
            let Some(before) = table.route(key.as_ref()).checked_sub(1) else { return Ok(false) };
            Transfer::join(table.shard(before), table.shard(before + 1))
        };
        while self.step(&mut join)? {}
        Ok(true)
    }

    /// Adds an empty shard after the last key of the shard of `key`. Returns `false` if there can
    /// be none. For tests: writers add shards by themselves.
    #[doc(hidden)]
    pub fn add_shard(&self, key: impl AsRef<[u8]>) -> bool {
        let _admin = self.admin();
        let old = {
            let pin = reclaim::pin();
            let table = self.table.load(&pin);
            Arc::clone(table.shard(table.route(key.as_ref())))
        };
        self.add_after(&old)
    }

    /// Removes and returns the least key, or the greatest.
    pub(super) fn pop(&self, last: bool) -> Option<(Vec<u8>, V)> {
        let mut key = Vec::new();
        let bits = self.pop_bits(&reclaim::pin_to_write(), last, &mut key)?;
        Some((key, V::from_bits(bits)))
    }

    fn pop_bits(&self, pin: &Pin, last: bool, key: &mut Vec<u8>) -> Option<V::Bits> {
        loop {
            let table = self.table.load(pin);
            let shard = table.shard(if last { table.len() - 1 } else { 0 });
            let _writing = shard.lock.read();
            if !self.table.is_current(table, pin) && !mutant!(WriterNotChecked) {
                continue;
            }
            // A thread that puts another shard at this end must lock all stripes first.
            match or_fail(shard.tree.pop(pin, last, key)) {
                Some(bits) => return Some(bits),
                None if table.len() == 1 => return None,
                None => break,
            }
        }
        self.pop_cold(pin, last, key)
    }

    /// Removes an empty shard at the end of the map, and pops from the one beside it.
    #[cold]
    fn pop_cold(&self, pin: &Pin, last: bool, key: &mut Vec<u8>) -> Option<V::Bits> {
        let _admin = (!mutant!(AdminNotLocked)).then(|| self.admin());
        loop {
            let table = self.table.load(pin);
            let n = table.len();
            let shard = table.shard(if last { n - 1 } else { 0 });
            let _locked = (!mutant!(EndShardNotLocked)).then(|| shard.lock.lock_all());
            if let Some(bits) = or_fail(shard.tree.pop(pin, last, key)) {
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

    /// Replaces every shard by an empty one, as one atomic step.
    pub(super) fn clear_all(&self) {
        let _admin = self.admin();
        let pin = reclaim::pin_to_write();
        let table = self.table.load(&pin);
        let _locked = table.lock_all();
        if mutant!(ClearedOneByOne) {
            table.parts().iter().rev().for_each(|(_, shard)| _ = shard.tree.clear(&pin, |_| ()));
        }
        let parts =
            table.parts().iter().map(|(low, old)| (Arc::clone(low), Shard::empty_like(old)));
        self.table.replace(Table::new(parts.collect()), &pin);
    }
}

/// Keys and their values.
type Pairs<B> = Vec<(Vec<u8>, B)>;

/// Returns up to `max_keys` pairs of a shard from `low` on, below `end`, and the next key if there
/// are more.
fn first_pairs<B: Bits>(
    shard: &Shard<B>,
    low: &[u8],
    end: Option<&[u8]>,
    max_keys: usize,
) -> (Pairs<B>, Option<Vec<u8>>) {
    let (mut pairs, mut scan) = (Vec::new(), Scan::new());
    scan.seek(low, false);
    let limit = end.map_or(Bound::Unbounded, Bound::Excluded);
    while let Some((key, value)) = scan.step(&mut &shard.tree, false, limit) {
        if pairs.len() == max_keys {
            return (pairs, Some(key.to_vec()));
        }
        pairs.push((key.to_vec(), value));
    }
    (pairs, None)
}

/// Returns the least string that is greater than all keys of a shard.
///
/// `None` if it has no key, or the string would be longer than keys may be.
pub(super) fn after_last<B: Bits>(shard: &Shard<B>) -> Option<Vec<u8>> {
    let mut last = end_key(shard, true)?;
    last.push(0);
    (last.len() <= MAX_KEY_LEN).then_some(last)
}

/// Returns the first key of a shard, or the last.
pub(super) fn end_key<B: Bits>(shard: &Shard<B>, last: bool) -> Option<Vec<u8>> {
    let mut scan = Scan::new();
    if last {
        scan.seek_end();
    }
    scan.step(&mut &shard.tree, last, Bound::Unbounded).map(|(key, _)| key.to_vec())
}

/// Appends pairs to the keys of a shard: all of them, or none.
fn copy<B: Bits>(pairs: &[(Vec<u8>, B)], to: &Shard<B>, pin: &Pin) -> Result<(), InsertError> {
    for (i, (key, value)) in pairs.iter().enumerate() {
        if let Err(error) = to.tree.change(pin, key, Expected::Any, Some(*value)) {
            remove(&pairs[..i], to, pin);
            return Err(error);
        }
    }
    Ok(())
}

/// Removes keys from a shard.
///
/// Aborts when out of memory: keys that stayed would reappear when the boundary moves.
fn remove<B: Bits>(pairs: &[(Vec<u8>, B)], from: &Shard<B>, pin: &Pin) {
    for (key, _) in pairs {
        or_fail(from.tree.change(pin, key, Expected::Any, None));
    }
}
