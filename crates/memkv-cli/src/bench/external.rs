//! `memkv bench --suite frozen --parts external`: `memkv build` of generated text that does not fit in the memory it is given.
//!
//! The build runs in a process of its own, which says how much of it was in memory at most.

use super::measure::most_resident;
use super::record::{Record, large, mebibytes, number};
use super::{BenchArgs, child, print_json_lines};
use crate::build::{self, BuildArgs};
use crate::generate::{Kind, generate};
use crate::layer;
use crate::rng::hash;
use anyhow::{Context, Result, ensure};
use clap::Parser;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

/// The hidden subcommand by which the build runs in a process of its own.
pub const CHILD: &str = "bench-external-child";
/// Memory that the build is given, in MiB.
const BUDGET: u64 = 256;
/// Text is generated until there are so many times the budget, unless a number of keys is given.
const TIMES: u64 = 4;
/// Keys generated at a time.
const BLOCK: u64 = 1 << 16;

/// A command line of `memkv build`.
#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: BuildArgs,
}

/// What [`CHILD`] does.
pub fn run_child() -> Result<()> {
    child::answer(|line: Vec<String>| {
        let begin = Instant::now();
        build::run(&Line::try_parse_from(line)?.args)?;
        let mut record = Record::new();
        record.insert("seconds".to_owned(), begin.elapsed().as_secs_f64().into());
        record.insert("peak_resident_bytes".to_owned(), most_resident().into());
        Ok(record)
    })
}

/// Writes keys in no order, a line each, with their values. Gives their number, and the bytes written.
fn write_text(path: &Path, kind: Kind, seed: u64, n: Option<u64>) -> Result<(u64, u64)> {
    let mut file = BufWriter::new(File::create(path)?);
    let (mut count, mut bytes) = (0, 0);
    while n.map_or(bytes < TIMES * (BUDGET << 20), |n| count < n) && count < kind.most() {
        let end = n.map_or(count + BLOCK, |n| n.min(count + BLOCK)).min(kind.most());
        let keys = generate(kind, seed, count..end);
        for (key, i) in keys.iter().zip(count..) {
            let value = format!("\t{}\n", value_of(seed, i));
            file.write_all(key)?;
            file.write_all(value.as_bytes())?;
            bytes += (key.len() + value.len()) as u64;
        }
        count = end;
    }
    file.flush()?;
    Ok((count, bytes))
}

fn value_of(seed: u64, i: u64) -> u64 {
    hash(!seed, i) >> 24
}

/// Runs the part, and returns whether the layer is right.
pub(super) fn run(args: &BenchArgs, out: &mut impl Write) -> Result<bool> {
    ensure!(
        args.keys.is_none() && args.parts.len() == 1,
        "the part external is measured alone, with generated keys"
    );
    let folder = tempfile::tempdir().context("cannot make a folder for temporary files")?;
    let (text, file) = (folder.path().join("text"), folder.path().join("layer"));
    let (n, bytes) =
        write_text(&text, args.kind, args.seed, args.n).context("cannot write the text")?;
    let name = |path: &Path| {
        path.to_str()
            .map(str::to_owned)
            .context("the folder for temporary files has no name in Unicode")
    };
    let line = [
        "build".to_owned(),
        name(&text)?,
        "-o".to_owned(),
        name(&file)?,
        "--memory".to_owned(),
        format!("{BUDGET}M"),
    ];
    let mut record: Record = child::call(CHILD, &line.to_vec(), &[], super::TIMEOUT)?;
    let layer = layer::open_checked(&file)?;
    let sample = n.div_ceil(100_000);
    let wrong = (0..n).step_by(sample as usize).filter(|&i| {
        let keys = generate(args.kind, args.seed, i..i + 1);
        layer.get(keys.get(0)) != Some(value_of(args.seed, i))
    });
    let errors = wrong.count() + usize::from(layer.len() as u64 != n);
    let budget = BUDGET << 20;
    let seconds = number(&record, "seconds").unwrap_or(f64::NAN);
    let peak = number(&record, "peak_resident_bytes");
    let mut put = |name: &str, value: serde_json::Value| _ = record.insert(name.to_owned(), value);
    put("figure", "external build".into());
    put("n", n.into());
    put("text_bytes", bytes.into());
    put("budget_bytes", budget.into());
    put("peak_of_budget", peak.map(|peak| peak / budget as f64).into());
    put("file_bytes", std::fs::metadata(&file)?.len().into());
    put("keys_per_s", (n as f64 / seconds).into());
    put("errors", errors.into());
    if args.json {
        print_json_lines(out, [record].into_iter())?;
    } else {
        let peak = peak.map_or("unknown".to_owned(), |peak| {
            format!("{} ({:.2} of it)", mebibytes(peak), peak / budget as f64)
        });
        writeln!(
            out,
            "external build of {n} generated keys ({}), {} of text, with {}: peak resident memory {peak}; {seconds:.1} s, {} keys/s",
            args.kind,
            mebibytes(bytes as f64),
            mebibytes(budget as f64),
            large(n as f64 / seconds)
        )?;
        if errors > 0 {
            writeln!(out, "wrong: {errors} keys")?;
        }
    }
    Ok(errors == 0)
}
