//! Rows of the benchmark, the jobs that measure them in child processes, and rounds of jobs.

use super::child;
use super::record::{Record, put, ratio, summary};
use crate::keys::KeyList;
use crate::rng::{Rng, hash};
use crate::source::Source;
use anyhow::{Context, Result};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::time::Duration;

/// A group of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Suite {
    /// Single-threaded maps.
    Map,
    /// Shared maps, used by several threads at once.
    Threads,
    /// Frozen layers and fst::Map: sizes, reads, builds and automata. Uses --keys, --kind, --n,
    /// --seed, --rounds, --parts and --json.
    Frozen,
    /// A hybrid store against its base, under compaction, and its log. Uses the options that
    /// `frozen` uses, except --parts.
    Hybrid,
    /// Bulk loads, the cost of shards, and the growth of one map. Uses --keys, --kind, --n, --seed,
    /// --rounds, --threads, --millis, --parts and --json.
    Bulk,
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

/// Measures each job once a round, in turn. `input` is the standard input of each child.
///
/// A job that fails results in a record with the failure as its error.
pub(crate) fn measure_all(jobs: Vec<Job>, rounds: u64, input: &[u8]) -> Result<Vec<Measured>> {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}")
        .context("the progress bar's template")?;
    let progress = ProgressBar::new(jobs.len() as u64 * rounds).with_style(style);
    progress.enable_steady_tick(Duration::from_secs(1));
    let mut records = vec![Vec::new(); jobs.len()];
    for round in 0..rounds {
        for (job, records) in jobs.iter().zip(&mut records) {
            progress.set_message(format!("{} on {}", job.row, job.source.name()));
            let job = Job { round, ..job.clone() };
            let record = child::call(child::CHILD, &job, input, child::TIMEOUT);
            records.push(record.unwrap_or_else(|error| {
                let mut record = Record::new();
                put(&mut record, "errors", 1);
                put(&mut record, "first_error", format!("{error:#}"));
                record
            }));
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    let measured = jobs.into_iter().zip(records);
    Ok(measured.map(|(job, rounds)| Measured { job, summary: summary(&rounds), rounds }).collect())
}

/// Writes the notes of rows.
pub(crate) fn write_notes(out: &mut impl Write, rows: &[&Row]) -> Result<()> {
    for row in rows.iter().filter(|row| !row.note.is_empty()) {
        writeln!(out, "{}: {}", row.name, row.note)?;
    }
    Ok(())
}

/// Calls `measure` once a round in this process, and returns all results.
pub(crate) fn in_rounds<T>(
    rounds: u64,
    mut measure: impl FnMut(u64) -> Result<T>,
) -> Result<Vec<T>> {
    let progress = ProgressBar::new_spinner();
    progress.enable_steady_tick(Duration::from_secs(1));
    let results = (0..rounds)
        .map(|round| {
            progress.set_message(format!("round {} of {rounds}", round + 1));
            measure(round)
        })
        .collect();
    progress.finish_and_clear();
    results
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
