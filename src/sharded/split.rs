//! Splitting a shard while other threads use it, and the other changes that replace the shard
//! table.
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
use super::split_state::{Admin, Split, Until};
use super::table::{Shard, Table, separator};
use crate::error::{InsertError, or_fail};
use crate::reclaim::{self, Pin};
use crate::sync::RwLockWriteGuard;
#[cfg(not(memkv_loom))]
use crate::sync::deferred::LockScope;
use crate::sync::deferred::ScopedGuard;
use crate::tree::{Expected, RawTree, Scan};
use crate::value::{Bits, Value};
#[cfg(not(memkv_loom))]
use std::cell::Cell;
use std::ops::Bound;
use std::sync::Arc;

/// The keys that one step of a split moves.
const KEYS_PER_STEP: usize = if cfg!(memkv_loom) { 2 } else { 128 };
/// The writes of a thread between two checks of the shards' sizes while a split is in progress, or
/// may soon begin. A check reads counts that other threads write.
#[cfg(not(memkv_loom))]
const WRITES_PER_CHECK: u32 = 256;
/// The same, at most. A shard must grow by half a share until it is split, so large maps are
/// checked less often; but a thread may write to a small map next.
#[cfg(not(memkv_loom))]
const MAX_WRITES_PER_CHECK: u32 = 4096;
/// The checks while one thread writes a share.
#[cfg(not(memkv_loom))]
const CHECKS_PER_SHARE: usize = 16;
/// The steps that a thread makes after a check: four keys for each write, so that a split is done
/// before its shard has grown by an eighth.
#[cfg(not(memkv_loom))]
const STEPS_PER_CHECK: usize = 8;
/// The least share of a shard from which on shards are split automatically.
const MIN_SHARE: usize = 1024;
/// The same once the map has its target number of shards. While a map is small, a shard outgrows
/// the others only temporarily.
const MIN_SHARE_AT_TARGET: usize = 16 << 10;

#[cfg(not(memkv_loom))]
thread_local! {
    /// The writes of this thread until it checks the shards' sizes.
    static WRITES_LEFT: Cell<u32> = const { Cell::new(WRITES_PER_CHECK) };
}

impl<V: Value> ShardedArt<V> {
    /// Locks the right to replace the table.
    pub(super) fn admin(&self) -> ScopedGuard<RwLockWriteGuard<'_, Admin<V::Bits>>> {
        ScopedGuard::new(|| self.admin.write())
    }

    /// Moves some keys, and returns `false` when the split has ended.
    fn step(&self, split: &mut Split<V::Bits>) -> Result<bool, InsertError> {
        let Split { old, new, until, begun } = split;
        let (at, max_keys) = match until {
            Until::Boundary(key) => (Some(&key[..]), KEYS_PER_STEP),
            Until::Keys(count) => (None, KEYS_PER_STEP.min(count.saturating_sub(new.tree.len()))),
        };
        let pin = reclaim::pin_to_write();
        let _locked = (!mutant!(ShardNotLocked)).then(|| old.lock.lock_all());
        let table = self.table.load(&pin);
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
        let bound: Arc<[u8]> = match (&next, at, moved.last()) {
            (Some(key), _, Some((last, _))) => separator(last, key),
            (None, Some(at), _) => at.into(),
            _ => return Ok(false),
        };
        copy(&moved, new, &pin)?;
        if mutant!(RemovedFirst) {
            remove(&moved, old, &pin);
        }
        let rest = (Arc::clone(&bound), Arc::clone(old));
        self.table.replace(
            if *begun {
                table.with(i..i + 1, [rest])
            } else {
                table.with(i..i + 1, [(Arc::clone(low), Arc::clone(new)), rest])
            },
            &pin,
        );
        *begun = true;
        remove(&moved, old, &pin);
        Ok(next.is_some()
            && match until {
                Until::Boundary(_) => true,
                Until::Keys(count) => new.tree.len() < old.tree.len().min(*count),
            })
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
        if key.len() > crate::MAX_KEY_LEN {
            return Err(InsertError::KeyTooLong { len: key.len() });
        }
        let _admin = self.admin();
        let mut split = {
            let pin = reclaim::pin();
            let table = self.table.load(&pin);
            Split::of(table.shard(table.route(key)), Until::Boundary(key.to_vec()))
        };
        while self.step(&mut split)? {}
        Ok(split.begun)
    }

    /// Splits all shards that have grown far beyond their share.
    ///
    /// Writers do the same in small steps. The share of a shard is the number of keys divided by
    /// the number of shards that the map aims at.
    ///
    /// * With fewer shards than that, a shard of 1.5 shares is split if a share is at least 1024
    ///   keys.
    /// * With as many, and fewer than twice as many, a shard of 2 shares is split if a share is at
    ///   least 16,384 keys.
    ///
    /// A split moves one share to a new shard, so that most keys are moved once.
    ///
    /// # Errors
    /// Returns an error when out of memory, as [`split`](Self::split) does.
    ///
    /// # Complexity
    /// O(keys moved).
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

    /// Makes a step of the split in progress, or begins one if a shard has outgrown the others.
    /// Returns `false` if there is nothing to do.
    fn advance(&self, admin: &mut Admin<V::Bits>) -> Result<bool, InsertError> {
        let mut split = match admin.split.take() {
            Some(split) => split,
            None => match self.overgrown() {
                Some(split) => split,
                None => return Ok(false),
            },
        };
        // An error ends the split.
        if self.step(&mut split)? {
            admin.split = Some(split);
        }
        Ok(true)
    }

    fn overgrown(&self) -> Option<Split<V::Bits>> {
        let pin = reclaim::pin();
        let table = self.table.load(&pin);
        let lens = || table.parts().iter().map(|(_, shard)| shard.tree.len());
        let (i, largest) = lens().enumerate().max_by_key(|&(_, len)| len)?;
        let share = lens().sum::<usize>() / self.target;
        let (least, limit) = if table.len() < self.target {
            (MIN_SHARE, share + share / 2)
        } else {
            (MIN_SHARE_AT_TARGET, 2 * share)
        };
        let grown = share >= least && table.len() < 2 * self.target && largest > limit;
        grown.then(|| Split::of(table.shard(i), Until::Keys(share.min(largest / 2))))
    }

    /// Counts a write, and at some writes moves keys out of a shard that has outgrown the others.
    #[inline]
    #[cfg(not(memkv_loom))]
    pub(super) fn wrote(&self) {
        let left = WRITES_LEFT.get();
        WRITES_LEFT.set(left.wrapping_sub(1));
        if left == 0 {
            self.tend();
        }
    }

    /// Does nothing: models call `split` themselves.
    #[cfg(memkv_loom)]
    pub(super) fn wrote(&self) {}

    #[cfg(not(memkv_loom))]
    #[cold]
    fn tend(&self) {
        WRITES_LEFT.set(WRITES_PER_CHECK);
        let _locking = LockScope::new();
        if let Some(mut admin) = self.admin.try_write() {
            for _ in 0..STEPS_PER_CHECK {
                // Out of memory, the shard stays as it is.
                if !self.advance(&mut admin).unwrap_or(false) {
                    let writes = self.len() / self.target / CHECKS_PER_SHARE;
                    let most = MAX_WRITES_PER_CHECK as usize;
                    WRITES_LEFT.set((writes.min(most) as u32).max(WRITES_PER_CHECK));
                    break;
                }
            }
        }
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
            table.parts().iter().map(|(low, _)| (Arc::clone(low), Shard::new(RawTree::new())));
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
