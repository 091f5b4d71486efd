//! `memkv build`: builds a layer from the lines of files, which need not fit in memory.

use crate::{
    layer::Output,
    progress::Progress,
    source::{self, Lines},
};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use memkv::{ExternalBuilder, LayerValue, MAX_KEY_LEN};
use std::path::PathBuf;

/// Build a layer file from lines of text in any order.
///
/// A line is a key, or a key, a tab and a number; with --values text, a key, a tab and any text.
/// Lines end in a line feed. Every other byte is part of the key or the text, also a carriage
/// return. Input beyond --memory is sorted through temporary files.
#[derive(Args, Debug)]
pub(crate) struct BuildArgs {
    /// Files of lines: plain, .gz, .zst, or - for the standard input, which must be plain.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<String>,
    #[command(flatten)]
    output: Output,
    /// The source of a key's value. [default: tab if the first line has a tab, else none; a line
    /// that differs from the first one is then an error]
    #[arg(long, value_enum)]
    values: Option<Values>,
    /// The memory to use, such as 500M or 2G; at least 32M. The result does not depend on it.
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
    let number = digits
        .parse::<usize>()
        .map_err(|_| "not a number of bytes such as 500M or 2G".to_owned())?;
    let bytes = number.checked_mul(1 << shift).ok_or("too much")?;
    if bytes < 32 << 20 { Err("less than 32M".to_owned()) } else { Ok(bytes) }
}

pub(crate) fn run(args: &BuildArgs) -> Result<()> {
    if args.values == Some(Values::Text) {
        return build::<[u8]>(args, |line, _| split_text(line));
    }
    // The first line decides on the source of values, unless the command line does.
    let mut values = args.values;
    build::<u64>(args, |line, count| {
        let tab = line.contains(&b'\t');
        match *values.get_or_insert(if tab { Values::Tab } else { Values::None }) {
            Values::Tab => split(line),
            Values::Line => Ok((line, count)),
            Values::None if tab && args.values.is_none() => {
                bail!("there is a tab, but none in the first line; see --values")
            }
            Values::None | Values::Text => Ok((line, 0)),
        }
    })
}

/// Builds a layer of the lines. `record` returns the key and the value of a line, given its number.
fn build<V: LayerValue + ?Sized>(
    args: &BuildArgs,
    mut record: impl for<'l> FnMut(&'l [u8], u64) -> Result<(&'l [u8], V::Lent<'l>)>,
) -> Result<()> {
    let mut options = args.output.options().memory(args.memory);
    if let Some(folder) = &args.temp_dir {
        options = options.temp_folder(folder);
    }
    let failed = |error| args.output.failed(error);
    let mut builder =
        ExternalBuilder::<V>::create_as(args.output.path(), options).map_err(failed)?;
    let mut progress = Progress::new("reading", None);
    let mut count = 0;
    for path in &args.inputs {
        // A line with a number is longer than its key.
        let mut lines = Lines::of_at_most(source::open(path)?, builder.max_record_len() + 32);
        let mut number = 0u64;
        loop {
            let place = |number: u64| format!("{path}, line {number}");
            number += 1;
            let Some(line) = lines.next().with_context(|| place(number))? else { break };
            count += 1;
            let (key, value) = record(line, count).with_context(|| place(number))?;
            if key.len() > MAX_KEY_LEN {
                bail!(
                    "{}: a key of {} bytes is over the limit of {MAX_KEY_LEN}",
                    place(number),
                    key.len()
                );
            }
            builder.insert(key, value).with_context(|| place(number))?;
            progress.at(count);
        }
    }
    let mut progress = None;
    let show = |written: u64, all: u64| {
        progress.get_or_insert_with(|| Progress::new("writing", Some(all))).at(written);
    };
    builder.finish_file_with(show).map_err(failed)?;
    Ok(())
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
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse_bytes("33554432"), Ok(32 << 20));
        for text in ["", "M", "x", "1.5G", "-1G", "31M", "99999999999T", "99999999999999999999"] {
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
