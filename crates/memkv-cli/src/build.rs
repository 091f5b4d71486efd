//! `memkv build`: builds a layer, or a set of layers, from the lines of files. They need not fit in
//! memory.

use crate::{
    content::{Content, set_error},
    input_lines::{InputLines, LineOptions},
    layer::{self, AnyContent, by_kind},
    output::{Output, Target, Written},
    progress::{Progress, Total},
    text,
    values::ToolValue,
};
use anyhow::{Context, Error, Result, ensure};
use clap::{Args, ValueEnum};
use memkv::{ExternalBuilder, FrozenError, LayerSetBuilder, MAX_KEY_LEN, SetOptions};
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// Build a layer file, or a set of them, from lines of text in any order.
///
/// A line is a key, or a key, a tab and a number; with --values text, a key, a tab and any text.
/// Lines end in a line feed. Every other byte is part of the key or the text, also a carriage
/// return, unless --crlf is given. Input beyond --memory is sorted through temporary files.
#[derive(Args, Debug)]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    lines: LineOptions,
    #[command(flatten)]
    output: Output,
    /// The source of a key's value. [default: tab if the first line has a tab, else none; a line
    /// that differs from the first one is then an error]
    #[arg(long, value_enum)]
    values: Option<Values>,
    /// The memory to use, such as 500M or 1.5G; at least 32M. The result does not depend on it.
    #[arg(long, default_value = "1G", value_parser = parse_bytes, value_name = "BYTES")]
    memory: usize,
    /// The folder for temporary files. [default: the folder of the output]
    #[arg(long, value_name = "FOLDER")]
    temp_dir: Option<PathBuf>,
    /// Write a set: files of this many keys, the last one of fewer, in the folder --output, with a
    /// manifest that is written last. Until then an existing set stays. Its files stay after that
    /// too, for programs that read it. A folder that is neither empty nor a set is not used.
    #[arg(
        long,
        value_name = "KEYS",
        value_parser = clap::value_parser!(u64).range(1..),
        conflicts_with = "force"
    )]
    keys_per_file: Option<u64>,
    /// Add the keys to the set that is in the folder --output, in files of --keys-per-file keys, or
    /// 20000000. Each has to be greater than all keys of the set, and the values of the same kind.
    /// Until all are written, the set stays as it is. With a set of texts, --values is text unless
    /// it is given.
    #[arg(long, conflicts_with = "force")]
    append: bool,
}

impl BuildArgs {
    /// Returns the options of a set, or `None` for a layer.
    fn set_options(&self) -> Option<SetOptions> {
        match self.keys_per_file {
            Some(keys) => Some(SetOptions::new().keys_per_part(keys)),
            None => self.append.then(SetOptions::new),
        }
    }
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
    /// No value: the whole line is the key.
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
    if let Some(folder) = &args.temp_dir {
        // A build that needs no temporary file would not notice.
        ensure!(folder.is_dir(), "--temp-dir: there is no folder {}", folder.display());
    }
    let to = args.output.destination();
    let target = match args.set_options() {
        None => to.target(args.temp_dir.as_deref())?,
        Some(_) => to.set_target()?,
    };
    let before = if args.append { Some(layer::open_as_set(to.path)?) } else { None };
    let mut lines = InputLines::new(&args.lines, args.memory);
    let has_line = lines.advance()?;
    // The first line decides on the source of values, unless the command line does, or the set.
    let tab = lines.line().contains(&b'\t');
    let source = args.values.unwrap_or(match &before {
        Some(AnyContent::Bytes(_)) => Values::Text,
        Some(AnyContent::Numbers(_)) if !has_line => Values::Tab,
        _ if tab => Values::Tab,
        _ => Values::None,
    });
    let before = before.map(|set| by_kind!(&set, set => written(set)));
    let work = Work { args, lines, has_line, target, before };
    match source {
        Values::Tab => work.build::<u64>(|line, _| split(line), out),
        Values::Text => work.build::<[u8]>(|line, _| split_text(line), out),
        Values::Line => work.build::<u64>(|line, count| Ok((line, count)), out),
        Values::None => {
            let is_told = args.values.is_some();
            let record = |line: &[u8]| {
                ensure!(
                    is_told || !line.contains(&b'\t'),
                    "there is a tab, but none in the first line; see --values"
                );
                Ok(())
            };
            work.build::<()>(|line, _| record(line).map(|()| (line, ())), out)
        }
    }
}

/// Returns what a set has.
fn written<V: ToolValue + ?Sized>(content: &Content<V>) -> Written {
    let parts = match content {
        Content::Layer(..) => &[][..],
        Content::Set(set) => set.parts(),
    };
    let bytes = parts.iter().map(|part| part.bytes).sum();
    Written { keys: content.len(), parts: parts.len(), bytes }
}

/// A builder of a layer file or of a set.
enum Builder<V: ToolValue + ?Sized> {
    Layer(Box<ExternalBuilder<V>>),
    Set(Box<LayerSetBuilder<V>>),
}

impl<V: ToolValue + ?Sized> Builder<V> {
    fn insert(&mut self, key: &[u8], value: V::Lent<'_>) -> Result<()> {
        match self {
            Self::Layer(builder) => Ok(builder.insert(key, value)?),
            Self::Set(builder) => builder.insert(key, value).map_err(set_error),
        }
    }

    /// Returns the most bytes of a key and its value.
    fn max_record_len(&self) -> usize {
        match self {
            Self::Layer(builder) => builder.max_record_len(),
            Self::Set(builder) => builder.max_record_len(),
        }
    }
}

/// A build whose first line is read.
struct Work<'a> {
    args: &'a BuildArgs,
    lines: InputLines<'a>,
    has_line: bool,
    target: Target<'a>,
    /// The set that is appended to.
    before: Option<Written>,
}

impl Work<'_> {
    /// Builds a layer of the lines. `record` returns the key and the value of a line, given its
    /// number.
    fn build<V: ToolValue + ?Sized>(
        mut self,
        record: impl for<'l> Fn(&'l [u8], u64) -> Result<(&'l [u8], V::Lent<'l>)>,
        out: &mut impl Write,
    ) -> Result<()> {
        let (args, to) = (self.args, self.args.output.destination());
        let failed = |error| to.failed(error);
        let options = to.options().on_duplicate(args.output.rule()).memory(args.memory);
        let options = match &args.temp_dir {
            Some(folder) => options.temp_folder(folder),
            None => options,
        };
        let mut builder = match args.set_options() {
            None => {
                let builder =
                    ExternalBuilder::create_as(self.target.path(), options).map_err(failed)?;
                self.target.begin(builder.unfinished_path());
                Builder::<V>::Layer(Box::new(builder))
            }
            Some(set_options) => {
                let is_new = !to.path.exists();
                let options = set_options.layers(options);
                let builder = match args.append {
                    true => LayerSetBuilder::append_external_as(to.path, options),
                    false => LayerSetBuilder::external_as(to.path, options),
                };
                let builder = builder.map_err(|error| {
                    if is_new {
                        // It is created before all options are checked.
                        let _ = std::fs::remove_dir(to.path);
                    }
                    to.set_failed(error)
                })?;
                self.target.begin_set(builder.unfinished(), is_new);
                Builder::Set(Box::new(builder))
            }
        };
        if let Err(error) = self.insert_lines(&mut builder, &record) {
            return Err(placed::<V>(error, args, &record));
        }
        for warning in &self.lines.warnings {
            // An error of this write cannot be reported.
            let _ = writeln!(io::stderr(), "memkv: warning: {warning}");
        }
        let mut progress = None;
        let show = |written: u64, all: u64| {
            progress.get_or_insert_with(|| Progress::new("writing", Total::Keys(all))).at(written);
        };
        let read = text::rounded_size(self.lines.bytes);
        match builder {
            Builder::Layer(builder) => {
                let keys = builder.finish_file_with(show).map_err(failed);
                let keys = keys.map_err(|error| placed::<V>(error, args, &record))?;
                drop(progress);
                self.target.finish(keys, &read, out)
            }
            Builder::Set(builder) => {
                let set = builder.finish_with(show).map_err(|error| to.set_failed(error));
                let set = set.map_err(|error| placed::<V>(error, args, &record))?;
                drop(progress);
                self.target.finish_set(set, self.before, &read);
                Ok(())
            }
        }
    }

    /// Adds all lines to a builder.
    fn insert_lines<V: ToolValue + ?Sized>(
        &mut self,
        builder: &mut Builder<V>,
        record: impl for<'l> Fn(&'l [u8], u64) -> Result<(&'l [u8], V::Lent<'l>)>,
    ) -> Result<()> {
        let (lines, total) = (&mut self.lines, self.args.lines.total());
        let mut progress = Progress::new("reading", total);
        // A line with a number is longer than its key.
        lines.set_longest(builder.max_record_len() + 32);
        while self.has_line {
            let place = || lines.place();
            let (key, value) = record(lines.line(), lines.count).with_context(place)?;
            let (len, most) = (key.len(), MAX_KEY_LEN);
            ensure!(len <= most, "{}: a key of {len} bytes is over the limit of {most}", place());
            progress.at(lines.position(total));
            if let Err(error) = builder.insert(key, value) {
                // What is noticed where records are sorted does not concern this line.
                let is_of_line = !matches!(
                    error.downcast_ref(),
                    Some(FrozenError::Repeated { .. } | FrozenError::SumOverflow { .. })
                );
                return Err(if is_of_line { error.context(place()) } else { error });
            }
            self.has_line = lines.advance()?;
        }
        Ok(())
    }
}

/// Adds to the error of a key that is repeated the first lines that have it, for which the inputs
/// are read again.
fn placed<V: ToolValue + ?Sized>(
    error: Error,
    args: &BuildArgs,
    record: impl for<'l> Fn(&'l [u8], u64) -> Result<(&'l [u8], V::Lent<'l>)>,
) -> Error {
    let key = match error.downcast_ref() {
        Some(FrozenError::Repeated { key } | FrozenError::SumOverflow { key, .. }) => key.clone(),
        _ => return error,
    };
    let mut places = Vec::new();
    if args.lines.are_files() {
        let mut lines = InputLines::new(&args.lines, usize::MAX);
        // The error that there is already tells more than one of this reading.
        while places.len() < 2 && lines.advance().unwrap_or(false) {
            if record(lines.line(), lines.count).is_ok_and(|(found, _)| *found == *key) {
                places.push(lines.place());
            }
        }
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
    let number = &line[tab + 1..];
    let value = str::from_utf8(number)
        .ok()
        .filter(|text| text.starts_with(|c: char| c.is_ascii_digit()))
        .and_then(|text| text.parse().ok());
    Ok((
        &line[..tab],
        value.with_context(|| {
            format!("\"{}\" is not a number from 0 to {}", text::shown(number), u64::MAX)
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
