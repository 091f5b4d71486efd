//! Records on the standard output.

use crate::values::Field;
use base64::{Engine, prelude::BASE64_STANDARD};
use clap::Args;
use serde_json::{Map, Value};
use std::io::{self, BufWriter, Write};

const BUFFER_BYTES: usize = 1 << 16;

/// The form of printed records.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Format {
    /// Print a JSON object a line: {"key":"a","value":1}; `search --fuzzy` adds "distance". A key
    /// or text that is not UTF-8 is in "key_base64" or "value_base64".
    #[arg(long, conflicts_with = "null")]
    json: bool,
    /// End each record with a NUL byte, for keys that have line feeds.
    #[arg(long)]
    pub(crate) null: bool,
}

/// What is printed of the keys that are found.
#[derive(Args, Debug)]
pub(crate) struct Printing {
    /// Print at most this many keys.
    #[arg(long, short = 'n', value_name = "COUNT")]
    pub(crate) limit: Option<u64>,
    /// Print keys alone.
    #[arg(long, short)]
    keys: bool,
    /// Print only the number of keys.
    #[arg(long, short)]
    pub(crate) count: bool,
    #[command(flatten)]
    format: Format,
}

/// Returns the field of JSON that has a byte string: a text, or in base64 what is not UTF-8, under
/// another name.
pub(crate) fn json_text(name: &str, bytes: Option<&[u8]>) -> (String, Value) {
    match bytes.map(|bytes| str::from_utf8(bytes).map_err(|_| BASE64_STANDARD.encode(bytes))) {
        None => (name.to_owned(), Value::Null),
        Some(Ok(text)) => (name.to_owned(), text.into()),
        Some(Err(coded)) => (format!("{name}_base64"), coded.into()),
    }
}

/// Returns a record as a JSON object.
fn json_record(key: &[u8], value: Field<'_>, distance: Option<usize>) -> Map<String, Value> {
    let mut record = Map::from_iter([json_text("key", Some(key))]);
    record.extend(match value {
        Field::None => None,
        Field::Number(number) => Some(("value".to_owned(), number.into())),
        Field::Bytes(bytes) => Some(json_text("value", Some(bytes))),
    });
    record.extend(distance.map(|distance| ("distance".to_owned(), distance.into())));
    record
}

/// Prints records, one in each line unless the format is another.
pub(crate) struct Printer<W: Write> {
    out: BufWriter<W>,
    format: Format,
}

impl<W: Write> Printer<W> {
    pub(crate) fn new(out: W, format: Format) -> Self {
        Self { out: BufWriter::with_capacity(BUFFER_BYTES, out), format }
    }

    /// Prints a key and its value. A distance comes first, so that the rest is a record as without
    /// it, and `sort -n` brings the nearest to the top.
    pub(crate) fn record(
        &mut self,
        key: &[u8],
        value: Field<'_>,
        distance: Option<usize>,
    ) -> io::Result<()> {
        if self.format.json {
            serde_json::to_writer(&mut self.out, &json_record(key, value, distance))?;
            return self.end();
        }
        if let Some(distance) = distance {
            write!(self.out, "{distance}\t")?;
        }
        self.out.write_all(key)?;
        if value != Field::None {
            self.out.write_all(b"\t")?;
            self.write(value)?;
        }
        self.end()
    }

    /// Prints the value of a key that was asked for, or the key if it has none.
    pub(crate) fn value(&mut self, key: &[u8], value: Field<'_>) -> io::Result<()> {
        if self.format.json || value == Field::None {
            return self.record(key, value, None);
        }
        self.write(value)?;
        self.end()
    }

    fn write(&mut self, value: Field<'_>) -> io::Result<()> {
        match value {
            Field::None => Ok(()),
            Field::Number(number) => write!(self.out, "{number}"),
            Field::Bytes(bytes) => self.out.write_all(bytes),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        self.out.write_all(if self.format.null { b"\0" } else { b"\n" })
    }

    fn count(&mut self, count: u64) -> io::Result<()> {
        match self.format.json {
            true => write!(self.out, "{{\"count\":{count}}}")?,
            false => write!(self.out, "{count}")?,
        }
        self.end()
    }

    /// Flushes the output. Must be called, or an error is lost.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Prints or counts the keys that a command finds, up to the limit.
pub(crate) struct Found<'a, W: Write> {
    printing: &'a Printing,
    printer: Printer<W>,
    count: u64,
    /// Whether there is a key. With a limit of 0, no key is counted.
    is_any: bool,
}

impl<'a, W: Write> Found<'a, W> {
    pub(crate) fn new(printing: &'a Printing, out: W) -> Self {
        Self { printing, printer: Printer::new(out, printing.format), count: 0, is_any: false }
    }

    /// Adds a key, and returns whether more are wanted.
    pub(crate) fn add(
        &mut self,
        key: &[u8],
        value: Field<'_>,
        distance: Option<usize>,
    ) -> io::Result<bool> {
        self.is_any = true;
        let limit = self.printing.limit.unwrap_or(u64::MAX);
        if limit == 0 {
            return Ok(false);
        }
        self.count += 1;
        if !self.printing.count {
            let is_bare = self.printing.keys;
            let distance = distance.filter(|_| !is_bare);
            self.printer.record(key, if is_bare { Field::None } else { value }, distance)?;
        }
        Ok(self.count < limit)
    }

    /// Counts keys that are not read, up to the limit.
    pub(crate) fn skip(&mut self, count: u64) {
        self.is_any |= count > 0;
        self.count = (self.count + count).min(self.printing.limit.unwrap_or(u64::MAX));
    }

    /// Ends the output, and returns whether a key was found.
    pub(crate) fn finish(mut self) -> io::Result<bool> {
        if self.printing.count {
            self.printer.count(self.count)?;
        }
        self.printer.finish()?;
        Ok(self.is_any)
    }
}
