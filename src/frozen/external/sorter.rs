//! The sorter: fills one arena while another one is sorted and written to a spill file.
//!
//! | share of the memory | filling | emptying |
//! |---|---|---|
//! | 7/16 | the arena that is filled | chunks in work (1/4), run buffers (1/8) |
//! | 7/16 | the arena that is sorted and written | |
//! | 1/64 | marks of the runs | marks of the runs |
//!
//! If all records fit one arena, it stays, and nothing is written.

use super::arena::{Arena, MAX_BYTES_PER_ENTRY};
use super::duplicate::{Duplicates, MAX_NUMBER_BYTES};
use super::merge::{self, Merger};
use super::run::{Run, RunReader};
use super::sample::{KeySample, Starts};
use crate::frozen::error::FrozenError;
use crate::frozen::front_coded::Stored;
use crate::io::dir::Dir;
use crate::io::process::Process;
use crate::load::Ordered;
use crate::sync::parallel;
use rayon::ThreadPool;
use std::sync::Arc;

/// Runs that are merged at once, each of them an open file with a buffer.
const MAX_MERGED_RUNS: usize = 128;
/// Bytes of a reader's buffer, at least and at most.
const MIN_BUFFER_BYTES: usize = 4 << 10;
const MAX_BUFFER_BYTES: usize = 1 << 20;
/// Bytes of the buffer of a reader of sampled spans.
const SAMPLE_BUFFER_BYTES: usize = 16 << 10;

/// The size and the rules of a sorter.
#[derive(Clone, Debug)]
pub(super) struct SorterForm {
    /// The folder of the spill files.
    pub(super) dir: Arc<Dir>,
    pub(super) memory: usize,
    pub(super) duplicates: Duplicates,
    /// Whether a sample is taken.
    pub(super) is_sampled: bool,
    /// Most runs that are merged at once, or usually [`MAX_MERGED_RUNS`].
    fan_in: usize,
}

impl SorterForm {
    pub(super) fn new(
        dir: Arc<Dir>,
        memory: usize,
        duplicates: Duplicates,
        is_sampled: bool,
    ) -> Self {
        SorterForm { dir, memory, duplicates, is_sampled, fan_in: MAX_MERGED_RUNS }
    }

    fn arena_bytes(&self) -> usize {
        self.memory / 16 * 7
    }

    fn mark_bytes(&self) -> usize {
        self.memory / 64
    }

    fn buffer_bytes(&self, runs: usize) -> usize {
        (self.memory / 8 / runs.max(1)).clamp(MIN_BUFFER_BYTES, MAX_BUFFER_BYTES)
    }
}

/// Takes records in any order, and returns them in the order of their keys.
pub(super) struct Sorter {
    /// The process that made this. In a fork of it the arena in work never arrives.
    process: Process,
    form: SorterForm,
    arena: Arena,
    /// `None` while an arena is being spilled.
    spills: Option<Spills>,
    busy: Ordered<Result<Spills, FrozenError>>,
    /// The error of an arena that could not be spilled.
    failed: Option<FrozenError>,
}

/// The spilled runs, and what else an arena in work needs.
struct Spills {
    form: SorterForm,
    runs: Vec<Run>,
    starts: Starts,
    /// The arena that was spilled last, empty.
    empty: Option<Arena>,
}

/// Sorted records: those of one arena, or of runs.
pub(super) struct Sorted {
    form: SorterForm,
    /// `None` if there are runs.
    arena: Option<Arena>,
    runs: Vec<Run>,
    starts: Starts,
}

impl Sorter {
    /// Creates a sorter.
    ///
    /// # Errors
    /// The memory of an arena cannot be reserved.
    pub(super) fn new(form: SorterForm) -> Result<Self, FrozenError> {
        let arena = Arena::with_room(form.arena_bytes())?;
        let spills =
            Spills { form: form.clone(), runs: Vec::new(), starts: Starts::default(), empty: None };
        Ok(Sorter {
            process: Process::current(),
            form,
            arena,
            spills: Some(spills),
            busy: Ordered::new(),
            failed: None,
        })
    }

    /// Returns the most bytes of a key, and of a byte string as its value, that fit an arena.
    pub(super) fn max_record_len(&self) -> usize {
        self.form.arena_bytes().saturating_sub(MAX_BYTES_PER_ENTRY + MAX_NUMBER_BYTES)
    }

    /// Adds a record, of a key that fits. It counts as the last one so far with its key.
    #[inline]
    pub(super) fn push(
        &mut self,
        key: &[u8],
        value: &[u8],
        pool: Option<&ThreadPool>,
    ) -> Result<(), FrozenError> {
        self.check()?;
        if !self.arena.push(key, value) {
            self.spill(pool)?;
            self.arena.push(key, value);
        }
        Ok(())
    }

    /// Returns the error of an earlier call, or of a process that did not make this.
    #[inline]
    pub(super) fn check(&self) -> Result<(), FrozenError> {
        if !self.process.is_current() {
            return Err(FrozenError::Forked);
        }
        self.failed.as_ref().map_or(Ok(()), |failed| Err(failed.copy()))
    }

    /// Spills the arena in the background.
    #[cold]
    fn spill(&mut self, pool: Option<&ThreadPool>) -> Result<(), FrozenError> {
        let next = self.spills().and_then(|mut spills| {
            let empty = spills.empty.take().map_or_else(|| self.empty_arena(), Ok)?;
            Ok((spills, empty))
        });
        let (mut spills, empty) = next.inspect_err(|error| self.failed = Some(error.copy()))?;
        let arena = std::mem::replace(&mut self.arena, empty);
        let ticket = self.busy.begin();
        parallel::spawn_or(pool, move || {
            ticket.send(spills.add(arena).map(|()| spills));
        });
        Ok(())
    }

    fn empty_arena(&self) -> Result<Arena, FrozenError> {
        Arena::with_room(self.form.arena_bytes())
    }

    /// Waits until nothing is being spilled, and returns the runs.
    fn spills(&mut self) -> Result<Spills, FrozenError> {
        if let Some(spills) = self.spills.take() {
            return Ok(spills);
        }
        while self.busy.running() > 0 {
            self.busy.receive(true);
        }
        self.busy.next().unwrap_or(Err(FrozenError::Option("a thread of the build has ended")))
    }

    /// Returns all records, sorted.
    pub(super) fn finish(mut self, pool: Option<&ThreadPool>) -> Result<Sorted, FrozenError> {
        self.check()?;
        let spills = self.spills()?;
        let (form, arena) = (self.form.clone(), std::mem::take(&mut self.arena));
        parallel::in_pool_or(pool, || spills.finish(form, arena))
    }
}

impl Drop for Sorter {
    fn drop(&mut self) {
        if self.busy.running() > 0 && !self.process.is_current() {
            self.busy.abandon();
        }
    }
}

impl Spills {
    /// Sorts the last arena, and writes it if others were written.
    fn finish(mut self, form: SorterForm, mut arena: Arena) -> Result<Sorted, FrozenError> {
        self.empty = None;
        if !self.runs.is_empty() {
            if arena.count() > 0 {
                self.add(arena)?;
            }
            let Spills { runs, starts, .. } = self;
            return Ok(Sorted { form, arena: None, runs, starts });
        }
        arena.sort();
        if form.is_sampled {
            let rule = Some(Duplicates::first());
            let mut merger = Merger::new(vec![arena.reader()], rule)?;
            while let Some((key, _)) = merger.next()? {
                self.starts.see(key);
            }
        }
        Ok(Sorted { form, arena: Some(arena), runs: Vec::new(), starts: self.starts })
    }

    /// Sorts an arena and writes it as a run.
    fn add(&mut self, mut arena: Arena) -> Result<(), FrozenError> {
        arena.sort();
        if self.runs.len() >= self.form.fan_in {
            self.merge_runs()?;
        }
        let SorterForm { dir, duplicates, is_sampled, .. } = &self.form;
        let mut merger = Merger::new(vec![arena.reader()], duplicates.of_runs())?;
        let starts = &mut self.starts;
        let see = |key: &[u8]| {
            if *is_sampled {
                starts.see(key)
            }
        };
        self.runs.push(Run::write(dir, &mut merger, self.form.mark_bytes(), see)?);
        drop(merger);
        self.empty = Some(arena.cleared()?);
        while self.runs.iter().map(Run::mark_bytes).sum::<usize>() > self.form.mark_bytes() {
            self.runs.iter_mut().for_each(Run::drop_marks);
        }
        Ok(())
    }

    /// Merges all runs into one, which has the earliest records, so that there are never too many.
    fn merge_runs(&mut self) -> Result<(), FrozenError> {
        let runs = std::mem::take(&mut self.runs);
        let mut merger = Merger::new(readers(&self.form, &runs), self.form.duplicates.of_runs())?;
        self.runs.push(Run::write(&self.form.dir, &mut merger, self.form.mark_bytes(), |_| ())?);
        Ok(())
    }
}

fn readers<'r>(form: &SorterForm, runs: &'r [Run]) -> Vec<RunReader<'r>> {
    let bytes = form.buffer_bytes(runs.len());
    runs.iter().map(|run| run.reader(bytes)).collect()
}

impl Sorted {
    /// Returns the budget in bytes.
    pub(super) fn memory(&self) -> usize {
        self.form.memory
    }

    /// Returns the number of records, some of which may have the same key.
    pub(super) fn records(&self) -> u64 {
        self.runs.iter().map(Run::records).sum::<u64>()
            + self.arena.as_ref().map_or(0, Arena::count)
    }

    /// Returns a sample of the keys, and of the values if they are byte strings.
    pub(super) fn sample(&mut self, pool: Option<&ThreadPool>) -> Result<KeySample, FrozenError> {
        let (starts, duplicates) = (std::mem::take(&mut self.starts), self.form.duplicates);
        let sampled = || self.runs.iter().map(|run| run.reader(SAMPLE_BUFFER_BYTES)).collect();
        parallel::in_pool_or(pool, || match &self.arena {
            Some(arena) => starts.read(duplicates, || vec![arena.reader()]),
            None => starts.read(duplicates, sampled),
        })
    }

    /// Passes each key to `then` with what is stored of its value, and the number of records taken
    /// up to it.
    pub(super) fn read(
        &self,
        then: impl FnMut(&[u8], Stored<'_>, u64) -> Result<(), FrozenError>,
    ) -> Result<(), FrozenError> {
        let duplicates = self.form.duplicates;
        match &self.arena {
            Some(arena) => merge::read(vec![arena.reader()], duplicates, then),
            None => merge::read(readers(&self.form, &self.runs), duplicates, then),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Sorter, SorterForm, Stored};
    use crate::frozen::error::FrozenError;
    use crate::frozen::external::duplicate::{Duplicates, OnDuplicate};
    use crate::io::dir::Dir;
    use crate::value::ValueKind;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    type Records = Vec<(Vec<u8>, u64)>;

    fn sorter(memory: usize, rule: OnDuplicate, fan_in: usize) -> Sorter {
        let dir = Arc::new(Dir::open(&std::env::temp_dir()).unwrap());
        let duplicates = Duplicates::new(rule, ValueKind::U64).unwrap();
        Sorter::new(SorterForm { dir, memory, duplicates, is_sampled: true, fan_in }).unwrap()
    }

    /// Returns the sorted records, the sample, and the number of runs.
    fn sorted(
        records: &Records,
        memory: usize,
        rule: OnDuplicate,
        fan_in: usize,
    ) -> Result<(Records, Vec<Vec<u8>>, usize), FrozenError> {
        let mut sorter = sorter(memory, rule, fan_in);
        let duplicates = Duplicates::new(rule, ValueKind::U64)?;
        for (key, value) in records {
            duplicates.encode(Stored::number(*value), |value| sorter.push(key, value, None))?;
        }
        let mut sorted = sorter.finish(None)?;
        let (mut all, mut before) = (Vec::new(), None);
        let sample = sorted.sample(None)?.keys.strings;
        sorted.read(|key, value, taken| {
            assert!(Some(taken) > before && taken < sorted.records());
            before = Some(taken);
            all.push((key.to_vec(), value.number));
            Ok(())
        })?;
        assert!((all.len()..=records.len()).contains(&(sorted.records() as usize)));
        Ok((all, sample.iter().map(<[u8]>::to_vec).collect(), sorted.runs.len()))
    }

    /// Returns keys that are prefixes of others, share long prefixes, have NUL and 0xFF, and recur.
    fn records(count: usize) -> Records {
        let mut seed = 5u64;
        let mut below = |bound: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % bound
        };
        let starts = [&b""[..], b"https://www.", b"\0\0\0\0\0\0\0\0\0\0", &[0xFF; 15]];
        let mut records = Records::new();
        for _ in 0..count {
            let mut key = starts[below(4)].to_vec();
            for _ in 0..below(12) {
                key.push([0, 1, b'a', b'b', 0xFE, 0xFF][below(6)]);
            }
            if below(100) == 0 {
                key.resize(key.len() + below(3000), b'x');
            }
            records.push((key, (below(1 << 31) as u64) << below(32)));
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
        let mut samples = Vec::new();
        // All in memory; a few runs; many runs, some of which are merged early.
        for (memory, fan_in, spills) in
            [(64 << 20, 4, 0..=0), (400 << 10, 100, 4..=10), (64 << 10, 3, 1..=3)]
        {
            let mut check = |records, rule, expected: &BTreeMap<Vec<u8>, u64>| {
                let (all, sample, runs) = sorted(records, memory, rule, fan_in).unwrap();
                assert!(spills.contains(&runs), "{runs}");
                let all = all.iter().map(|(key, value)| (key, value));
                assert!(all.eq(expected), "{rule:?}, {memory} bytes");
                samples.push(sample);
            };
            check(&records, OnDuplicate::First, &first);
            check(&records, OnDuplicate::Last, &last);
            check(&small, OnDuplicate::Sum, &sum);
            assert!(sorted(&records, memory, OnDuplicate::Error, fan_in).is_err());
        }
        assert!(!samples[0].is_empty() && samples.iter().all(|sample| *sample == samples[0]));
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
                "the sum of the values of \"key 5\" is not within 0 to 18446744073709551615"
            );
        }
    }

    #[test]
    fn nothing_and_the_longest_key() {
        let empty = sorted(&Records::new(), 1 << 20, OnDuplicate::Last, 9).unwrap();
        assert_eq!(empty, (Records::new(), Vec::new(), 0));
        let longest = sorter(64 << 10, OnDuplicate::Last, 9).max_record_len();
        let records: Records = [2, 1, 3].map(|byte| (vec![byte; longest], u64::MAX)).into();
        let (all, _, runs) = sorted(&records, 64 << 10, OnDuplicate::Last, 9).unwrap();
        assert_eq!((all.len(), all[0].0[0], runs), (3, 1, 3));
    }

    #[test]
    fn an_error_of_an_arena_stays() {
        let mut sorter = sorter(64 << 10, OnDuplicate::Error, 9);
        let errors: Vec<String> = (0..20_000u64)
            .filter_map(|i| sorter.push(&(i / 2).to_be_bytes(), &[], None).err())
            .map(|error| error.to_string())
            .collect();
        assert!(errors.len() > 10_000 && errors[0].contains("more than once"), "{errors:?}");
        assert!(errors.iter().all(|error| *error == errors[0]));
        assert_eq!(sorter.finish(None).err().unwrap().to_string(), errors[0]);
    }
}
