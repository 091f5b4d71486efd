//! `memkv build`: builds a layer from the lines of files, which need not fit in memory.

use crate::{
    input::{self, Lines, STDIN},
    layer::Output,
    progress::Progress,
};
use anyhow::{Context, Error, Result, bail, ensure};
use clap::{Args, ValueEnum};
use indicatif::DecimalBytes;
use memkv::{ExternalBuilder, FrozenError, LayerValue, MAX_KEY_LEN};
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// Build a layer file from lines of text in any order.
///
/// A line is a key, or a key, a tab and a number; with --values text, a key, a tab and any text.
/// Lines end in a line feed. Every other byte is part of the key or the text, also a carriage
/// return, unless --crlf is given. Input beyond --memory is sorted through temporary files.
#[derive(Args, Debug)]
pub(crate) struct BuildArgs {
    /// Files of lines, or - for the standard input. What gzip, zstd, xz or bzip2 has compressed is
    /// decoded, whatever its name. Other binary files are refused.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<String>,
    #[command(flatten)]
    output: Output,
    /// The source of a key's value. [default: tab if the first line has a tab, else none; a line
    /// that differs from the first one is then an error]
    #[arg(long, value_enum)]
    values: Option<Values>,
    /// Lines end in a carriage return and a line feed, and a byte-order mark may begin each input:
    /// neither is part of a key or a text.
    #[arg(long)]
    crlf: bool,
    /// What a line without any byte is.
    #[arg(long, value_enum, default_value_t = Blank::Key)]
    blank: Blank,
    /// Take the bytes of the inputs as they are: decode and refuse nothing.
    #[arg(long)]
    raw: bool,
    /// The memory to use, such as 500M or 1.5G; at least 32M. The result does not depend on it.
    #[arg(long, default_value = "1G", value_parser = parse_bytes, value_name = "BYTES")]
    memory: usize,
    /// The folder for temporary files. [default: the folder of the output]
    #[arg(long, value_name = "FOLDER")]
    temp_dir: Option<PathBuf>,
}

/// The source of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Values {
    /// The number after the last tab of the line.
    Tab,
    /// The text after the first tab of the line, a byte string.
    Text,
    /// The number of the line, counted from 1 through all inputs.
    Line,
    /// No value: the whole line is the key. Its value is printed as 0.
    None,
}

/// What a line without any byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Blank {
    /// The empty key.
    Key,
    /// Nothing.
    Skip,
    /// An error.
    Error,
}

/// Parses a number of bytes with an optional suffix K, M, G or T.
fn parse_bytes(text: &str) -> Result<usize, String> {
    let upper = text.to_ascii_uppercase();
    let short = upper.strip_suffix("IB").or(upper.strip_suffix('B')).unwrap_or(&upper);
    let (digits, shift) = match short.char_indices().last() {
        Some((at, 'K')) => (&short[..at], 10),
        Some((at, 'M')) => (&short[..at], 20),
        Some((at, 'G')) => (&short[..at], 30),
        Some((at, 'T')) => (&short[..at], 40),
        _ => (short, 0),
    };
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    let number = digits.parse::<f64>().ok().filter(|_| is_number);
    let number = number.ok_or("not a number of bytes such as 500M or 1.5G")?;
    let bytes = number * (1u64 << shift) as f64;
    if bytes >= usize::MAX as f64 {
        return Err("too much".to_owned());
    }
    let bytes = bytes as usize;
    if bytes < 32 << 20 { Err("less than 32M".to_owned()) } else { Ok(bytes) }
}

pub(crate) fn run(args: &BuildArgs, out: &mut impl Write) -> Result<()> {
    if args.values == Some(Values::Text) {
        return build::<[u8]>(args, |line, _| split_text(line), out);
    }
    // The first line decides on the source of values, unless the command line does.
    let mut values = args.values;
    build::<u64>(
        args,
        |line, count| {
            let tab = line.contains(&b'\t');
            match *values.get_or_insert(if tab { Values::Tab } else { Values::None }) {
                Values::Tab => split(line),
                Values::Line => Ok((line, count)),
                Values::None if tab && args.values.is_none() => {
                    bail!("there is a tab, but none in the first line; see --values")
                }
                Values::None | Values::Text => Ok((line, 0)),
            }
        },
        out,
    )
}

/// What was read of the inputs.
#[derive(Default)]
struct Read {
    lines: u64,
    bytes: u64,
    warnings: Vec<String>,
}

/// Reads the lines of all inputs, as the options say. Passes each to `each`, with its place and its
/// number through all inputs.
fn read_lines(
    args: &BuildArgs,
    longest: usize,
    mut each: impl FnMut(&[u8], &dyn Fn() -> String, u64) -> Result<()>,
) -> Result<Read> {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    let mut read = Read::default();
    for path in &args.inputs {
        let mut lines = Lines::of_at_most(input::open(path, args.raw)?, longest);
        let (mut number, mut returns, mut has_mark) = (0u64, 0u64, false);
        loop {
            number += 1;
            let place = || format!("{path}, line {number}");
            let Some(mut line) = lines.next().with_context(place)? else { break };
            read.lines += 1;
            read.bytes += line.len() as u64 + 1;
            if number == 1 && line.starts_with(MARK) {
                has_mark = true;
                line = if args.crlf { &line[MARK.len()..] } else { line };
            }
            if let Some(without) = line.strip_suffix(b"\r") {
                returns += 1;
                line = if args.crlf { without } else { line };
            }
            if line.is_empty() && args.blank != Blank::Key {
                ensure!(args.blank == Blank::Skip, "{}: the line is blank", place());
                continue;
            }
            each(line, &place, read.lines)?;
        }
        if has_mark && !args.crlf {
            let what = "a byte-order mark is part of the first key; see --crlf";
            read.warnings.push(format!("{path}: {what}"));
        }
        if returns > 0 && !args.crlf {
            let (all, what) = (number - 1, "end in a carriage return, a part of them; see --crlf");
            read.warnings.push(format!("{path}: {returns} of {all} lines {what}"));
        }
    }
    Ok(read)
}

/// Builds a layer of the lines. `record` returns the key and the value of a line, given its number.
fn build<V: LayerValue + ?Sized>(
    args: &BuildArgs,
    mut record: impl for<'l> FnMut(&'l [u8], u64) -> Result<(&'l [u8], V::Lent<'l>)>,
    out: &mut impl Write,
) -> Result<()> {
    let mut options = args.output.options().memory(args.memory);
    if let Some(folder) = &args.temp_dir {
        // A build that needs no temporary file would not notice.
        ensure!(folder.is_dir(), "--temp-dir: there is no folder {}", folder.display());
        options = options.temp_folder(folder);
    }
    let mut target = args.output.target(args.temp_dir.as_deref())?;
    let failed = |error| args.output.failed(error);
    let mut builder = ExternalBuilder::<V>::create_as(target.path(), options).map_err(failed)?;
    target.begin(builder.unfinished_path());
    let mut progress = Progress::new("reading", None);
    // A line with a number is longer than its key.
    let longest = builder.max_record_len() + 32;
    let read = read_lines(args, longest, |line, place, count| {
        let (key, value) = record(line, count).with_context(place)?;
        let (len, most) = (key.len(), MAX_KEY_LEN);
        ensure!(len <= most, "{}: a key of {len} bytes is over the limit of {most}", place());
        progress.at(count);
        match builder.insert(key, value) {
            // Noticed where it is sorted, which is not here.
            Err(error @ (FrozenError::Repeated { .. } | FrozenError::SumOverflow { .. })) => {
                Err(error.into())
            }
            inserted => inserted.with_context(place),
        }
    });
    drop(progress);
    let read = match read {
        Ok(read) => read,
        Err(error) => return Err(placed::<V>(error, args, &mut record)),
    };
    for warning in &read.warnings {
        // An error of this write cannot be reported.
        let _ = writeln!(io::stderr(), "memkv: warning: {warning}");
    }
    let mut progress = None;
    let show = |written: u64, all: u64| {
        progress.get_or_insert_with(|| Progress::new("writing", Some(all))).at(written);
    };
    let keys = match builder.finish_file_with(show) {
        Ok(keys) => keys,
        Err(error) => return Err(placed::<V>(failed(error), args, &mut record)),
    };
    drop(progress);
    target.finish(keys, &DecimalBytes(read.bytes).to_string(), out)
}

/// Adds to the error of a key that is repeated the first lines that have it, for which the inputs
/// are read again.
fn placed<V: LayerValue + ?Sized>(
    error: Error,
    args: &BuildArgs,
    record: &mut impl for<'l> FnMut(&'l [u8], u64) -> Result<(&'l [u8], V::Lent<'l>)>,
) -> Error {
    let key = match error.downcast_ref() {
        Some(FrozenError::Repeated { key } | FrozenError::SumOverflow { key, .. }) => key.clone(),
        _ => return error,
    };
    let mut places = Vec::new();
    if !args.inputs.iter().any(|path| path == STDIN) {
        // The error that there is already says more than one of this reading.
        let _ = read_lines(args, usize::MAX, |line, place, count| {
            if record(line, count).is_ok_and(|(found, _)| *found == *key) {
                places.push(place());
            }
            ensure!(places.len() < 2, "enough");
            Ok(())
        });
    }
    if places.is_empty() { error } else { error.context(places.join(" and ")) }
}

/// Splits a line at its first tab into its key and its value.
fn split_text(line: &[u8]) -> Result<(&[u8], &[u8])> {
    let tab = line.iter().position(|&byte| byte == b'\t').context("there is no tab")?;
    Ok((&line[..tab], &line[tab + 1..]))
}

/// Splits a line into its key and the number after the last tab.
fn split(line: &[u8]) -> Result<(&[u8], u64)> {
    let tab = line.iter().rposition(|&byte| byte == b'\t').context("there is no tab")?;
    let text = &line[tab + 1..];
    let number = str::from_utf8(text)
        .ok()
        .filter(|text| text.starts_with(|c: char| c.is_ascii_digit()))
        .and_then(|text| text.parse().ok());
    Ok((
        &line[..tab],
        number.with_context(|| {
            format!("\"{}\" is not a number from 0 to {}", text.escape_ascii(), u64::MAX)
        })?,
    ))
}

#[cfg(test)]
mod tests {
    use super::{parse_bytes, split, split_text};

    #[test]
    fn bytes() {
        for (text, bytes) in [
            ("32M", 32 << 20),
            ("1g", 1 << 30),
            ("2GiB", 2 << 30),
            ("37MB", 37 << 20),
            ("40000k", 40000 << 10),
            ("1.5G", 3 << 29),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse_bytes("33554432"), Ok(32 << 20));
        for text in [
            "",
            "M",
            "x",
            "1.5.0G",
            "inf",
            "1e9",
            ".5G",
            "-1G",
            "31M",
            "99999999999T",
            "99999999999999999999",
        ] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn keys_and_texts() {
        assert_eq!(split_text(b"key\ta\tb\r").unwrap(), (&b"key"[..], &b"a\tb\r"[..]));
        assert_eq!(split_text(b"\t").unwrap(), (&b""[..], &b""[..]));
        assert!(split_text(b"key").is_err());
    }

    #[test]
    fn keys_and_numbers() {
        assert_eq!(split(b"key\t7").unwrap(), (&b"key"[..], 7));
        assert_eq!(split(b"a\tb\t18446744073709551615").unwrap(), (&b"a\tb"[..], u64::MAX));
        assert_eq!(split(b"\t0").unwrap(), (&b""[..], 0));
        for line in [
            "key",
            "key\t",
            "key\t7 ",
            "key\t-1",
            "key\t+1",
            "key\t18446744073709551616",
            "key\t7\r",
            "key\t\u{0661}",
        ] {
            assert!(split(line.as_bytes()).is_err(), "{line}");
        }
    }
}
