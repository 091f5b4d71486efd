//! `memkv bench --suite sizes`: `FastArt` beside `BTreeMap`, from 100 keys to 10 million.
//!
//! One process for each size measures both in turn. Maps of fewer keys than a block are measured
//! several at a time, and each turn repeats until it has done [`MIN_OPERATIONS`], so that the cost
//! of reading the clock does not count. Every order of keys is random, and a new one each time: a
//! processor would learn that of a small map.

use super::absent::Loaded;
use super::args::{BenchArgs, KeyInput};
use super::index::Index;
use super::measure::{KEYS_PER_BLOCK, KEYS_PER_SCAN, fingerprint};
use super::memory::allocated;
use super::plot::{self, Panel};
use super::record::{
    Column, Record, all_correct, cell, large, median, number, put, times, titled, wrapped,
    write_error, write_json,
};
use super::row::{Job, Measured, Row, Suite, distinct, measure_all, value_of};
use super::timer::Timer;
use crate::keys::KeyList;
use crate::rng::{Rng, hash};
use crate::source::Source;
use anyhow::{Context, Result};
use memkv::FastArt;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::Write;

const SIZES: [u64; 6] = [100, 1000, 10_000, 100_000, 1_000_000, 10_000_000];
/// Operations of a kind in a turn, at least: some milliseconds.
const MIN_OPERATIONS: usize = 100_000;
/// Keys of all turns of one structure. Small maps have [`MAX_TURNS`], large ones [`MIN_TURNS`].
const KEYS_OF_ALL_TURNS: usize = 10_000_000;
const MIN_TURNS: usize = 3;
const MAX_TURNS: usize = 9;
const MAX_MISSES: usize = 500_000;
const MAX_SCANS: usize = 20_000;

/// The structures that take turns, as prefixes of figures.
const NAMES: [&str; 2] = ["fastart", "btreemap"];

const COLUMNS: [Column; 6] = [
    ("bytes/key", "bytes_per_key", |bytes| format!("{bytes:.1}")),
    ("inserts/s", "insert_per_s", large),
    ("lookups/s", "get_per_s", large),
    ("misses/s", "miss_per_s", large),
    ("scan keys/s", "scan_keys_per_s", large),
    ("removes/s", "remove_per_s", large),
];

const PANELS: [Panel; 6] = [
    ("Bytes a key", "bytes_per_key", |bytes| format!("{bytes:.1}"), true),
    ("Inserts a second", "insert_per_s", large, false),
    ("Lookups a second", "get_per_s", large, false),
    ("Misses a second", "miss_per_s", large, false),
    ("Keys scanned a second", "scan_keys_per_s", large, false),
    ("Removes a second", "remove_per_s", large, false),
];

/// Returns the row of the suite, which measures both structures.
pub(super) fn row() -> Row {
    Row::new(Suite::Sizes, "sizes", measure)
}

/// Returns the sizes up to a number of keys, and that number.
fn sizes(most: u64) -> Vec<u64> {
    SIZES.into_iter().filter(|&size| size < most).chain([most.min(SIZES[5])]).collect()
}

/// Runs the suite and returns whether all results were correct.
pub(super) fn run(args: &BenchArgs, keys: &KeyInput, out: &mut impl Write) -> Result<bool> {
    let jobs = sizes(keys.source.n).into_iter().map(|n| {
        let source = Source { n, ..keys.source.clone() };
        args.job("sizes", &source, 1)
    });
    let measured = measure_all(jobs.collect(), args.rounds, &keys.stdin)?;
    let records: Vec<[Record; 2]> = measured.iter().map(by_structure).collect();
    let all = || records.iter().flatten();
    let name = keys.source.name().rsplit('/').next().unwrap_or_default();
    let heading = format!("FastArt and BTreeMap by number of keys, {name}");
    if let Some(path) = &args.plot {
        let bars = all().map(|record| {
            let n = number(record, "n").unwrap_or(0.0);
            let name = record["impl"].as_str().unwrap_or_default();
            let mut record = record.clone();
            put(&mut record, "impl", format!("{name}, {}", count(n)));
            record
        });
        let drawing = plot::svg(&heading, &PANELS, &bars.collect::<Vec<_>>());
        std::fs::write(path, drawing)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.json {
        write_json(out, all())?;
    } else {
        let what = "FastArt : BTreeMap<Box<[u8]>, u64>, and the ratio; bytes a key with values of \
            8 bytes, as FastArt reports them and as allocated for a BTreeMap; rates of CPU time, \
            one thread; medians of turns in one process";
        write!(out, "{}", wrapped(&format!("{heading}, seed {}\n{what}", args.seed)))?;
        let mut titles = vec!["keys"];
        COLUMNS.iter().for_each(|column| titles.extend([column.0, ""]));
        writeln!(out, "\n{}", titled(1, &titles, records.iter().map(line)))?;
        for record in all() {
            write_error(out, record["impl"].as_str().unwrap_or_default(), record)?;
        }
    }
    Ok(all_correct(all()))
}

fn count(n: f64) -> String {
    large(n).replace(".00", "")
}

fn ratio_of(field: &str) -> String {
    format!("{field}_ratio")
}

/// Returns the records of the two structures. That of `FastArt` has the ratios.
fn by_structure(measured: &Measured) -> [Record; 2] {
    NAMES.map(|name| {
        let mut record = Record::new();
        put(&mut record, "impl", name);
        put(&mut record, "keys", measured.job.source.name());
        for (field, value) in &measured.summary {
            let of_name = field.strip_prefix(name).and_then(|field| field.strip_prefix('_'));
            let of_both = matches!(&**field, "n" | "raw_bytes" | "turns");
            let of_first = matches!(&**field, "errors" | "first_error");
            if let Some(field) = of_name {
                put(&mut record, field, value.clone());
            } else if of_both || of_first && name == NAMES[0] {
                // A failure of the whole job counts once, as the first structure's.
                put(&mut record, field, value.clone());
            }
        }
        record.entry("errors").or_insert(0.into());
        record
    })
}

fn line([ours, base]: &[Record; 2]) -> Vec<String> {
    let mut line = vec![cell(ours, "n", count)];
    for &(_, field, show) in &COLUMNS {
        line.push(format!("{} : {}", cell(ours, field, show), cell(base, field, show)));
        line.push(cell(ours, &ratio_of(field), times));
    }
    line
}

/// Measures both structures in turn with the keys of a job.
fn measure(job: &Job) -> Result<Record> {
    let (all, held) = job.source.load()?;
    let keys = all.select(&distinct(&all));
    let n = keys.len();
    let sorted: Vec<u32> = (0..n as u32).collect();
    let mut rng = Rng::new(hash(job.source.seed, job.round));
    let loaded = Loaded { keys: &keys, sorted: &sorted, held: &held };
    let absent = loaded.absent(&mut rng, n.clamp(1, MAX_MISSES));
    let mut sums = vec![0u64];
    for (i, key) in keys.iter().enumerate() {
        sums.push(sums[i].wrapping_add(fingerprint(key, value_of(i))));
    }
    // Reserved here, so that the structures' memory can be told from the block's.
    let longest = keys.iter().chain(absent.iter()).map(<[u8]>::len).max().unwrap_or(0);
    let block = Block {
        keys: KeyList::with_capacity(2 * KEYS_PER_BLOCK, 2 * KEYS_PER_BLOCK * longest),
        words: Vec::with_capacity(2 * KEYS_PER_BLOCK),
    };
    let mut turns = Turns { keys: &keys, absent: &absent, sums: &sums, rng, block };
    let number_of_turns = (KEYS_OF_ALL_TURNS / n.max(1)).clamp(MIN_TURNS, MAX_TURNS);
    let mut rounds: [Vec<Record>; 2] = Default::default();
    for turn in 0..number_of_turns {
        // Which structure is first alternates.
        for structure in [turn % 2, 1 - turn % 2] {
            rounds[structure].push(match structure {
                0 => turns.measure::<FastArt>()?,
                _ => turns.measure::<BTreeMap<Box<[u8]>, u64>>()?,
            });
        }
    }
    let mut record = Record::new();
    put(&mut record, "n", n);
    put(&mut record, "raw_bytes", keys.raw_bytes());
    put(&mut record, "turns", number_of_turns);
    for (name, rounds) in NAMES.iter().zip(&rounds) {
        for (_, field, _) in COLUMNS {
            let figures = rounds.iter().filter_map(|record| number(record, field));
            put(&mut record, &format!("{name}_{field}"), median(figures.collect()));
        }
        let errors: f64 = rounds.iter().filter_map(|record| number(record, "errors")).sum();
        put(&mut record, &format!("{name}_errors"), errors as u64);
        if let Some(first) = rounds.iter().find_map(|record| record.get("first_error")) {
            put(&mut record, &format!("{name}_first_error"), first.clone());
        }
    }
    for (_, field, _) in COLUMNS {
        let ratio = super::record::ratio(&rounds[0], &rounds[1], field);
        put(&mut record, &format!("{}_{}", NAMES[0], ratio_of(field)), ratio);
    }
    Ok(record)
}

/// The keys of a size, and what each operation on them must return.
struct Turns<'a> {
    /// In key order.
    keys: &'a KeyList,
    absent: &'a KeyList,
    /// Prefix sums of the fingerprints in key order. A difference of two checks a scan.
    sums: &'a [u64],
    rng: Rng,
    block: Block,
}

/// Keys, and the words by which their results are checked.
#[derive(Default)]
struct Block {
    keys: KeyList,
    words: Vec<u64>,
}

/// What an operation is done with.
struct Work<'a> {
    keys: &'a KeyList,
    /// Operations on each map.
    each: usize,
    /// Returns the word that checks the result of the key at an index.
    word: &'a dyn Fn(usize) -> u64,
}

/// The sums of one operation over a turn.
#[derive(Default)]
struct Tally {
    timer: Timer,
    /// Right results, and of scans the keys visited.
    units: usize,
    errors: usize,
}

impl Turns<'_> {
    /// Measures one turn of a structure.
    fn measure<I: Index + Default>(&mut self) -> Result<Record> {
        let n = self.keys.len();
        let maps_at_once = KEYS_PER_BLOCK.div_ceil(n);
        let (keys, absent, sums) = (self.keys, self.absent, self.sums);
        let end = |i: usize| n.min(i + KEYS_PER_SCAN);
        let all = || Work { keys, each: n, word: &value_of };
        let [mut insert, mut get, mut miss, mut scan, mut remove] = <[Tally; 5]>::default();
        let mut bytes = Vec::new();
        for _ in 0..MIN_OPERATIONS.div_ceil(maps_at_once * n) {
            let before = allocated()?;
            let mut maps: Vec<I> = (0..maps_at_once).map(|_| I::default()).collect();
            self.time(&mut insert, &mut maps, all(), |map, key, value| {
                usize::from(map.insert(key, value).is_none())
            });
            let held = match maps.iter().map(Index::reported_bytes).sum::<Option<usize>>() {
                Some(reported) => reported as f64,
                None => (allocated()? - before) as f64,
            };
            bytes.push(held / (maps_at_once * n) as f64);
            self.time(&mut get, &mut maps, all(), |map, key, value| {
                usize::from(map.get(key) == Some(value))
            });
            let misses = Work { keys: absent, each: absent.len(), word: &|_| 0 };
            self.time(&mut miss, &mut maps, misses, |map, key, _| {
                usize::from(map.get(key).is_none())
            });
            let sum = |i: usize| sums[end(i)].wrapping_sub(sums[i]);
            let scans = Work { keys, each: (n / 10).clamp(1, MAX_SCANS), word: &sum };
            self.time(&mut scan, &mut maps, scans, |map, key, expected| {
                let (mut count, mut sum) = (0, 0u64);
                map.scan(key, KEYS_PER_SCAN, |key, value| {
                    count += 1;
                    sum = sum.wrapping_add(fingerprint(black_box(key), value));
                });
                if sum == expected { count } else { 0 }
            });
            self.time(&mut remove, &mut maps, all(), |map, key, value| {
                usize::from(map.remove(key) == Some(value))
            });
        }
        let mut record = Record::new();
        put(&mut record, "bytes_per_key", median(bytes));
        let mut errors = 0;
        for (column, tally) in COLUMNS[1..].iter().zip([insert, get, miss, scan, remove]) {
            put(&mut record, column.1, tally.timer.rates(tally.units)[0]);
            if tally.errors > 0 && errors == 0 {
                put(&mut record, "first_error", format!("wrong results: {}", column.0));
            }
            errors += tally.errors;
        }
        put(&mut record, "errors", errors);
        Ok(record)
    }

    /// Times `call` on each map, with keys of the work in random order. `call` returns the number
    /// of keys that it found or changed, or 0 if the result is wrong.
    fn time<I>(
        &mut self,
        tally: &mut Tally,
        maps: &mut [I],
        work: Work,
        call: impl Fn(&mut I, &[u8], u64) -> usize,
    ) {
        let mut picks: Vec<u32> = Vec::new();
        for map in 0..maps.len() {
            let start = map * work.each;
            picks.extend(0..work.keys.len() as u32);
            self.rng.shuffle(&mut picks[start..]);
            picks.truncate(start + work.each);
        }
        let per_block = if maps.len() > 1 { picks.len() } else { KEYS_PER_BLOCK };
        let block = &mut self.block;
        for picks in picks.chunks(per_block) {
            block.keys.clear();
            block.words.clear();
            for &i in picks {
                block.keys.push(work.keys.get(i as usize));
                block.words.push((work.word)(i as usize));
            }
            let (units, errors) = tally.timer.time(|| {
                let (mut units, mut errors) = (0, 0);
                for (map, start) in maps.iter_mut().zip((0..).step_by(work.each)) {
                    for i in start..picks.len().min(start + work.each) {
                        let done = call(map, block.keys.get(i), block.words[i]);
                        units += done;
                        errors += usize::from(done == 0);
                    }
                }
                (units, errors)
            });
            tally.units += units;
            tally.errors += errors;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Turns, measure, sizes};
    use crate::bench::index::Index;
    use crate::bench::record::number;
    use crate::bench::row::{GrowValues, Job, Order, Suite};
    use crate::generate::Kind;
    use crate::keys::KeyList;
    use crate::rng::Rng;
    use crate::source::Source;
    use std::collections::BTreeMap;

    #[test]
    fn sizes_end_with_the_number_of_keys() {
        assert_eq!(sizes(7), [7]);
        assert_eq!(sizes(1000), [100, 1000]);
        assert_eq!(sizes(2500), [100, 1000, 2500]);
        assert_eq!(sizes(u64::MAX).last(), Some(&10_000_000));
    }

    #[test]
    fn both_are_right_at_any_size() {
        for n in [1, 2, 99, 100, 1000, 1024, 1025, 3000] {
            let job = Job {
                suite: Suite::Sizes,
                row: String::new(),
                source: Source::generated(Kind::Urls, n, 1),
                order: Order::Shuffled,
                threads: 1,
                millis: 0,
                values: GrowValues::U64,
                dir: None,
                round: 0,
            };
            let record = measure(&job).unwrap();
            assert_eq!(number(&record, "n"), Some(n as f64));
            for name in super::NAMES {
                assert_eq!(number(&record, &format!("{name}_errors")), Some(0.0), "{record:?}");
                // Memory is that of jemalloc, which only the tool has.
                for (_, field, _) in &super::COLUMNS[1..] {
                    assert!(number(&record, &format!("{name}_{field}")).unwrap() > 0.0, "{field}");
                }
            }
            assert!(number(&record, "fastart_get_per_s_ratio").unwrap() > 0.0, "{record:?}");
        }
    }

    /// A map that loses one key in a hundred.
    #[derive(Default)]
    struct Lossy(BTreeMap<Box<[u8]>, u64>);

    impl Index for Lossy {
        fn insert(&mut self, key: &[u8], value: u64) -> Option<u64> {
            if key.ends_with(b"00") { None } else { Index::insert(&mut self.0, key, value) }
        }
        fn get(&self, key: &[u8]) -> Option<u64> {
            Index::get(&self.0, key)
        }
        fn scan(&self, from: &[u8], count: usize, visit: impl FnMut(&[u8], u64)) {
            self.0.scan(from, count, visit);
        }
        fn remove(&mut self, key: &[u8]) -> Option<u64> {
            Index::remove(&mut self.0, key)
        }
    }

    #[test]
    fn wrong_results_are_errors() {
        let (mut keys, mut absent) = (KeyList::default(), KeyList::default());
        (0..500).for_each(|i| keys.push(format!("{i:03}").as_bytes()));
        absent.push(b"x");
        let sums = vec![0; 501];
        let (rng, block) = (Rng::new(1), super::Block::default());
        let mut turns = Turns { keys: &keys, absent: &absent, sums: &sums, rng, block };
        let record = turns.measure::<Lossy>().unwrap();
        assert_eq!(record["first_error"], "wrong results: lookups/s");
    }
}
