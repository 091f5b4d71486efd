//! Rows of the benchmark, the jobs that measure them in child processes, and rounds of jobs.

use super::child;
use super::record::{Record, put, ratio, summary, wrapped};
use crate::keys::KeyList;
use crate::progress::Steps;
use crate::rng::{Rng, hash};
use crate::source::Source;
use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::PathBuf;

/// A group of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Suite {
    /// Single-threaded maps.
    Map,
    /// FastArt and BTreeMap in turn, of 100, 1,000, ... and --n keys, 10 million at most. Uses
    /// --keys, --kind, --n, --seed, --rounds, --json and --plot.
    Sizes,
    /// Shared maps, used by several threads at once.
    Threads,
    /// Frozen layers and fst::Map: sizes, reads, builds and automata. Uses --keys, --kind, --n,
    /// --seed, --rounds, --parts and --json.
    Frozen,
    /// A hybrid store against its base, under compaction, and its log. Uses the options that
    /// `frozen` uses, except --parts.
    Hybrid,
    /// Bulk loads, the cost of shards, and the growth of one map. Uses --keys, --kind, --n, --seed,
    /// --rounds, --threads, --millis, --parts, --values, --dir and --json.
    Bulk,
}

/// The values of a map that grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum GrowValues {
    /// Random numbers of 8 bytes.
    #[default]
    U64,
    /// Random numbers of 4 bytes.
    U32,
    /// None: the map is a set.
    None,
}

/// The order of insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Order {
    Shuffled,
    Sorted,
    Descending,
    /// The order of the file or of the generator.
    File,
}

/// One measurement of one row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) suite: Suite,
    pub(crate) row: String,
    pub(crate) source: Source,
    pub(crate) order: Order,
    pub(crate) threads: usize,
    pub(crate) millis: u64,
    /// The values of the part `grow`.
    pub(crate) values: GrowValues,
    /// The folder for the file of the part `grow`, if not that for temporary files.
    pub(crate) dir: Option<PathBuf>,
    /// Each round shuffles differently.
    pub(crate) round: u64,
}

impl Job {
    /// Returns the distinct keys, sorted or else shuffled.
    pub(crate) fn distinct_keys(&self) -> Result<KeyList> {
        let (keys, _) = self.source.load()?;
        let mut chosen = distinct(&keys);
        if self.order != Order::Sorted {
            Rng::new(hash(self.source.seed, self.round)).shuffle(&mut chosen);
        }
        Ok(keys.select(&chosen))
    }

    /// Returns a description of the job, which is one of `rounds`.
    fn describe(&self, rounds: u64) -> String {
        let mut text = format!("{} on {}", self.row, self.source.name());
        if self.order != Order::Shuffled {
            text += &format!(", {:?}", self.order).to_lowercase();
        }
        if self.threads > 1 {
            text += &format!(", {} threads", self.threads);
        }
        if rounds > 1 {
            text += &format!(", round {} of {rounds}", self.round + 1);
        }
        text
    }
}

/// Returns the indices of the distinct keys in key order: of equal keys the first.
pub(crate) fn distinct(keys: &KeyList) -> Vec<u32> {
    let mut sorted = keys.sorted();
    sorted.dedup_by_key(|i| keys.get(*i as usize));
    sorted
}

/// Returns the value of key `i`, except in the suite `map`.
pub(crate) fn value_of(i: usize) -> u64 {
    hash(7, i as u64)
}

/// A structure, or another item, that can be measured.
#[derive(Debug)]
pub struct Row {
    /// The name on the command line and in the table.
    pub name: &'static str,
    /// Whether it is measured if no structure is named.
    pub by_default: bool,
    /// A remark that is printed under the table.
    pub note: &'static str,
    pub(crate) suite: Suite,
    /// Measures the row. Runs in a child process.
    pub(crate) measure: fn(&Job) -> Result<Record>,
}

impl Row {
    /// Creates a row that is measured by default.
    pub(crate) fn new(
        suite: Suite,
        name: &'static str,
        measure: fn(&Job) -> Result<Record>,
    ) -> Self {
        Self { name, by_default: true, note: "", suite, measure }
    }

    /// Measures the row only if it is named.
    pub fn on_request(self) -> Self {
        Self { by_default: false, ..self }
    }

    /// Sets the note.
    pub fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

/// The records of a job: one for each round, and their summary.
pub(crate) struct Measured {
    pub(crate) job: Job,
    pub(crate) rounds: Vec<Record>,
    pub(crate) summary: Record,
}

impl Measured {
    /// Returns the median ratio of a figure to that of `base`.
    pub(crate) fn ratio(&self, base: &Self, field: &str) -> Option<f64> {
        ratio(&self.rounds, &base.rounds, field)
    }
}

/// Measures each job once a round, in turn, and reports each on the standard error. `input` is the
/// standard input of each child.
///
/// A job that fails results in a record with the failure as its error.
pub(crate) fn measure_all(jobs: Vec<Job>, rounds: u64, input: &[u8]) -> Result<Vec<Measured>> {
    let steps = Steps::new(jobs.len() as u64 * rounds);
    let mut records = vec![Vec::new(); jobs.len()];
    for round in 0..rounds {
        for (job, records) in jobs.iter().zip(&mut records) {
            let job = Job { round, ..job.clone() };
            steps.begin(&job.describe(rounds));
            let record = child::call(child::CHILD, &job, input, child::TIMEOUT);
            records.push(record.unwrap_or_else(|error| {
                let mut record = Record::new();
                put(&mut record, "errors", 1);
                put(&mut record, "first_error", format!("{error:#}"));
                record
            }));
        }
    }
    let measured = jobs.into_iter().zip(records);
    Ok(measured.map(|(job, rounds)| Measured { job, summary: summary(&rounds), rounds }).collect())
}

/// Writes the notes of rows.
pub(crate) fn write_notes(out: &mut impl Write, rows: &[&Row]) -> Result<()> {
    for row in rows.iter().filter(|row| !row.note.is_empty()) {
        write!(out, "{}", wrapped(&format!("{}: {}", row.name, row.note)))?;
    }
    Ok(())
}

/// Runs in the child: measures the row of a job.
///
/// # Errors
///
/// If there is no such row or its measurement fails.
pub fn run_child(rows: &[Row]) -> Result<()> {
    child::answer(|job: Job| {
        let row = rows.iter().find(|row| row.suite == job.suite && row.name == job.row);
        (row.context("unknown structure")?.measure)(&job)
    })
}
