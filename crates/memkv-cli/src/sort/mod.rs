//! Sorting more records than fit in memory: an external merge sort.
//!
//! ```text
//!   push ─▶ arena ─▶ sorted by all threads ─▶ front-coded run in a spill file ─┐
//!           the last arena ────────────────────────────────────────────────────┴─▶ merged
//! ```
//!
//! While one arena is sorted and written, the next one is filled. Spill files have no name if the
//! system supports that, and are deleted when they are closed otherwise. So none is left, however
//! the process ends.
//!
//! Knuth, "The Art of Computer Programming", volume 3, 5.4: external sorting.

mod arena;
mod duplicate;
mod merge;
mod run;
mod sample;

pub(crate) use merge::{Merger, Source};
pub(crate) use sample::Sample;

use anyhow::{Context, Result, bail};
use arena::{Arena, MAX_BYTES_PER_ENTRY};
pub(crate) use duplicate::OnDuplicate;
use run::{Run, RunReader};
use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, channel},
};

/// The runs that are merged at once, each of them an open file with a buffer.
const MAX_MERGED_RUNS: usize = 128;

/// The bytes of records from which on a sample is taken: the first records, from which a builder
/// would train symbols, do not represent the others.
const BYTES_TO_SAMPLE_FROM: usize = 64 << 20;

/// Takes records in any order, and returns them in the order of their keys.
pub(crate) struct Sorter {
    arena: Arena,
    /// The bytes of an arena.
    room: usize,
    /// `None` while an arena is being spilled.
    spills: Option<Spills>,
    busy: Option<Receiver<Result<Spills>>>,
}

/// The spilled runs.
struct Spills {
    folder: PathBuf,
    on_duplicate: OnDuplicate,
    /// The bytes of all runs' buffers together.
    buffers: usize,
    fan_in: usize,
    runs: Vec<Run>,
    sample: Sample,
}

/// Sorted records. Returned by [`Sorter::finish`].
pub(crate) struct Sorted {
    pub(crate) merger: Merger<'static>,
    /// The merger of the records, some of which may have the same key.
    pub(crate) records: u64,
    /// An even sample of the keys, if there are many.
    pub(crate) sample: Option<Sample>,
}

impl Sorter {
    /// Creates a sorter that takes at most about `memory` bytes while it is filled, and half of
    /// that while it is emptied. Its spill files are in `folder`.
    pub(crate) fn new(memory: usize, folder: PathBuf, on_duplicate: OnDuplicate) -> Self {
        Self::with_fan_in(memory, folder, on_duplicate, MAX_MERGED_RUNS)
    }

    fn with_fan_in(
        memory: usize,
        folder: PathBuf,
        on_duplicate: OnDuplicate,
        fan_in: usize,
    ) -> Self {
        // One arena is filled while another one is spilled.
        let (buffers, room) = (memory / 8, memory / 16 * 7);
        let sample = Sample::new((memory / 16).min(16 << 20));
        let spills =
            Some(Spills { folder, on_duplicate, buffers, fan_in, runs: Vec::new(), sample });
        Self { arena: Arena::with_room(room), room, spills, busy: None }
    }

    /// Returns the length of the longest key that is sure to fit in memory.
    pub(crate) fn longest(&self) -> usize {
        self.room.saturating_sub(MAX_BYTES_PER_ENTRY)
    }

    /// Adds a record. It counts as the last one so far with its key.
    pub(crate) fn push(&mut self, key: &[u8], value: u64) -> Result<()> {
        if !self.arena.push(key, value) {
            self.spill()?;
            if !self.arena.push(key, value) {
                bail!("a key of {} bytes needs more memory", key.len());
            }
        }
        Ok(())
    }

    /// Spills the arena in the background.
    fn spill(&mut self) -> Result<()> {
        let mut spills = self.spills()?;
        let mut arena = std::mem::replace(&mut self.arena, Arena::with_room(self.room));
        let (sender, receiver) = channel();
        self.busy = Some(receiver);
        rayon::spawn(move || {
            arena.sort();
            let result = spills.add(arena).map(|()| spills);
            // It fails only if the sorter is gone.
            let _ = sender.send(result);
        });
        Ok(())
    }

    /// Waits until nothing is being spilled, and returns the runs.
    fn spills(&mut self) -> Result<Spills> {
        if let Some(busy) = self.busy.take() {
            return busy.recv().context("the thread that sorts has ended")?;
        }
        self.spills.take().context("sorting has failed before")
    }

    /// Returns all records, sorted.
    pub(crate) fn finish(mut self) -> Result<Sorted> {
        let mut spills = self.spills()?;
        self.arena.sort();
        if spills.runs.len() >= spills.fan_in {
            spills.merge_runs()?;
        }
        self.arena.offer_to(&mut spills.sample);
        let many = !spills.runs.is_empty() || self.arena.bytes() > BYTES_TO_SAMPLE_FROM;
        let sample = many.then_some(spills.sample);
        let records =
            spills.runs.iter().map(|run| run.records).sum::<u64>() + self.arena.count() as u64;
        let mut sources = readers(spills.runs, spills.buffers);
        sources.push(Box::new(self.arena.into_source()));
        Ok(Sorted { merger: Merger::new(sources, spills.on_duplicate)?, records, sample })
    }
}

impl Spills {
    /// Writes a sorted arena as a run.
    fn add(&mut self, arena: Arena) -> Result<()> {
        if self.runs.len() >= self.fan_in {
            self.merge_runs()?;
        }
        arena.offer_to(&mut self.sample);
        let mut merger = Merger::new(vec![Box::new(arena.into_source())], self.on_duplicate)?;
        self.runs.push(Run::write(&self.folder, &mut merger)?);
        Ok(())
    }

    /// Merges all runs into one, which has the earliest records, so that there are never too many.
    fn merge_runs(&mut self) -> Result<()> {
        let sources = readers(std::mem::take(&mut self.runs), self.buffers);
        let run = Run::write(&self.folder, &mut Merger::new(sources, self.on_duplicate)?)?;
        self.runs.push(run);
        Ok(())
    }
}

fn readers(runs: Vec<Run>, buffers: usize) -> Vec<Box<dyn Source>> {
    let each = (buffers / runs.len().max(1)).clamp(4 << 10, 1 << 20);
    runs.into_iter().map(|run| Box::new(RunReader::new(run, each)) as Box<dyn Source>).collect()
}

#[cfg(test)]
mod tests {
    use super::{OnDuplicate, Sorter};
    use crate::rng::Rng;
    use std::collections::BTreeMap;

    type Records = Vec<(Vec<u8>, u64)>;

    fn sorted(
        records: &Records,
        memory: usize,
        on_duplicate: OnDuplicate,
        fan_in: usize,
    ) -> anyhow::Result<(Records, bool)> {
        let mut sorter = Sorter::with_fan_in(memory, std::env::temp_dir(), on_duplicate, fan_in);
        for (key, value) in records {
            sorter.push(key, *value)?;
        }
        let mut sorted = sorter.finish()?;
        let mut all = Vec::new();
        while let Some((key, value)) = sorted.merger.next()? {
            all.push((key.to_vec(), value));
        }
        assert_eq!(sorted.merger.taken(), sorted.records);
        assert!((all.len()..=records.len()).contains(&(sorted.records as usize)));
        Ok((all, sorted.sample.is_some()))
    }

    /// Keys that are prefixes of others, share long prefixes, have NUL and 0xFF, and recur.
    fn records(count: usize) -> Records {
        let mut rng = Rng::new(5);
        let mut records = Records::new();
        for _ in 0..count {
            let mut key = [&b""[..], b"https://www.", b"\0\0\0\0\0\0\0\0\0\0", &[0xFF; 15]]
                [rng.below(4) as usize]
                .to_vec();
            for _ in 0..rng.below(12) {
                key.push(*[0, 1, b'a', b'b', 0xFE, 0xFF].get(rng.below(6) as usize).unwrap());
            }
            if rng.below(100) == 0 {
                key.resize(key.len() + rng.below(3000) as usize, b'x');
            }
            records.push((key, rng.next() >> rng.below(64)));
        }
        records
    }

    #[test]
    fn is_the_same_in_memory_and_through_files() {
        let records = records(20_000);
        let (mut first, mut last, mut sum) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (key, value) in &records {
            first.entry(key.clone()).or_insert(*value);
            last.insert(key.clone(), *value);
            *sum.entry(key.clone()).or_insert(0) += value >> 32;
        }
        let small: Records =
            records.iter().map(|(key, value)| (key.clone(), value >> 32)).collect();
        // All in memory; a few runs; many runs, some of which are merged early.
        for (memory, fan_in, spills) in
            [(64 << 20, 4, false), (400 << 10, 100, true), (64 << 10, 3, true)]
        {
            let check = |records, rule, expected: &BTreeMap<Vec<u8>, u64>| {
                let (all, spilled) = sorted(records, memory, rule, fan_in).unwrap();
                assert_eq!(spilled, spills);
                assert!(
                    all.iter().map(|(key, value)| (key, value)).eq(expected),
                    "{rule:?}, {memory} bytes"
                );
            };
            check(&records, OnDuplicate::First, &first);
            check(&records, OnDuplicate::Last, &last);
            check(&small, OnDuplicate::Sum, &sum);
            assert!(sorted(&records, memory, OnDuplicate::Error, fan_in).is_err());
        }
    }

    #[test]
    fn duplicates_can_be_errors() {
        for memory in [1 << 20, 4 << 10] {
            let mut records: Records =
                (0..1000).map(|i| (format!("key {i}").into_bytes(), 1)).collect();
            assert_eq!(sorted(&records, memory, OnDuplicate::Error, 9).unwrap().0.len(), 1000);
            records.push((b"key 5".to_vec(), u64::MAX));
            let error = |rule| sorted(&records, memory, rule, 9).unwrap_err().to_string();
            assert_eq!(error(OnDuplicate::Error), "the key \"key 5\" is there more than once");
            assert_eq!(
                error(OnDuplicate::Sum),
                "the sum of the values of \"key 5\" exceeds 18446744073709551615"
            );
        }
    }

    #[test]
    fn nothing_and_too_much() {
        assert_eq!(
            sorted(&Records::new(), 1 << 20, OnDuplicate::Last, 9).unwrap(),
            (Records::new(), false)
        );
        let sorter = Sorter::new(64 << 10, std::env::temp_dir(), OnDuplicate::Last);
        let most = sorter.longest();
        let key = |len| vec![(vec![b'a'; len], 7)];
        assert_eq!(sorted(&key(most), 64 << 10, OnDuplicate::Last, 9).unwrap().0, key(most));
        assert!(sorted(&key(64 << 10), 64 << 10, OnDuplicate::Last, 9).is_err());
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let mut sorter = Sorter::new(8 << 10, "/nowhere/to/be/found".into(), OnDuplicate::Last);
        let error = (0..10_000u64).find_map(|i| sorter.push(&i.to_be_bytes(), i).err()).unwrap();
        assert!(format!("{error:#}").contains("/nowhere/to/be/found"), "{error:#}");
        // The error stays.
        assert!(sorter.finish().is_err());
    }
}
