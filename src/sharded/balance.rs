//! Which shards are split, joined or added, and when.
//!
//! A thread that writes checks the sizes now and then. It makes room for its own keys first:
//!
//! * If it wrote near the end of a large shard at two checks in a row, its keys ascend: an empty
//!   shard is added after the last key. If near the beginning, they descend: an empty shard is
//!   added before the first key. Both move nothing. They begin at sizes at which a shard is not
//!   split yet. At one check alone, keys in random order are near an end now and then.
//! * Otherwise the largest shard is split, if it has outgrown the others.
//! * With twice the target number of shards, two small neighbours are joined before. Of `2 t`
//!   shards one has more than 1.75 of `t` shares. The others make at least `2 t - 3` pairs, whose
//!   sizes add up to less than `2 t - 3.5` shares, so one of them has at most one share.
//!
//! A map that grows at one end has shards of about the same fraction of the map at the time, so
//! most of them are in its newer part. Joins of older ones, far smaller than a share by then, move
//! some hundredths of the keys.

#![forbid(unsafe_code)]

use super::ShardedArt;
#[cfg(not(memkv_loom))]
use super::split::keys_per_step;
use super::split::{after_last, end_key};
use super::split_state::{Admin, Transfer, Until};
use super::table::Table;
use crate::error::InsertError;
use crate::reclaim;
#[cfg(not(memkv_loom))]
use crate::sync::deferred::LockScope;
use crate::tree::Scan;
use crate::value::{Bits, Value};
use std::cell::Cell;
use std::ops::Bound;
use std::sync::atomic::Ordering::Relaxed;

/// The writes of a thread between two checks of the shards' sizes while keys are moved, or may soon
/// be.
const WRITES_PER_CHECK: usize = 256;
/// The same, at most. A shard must grow by some part of a share until it is split, so large maps
/// are checked less often; but a thread may write to a small map next.
const MAX_WRITES_PER_CHECK: usize = 4096;
/// The checks while one thread writes a share.
const CHECKS_PER_SHARE: usize = 16;
/// The shards whose sizes a check reads for one write, at most.
const SHARDS_PER_WRITE: usize = 2;
/// The keys that a thread moves for each write while keys are moved, so that a split is done before
/// its shard has grown by an eighth.
#[cfg(not(memkv_loom))]
const KEYS_PER_WRITE: usize = 4;
/// The least share of a shard from which on shards are split automatically.
const MIN_SHARE: usize = 1024;
/// The share from which on a shard of 2 shares is split, and not only one of 4, once the map has
/// its target number of shards. While a map is small, a shard outgrows the others only temporarily.
const MIN_SHARE_AT_TARGET: usize = 16 << 10;
/// The keys of a shard from which on empty shards are added beside it.
const MIN_KEYS_TO_ADD: usize = 4 << 10;
/// The keys of a shard from which on it is split automatically: more than those of a shard beside
/// which another was added.
const MIN_KEYS_TO_SPLIT: usize = 8 << 10;
/// How much larger a shard may become before it is split if an empty shard was added beside it
/// since the map was half as large: threads that write ascending keys, but are behind the others,
/// fill it.
const FILLING_FACTOR: usize = 4;
/// A key is near the end of a shard if fewer keys are between: as many as threads that write
/// ascending keys may be apart.
const NEAR_KEYS: usize = 256;

#[cfg(not(memkv_loom))]
thread_local! {
    /// The writes of this thread until it checks the shards' sizes.
    static WRITES_LEFT: Cell<usize> = const { Cell::new(WRITES_PER_CHECK) };
}

thread_local! {
    /// Whether the key of this thread's last check was near an end of a large shard.
    static WAS_NEAR_END: Cell<bool> = const { Cell::new(false) };
}

/// Where an empty shard is to be added beside another.
enum Room {
    After,
    /// Before this key, the first one.
    Before(Vec<u8>),
}

impl<V: Value> ShardedArt<V> {
    /// Splits all shards that have grown far beyond their share.
    ///
    /// Writers do the same in small steps. The share of a shard is the number of keys divided by
    /// the number of shards that the map aims at.
    ///
    /// * Nothing is split while a share is less than 1024 keys, nor a shard of less than 8192.
    /// * With fewer shards than that, a shard of 1.5 shares is split.
    /// * With as many, a shard of 2 shares is split, or of 4 while a share is less than 16,384.
    /// * With twice as many, two neighbours of together at most one share are joined before.
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
        while self.advance(&mut self.admin(), None)? {}
        Ok(())
    }

    /// Adds an empty shard, makes a step of the transfer in progress, or begins one.
    ///
    /// Returns `false` if there is nothing to do. `written` is a key that this thread has just
    /// written.
    fn advance(
        &self,
        admin: &mut Admin<V::Bits>,
        written: Option<&[u8]>,
    ) -> Result<bool, InsertError> {
        // A thread whose keys ascend does not wait for a transfer, which may be of other shards.
        if let Some(key) = written
            && self.make_room(admin, key)?
        {
            return Ok(true);
        }
        let mut transfer = match admin.transfer.take() {
            Some(transfer) => transfer,
            None => match self.choose(admin, written.is_none()) {
                Some(transfer) => transfer,
                None => return Ok(false),
            },
        };
        // An error ends the transfer.
        if self.step(&mut transfer)? {
            admin.transfer = Some(transfer);
        }
        Ok(true)
    }

    /// Adds an empty shard beside the shard of `key`, if that is large and `key` is near an end of
    /// it. Returns whether it did.
    fn make_room(&self, admin: &mut Admin<V::Bits>, key: &[u8]) -> Result<bool, InsertError> {
        let pin = reclaim::pin();
        let table = self.table.load(&pin);
        let (i, share) = (table.route(key), admin.keys / self.target);
        let shares = if table.len() < self.target { 5 } else { 7 };
        let shard = table.shard(i);
        // Without a look at all sizes a share is unknown.
        if admin.keys == 0 || shard.tree.len() <= (share / 4 * shares).max(MIN_KEYS_TO_ADD) {
            return Ok(false);
        }
        let room = room(table, i, key);
        let was_near = WAS_NEAR_END.replace(room.is_some());
        let Some(room) = room.filter(|_| was_near) else { return Ok(false) };
        if table.len() >= 2 * self.target {
            admin.is_room_needed = true;
            return Ok(false);
        }
        shard.keys_at_add.store(admin.keys, Relaxed);
        match room {
            Room::After => Ok(self.add_after(shard)),
            Room::Before(first) => {
                let mut add = Transfer::split(shard, Until::Boundary(first));
                self.step(&mut add)?;
                Ok(add.begun)
            }
        }
    }

    /// Looks at all sizes, and returns the split or join that is to be made. `at_once`: also of
    /// shards that other threads may still be filling.
    fn choose(&self, admin: &mut Admin<V::Bits>, at_once: bool) -> Option<Transfer<V::Bits>> {
        let pin = reclaim::pin();
        let table = self.table.load(&pin);
        let lens: Vec<usize> = table.parts().iter().map(|(_, shard)| shard.tree.len()).collect();
        let (count, keys) = (lens.len(), lens.iter().sum::<usize>());
        let share = keys / self.target;
        (admin.keys, admin.shards) = (keys, count);
        let min_writes = WRITES_PER_CHECK.max(count / SHARDS_PER_WRITE);
        admin.writes_per_check =
            (share / CHECKS_PER_SHARE).clamp(min_writes, MAX_WRITES_PER_CHECK.max(min_writes));
        let weight = |i: usize| {
            let is_filling = !at_once && keys / 2 < table.shard(i).keys_at_add.load(Relaxed);
            if is_filling { lens[i] / FILLING_FACTOR } else { lens[i] }
        };
        let largest = (0..count).max_by_key(|&i| weight(i))?;
        let limit = if count < self.target {
            share + share / 2
        } else if share < MIN_SHARE_AT_TARGET {
            4 * share
        } else {
            2 * share
        };
        let is_overgrown = share >= MIN_SHARE && weight(largest) > limit.max(MIN_KEYS_TO_SPLIT);
        let is_room_needed = std::mem::take(&mut admin.is_room_needed);
        if count < 2 * self.target {
            let until = Until::Keys(share.min(lens[largest] / 2));
            return is_overgrown.then(|| Transfer::split(table.shard(largest), until));
        }
        if !is_overgrown && !is_room_needed {
            return None;
        }
        let second = (1..count)
            .filter(|&second| lens[second - 1] + lens[second] <= share)
            .min_by_key(|&second| lens[second])?;
        Some(Transfer::join(table.shard(second - 1), table.shard(second)))
    }

    /// Counts a write, and at some writes makes steps of a change of the shards.
    #[inline]
    #[cfg(not(memkv_loom))]
    pub(super) fn wrote(&self, key: &[u8]) {
        let left = WRITES_LEFT.get();
        WRITES_LEFT.set(left.wrapping_sub(1));
        if left == 0 {
            self.tend(key);
        }
    }

    /// Does nothing: models call `split` themselves.
    #[cfg(memkv_loom)]
    pub(super) fn wrote(&self, _: &[u8]) {}

    #[cfg(not(memkv_loom))]
    #[cold]
    fn tend(&self, key: &[u8]) {
        WRITES_LEFT.set(WRITES_PER_CHECK);
        let _locking = LockScope::new();
        if let Some(mut admin) = self.admin.try_write() {
            let (writes, steps) = pace(admin.shards);
            WRITES_LEFT.set(writes);
            for _ in 0..steps {
                // Out of memory, the shards stay as they are.
                if !self.advance(&mut admin, Some(key)).unwrap_or(false) {
                    WRITES_LEFT.set(admin.writes_per_check.max(WRITES_PER_CHECK));
                    break;
                }
            }
        }
    }
}

/// Returns after how many writes a thread makes steps of a transfer in a map of `shards` shards,
/// and how many steps, at least one.
#[cfg(not(memkv_loom))]
fn pace(shards: usize) -> (usize, usize) {
    let keys = keys_per_step(shards);
    let writes = WRITES_PER_CHECK.max(keys.div_ceil(KEYS_PER_WRITE));
    (writes, writes * KEYS_PER_WRITE / keys)
}

/// Returns where to add an empty shard beside a shard, if `key` is near one of its ends.
fn room<B: Bits>(table: &Table<B>, i: usize, key: &[u8]) -> Option<Room> {
    let (shard, low, high) = (table.shard(i), table.low(i), table.high(i));
    let is_near = |back: bool, end: Bound<&[u8]>| {
        let mut scan = Scan::new();
        scan.seek(key, false);
        (0..NEAR_KEYS).any(|_| scan.step(&mut &shard.tree, back, end).is_none())
    };
    if is_near(false, high.map_or(Bound::Unbounded, Bound::Excluded)) {
        let bound = after_last(shard)?;
        return high.is_none_or(|high| &bound[..] < high).then_some(Room::After);
    }
    if !is_near(true, Bound::Included(low)) {
        return None;
    }
    end_key(shard, false).filter(|first| first[..] > **low).map(Room::Before)
}

#[cfg(all(test, not(memkv_loom)))]
mod tests {
    use super::*;

    /// With 8,200 shards a step moves 1,025 keys, which is no multiple of the keys for each write.
    #[test]
    fn each_check_makes_a_step_with_any_number_of_shards() {
        for shards in (0..20_000).chain([65_535, 131_071]) {
            let (writes, steps) = pace(shards);
            assert!(steps > 0, "{shards} shards");
            assert!(steps * keys_per_step(shards) <= (writes + KEYS_PER_WRITE) * KEYS_PER_WRITE);
        }
    }
}
