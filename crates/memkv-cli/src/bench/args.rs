//! The options of `memkv bench`, and the keys and rows that they choose.

use super::row::{GrowValues, Job, Order, Row, Suite};
use crate::generate::Kind;
use crate::input::{self, STDIN};
use crate::source::{Origin, Source};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::io::Read;
use std::path::PathBuf;

/// Few enough that a first build and run take less than three minutes on two cores.
const DEFAULT_KEYS: u64 = 500_000;

/// Measure memory and speed against other structures.
///
/// Each structure is measured in a process of its own, with jemalloc and random 64-bit values.
/// Every result is checked; if one is wrong, the exit status is 2. Overhead is the bytes allocated,
/// values included, less the bytes of the keys. Rates are operations a second of CPU time.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// What to measure.
    #[arg(long, value_enum, default_value_t = Suite::Map)]
    pub(crate) suite: Suite,
    /// A file with one key a line: plain, .gz, .zst, or - for the standard input. [default:
    /// generated keys]
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<String>,
    /// The kind of the generated keys.
    #[arg(long, conflicts_with = "keys", default_value_t = Kind::Urls)]
    pub(crate) kind: Kind,
    /// Number of keys, such as 500k, 2m, 1b or 1_000_000, up to 4294967295; of a file a random
    /// sample. [default: 500k, or the whole file]
    #[arg(long, short, value_name = "COUNT", value_parser = parse_count)]
    pub(crate) n: Option<u64>,
    /// Seed of the keys, the values, the sample and the orders.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Order of insertion.
    #[arg(long, value_enum, default_value_t = Order::Shuffled)]
    pub(crate) order: Order,
    /// The structures to measure, separated by commas. Suite `map`, by default all but those in
    /// brackets: fastart, (fastart-symbols), (fastset), (fastart-bulk), arenaart, concurrentart,
    /// (concurrentart-symbols), shardedart, btreemap, hashbrown, frozenlayer,
    /// hybridstore, (frozenlayer-plain), (frozenlayer-fsst), (frozenlayer-onpair),
    /// (frozenlayer-fst), fst. Suite `threads`, in the same way: concurrentart,
    /// (concurrentart-symbols), shardedart, hybridstore, rwlock-btreemap, crossbeam-skiplist. The
    /// other suites measure all of theirs.
    #[arg(long = "impl", value_name = "NAMES", value_delimiter = ',')]
    pub(crate) impls: Vec<String>,
    /// Number of times to measure each structure.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rounds: u64,
    /// Also compare FastArt with BTreeMap on other kinds of keys, and its memory with that of
    /// fastart-symbols.
    #[arg(long)]
    pub(crate) kinds: bool,
    /// Print a JSON object for each structure, instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// Numbers of threads, separated by commas, 1 to 65535, for the suites `threads` and `bulk`.
    /// `bulk` leaves out numbers above that of the processors, unless they are 1 or 2.
    #[arg(
        long, value_name = "COUNTS", value_delimiter = ',', default_value = "1,2,4",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub(crate) threads: Vec<u16>,
    /// Milliseconds that each workload of the suite `threads` runs.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) millis: u64,
    /// Parts of the suite `bulk`, separated by commas: load, shards, grow. [default: all] The suite
    /// `frozen` has the part external, which runs only if named and then alone, as it takes long: a
    /// build of more text than its memory limit.
    #[arg(
        long, value_name = "NAMES", value_delimiter = ',',
        value_parser = ["load", "shards", "grow", "external"]
    )]
    pub(crate) parts: Vec<String>,
    /// Values of the map of the part grow of the suite `bulk`.
    #[arg(long, value_enum, default_value_t = GrowValues::U64)]
    pub(crate) values: GrowValues,
    /// Folder for the temporary file of the part grow of the suite `bulk`: a frozen layer of the
    /// map, as a rule smaller than it. [default: the system's folder for temporary files]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
    /// Draw the results into an SVG file.
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
}

/// The source of the keys, and the standard input if they come from there.
pub(crate) struct KeyInput {
    pub(crate) source: Source,
    pub(crate) stdin: Vec<u8>,
}

impl BenchArgs {
    /// Returns whether single-threaded maps are measured.
    pub fn is_for_maps(&self) -> bool {
        self.suite == Suite::Map
    }

    /// Returns the named rows of the suite, or its default rows if none are named.
    ///
    /// # Errors
    ///
    /// If the suite has no row of that name.
    pub fn choose<'a>(&self, rows: &'a [Row]) -> Result<Vec<&'a Row>> {
        let all = rows.iter().filter(|row| row.suite == self.suite);
        if self.impls.is_empty() {
            return Ok(all.filter(|row| row.by_default).collect());
        }
        let find = |name: &String| {
            let known = || all.clone().map(|row| row.name).collect::<Vec<_>>().join(", ");
            let row = all.clone().find(|row| row.name == name);
            row.with_context(|| format!("unknown structure {name:?}; known are {}", known()))
        };
        self.impls.iter().map(find).collect()
    }

    /// Returns the generated keys of a kind.
    pub(crate) fn generated(&self, kind: Kind) -> Source {
        Source::generated(kind, self.n.unwrap_or(DEFAULT_KEYS), self.seed)
    }

    /// Returns the source of the keys.
    pub(crate) fn key_input(&self) -> Result<KeyInput> {
        let mut stdin = Vec::new();
        let source = match self.keys.as_deref() {
            None => self.generated(self.kind),
            Some(STDIN) => {
                let read = input::open(STDIN, false)?.read_to_end(&mut stdin);
                read.context("cannot read the standard input")?;
                Source::file(STDIN, &stdin[..], self.n, self.seed)?
            }
            Some(path) => Source::file(path, input::open(path, false)?, self.n, self.seed)?,
        };
        let is_large = matches!(source.origin, Origin::File { lines: 0x1_0000_0000.., .. });
        if is_large && self.n.is_none() {
            bail!("{} has over 2^32 lines; choose a number with --n", source.name());
        }
        Ok(KeyInput { source, stdin })
    }

    /// Returns the job that measures a row with shuffled keys.
    pub(crate) fn job(&self, row: &str, source: &Source, threads: usize) -> Job {
        Job {
            suite: self.suite,
            row: row.to_owned(),
            source: source.clone(),
            order: Order::Shuffled,
            threads,
            millis: self.millis,
            values: self.values,
            dir: self.dir.clone(),
            round: 0,
        }
    }
}

/// Describes the keys, of which `count` have `raw` bytes.
pub(crate) fn heading(source: &Source, count: f64, raw: f64) -> String {
    let what = match &source.origin {
        Origin::Generated { kind } => format!("generated keys ({kind})"),
        Origin::File { path, .. } => match path.as_str() {
            STDIN => "keys from the standard input".to_owned(),
            path => format!("keys of {}", path.rsplit('/').next().unwrap_or(path)),
        },
    };
    format!("{count:.0} {what}, {:.1} bytes each on average", raw / count)
}

/// Parses a count above 0 with underscores and the suffixes `k`, `m` and `b`.
fn parse_count(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let units = [('k', 1000), ('m', 1_000_000), ('b', 1_000_000_000)];
    let (digits, unit) = units
        .into_iter()
        .find_map(|(suffix, unit)| Some((lower.strip_suffix(suffix)?, unit)))
        .unwrap_or((&lower, 1));
    let count =
        digits.replace('_', "").parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    match count {
        Some(count @ 1..=0xffff_ffff) => Ok(count),
        Some(_) => Err("out of the range from 1 to 4294967295".to_owned()),
        None => Err("not a number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{BenchArgs, GrowValues, Suite, parse_count};
    use crate::bench::rows::rows;
    use clap::{CommandFactory, Parser};

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        bench: BenchArgs,
    }

    #[test]
    fn the_help_has_all_names() {
        let cli = Cli::command();
        let help = cli.get_arguments().find(|arg| arg.get_id() == "impls").unwrap();
        let help = help.get_help().unwrap().to_string().replace(['.', ','], "");
        let rows = rows();
        let named = rows.iter().filter(|row| matches!(row.suite, Suite::Map | Suite::Threads));
        for row in named {
            let name = match row.by_default {
                true => row.name.to_owned(),
                false => format!("({})", row.name),
            };
            assert!(help.split(' ').any(|word| word == name), "{name} is not in {help}");
        }
    }

    #[test]
    fn counts() {
        for (text, count) in [
            ("7", 7),
            ("1_000", 1000),
            ("20k", 20_000),
            ("2m", 2_000_000),
            ("1_0M", 10_000_000),
            ("4b", 4_000_000_000),
        ] {
            assert_eq!(parse_count(text), Ok(count), "{text}");
        }
        for text in ["", "0", "k", "-1", "1.5m", "2g", "5000m", "5b", "99999999999999999999"] {
            assert!(parse_count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn arguments() {
        let args = |line: &str| {
            Cli::try_parse_from(format!("x {line}").split_whitespace()).map(|cli| cli.bench)
        };
        let default = args("").unwrap();
        assert_eq!((default.n, default.rounds, default.seed), (None, 1, 1));
        let named = args("--n 5k --impl fst,btreemap --order sorted --suite map --kinds").unwrap();
        assert_eq!((named.n, named.kinds), (Some(5000), true));
        let rows = rows();
        let chosen: Vec<&str> = named.choose(&rows).unwrap().iter().map(|row| row.name).collect();
        assert_eq!(chosen, ["fst", "btreemap"]);
        let chosen: Vec<&str> = default.choose(&rows).unwrap().iter().map(|row| row.name).collect();
        let usual = [
            "fastart",
            "arenaart",
            "concurrentart",
            "shardedart",
            "btreemap",
            "hashbrown",
            "frozenlayer",
            "hybridstore",
            "fst",
        ];
        assert_eq!(chosen, usual);
        assert_eq!((default.values, default.dir), (GrowValues::U64, None));
        assert_eq!(args("--values none").unwrap().values, GrowValues::None);
        assert!(args("--impl none").unwrap().choose(&rows).is_err());
        for bad in [
            "--suite all",
            "--rounds 0",
            "--n x",
            "--order random",
            "--kind x",
            "--values u16",
            "--keys a --kind words",
        ] {
            assert!(args(bad).is_err(), "{bad}");
        }
    }
}
