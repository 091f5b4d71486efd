//! `memkv bench --suite frozen`: frozen layers of every codec and symbol table against `fst::Map`.
//!
//! All are built from the same keys in one process and stay in memory. In each round all answer the
//! same queries in turn, so that a disturbance of the machine affects all. Ratios are taken within a
//! round. Every answer is checked against the keys.

use super::measure::{Timer, allocated, with_peak};
use super::record::{Record, median, table};
use super::{BenchArgs, print_json_lines};
use crate::{
    keys::Keys,
    layer,
    rng::{Rng, hash},
};
use anyhow::{Context, Result};
use fst::automaton::{Automaton, Levenshtein, Str, Subsequence};
use fst::{IntoStreamer, Streamer};
use indicatif::ProgressBar;
use memkv::{Codec, FrozenLayer, FrozenOptions, SymbolTable, ValueWidth};
use std::{hint::black_box, io::Write, path::Path};

/// What is measured, and the column that each figure's ratios refer to.
const COLUMNS: [&str; 6] =
    ["fst", "fst ranks", "packed", "packed fsst", "packed onpair", "fst codec"];
const VALUES_INSIDE: usize = 0;
const RANKS: usize = 1;

const LOOKUPS: usize = 200_000;
const KEYS_PER_CALL: usize = 512;
const SEEKS: usize = 20_000;
const KEYS_PER_SEEK: usize = 50;
const QUERIES: usize = 20;

type Pairs<'k> = [(&'k [u8], u64)];

/// One of [`COLUMNS`].
enum Subject {
    Inside(fst::Map<Vec<u8>>),
    /// The values are in an array, by rank.
    Ranks(fst::Map<Vec<u8>>, Vec<u64>),
    Layer(FrozenLayer),
}

/// Returns the options of a column that is a layer.
fn options(column: usize) -> FrozenOptions {
    match column {
        2 => FrozenOptions::new().symbols(SymbolTable::None),
        3 => FrozenOptions::new().symbols(SymbolTable::Fsst),
        4 => FrozenOptions::new().symbols(SymbolTable::OnPair),
        _ => FrozenOptions::new().codec(Codec::Fst),
    }
}

fn transducer<'k>(pairs: impl Iterator<Item = (&'k [u8], u64)>) -> Result<fst::Map<Vec<u8>>> {
    let mut builder = fst::MapBuilder::memory();
    pairs.into_iter().try_for_each(|(key, value)| builder.insert(key, value))?;
    Ok(fst::Map::new(builder.into_inner()?)?)
}

fn visit_stream<A: Automaton>(
    mut stream: fst::map::Stream<'_, A>,
    count: usize,
    mut visit: impl FnMut(&[u8], u64),
) {
    for _ in 0..count {
        let Some((key, value)) = stream.next() else { break };
        visit(key, value);
    }
}

impl Subject {
    fn build(column: usize, pairs: &Pairs<'_>) -> Result<Self> {
        Ok(match column {
            VALUES_INSIDE => Self::Inside(transducer(pairs.iter().copied())?),
            RANKS => {
                let map = transducer(pairs.iter().zip(0..).map(|(pair, rank)| (pair.0, rank)))?;
                Self::Ranks(map, pairs.iter().map(|pair| pair.1).collect())
            }
            _ => Self::Layer(options(column).from_sorted(pairs)?),
        })
    }

    /// Saves a layer and opens the file mapped. The check reads all of it.
    fn mapped(&self, path: &Path) -> Result<Option<Self>> {
        let Self::Layer(layer) = self else { return Ok(None) };
        layer.save(path)?;
        Ok(Some(Self::Layer(layer::open_checked(path)?)))
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Inside(map) => map.as_fst().size(),
            Self::Ranks(map, values) => map.as_fst().size() + size_of_val(&values[..]),
            Self::Layer(layer) => layer.memory_usage().total(),
        }
    }

    fn get(&self, key: &[u8]) -> Option<u64> {
        match self {
            Self::Inside(map) => map.get(key),
            Self::Ranks(map, values) => values.get(map.get(key)? as usize).copied(),
            Self::Layer(layer) => layer.get(key),
        }
    }

    /// Visits up to `count` pairs from each of the keys `from` on.
    fn scan<'k>(
        &self,
        from: impl Iterator<Item = &'k [u8]>,
        count: usize,
        mut visit: impl FnMut(&[u8], u64),
    ) {
        match self {
            Self::Inside(map) => from
                .for_each(|key| visit_stream(map.range().ge(key).into_stream(), count, &mut visit)),
            Self::Ranks(map, values) => {
                let mut visit = |key: &[u8], rank: u64| visit(key, values[rank as usize]);
                from.for_each(|key| {
                    visit_stream(map.range().ge(key).into_stream(), count, &mut visit)
                });
            }
            Self::Layer(layer) => {
                let mut cursor = layer.cursor();
                for key in from {
                    cursor.seek(key);
                    for _ in 0..count {
                        let Some((key, value)) = cursor.next() else { break };
                        visit(key, value);
                    }
                }
            }
        }
    }

    fn search(&self, automaton: impl Automaton, mut visit: impl FnMut(&[u8], u64)) {
        match self {
            Self::Inside(map) => {
                visit_stream(map.search(automaton).into_stream(), usize::MAX, visit)
            }
            Self::Ranks(map, values) => {
                visit_stream(map.search(automaton).into_stream(), usize::MAX, |key, rank| {
                    visit(key, values[rank as usize])
                });
            }
            Self::Layer(layer) => {
                let mut matches = layer.search(automaton);
                while let Some((key, value)) = matches.lend() {
                    visit(key, value);
                }
            }
        }
    }
}

/// Adds a pair to the checksum of a scan.
fn fold(sum: &mut u64, key: &[u8], value: u64) {
    *sum = sum.wrapping_add(
        (key.len() as u64) << 8 ^ u64::from(key.last().copied().unwrap_or(0)) ^ value,
    );
}

/// A line of the table: of each round and column a number, if the column has one.
struct Figure {
    name: String,
    /// What the ratios refer to.
    base: usize,
    /// Whether more is better; else the ratio is how many times less it is.
    rate: bool,
    /// Whether ratios are as the numbers are, as for bytes.
    plain: bool,
    rounds: Vec<[Option<f64>; COLUMNS.len()]>,
}

impl Figure {
    fn value(&self, column: usize) -> Option<f64> {
        median(self.rounds.iter().filter_map(|round| round[column]).collect())
    }

    fn ratio(&self, column: usize) -> Option<f64> {
        let of = |round: &[Option<f64>; COLUMNS.len()]| {
            let (value, base) = (round[column]?, round[self.base]?);
            Some(if self.rate || self.plain { value / base } else { base / value })
        };
        median(self.rounds.iter().filter_map(of).collect())
            .filter(|ratio| ratio.is_finite() && *ratio > 0.0)
    }

    fn line(&self) -> Vec<String> {
        let cell = |column| {
            let Some(value) = self.value(column) else { return "-".to_owned() };
            let ratio = self
                .ratio(column)
                .filter(|_| column != self.base)
                .map_or(String::new(), |ratio| format!(" ({ratio:.2}x)"));
            format!("{value:.*}{ratio}", if value.abs() < 1000.0 { 2 } else { 0 })
        };
        [self.name.clone()].into_iter().chain((0..COLUMNS.len()).map(cell)).collect()
    }

    fn record(&self) -> Record {
        let mut record = Record::new();
        record.insert("figure".to_owned(), self.name.clone().into());
        record.insert("base".to_owned(), COLUMNS[self.base].into());
        for (column, name) in COLUMNS.iter().enumerate() {
            record.insert((*name).to_owned(), self.value(column).into());
            record.insert(format!("{name} ratio"), self.ratio(column).into());
        }
        record
    }
}

/// The figures so far, and what was wrong.
#[derive(Default)]
struct Results {
    figures: Vec<Figure>,
    errors: Vec<String>,
}

impl Results {
    fn add(&mut self, name: &str, round: usize, column: usize, value: f64) -> &mut Figure {
        let at = self.figures.iter().position(|figure| figure.name == name).unwrap_or_else(|| {
            self.figures.push(Figure {
                name: name.to_owned(),
                base: VALUES_INSIDE,
                rate: false,
                plain: false,
                rounds: Vec::new(),
            });
            self.figures.len() - 1
        });
        let figure = &mut self.figures[at];
        if figure.rounds.len() <= round {
            figure.rounds.resize(round + 1, [None; COLUMNS.len()]);
        }
        figure.rounds[round][column] = Some(value);
        figure
    }

    fn expect(&mut self, what: &str, column: usize, found: u64, expected: u64) {
        if found != expected {
            self.errors
                .push(format!("{}: {what}: {found:#x} instead of {expected:#x}", COLUMNS[column]));
        }
    }
}

/// Returns this thread's CPU time of `work`, in nanoseconds for each of `count`.
fn nanoseconds(count: usize, work: impl FnOnce()) -> f64 {
    let mut timer = Timer::default();
    timer.time(work);
    timer.cpu() * 1e9 / count.max(1) as f64
}

/// The queries of one round.
struct Queries {
    hits: Keys,
    /// Sum of the values of `hits`.
    sum: u64,
    misses: Keys,
    prefixes: Vec<String>,
    near: [Vec<Levenshtein>; 2],
    parts: Vec<String>,
}

impl Queries {
    fn new(pairs: &Pairs<'_>, held: &Keys, rng: &mut Rng) -> Self {
        let mut pick = || pairs[rng.below(pairs.len() as u64) as usize];
        let (mut hits, mut sum) = (Keys::default(), 0u64);
        for _ in 0..LOOKUPS.min(pairs.len()) {
            let (key, value) = pick();
            hits.push(key);
            sum = sum.wrapping_add(value);
        }
        let absent: Vec<&[u8]> = held
            .iter()
            .filter(|key| pairs.binary_search_by_key(key, |pair| pair.0).is_err())
            .collect();
        let mut misses = Keys::default();
        absent
            .iter()
            .cycle()
            .take(if absent.is_empty() { 0 } else { hits.len() })
            .for_each(|key| misses.push(key));
        let texts: Vec<String> =
            (0..QUERIES).filter_map(|_| String::from_utf8(pick().0.to_vec()).ok()).collect();
        let part = |text: &String, of: usize| {
            text.chars().take((text.chars().count() * of).div_ceil(4)).collect::<String>()
        };
        let start = |text: &String, most: usize| text.chars().take(most).collect::<String>();
        // Automata of longer texts have more states than the crate fst allows.
        let near = [(1, 60), (2, 24)].map(|(distance, most)| {
            texts
                .iter()
                .filter_map(|text| Levenshtein::new(&start(text, most), distance).ok())
                .collect::<Vec<_>>()
        });
        let prefixes = texts.iter().map(|text| part(text, 3)).collect();
        let parts = texts.iter().take(3).map(|text| text.chars().step_by(5).collect()).collect();
        Self { hits, sum, misses, prefixes, near, parts }
    }

    fn search_all<A: Automaton>(
        &self,
        name: &str,
        subject: &Subject,
        automata: impl Iterator<Item = A>,
        round: usize,
        column: usize,
        results: &mut Results,
    ) -> u64 {
        let automata: Vec<A> = automata.collect();
        let mut sum = 0;
        let time = nanoseconds(automata.len(), || {
            automata.iter().for_each(|automaton| {
                subject.search(automaton, |key, value| fold(&mut sum, key, value))
            });
        });
        if !automata.is_empty() {
            results.add(name, round, column, time / 1000.0).base = RANKS;
        }
        sum
    }

    /// Looks up present and absent keys. Returns the time of a hit.
    fn look_up(
        &self,
        subject: &Subject,
        place: &str,
        round: usize,
        column: usize,
        results: &mut Results,
    ) -> f64 {
        let mut sum = 0u64;
        let hits = nanoseconds(self.hits.len(), || {
            sum = self
                .hits
                .iter()
                .map(|key| subject.get(key).unwrap_or(0))
                .fold(0, u64::wrapping_add);
        });
        results.expect("hits", column, sum, self.sum);
        results.add(&format!("hit{place}, ns"), round, column, hits);
        if !self.misses.is_empty() {
            let mut found = 0;
            let misses = nanoseconds(self.misses.len(), || {
                found = self.misses.iter().filter(|key| subject.get(key).is_some()).count()
            });
            results.expect("misses", column, found as u64, 0);
            results.add(&format!("miss{place}, ns"), round, column, misses);
        }
        hits
    }

    /// Runs all queries on one structure. Returns checksums of what the automata found.
    fn ask(
        &self,
        subject: &Subject,
        pairs: &Pairs<'_>,
        whole: u64,
        round: usize,
        column: usize,
        results: &mut Results,
    ) -> [u64; 4] {
        let hits = self.look_up(subject, "", round, column, results);
        if let Subject::Layer(layer) = subject {
            let keys: Vec<&[u8]> = self.hits.iter().collect();
            let mut sum = 0u64;
            let many = nanoseconds(keys.len(), || {
                for batch in keys.chunks(KEYS_PER_CALL) {
                    sum = layer.get_many(batch).into_iter().flatten().fold(sum, u64::wrapping_add);
                }
            });
            results.expect("get_many", column, sum, self.sum);
            results.add("get_many, ns", round, column, many);
            results.add("get_many : own single hits", round, column, hits / many).plain = true;
        }
        let mut sum = 0;
        let scan = nanoseconds(pairs.len(), || {
            subject.scan([&[][..]].into_iter(), usize::MAX, |key, value| fold(&mut sum, key, value))
        });
        results.expect("scan", column, sum, whole);
        results.add("scan, ns a key", round, column, scan);
        let seeks = self.hits.len().min(SEEKS);
        let seek = nanoseconds(seeks, || {
            subject.scan(self.hits.iter().take(seeks), KEYS_PER_SEEK, |key, value| {
                black_box((key.len(), value));
            });
        });
        results.add("seek + 50 keys, µs", round, column, seek / 1000.0);
        [
            self.search_all(
                "prefix, µs",
                subject,
                self.prefixes.iter().map(|text| Str::new(text).starts_with()),
                round,
                column,
                results,
            ),
            self.search_all(
                "Levenshtein 1, µs",
                subject,
                self.near[0].iter(),
                round,
                column,
                results,
            ),
            self.search_all(
                "Levenshtein 2, µs",
                subject,
                self.near[1].iter(),
                round,
                column,
                results,
            ),
            self.search_all(
                "subsequence, µs",
                subject,
                self.parts.iter().map(|text| Subsequence::new(text)),
                round,
                column,
                results,
            ),
        ]
    }
}

/// Measures sizes with values of several widths.
fn sizes(pairs: &Pairs<'_>, results: &mut Results) -> Result<Vec<Subject>> {
    let n = pairs.len() as f64;
    let narrow: Vec<(&[u8], u64)> = pairs.iter().map(|&(key, value)| (key, value >> 24)).collect();
    let raw = pairs.iter().map(|pair| pair.0.len()).sum::<usize>() as f64;
    let mut subjects = Vec::new();
    for column in 0..COLUMNS.len() {
        let before = allocated()?;
        let (subject, peak) = with_peak(|| Subject::build(column, pairs))?;
        results
            .add(
                "build by all threads, peak memory, bytes a key",
                0,
                column,
                (peak - before) as f64 / n,
            )
            .plain = true;
        let subject = subject?;
        if let Subject::Layer(layer) = &subject
            && layer.codec() == Codec::Packed
        {
            results
                .add("headers of blocks, bytes a key", 0, column, layer.header_bytes() as f64 / n)
                .plain = true;
        }
        let keys = match &subject {
            Subject::Inside(_) => None,
            Subject::Ranks(map, _) => Some(map.as_fst().size()),
            Subject::Layer(_) => Some(
                options(column).values(ValueWidth::None).from_sorted(pairs)?.memory_usage().total(),
            ),
        };
        if let Some(keys) = keys {
            let figure = results.add("keys alone, bytes a key", 0, column, keys as f64 / n);
            (figure.base, figure.plain) = (RANKS, true);
        }
        let bytes = subject.bytes() as f64;
        results.add("with 64-bit values, bytes a key", 0, column, bytes / n).plain = true;
        results.add("  less the bytes of the keys", 0, column, (bytes - raw) / n).plain = true;
        let bytes = match column {
            RANKS => subject.bytes() - 3 * pairs.len(),
            _ => Subject::build(column, &narrow)?.bytes(),
        };
        results.add("with 40-bit values, bytes a key", 0, column, bytes as f64 / n).plain = true;
        subjects.push(subject);
    }
    Ok(subjects)
}

/// Measures builds: the CPU time of one thread, and the wall time of two threads and of one.
fn builds(pairs: &Pairs<'_>, round: usize, results: &mut Results) -> Result<()> {
    let pool = |threads| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("cannot start threads")
    };
    let (one, two) = (pool(1)?, pool(2)?);
    let time = |pool: &rayon::ThreadPool, column: usize| {
        pool.install(|| -> Result<Timer> {
            let mut timer = Timer::default();
            timer.time(|| Subject::build(column, pairs).map(black_box))?;
            Ok(timer)
        })
    };
    let millions = pairs.len() as f64 / 1e6;
    for column in 0..COLUMNS.len() {
        let alone = time(&one, column)?;
        results.add("build, 1 thread, M keys/s", round, column, millions / alone.cpu()).rate = true;
        if column > RANKS {
            let both = time(&two, column)?;
            results
                .add(
                    "build, 2 threads, M keys/s of wall time",
                    round,
                    column,
                    millions / both.wall(),
                )
                .rate = true;
            results
                .add("  2 threads : 1, wall time", round, column, alone.wall() / both.wall())
                .plain = true;
        }
    }
    Ok(())
}

/// Runs the suite and returns whether all results were correct.
pub(super) fn run(
    args: &BenchArgs,
    heading: &str,
    keys: &Keys,
    held: &Keys,
    out: &mut impl Write,
) -> Result<bool> {
    let mut sorted = keys.sorted();
    sorted.dedup_by(|a, b| keys.get(*a as usize) == keys.get(*b as usize));
    let keys = keys.select(&sorted);
    let pairs: Vec<(&[u8], u64)> =
        keys.iter().enumerate().map(|(i, key)| (key, hash(!args.seed, i as u64))).collect();
    let mut whole = 0;
    pairs.iter().for_each(|(key, value)| fold(&mut whole, key, *value));
    let mut results = Results::default();
    let progress = ProgressBar::new_spinner();
    progress.enable_steady_tick(std::time::Duration::from_secs(1));
    progress.set_message("building");
    let subjects = sizes(&pairs, &mut results)?;
    let folder = tempfile::tempdir().context("cannot create a folder for temporary files")?;
    let mapped = subjects
        .iter()
        .enumerate()
        .map(|(column, subject)| subject.mapped(&folder.path().join(column.to_string())));
    let mapped = mapped.collect::<Result<Vec<_>>>()?;
    let (mut auto, mut chosen) = (Timer::default(), SymbolTable::Auto);
    auto.time(|| FrozenLayer::from_sorted(&pairs).map(|layer| chosen = layer.symbols()))?;
    for round in 0..args.rounds as usize {
        progress.set_message(format!("round {} of {}", round + 1, args.rounds));
        builds(&pairs, round, &mut results)?;
        let queries = Queries::new(&pairs, held, &mut Rng::new(hash(args.seed, round as u64)));
        let mut expected = None;
        for (column, subject) in subjects.iter().enumerate() {
            let found = queries.ask(subject, &pairs, whole, round, column, &mut results);
            if let Some(mapped) = &mapped[column] {
                queries.look_up(mapped, " in a mapped file", round, column, &mut results);
            }
            let expected = *expected.get_or_insert(found);
            found
                .iter()
                .zip(expected)
                .for_each(|(&found, expected)| results.expect("automata", column, found, expected));
        }
    }
    progress.finish_and_clear();
    if args.json {
        print_json_lines(out, results.figures.iter().map(Figure::record))?;
    } else {
        writeln!(out, "{heading}; {} of them different, seed {}\n", pairs.len(), args.seed)?;
        let title = ["figure".to_owned()].into_iter().chain(COLUMNS.map(String::from)).collect();
        let lines: Vec<Vec<String>> =
            [title].into_iter().chain(results.figures.iter().map(Figure::line)).collect();
        writeln!(out, "{}", table(&lines))?;
        writeln!(
            out,
            "fst: fst::Map with random 64-bit values inside; fst ranks: one of ranks, and an array of values"
        )?;
        writeln!(
            out,
            "in brackets: bytes as a part of fst's (keys alone: of fst ranks'), speed as a multiple of fst's (automata: of fst ranks')"
        )?;
        writeln!(
            out,
            "CPU time of one thread, but for two threads; medians of {} rounds",
            args.rounds
        )?;
        writeln!(
            out,
            "the symbols Auto are {chosen:?}; with the trial, a build by all threads takes {:.2} s of wall time",
            auto.wall()
        )?;
    }
    results.errors.iter().try_for_each(|error| writeln!(out, "wrong: {error}"))?;
    Ok(results.errors.is_empty())
}
