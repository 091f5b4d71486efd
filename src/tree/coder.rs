//! The symbol tables of a map, by which its leaves code rests, and when a new one is trained.
//!
//! ```text
//!   tables   t0 ── t1 ── t2, the newest, by which new leaves are coded
//!             ▲           ▲
//!   leaf ─────┘   leaf ───┘     a coded leaf has the address of its table
//! ```
//!
//! A map that is to code its keys begins without a table. When enough leaves were split, one is
//! trained on the rests of some of them: those that change. From then on new leaves are coded, and
//! leaves that were made before when they are split or merged. If new keys take more codes than
//! those after the last training, and at each doubling of the map, another table is trained on
//! leaves that were split since. It is published if it codes leaves that it was not trained on in
//! fewer bytes. The others keep their leaves, which change by them until they are split or merged.
//!
//! Training takes a few milliseconds of the thread whose insert begins it, and holds no lock. The
//! other threads code by the table before, or not at all. A map has at most [`MAX_TABLES`], all of
//! which live as long as its coder (SAFETY.md, N13).

#![forbid(unsafe_code)]

use crate::coding::KeyCoding;
use crate::symbols::{FsstTable, Sample};
use crate::sync::AtomicUsize;
use crate::testing::threshold::Threshold;
#[cfg(feature = "parallel")]
use crate::tree::node::simd::common_prefix;
use parking_lot::Mutex;
use std::collections::TryReserveError;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, OnceLock};

/// Most tables of a map: `CHUNKS` times `TABLES_PER_CHUNK`.
pub(crate) const MAX_TABLES: usize = CHUNKS * TABLES_PER_CHUNK;
const CHUNKS: usize = 4;
const TABLES_PER_CHUNK: usize = 16;
/// Bytes of leaves from which on a map with `KeyCoding::Auto` codes its keys: those of some 100,000
/// keys. Smaller maps are mostly in the processor's caches, where coding costs more than it brings.
pub(crate) const MIN_CODED_BYTES: Threshold = Threshold::new(1 << 10, LARGE_BYTES);
const LARGE_BYTES: usize = 4 << 20;
/// Splits of leaves before the first table.
const FIRST_SPLITS: Threshold = Threshold::new(4, 512);
/// The same with `KeyCoding::Auto`: those bytes, counted by splits, a leaf for each kilobyte.
const FIRST_SPLITS_IF_AUTO: Threshold = Threshold::new(4, LARGE_BYTES >> 10);
/// Keys of a load from which on a map with `KeyCoding::Auto` codes them.
#[cfg(feature = "parallel")]
const MIN_LOADED_KEYS: Threshold = Threshold::new(64, 1 << 17);
/// The same with `KeyCoding::Symbols`.
#[cfg(feature = "parallel")]
const MIN_LOADED_KEYS_IF_ASKED: Threshold = Threshold::new(64, 1 << 14);
/// Rests of the sample of a load, and bytes of the longest that is not cut.
#[cfg(feature = "parallel")]
const SAMPLED_RESTS: usize = 1 << 12;
#[cfg(feature = "parallel")]
const MAX_SAMPLED_REST: usize = 64;
/// Splits after which it is looked at how well new keys are coded.
const SPLITS_PER_CHECK: Threshold = Threshold::new(16, 256);
/// Keys by which it is looked at, at least.
const SEEN_KEYS: Threshold = Threshold::new(16, 256);
/// Leaves of a sample, and bytes of their rests, about.
const SAMPLED_LEAVES: Threshold = Threshold::new(8, 64);
const MAX_SAMPLED_BYTES: usize = 64 << 10;
/// The part of all splits so far after which the next check comes, if that is more.
const CHECKS_PER_DOUBLING: usize = 16;
/// The part of all splits so far after which the next check comes at the latest.
const TRIES_PER_DOUBLING: usize = 8;
/// A table is trained if new keys take this part more of their bytes, as codes, than those after
/// the last training took; and at each doubling of the map.
const DRIFT_PERCENT: usize = 8;
/// A trained table is published if the newest one takes this part more bytes for other keys.
const GAIN_PERCENT: usize = 3;
/// Part of the sampled leaves that are not trained on, but with which tables are compared.
const LEAVES_PER_TESTED: usize = 4;

/// The rests that a table is trained on, and others, by which it is compared with the newest.
type Samples = [Sample; 2];

/// Returns to which of both the rests of the `i`th sampled leaf belong.
fn is_tested(i: usize) -> usize {
    usize::from(i.is_multiple_of(LEAVES_PER_TESTED))
}

/// Bytes before and after coding.
#[derive(Clone, Copy, Default)]
struct Ratio {
    raw: usize,
    coded: usize,
}

impl Ratio {
    fn add(&mut self, table: &FsstTable, rest: &[u8]) {
        self.raw += rest.len();
        self.coded += table.coded_len(rest);
    }

    /// Returns whether these bytes took `percent` more than others.
    fn is_worse(self, other: Ratio, percent: usize) -> bool {
        let product = |a: usize, b: usize| a as u128 * b as u128;
        product(self.coded, other.raw) * 100
            > product(other.coded, self.raw) * (100 + percent as u128)
    }
}

/// What decides about the next table.
#[derive(Default)]
struct Watch {
    /// Splits of leaves so far.
    splits: usize,
    /// The number of splits at the last check.
    last_check: usize,
    /// The same when a table was last trained.
    last_trained: usize,
    /// The same at the next check.
    next_check: usize,
    /// Splits from a try that brought nothing to the next check.
    backoff: usize,
    /// The rests of some leaves that were split since the last check, of whichever tree.
    samples: Samples,
    /// The number of these leaves.
    sampled: usize,
    /// Some of the keys that were inserted since the last check, at splits.
    seen: Ratio,
    /// The keys between the publication of the newest table, or the last try, and the check after
    /// it. The sample itself is coded better than other keys.
    expected: Option<Ratio>,
    /// Whether keys were coded worse than expected at the last check.
    is_drifting: bool,
    is_training: bool,
}

impl Watch {
    /// Returns whether the next leaf that is split is one of the next sample.
    ///
    /// They are of splits at equal distances: the last ones may be close to each other, if keys are
    /// inserted in order.
    fn is_sampling(&self) -> bool {
        let step = (self.next_check.saturating_sub(self.last_check) / SAMPLED_LEAVES.get()).max(1);
        !self.is_training
            && (self.splits - self.last_check).is_multiple_of(step)
            && self.samples.iter().map(Sample::bytes).sum::<usize>() < MAX_SAMPLED_BYTES
    }

    /// Returns whether the key of the next split is one of those by which the check is made.
    fn is_seeing(&self) -> bool {
        let step = (self.next_check.saturating_sub(self.last_check) / SEEN_KEYS.get()).max(1);
        self.splits.is_multiple_of(step)
    }

    /// Returns the splits from one check to the next.
    fn interval(&self) -> usize {
        SPLITS_PER_CHECK.get().max(self.splits / CHECKS_PER_DOUBLING)
    }

    /// Adds the rests of a leaf to the samples. Without memory for all, some are missing.
    fn sample(&mut self, leaf: &Sample) {
        let sample = &mut self.samples[is_tested(self.sampled)];
        let _ = leaf.iter().try_for_each(|rest| sample.try_push(rest));
        self.sampled += 1;
    }
}

/// Some tables, each where it stays. A slice of one, since a box cannot be reserved.
type Chunk = Box<[OnceLock<Box<[FsstTable]>>]>;

/// The symbol tables of a map.
pub(crate) struct LeafCoder {
    coding: KeyCoding,
    tables: [OnceLock<Chunk>; CHUNKS],
    /// The number of tables.
    count: AtomicUsize,
    watch: Mutex<Watch>,
}

// A panic while the watch is locked leaves counts of which none is relied on, and no table.
impl UnwindSafe for LeafCoder {}
impl RefUnwindSafe for LeafCoder {}

impl LeafCoder {
    fn new(coding: KeyCoding) -> Self {
        let first = if coding == KeyCoding::Symbols { FIRST_SPLITS } else { FIRST_SPLITS_IF_AUTO };
        let watch = Watch { next_check: first.get(), ..Watch::default() };
        LeafCoder {
            coding,
            tables: [const { OnceLock::new() }; CHUNKS],
            count: AtomicUsize::new(0),
            watch: Mutex::new(watch),
        }
    }

    /// Creates what codes the leaves of a new map by default. `None`, except in tests.
    #[inline]
    pub(crate) fn of_default() -> Option<Arc<Self>> {
        Threshold::are_low().then(|| Arc::new(LeafCoder::new(KeyCoding::Auto)))
    }

    /// Creates what codes the leaves of a new map. `None` if they are to stay as they are.
    pub(crate) fn asked(coding: KeyCoding) -> Option<Arc<Self>> {
        (coding != KeyCoding::Plain).then(|| Arc::new(LeafCoder::new(coding)))
    }

    /// Returns how the map codes keys.
    pub(crate) fn coding(&self) -> KeyCoding {
        self.coding
    }

    /// Returns table `i`, if there is one.
    #[inline]
    fn table(&self, i: usize) -> Option<&FsstTable> {
        let chunk = self.tables.get(i / TABLES_PER_CHUNK)?.get()?;
        chunk[i % TABLES_PER_CHUNK].get()?.first()
    }

    /// Returns the table by which new leaves are coded, if there is one.
    #[inline]
    pub(crate) fn newest(&self) -> Option<&FsstTable> {
        self.table(self.count.load(Acquire).checked_sub(1)?)
    }

    /// Adds a table, if there is memory for it. The caller has the lock.
    fn publish(&self, table: Box<[FsstTable]>) -> Result<(), TryReserveError> {
        let count = self.count.load(Acquire);
        let chunk = &self.tables[count / TABLES_PER_CHUNK];
        if chunk.get().is_none() {
            let mut tables = Vec::new();
            tables.try_reserve_exact(TABLES_PER_CHUNK)?;
            tables.resize_with(TABLES_PER_CHUNK, OnceLock::new);
            chunk.get_or_init(|| tables.into_boxed_slice());
        }
        if let Some(chunk) = chunk.get()
            && chunk[count % TABLES_PER_CHUNK].set(table).is_ok()
        {
            self.count.store(count + 1, Release);
        }
        cover!(TablePublished);
        Ok(())
    }

    /// Returns the bytes on the heap, its own included.
    pub(crate) fn heap_bytes(&self) -> usize {
        let count = self.count.load(Acquire);
        let tables = (0..count).filter_map(|i| self.table(i));
        let tables: usize = tables.map(|table| size_of_val(table) + table.heap_bytes()).sum();
        let chunk = TABLES_PER_CHUNK * size_of::<OnceLock<Box<[FsstTable]>>>();
        let chunks = count.div_ceil(TABLES_PER_CHUNK) * chunk;
        let samples = self.watch.lock().samples.iter().map(Sample::heap_bytes).sum::<usize>();
        size_of::<Self>() + tables + chunks + samples
    }

    /// Returns whether [`split`](Self::split) is to get the rests of the leaf that is split next.
    pub(crate) fn is_sampling(&self) -> bool {
        self.coding != KeyCoding::Plain
            && !self.is_full()
            && self.watch.try_lock().is_some_and(|watch| watch.is_sampling())
    }

    /// Notes that a leaf was split by a key, of which the leaf was to store `rest`. `leaf` are the
    /// rests of the leaf, if they were asked for.
    ///
    /// Trains a table if it is time for one.
    pub(crate) fn split(&self, rest: &[u8], leaf: Option<&Sample>) {
        if let Some(samples) = self.note_split(rest, leaf) {
            self.train(Ok(samples));
        }
    }

    fn note_split(&self, rest: &[u8], leaf: Option<&Sample>) -> Option<Samples> {
        if self.coding == KeyCoding::Plain {
            return None;
        }
        // Another thread's split counts then.
        let mut watch = self.watch.try_lock()?;
        if watch.is_training {
            return None;
        }
        let newest = self.newest();
        if let (Some(newest), true) = (newest, watch.is_seeing()) {
            watch.seen.add(newest, rest);
        }
        if let Some(leaf) = leaf {
            watch.sample(leaf);
        }
        watch.splits += 1;
        if watch.splits < watch.next_check || self.is_full() {
            return None;
        }
        watch.last_check = watch.splits;
        watch.next_check = watch.splits + watch.interval();
        let (seen, samples) = (std::mem::take(&mut watch.seen), std::mem::take(&mut watch.samples));
        watch.sampled = 0;
        if newest.is_some() {
            let expected = *watch.expected.get_or_insert(seen);
            let is_due = watch.splits / 2 >= watch.last_trained;
            // The sample at the first check after a change of keys has keys of before, too.
            let is_drifting = seen.is_worse(expected, DRIFT_PERCENT);
            let was_drifting = std::mem::replace(&mut watch.is_drifting, is_drifting);
            if !is_due && !is_drifting && !was_drifting {
                return None;
            }
        }
        watch.last_trained = watch.splits;
        watch.is_training = true;
        Some(samples)
    }

    /// Returns whether there can be no more tables.
    fn is_full(&self) -> bool {
        self.count.load(Acquire) == MAX_TABLES
    }

    /// Trains a table for a load of about `keys` keys, of which these are a sorted sample, unless
    /// there is one, or the keys are too few.
    #[cfg(feature = "parallel")]
    pub(crate) fn train_for_load(&self, keys: usize, sorted: &[&[u8]]) {
        let least = match self.coding {
            KeyCoding::Plain => return,
            KeyCoding::Auto => MIN_LOADED_KEYS.get(),
            KeyCoding::Symbols => MIN_LOADED_KEYS_IF_ASKED.get(),
        };
        if keys < least || self.newest().is_some() {
            return;
        }
        let mut sample = Sample::default();
        for pair in sorted.windows(2).step_by((sorted.len() / SAMPLED_RESTS).max(1)) {
            let rest = pair[1].get(common_prefix(pair[0], pair[1]) + 1..).unwrap_or_default();
            sample.push(&rest[..rest.len().min(MAX_SAMPLED_REST)]);
        }
        let test = sample.thinned(sample.bytes() / LEAVES_PER_TESTED);
        self.train(Ok([sample, test]));
    }

    /// Trains a table on a sample, and publishes it if it codes the other one better than the
    /// newest does. Without memory for one of them, it is tried again some splits later.
    fn train(&self, samples: Result<Samples, TryReserveError>) {
        if samples.and_then(|samples| self.try_train(&samples)).is_err() {
            let mut watch = self.watch.lock();
            watch.is_training = false;
            watch.last_trained = 0;
            watch.next_check = watch.splits + watch.interval();
        }
    }

    fn try_train(&self, [sample, test]: &Samples) -> Result<(), TryReserveError> {
        let table = FsstTable::train(sample)?;
        let (mut before, mut after) = (Ratio::default(), Ratio::default());
        let newest = self.newest();
        for rest in test.iter() {
            match newest {
                Some(newest) => before.add(newest, rest),
                None => {
                    before.raw += rest.len();
                    before.coded += rest.len();
                }
            }
            after.add(&table, rest);
        }
        let is_better = before.is_worse(after, GAIN_PERCENT);
        let mut boxed = Vec::new();
        boxed.try_reserve_exact(1)?;
        boxed.push(table);
        let mut watch = self.watch.lock();
        watch.expected = None;
        if is_better && !self.is_full() {
            self.publish(boxed.into_boxed_slice())?;
            watch.backoff = 0;
            watch.next_check = watch.splits + watch.interval();
        } else {
            // These keys cannot be coded better. The next try is further away each time, but other
            // keys may follow.
            watch.backoff = (4 * watch.backoff)
                .min(watch.splits / TRIES_PER_DOUBLING)
                .max(4 * SPLITS_PER_CHECK.get());
            watch.next_check = watch.splits + watch.backoff.max(watch.interval());
        }
        watch.is_training = false;
        Ok(())
    }
}

/// Bytes of rests of the sample of a bulk load, which are those of its last leaves.
const SAMPLE_BYTES: Threshold = Threshold::new(1 << 10, 64 << 10);
/// Bytes of rests from one table of a bulk load to the next, at least.
const BYTES_PER_TABLE: Threshold = Threshold::new(4 << 10, 512 << 10);
/// The same as a part of all so far.
const TABLES_PER_DOUBLING: usize = 4;

/// Leaves of the sample that were made last.
const RECENT_LEAVES: usize = 32;

/// Trains the tables of a bulk load on leaves from all that it has made so far, and on its last
/// leaves.
pub(crate) struct Trainer {
    /// The rests of every n-th leaf.
    leaves: Vec<Sample>,
    /// Every how many-th leaf.
    step: usize,
    /// The rests of the last leaves, in a ring.
    recent: Vec<Sample>,
    /// Leaves so far.
    count: usize,
    /// Bytes of rests so far.
    bytes: usize,
    /// The same when the next table is trained.
    next_table: usize,
}

impl Trainer {
    /// Creates what trains the tables of a load. It trains none if the coder had one before: that
    /// of a sample of all keys, which serves all parts of a parallel load.
    pub(crate) fn new(coder: Option<&LeafCoder>) -> Self {
        let is_trained = coder.is_some_and(|coder| coder.newest().is_some());
        Trainer {
            leaves: Vec::new(),
            step: 1,
            recent: Vec::new(),
            count: 0,
            bytes: 0,
            next_table: if is_trained { usize::MAX } else { SAMPLE_BYTES.get() },
        }
    }

    /// Notes the rests of a leaf, and trains a table now and then, if there is memory for it.
    pub(crate) fn add<'r>(
        &mut self,
        coder: &LeafCoder,
        mut rests: impl Iterator<Item = &'r [u8]>,
    ) -> Result<(), TryReserveError> {
        if coder.coding == KeyCoding::Plain {
            return Ok(());
        }
        let mut leaf = Sample::default();
        rests.try_for_each(|rest| leaf.try_push(rest))?;
        self.bytes += leaf.bytes();
        self.count += 1;
        if self.count.is_multiple_of(self.step) {
            let mut copy = Sample::default();
            leaf.iter().try_for_each(|rest| copy.try_push(rest))?;
            self.leaves.try_reserve(1)?;
            self.leaves.push(copy);
        }
        if self.leaves.iter().map(Sample::bytes).sum::<usize>() > 2 * SAMPLE_BYTES.get() {
            let mut i = 0;
            self.leaves.retain(|_| {
                i += 1;
                i % 2 == 0
            });
            self.step *= 2;
        }
        let at = self.count % RECENT_LEAVES;
        match self.recent.get_mut(at) {
            Some(old) => *old = leaf,
            None => {
                self.recent.try_reserve(1)?;
                self.recent.push(leaf);
            }
        }
        if self.bytes >= self.next_table && !coder.is_full() {
            let leaves = self.leaves.iter().chain(&self.recent);
            let mut samples = Samples::default();
            let mut leaves = leaves.enumerate();
            let is_whole = leaves.try_for_each(|(i, leaf)| {
                leaf.iter().try_for_each(|rest| samples[is_tested(i)].try_push(rest))
            });
            coder.train(is_whole.map(|()| samples));
            self.next_table =
                self.bytes + BYTES_PER_TABLE.get().max(self.bytes / TABLES_PER_DOUBLING);
        }
        Ok(())
    }
}
