//! Sorting more records than fit in memory: an external merge sort.
//!
//! ```text
//!   push ─▶ arena ─▶ sorted by all threads ─▶ run, front-coded, in a spill file ─┐
//!           arena, the last one or the only one ─────────────────────────────────┴─▶ merged, equal keys made one
//! ```
//!
//! While one arena is sorted and written, the next one is filled. Spill files have no name, where the system knows
//! such files, or are deleted when they are closed; so nothing is left of them, however the process ends.
//!
//! Knuth, "The Art of Computer Programming", volume 3, 5.4: external sorting.

mod arena;
mod merge;
mod run;
mod sample;

pub(crate) use merge::{Merger, Source};
pub(crate) use sample::Sample;

use anyhow::{Context, Result, bail};
use arena::{Arena, ENTRY};
use clap::ValueEnum;
use run::{Run, RunReader};
use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, channel},
};

/// Runs that are merged at once, each of them an open file with a buffer.
const FAN_IN: usize = 128;

/// Bytes of records that are many: their first ones, that a builder would find symbols with, say too little about the others.
const LARGE: usize = 64 << 20;

/// What to do with a key that comes several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnDuplicate {
    /// Keep the first value.
    First,
    /// Keep the last value.
    Last,
    /// Add the values.
    Sum,
    /// Give up.
    Error,
}

impl OnDuplicate {
    /// The value of a key that has two.
    fn combine(self, key: &[u8], earlier: u64, later: u64) -> Result<u64> {
        match self {
            Self::First => Ok(earlier),
            Self::Last => Ok(later),
            Self::Sum => {
                let sum = earlier.checked_add(later);
                sum.with_context(|| {
                    format!(
                        "the sum of the values of \"{}\" is over {}",
                        key.escape_ascii(),
                        u64::MAX
                    )
                })
            }
            Self::Error => bail!("the key \"{}\" is there more than once", key.escape_ascii()),
        }
    }
}

/// Takes records in any order, and hands them out in that of their keys.
pub(crate) struct Sorter {
    arena: Arena,
    /// Bytes of an arena.
    room: usize,
    /// Not here while an arena is spilled.
    spills: Option<Spills>,
    busy: Option<Receiver<Result<Spills>>>,
}

/// What was spilled, and how to spill.
struct Spills {
    folder: PathBuf,
    on_duplicate: OnDuplicate,
    /// Bytes of all runs' buffers together.
    buffers: usize,
    fan_in: usize,
    runs: Vec<Run>,
    sample: Sample,
}

/// Sorted records. From [`Sorter::finish`].
pub(crate) struct Sorted {
    pub(crate) merger: Merger<'static>,
    /// Records that are to be merged, of which some may have the same key.
    pub(crate) records: u64,
    /// Some of the keys, evenly, if there are many.
    pub(crate) sample: Option<Sample>,
}

impl Sorter {
    /// A sorter that takes about `memory` bytes at most while it is filled, and half of that while it is emptied. Its
    /// spill files are in `folder`.
    pub(crate) fn new(memory: usize, folder: PathBuf, on_duplicate: OnDuplicate) -> Self {
        Self::with_fan_in(memory, folder, on_duplicate, FAN_IN)
    }

    fn with_fan_in(
        memory: usize,
        folder: PathBuf,
        on_duplicate: OnDuplicate,
        fan_in: usize,
    ) -> Self {
        // One arena is filled while the other is spilled.
        let (buffers, room) = (memory / 8, memory / 16 * 7);
        let sample = Sample::new((memory / 16).min(16 << 20));
        let spills =
            Some(Spills { folder, on_duplicate, buffers, fan_in, runs: Vec::new(), sample });
        Self { arena: Arena::with_room(room), room, spills, busy: None }
    }

    /// Bytes of the longest key that surely fits in memory.
    pub(crate) fn longest(&self) -> usize {
        self.room.saturating_sub(ENTRY)
    }

    /// Adds a record; of those with the same key it is the last so far.
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
            // If nobody waits any more, the sorter is gone.
            let _ = sender.send(result);
        });
        Ok(())
    }

    /// The spills, when nothing is spilled any more.
    fn spills(&mut self) -> Result<Spills> {
        if let Some(busy) = self.busy.take() {
            return busy.recv().context("the thread that sorts has ended")?;
        }
        self.spills.take().context("sorting has failed before")
    }

    /// All records, sorted.
    pub(crate) fn finish(mut self) -> Result<Sorted> {
        let mut spills = self.spills()?;
        self.arena.sort();
        if spills.runs.len() >= spills.fan_in {
            spills.merge_runs()?;
        }
        self.arena.offer_to(&mut spills.sample);
        let many = !spills.runs.is_empty() || self.arena.bytes() > LARGE;
        let sample = many.then_some(spills.sample);
        let records =
            spills.runs.iter().map(|run| run.records).sum::<u64>() + self.arena.count() as u64;
        let mut sources = readers(spills.runs, spills.buffers)?;
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

    /// Makes all runs one, so that there are never too many. It holds the earliest records.
    fn merge_runs(&mut self) -> Result<()> {
        let sources = readers(std::mem::take(&mut self.runs), self.buffers)?;
        let run = Run::write(&self.folder, &mut Merger::new(sources, self.on_duplicate)?)?;
        self.runs.push(run);
        Ok(())
    }
}

fn readers(runs: Vec<Run>, buffers: usize) -> Result<Vec<Box<dyn Source>>> {
    let each = (buffers / runs.len().max(1)).clamp(4 << 10, 1 << 20);
    runs.into_iter()
        .map(|run| Ok(Box::new(RunReader::new(run, each)?) as Box<dyn Source>))
        .collect()
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

    /// Keys that are prefixes of others, share long beginnings, hold NUL and 0xFF, and come again.
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
        // All in memory; a few runs; many runs, which are merged on the way.
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
                "the sum of the values of \"key 5\" is over 18446744073709551615"
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
        // It stays an error.
        assert!(sorter.finish().is_err());
    }
}
