//! Records on the standard output.

use std::io::{self, BufWriter, Write};

/// A value that is printed: a number in decimal digits, or a byte string as it is.
pub(crate) trait Printed {
    fn print(&self, out: &mut impl Write) -> io::Result<()>;
}

impl Printed for u64 {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        write!(out, "{self}")
    }
}

impl Printed for &[u8] {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(self)
    }
}

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

    pub(crate) fn record(&mut self, key: &[u8], value: impl Printed) -> io::Result<()> {
        self.out.write_all(key)?;
        if self.values {
            self.out.write_all(b"\t")?;
            return self.value(value);
        }
        writeln!(self.out)
    }

    pub(crate) fn value(&mut self, value: impl Printed) -> io::Result<()> {
        value.print(&mut self.out)?;
        writeln!(self.out)
    }

    /// Flushes the output. Must be called, or an error is lost.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
