//! `memkv bench --suite frozen`: frozen layers of every codec and symbol table against `fst::Map`.
//!
//! All are built from the same keys in one process and stay in memory. In each round all answer the
//! same queries in turn, so that a disturbance of the machine affects all. Ratios are taken within
//! a round. Every answer is checked against the keys.

use super::args::{BenchArgs, KeyInput, heading};
use super::measure::fingerprint;
use super::memory::{allocated, with_peak};
use super::record::{Record, number, put, ratio, summary, titled, wrapped, write_json};
use super::row::distinct;
use super::timer::Timer;
use crate::{
    keys::KeyList,
    layer,
    progress::Steps,
    rng::{Rng, hash},
};
use anyhow::{Context, Result};
use fst::automaton::{Automaton, Levenshtein, Str, Subsequence};
use fst::{IntoStreamer, Streamer};
use memkv::{Codec, FrozenLayer, FrozenOptions, SymbolTable, ValueWidth};
use std::{hint::black_box, io::Write, path::Path};

/// The structures measured.
const COLUMNS: [&str; 6] =
    ["fst", "fst ranks", "packed", "packed fsst", "packed onpair", "fst codec"];
const VALUES_INSIDE: usize = 0;
const RANKS: usize = 1;
pub(super) const PLAIN: usize = 2;
pub(super) const FSST: usize = 3;
pub(super) const ONPAIR: usize = 4;
pub(super) const BY_FST: usize = 5;

/// How a ratio compares a figure with that of the base column.
#[derive(Clone, Copy, PartialEq)]
enum Unit {
    /// A size, a rate or a ratio: figure by base.
    Amount,
    /// A time: base by figure, so that faster is more.
    Time,
}

use Unit::{Amount, Time};

/// The lines of the table: name, base column of the ratios, and unit.
const FIGURES: [(&str, usize, Unit); 21] = [
    (BUILD_PEAK, VALUES_INSIDE, Amount),
    ("with 64-bit values, bytes a key", VALUES_INSIDE, Amount),
    ("  less the bytes of the keys", VALUES_INSIDE, Amount),
    ("with 40-bit values, bytes a key", VALUES_INSIDE, Amount),
    ("keys alone, bytes a key", RANKS, Amount),
    ("headers of blocks, bytes a key", VALUES_INSIDE, Amount),
    ("build, 1 thread, M keys/s", VALUES_INSIDE, Amount),
    (BUILD_2, VALUES_INSIDE, Amount),
    ("  2 threads : 1, wall time", VALUES_INSIDE, Amount),
    ("hit, ns", VALUES_INSIDE, Time),
    ("miss, ns", VALUES_INSIDE, Time),
    ("scan, ns a key", VALUES_INSIDE, Time),
    ("seek + 50 keys, µs", VALUES_INSIDE, Time),
    ("prefix, µs", RANKS, Time),
    ("Levenshtein 1, µs", RANKS, Time),
    ("Levenshtein 2, µs", RANKS, Time),
    ("subsequence, µs", RANKS, Time),
    ("get_many, ns", VALUES_INSIDE, Time),
    ("get_many : own single hits", VALUES_INSIDE, Amount),
    ("hit in a mapped file, ns", VALUES_INSIDE, Time),
    ("miss in a mapped file, ns", VALUES_INSIDE, Time),
];
const BUILD_PEAK: &str = "build by all threads, peak memory, bytes a key";
const BUILD_2: &str = "build, 2 threads, M keys/s of wall time";

const LOOKUPS: usize = 200_000;
const KEYS_PER_CALL: usize = 512;
const SEEKS: usize = 20_000;
const KEYS_PER_SEEK: usize = 50;
const QUERIES: usize = 20;

type Pairs<'k> = [(&'k [u8], u64)];

/// One of [`COLUMNS`].
enum Subject {
    /// With an array of the values by rank, or else with the values inside.
    Fst(fst::Map<Vec<u8>>, Option<Vec<u64>>),
    Layer(FrozenLayer),
}

/// Returns the options of a column that is a layer, and the default ones for any other number.
pub(super) fn options(column: usize) -> FrozenOptions {
    match column {
        PLAIN => FrozenOptions::new().symbols(SymbolTable::None),
        FSST => FrozenOptions::new().symbols(SymbolTable::Fsst),
        ONPAIR => FrozenOptions::new().symbols(SymbolTable::OnPair),
        BY_FST => FrozenOptions::new().codec(Codec::Fst),
        _ => FrozenOptions::new(),
    }
}

/// Visits up to `count` pairs of a stream of fst, whose values may be ranks of `values`.
pub(super) fn visit_stream<A: Automaton>(
    mut stream: fst::map::Stream<'_, A>,
    values: Option<&[u64]>,
    count: usize,
    mut visit: impl FnMut(&[u8], u64),
) {
    for _ in 0..count {
        let Some((key, value)) = stream.next() else { break };
        visit(key, values.map_or(value, |values| values[value as usize]));
    }
}

impl Subject {
    fn build(column: usize, pairs: &Pairs<'_>) -> Result<Self> {
        Ok(match column {
            VALUES_INSIDE => Self::Fst(fst::Map::from_iter(pairs.iter().copied())?, None),
            RANKS => {
                let ranks = pairs.iter().zip(0..).map(|(pair, rank)| (pair.0, rank));
                let map = fst::Map::from_iter(ranks)?;
                Self::Fst(map, Some(pairs.iter().map(|pair| pair.1).collect()))
            }
            _ => Self::Layer(options(column).from_sorted(pairs)?),
        })
    }

    /// Saves a layer and opens the file mapped. The check reads all of it.
    fn mapped(&self, path: &Path) -> Result<Option<Self>> {
        let Self::Layer(layer) = self else { return Ok(None) };
        layer.save(path)?;
        Ok(Some(Self::Layer(layer::open_checked(path)?.content.numbers()?)))
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Fst(map, values) => {
                map.as_fst().size() + values.as_ref().map_or(0, |values| size_of_val(&values[..]))
            }
            Self::Layer(layer) => layer.memory_usage().total(),
        }
    }

    fn get(&self, key: &[u8]) -> Option<u64> {
        match self {
            Self::Fst(map, None) => map.get(key),
            Self::Fst(map, Some(values)) => values.get(map.get(key)? as usize).copied(),
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
            Self::Fst(map, values) => from.for_each(|key| {
                let stream = map.range().ge(key).into_stream();
                visit_stream(stream, values.as_deref(), count, &mut visit);
            }),
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
            Self::Fst(map, values) => {
                let stream = map.search(automaton).into_stream();
                visit_stream(stream, values.as_deref(), usize::MAX, visit);
            }
            Self::Layer(layer) => {
                let mut matches = layer.search(automaton);
                while let Some((key, value)) = matches.next_ref() {
                    visit(key, value);
                }
            }
        }
    }
}

/// Adds a pair to the checksum of a scan.
fn fold(sum: &mut u64, key: &[u8], value: u64) {
    *sum = sum.wrapping_add(fingerprint(key, value));
}

/// The figures of one column in one round, and the errors of all.
struct Round<'a> {
    column: usize,
    record: &'a mut Record,
    errors: &'a mut Vec<String>,
}

impl Round<'_> {
    fn put(&mut self, figure: &str, value: f64) {
        put(self.record, figure, value);
    }

    fn expect(&mut self, what: &str, found: u64, expected: u64) {
        if found != expected {
            let name = COLUMNS[self.column];
            self.errors.push(format!("{name}: {what}: {found:#x} instead of {expected:#x}"));
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
struct Queries<'a> {
    pairs: &'a Pairs<'a>,
    /// Checksum of all pairs.
    whole: u64,
    hits: KeyList,
    /// Sum of the values of `hits`.
    sum: u64,
    misses: KeyList,
    prefixes: Vec<String>,
    near: [Vec<Levenshtein>; 2],
    parts: Vec<String>,
}

impl<'a> Queries<'a> {
    fn new(pairs: &'a Pairs<'a>, held: &KeyList, rng: &mut Rng) -> Self {
        let mut pick = || pairs[rng.below(pairs.len() as u64) as usize];
        let (mut hits, mut sum) = (KeyList::default(), 0u64);
        for _ in 0..LOOKUPS.min(pairs.len()) {
            let (key, value) = pick();
            hits.push(key);
            sum = sum.wrapping_add(value);
        }
        let absent: Vec<&[u8]> = held
            .iter()
            .filter(|key| pairs.binary_search_by_key(key, |pair| pair.0).is_err())
            .collect();
        let mut misses = KeyList::default();
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
        let mut whole = 0;
        pairs.iter().for_each(|(key, value)| fold(&mut whole, key, *value));
        Self { pairs, whole, hits, sum, misses, prefixes, near, parts }
    }

    /// Looks up present and absent keys. Returns the time of a hit.
    fn look_up(&self, subject: &Subject, place: &str, round: &mut Round<'_>) -> f64 {
        let mut sum = 0u64;
        let hits = nanoseconds(self.hits.len(), || {
            let values = self.hits.iter().map(|key| subject.get(key).unwrap_or(0));
            sum = values.fold(0, u64::wrapping_add);
        });
        round.expect("hits", sum, self.sum);
        round.put(&format!("hit{place}, ns"), hits);
        if !self.misses.is_empty() {
            let mut found = 0;
            let misses = nanoseconds(self.misses.len(), || {
                found = self.misses.iter().filter(|key| subject.get(key).is_some()).count()
            });
            round.expect("misses", found as u64, 0);
            round.put(&format!("miss{place}, ns"), misses);
        }
        hits
    }

    /// Runs the queries that do not use automata.
    fn read(&self, subject: &Subject, round: &mut Round<'_>) {
        let hits = self.look_up(subject, "", round);
        if let Subject::Layer(layer) = subject {
            let keys: Vec<&[u8]> = self.hits.iter().collect();
            let mut sum = 0u64;
            let many = nanoseconds(keys.len(), || {
                for keys in keys.chunks(KEYS_PER_CALL) {
                    sum = layer.get_many(keys).into_iter().flatten().fold(sum, u64::wrapping_add);
                }
            });
            round.expect("get_many", sum, self.sum);
            round.put("get_many, ns", many);
            round.put("get_many : own single hits", hits / many);
        }
        let mut sum = 0;
        let scan = nanoseconds(self.pairs.len(), || {
            subject.scan([&[][..]].into_iter(), usize::MAX, |key, value| fold(&mut sum, key, value))
        });
        round.expect("scan", sum, self.whole);
        round.put("scan, ns a key", scan);
        let seeks = self.hits.len().min(SEEKS);
        let seek = nanoseconds(seeks, || {
            subject.scan(self.hits.iter().take(seeks), KEYS_PER_SEEK, |key, value| {
                black_box((key.len(), value));
            });
        });
        round.put("seek + 50 keys, µs", seek / 1000.0);
    }

    /// Runs all automata. Returns checksums of what each kind found.
    fn search(&self, subject: &Subject, round: &mut Round<'_>) -> [u64; 4] {
        let prefixes = self.prefixes.iter().map(|text| Str::new(text).starts_with());
        let parts = self.parts.iter().map(|text| Subsequence::new(text));
        [
            search_all("prefix, µs", subject, prefixes, round),
            search_all("Levenshtein 1, µs", subject, self.near[0].iter(), round),
            search_all("Levenshtein 2, µs", subject, self.near[1].iter(), round),
            search_all("subsequence, µs", subject, parts, round),
        ]
    }
}

/// Runs automata of one kind. Returns a checksum of what they found.
fn search_all<A: Automaton>(
    figure: &str,
    subject: &Subject,
    automata: impl Iterator<Item = A>,
    round: &mut Round<'_>,
) -> u64 {
    let automata: Vec<A> = automata.collect();
    let mut sum = 0;
    let time = nanoseconds(automata.len(), || {
        automata.iter().for_each(|automaton| {
            subject.search(automaton, |key, value| fold(&mut sum, key, value))
        });
    });
    if !automata.is_empty() {
        round.put(figure, time / 1000.0);
    }
    sum
}

/// Builds the structure of a column and measures sizes with values of several widths.
fn size(pairs: &Pairs<'_>, round: &mut Round<'_>) -> Result<Subject> {
    let (column, n) = (round.column, pairs.len() as f64);
    let raw = pairs.iter().map(|pair| pair.0.len()).sum::<usize>() as f64;
    let before = allocated()?;
    let (subject, peak) = with_peak(|| Subject::build(column, pairs))?;
    let subject = subject?;
    round.put(BUILD_PEAK, (peak - before) as f64 / n);
    let keys = match &subject {
        Subject::Fst(map, values) => values.as_ref().map(|_| map.as_fst().size()),
        Subject::Layer(layer) => {
            if layer.codec() == Codec::Packed {
                round.put("headers of blocks, bytes a key", layer.header_bytes() as f64 / n);
            }
            let keys = options(column).values(ValueWidth::None).from_sorted(pairs)?;
            Some(keys.memory_usage().total())
        }
    };
    if let Some(keys) = keys {
        round.put("keys alone, bytes a key", keys as f64 / n);
    }
    let bytes = subject.bytes() as f64;
    round.put("with 64-bit values, bytes a key", bytes / n);
    round.put("  less the bytes of the keys", (bytes - raw) / n);
    let bytes = match column {
        RANKS => subject.bytes() - 3 * pairs.len(),
        _ => {
            let narrow = pairs.iter().map(|&(key, value)| (key, value >> 24));
            Subject::build(column, &narrow.collect::<Vec<_>>())?.bytes()
        }
    };
    round.put("with 40-bit values, bytes a key", bytes as f64 / n);
    Ok(subject)
}

/// Measures builds: the CPU time of one thread, and the wall time of two threads and of one.
fn build(pairs: &Pairs<'_>, round: &mut Round<'_>) -> Result<()> {
    let column = round.column;
    let time = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.context("cannot start threads")?.install(|| -> Result<Timer> {
            let mut timer = Timer::default();
            timer.time(|| Subject::build(column, pairs).map(black_box))?;
            Ok(timer)
        })
    };
    let millions = pairs.len() as f64 / 1e6;
    let alone = time(1)?;
    round.put("build, 1 thread, M keys/s", millions / alone.cpu());
    if column > RANKS {
        let both = time(2)?;
        round.put(BUILD_2, millions / both.wall());
        round.put("  2 threads : 1, wall time", alone.wall() / both.wall());
    }
    Ok(())
}

/// Returns the record of a figure: its value and its ratio of each column that has it.
fn figure_record(columns: &[Vec<Record>], (name, base, unit): (&str, usize, Unit)) -> Record {
    let mut record = Record::new();
    put(&mut record, "figure", name);
    put(&mut record, "base", COLUMNS[base]);
    for (column, rounds) in COLUMNS.iter().zip(columns) {
        let ratio = match unit {
            Amount => ratio(rounds, &columns[base], name),
            Time => ratio(&columns[base], rounds, name),
        };
        put(&mut record, column, number(&summary(rounds), name));
        put(&mut record, &format!("{column} ratio"), ratio.filter(|&ratio| ratio > 0.0));
    }
    record
}

/// Returns the cells of a figure's record.
fn line(record: &Record) -> Vec<String> {
    let text = |field| record[field].as_str().unwrap_or_default();
    let cell = |column: &str| {
        let Some(value) = number(record, column) else { return "-".to_owned() };
        let ratio = number(record, &format!("{column} ratio"))
            .filter(|_| column != text("base"))
            .map_or(String::new(), |ratio| format!(" ({ratio:.2}x)"));
        format!("{value:.*}{ratio}", if value.abs() < 1000.0 { 2 } else { 0 })
    };
    [text("figure").to_owned()].into_iter().chain(COLUMNS.map(cell)).collect()
}

/// Runs the suite and returns whether all results were correct.
pub(super) fn run(args: &BenchArgs, input: &KeyInput, out: &mut impl Write) -> Result<bool> {
    let (all, held) = input.source.load_from(&input.stdin)?;
    let keys = all.select(&distinct(&all));
    let pairs: Vec<(&[u8], u64)> =
        keys.iter().enumerate().map(|(i, key)| (key, hash(!args.seed, i as u64))).collect();
    let mut columns = vec![vec![Record::new(); args.rounds as usize]; COLUMNS.len()];
    let mut errors = Vec::new();
    let folder = tempfile::tempdir().context("cannot create a folder for temporary files")?;
    let mut subjects = Vec::new();
    let steps = Steps::new(COLUMNS.len() as u64 * (1 + 2 * args.rounds));
    for (column, rounds) in columns.iter_mut().enumerate() {
        steps.begin(&format!("{}, sizes", COLUMNS[column]));
        let mut round = Round { column, record: &mut rounds[0], errors: &mut errors };
        let subject = size(&pairs, &mut round)?;
        let mapped = subject.mapped(&folder.path().join(column.to_string()))?;
        subjects.push((subject, mapped));
    }
    let (mut auto, mut chosen) = (Timer::default(), SymbolTable::Auto);
    auto.time(|| FrozenLayer::from_sorted(&pairs).map(|layer| chosen = layer.symbols()))?;
    for number in 0..args.rounds {
        let begin = |column: usize, what: &str| {
            steps.begin(&format!("{}, {what}, round {}", COLUMNS[column], number + 1));
        };
        for (column, rounds) in columns.iter_mut().enumerate() {
            begin(column, "builds");
            let record = &mut rounds[number as usize];
            build(&pairs, &mut Round { column, record, errors: &mut errors })?;
        }
        let queries = Queries::new(&pairs, &held, &mut Rng::new(hash(args.seed, number)));
        let mut expected = None;
        for (column, (subject, mapped)) in subjects.iter().enumerate() {
            begin(column, "queries");
            let record = &mut columns[column][number as usize];
            let mut round = Round { column, record, errors: &mut errors };
            queries.read(subject, &mut round);
            let found = queries.search(subject, &mut round);
            if let Some(mapped) = mapped {
                queries.look_up(mapped, " in a mapped file", &mut round);
            }
            let expected = *expected.get_or_insert(found);
            for (found, expected) in found.into_iter().zip(expected) {
                round.expect("automata", found, expected);
            }
        }
    }
    drop(steps);
    let measured = |name| columns.iter().flatten().any(|record| record.contains_key(name));
    let figures = FIGURES.iter().filter(|(name, ..)| measured(*name));
    let records: Vec<Record> = figures.map(|&figure| figure_record(&columns, figure)).collect();
    if args.json {
        write_json(out, &records)?;
    } else {
        let heading = heading(&input.source, all.len() as f64, all.raw_bytes() as f64);
        let rounds = args.rounds;
        let heading = format!(
            "{heading}; {} of them different, seed {}\n\
             memkv's layers beside fst::Map: bytes of a file or of memory, and CPU time of one \
             thread unless the figure has another; medians of {rounds} rounds\n\
             in brackets: bytes as a part of fst's (keys alone: of fst ranks'), speed as a \
             multiple of fst's (automata: of fst ranks')",
            pairs.len(),
            args.seed
        );
        writeln!(out, "{}", wrapped(&heading))?;
        let titles = [&["figure"][..], &COLUMNS].concat();
        writeln!(out, "{}", titled(1, &titles, records.iter().map(line)))?;
        let notes = format!(
            "fst: fst::Map with random 64-bit values inside; fst ranks: one of ranks, and an array \
             of values\n\
             the symbols Auto are {chosen:?}; with the trial, a build by all threads takes {:.2} s \
             of wall time",
            auto.wall()
        );
        write!(out, "{}", wrapped(&notes))?;
    }
    errors.iter().try_for_each(|error| writeln!(out, "wrong: {error}"))?;
    Ok(errors.is_empty())
}
