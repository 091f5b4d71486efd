//! `memkv bench --suite frozen --parts external`: `memkv build` of more text than its memory limit.
//!
//! The build runs in a process of its own, which reports its peak of resident memory.

use super::args::BenchArgs;
use super::memory::peak_resident;
use super::record::{
    Record, all_correct, cell, large, mebibytes, put, wrapped, write_error, write_json,
};
use super::row::{Job, Row, Suite, measure_all};
use crate::build::{self, BuildArgs};
use crate::generate::{Kind, generate};
use crate::layer;
use crate::rng::hash;
use crate::source::{Origin, Source};
use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

/// Memory limit of the build, in MiB.
const BUDGET_MIB: u64 = 256;
/// Without a number of keys, the text is this many times the memory limit.
const TEXT_PER_BUDGET: u64 = 4;
/// Keys generated at a time.
const KEYS_PER_BLOCK: u64 = 1 << 16;

/// A command line of `memkv build`.
#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: BuildArgs,
}

/// Returns the row of the part.
pub(super) fn row() -> Row {
    Row::new(Suite::Frozen, "external", measure)
}

/// Writes `n` unsorted keys with their values, or if `n` is 0, as many as the memory limit asks
/// for. Returns the number of keys and of bytes.
fn write_text(path: &Path, kind: Kind, seed: u64, n: u64) -> Result<(u64, u64)> {
    let mut file = BufWriter::new(File::create(path)?);
    let (mut count, mut bytes) = (0, 0);
    let most = if n == 0 { kind.most() } else { n.min(kind.most()) };
    while count < most && (n > 0 || bytes < TEXT_PER_BUDGET * (BUDGET_MIB << 20)) {
        let end = most.min(count + KEYS_PER_BLOCK);
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

fn measure(job: &Job) -> Result<Record> {
    let Origin::Generated { kind } = job.source.origin else { bail!("needs generated keys") };
    let seed = job.source.seed;
    let folder = tempfile::tempdir().context("cannot create a folder for temporary files")?;
    let (text, file) = (folder.path().join("text"), folder.path().join("layer"));
    let (n, bytes) =
        write_text(&text, kind, seed, job.source.n).context("cannot write the text")?;
    let memory = format!("{BUDGET_MIB}M");
    let line =
        ["build".as_ref(), "--quiet".as_ref(), text.as_os_str(), "-o".as_ref(), file.as_os_str()];
    let line = line.into_iter().chain(["--memory".as_ref(), memory.as_ref()]);
    let begin = Instant::now();
    build::run(&Line::try_parse_from(line)?.args, &mut std::io::sink())?;
    let (seconds, peak) = (begin.elapsed().as_secs_f64(), peak_resident());
    let layer = layer::open_checked(&file)?.content.numbers()?;
    let wrong = (0..n).step_by(n.div_ceil(100_000) as usize).filter(|&i| {
        let keys = generate(kind, seed, i..i + 1);
        layer.get(keys.get(0)) != Some(value_of(seed, i))
    });
    let errors = wrong.count() + usize::from(layer.len() as u64 != n);
    let budget = BUDGET_MIB << 20;
    let mut record = Record::new();
    put(&mut record, "figure", "external build");
    put(&mut record, "n", n);
    put(&mut record, "text_bytes", bytes);
    put(&mut record, "budget_bytes", budget);
    put(&mut record, "peak_resident_bytes", peak);
    put(&mut record, "peak_of_budget", peak.map(|peak| peak as f64 / budget as f64));
    put(&mut record, "file_bytes", std::fs::metadata(&file)?.len());
    put(&mut record, "seconds", seconds);
    put(&mut record, "keys_per_s", n as f64 / seconds);
    put(&mut record, "errors", errors);
    Ok(record)
}

/// Runs the part and returns whether the layer is correct.
pub(super) fn run(args: &BenchArgs, out: &mut impl Write) -> Result<bool> {
    ensure!(
        args.keys.is_none() && args.parts.len() == 1,
        "the part external is measured alone, with generated keys"
    );
    let source = Source { n: args.n.unwrap_or(0), ..args.generated(args.kind) };
    let results = measure_all(vec![args.job("external", &source, 1)], 1, &[])?;
    for record in results.iter().map(|result| &result.summary) {
        if args.json {
            write_json(out, [record])?;
            continue;
        }
        let text = format!(
            "external build of {} generated keys ({}), {} of text, with {}: peak resident memory \
             {} ({} of it); {} s, {} keys/s",
            cell(record, "n", |n| format!("{n:.0}")),
            args.kind,
            cell(record, "text_bytes", mebibytes),
            cell(record, "budget_bytes", mebibytes),
            cell(record, "peak_resident_bytes", mebibytes),
            cell(record, "peak_of_budget", |ratio| format!("{ratio:.2}")),
            cell(record, "seconds", |seconds| format!("{seconds:.1}")),
            cell(record, "keys_per_s", large)
        );
        write!(out, "{}", wrapped(&text))?;
        write_error(out, "external build", record)?;
        if !all_correct([record]) {
            writeln!(out, "wrong: {} keys", cell(record, "errors", |n| format!("{n:.0}")))?;
        }
    }
    Ok(all_correct(results.iter().map(|result| &result.summary)))
}
