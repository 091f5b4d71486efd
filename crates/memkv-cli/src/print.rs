//! Records on the standard output.

use std::io::{self, BufWriter, Write};

/// Prints records as bytes, one in each line.
pub(crate) struct Printer<W: Write> {
    out: BufWriter<W>,
    /// Whether values are printed.
    values: bool,
}

impl<W: Write> Printer<W> {
    pub(crate) fn new(out: W, values: bool) -> Self {
        Self { out: BufWriter::with_capacity(1 << 16, out), values }
    }

    pub(crate) fn record(&mut self, key: &[u8], value: u64) -> io::Result<()> {
        self.out.write_all(key)?;
        if self.values { writeln!(self.out, "\t{value}") } else { writeln!(self.out) }
    }

    pub(crate) fn value(&mut self, value: u64) -> io::Result<()> {
        writeln!(self.out, "{value}")
    }

    /// Flushes the output. Must be called, or an error is lost.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
