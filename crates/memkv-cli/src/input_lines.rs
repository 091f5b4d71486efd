//! The lines of all inputs of a build.

use crate::{
    input::{self, Lines, STDIN},
    progress::Total,
};
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use std::{cell::Cell, io::BufRead, rc::Rc, slice};

/// The inputs of a build, and what their lines are.
#[derive(Args, Debug)]
pub(crate) struct LineOptions {
    /// Files of lines, or - for the standard input. What gzip, zstd, xz or bzip2 has compressed is
    /// decoded, whatever its name. Other binary files are refused.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<String>,
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

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl LineOptions {
    /// Returns whether all inputs can be read again.
    pub(crate) fn are_files(&self) -> bool {
        !self.inputs.iter().any(|path| path == STDIN)
    }

    /// Returns the bytes of all inputs, if these are regular files.
    pub(crate) fn total(&self) -> Total {
        let bytes = |path: &String| {
            let metadata = std::fs::metadata(path).ok()?;
            (metadata.is_file() && path != STDIN).then_some(metadata.len())
        };
        self.inputs.iter().map(bytes).sum::<Option<u64>>().map_or(Total::Unknown, Total::Bytes)
    }
}

/// The lines of all inputs, one after the other, as the options say.
pub(crate) struct InputLines<'a> {
    options: &'a LineOptions,
    left: slice::Iter<'a, String>,
    current: Option<Current<'a>>,
    longest: usize,
    /// The bytes that were read of files, before they were decoded.
    read: Rc<Cell<u64>>,
    /// The lines so far, also those that were skipped.
    pub(crate) count: u64,
    /// The bytes of these lines.
    pub(crate) bytes: u64,
    pub(crate) warnings: Vec<String>,
}

/// The input that is being read.
struct Current<'a> {
    path: &'a str,
    lines: Lines<Box<dyn BufRead>>,
    /// The number of the line.
    number: u64,
    /// The bytes of the line, without its mark and its carriage return if they are not part of it.
    start: usize,
    end: usize,
    returns: u64,
    has_mark: bool,
}

impl Current<'_> {
    fn place(&self) -> String {
        format!("{}, line {}", self.path, self.number)
    }
}

impl<'a> InputLines<'a> {
    /// Creates the lines, of at most `longest` bytes.
    pub(crate) fn new(options: &'a LineOptions, longest: usize) -> Self {
        Self {
            options,
            left: options.inputs.iter(),
            current: None,
            longest,
            read: Rc::default(),
            count: 0,
            bytes: 0,
            warnings: Vec::new(),
        }
    }

    /// Sets the most bytes of the next lines.
    pub(crate) fn set_longest(&mut self, longest: usize) {
        self.longest = longest;
    }

    /// Moves to the next line. Returns `false` if there is none.
    ///
    /// # Errors
    /// An input cannot be read, or a line is too long or may not be blank.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        loop {
            let Some(current) = &mut self.current else {
                let Some(path) = self.left.next() else { return Ok(false) };
                let lines = Lines::new(input::open_counted(path, self.options.raw, &self.read)?);
                let (number, start, end, returns, has_mark) = (0, 0, 0, 0, false);
                self.current = Some(Current { path, lines, number, start, end, returns, has_mark });
                continue;
            };
            current.number += 1;
            current.lines.set_longest(self.longest);
            let Some(line) = current
                .lines
                .next()
                .with_context(|| format!("{}, line {}", current.path, current.number))?
            else {
                self.end_input();
                continue;
            };
            self.count += 1;
            self.bytes += line.len() as u64 + 1;
            (current.start, current.end) = (0, line.len());
            if current.number == 1 && line.starts_with(BYTE_ORDER_MARK) {
                current.has_mark = true;
                current.start = if self.options.crlf { BYTE_ORDER_MARK.len() } else { 0 };
            }
            if line[current.start..].ends_with(b"\r") {
                current.returns += 1;
                current.end -= usize::from(self.options.crlf);
            }
            if current.start < current.end || self.options.blank == Blank::Key {
                return Ok(true);
            }
            let is_skipped = self.options.blank == Blank::Skip;
            ensure!(is_skipped, "{}: the line is blank", current.place());
        }
    }

    /// Adds the warnings of the current input, of which there are no more lines.
    fn end_input(&mut self) {
        let Some(current) = self.current.take() else { return };
        let (path, all, returns) = (current.path, current.number - 1, current.returns);
        if current.has_mark && !self.options.crlf {
            let what = "a byte-order mark is part of the first key; see --crlf";
            self.warnings.push(format!("{path}: {what}"));
        }
        if returns > 0 && !self.options.crlf {
            let what = "end in a carriage return, a part of them; see --crlf";
            self.warnings.push(format!("{path}: {returns} of {all} lines {what}"));
        }
    }

    /// Returns the current line.
    pub(crate) fn line(&self) -> &[u8] {
        match &self.current {
            Some(current) => &current.lines.line()[current.start..current.end],
            None => &[],
        }
    }

    /// Returns the name of the current input, and the number of the current line.
    pub(crate) fn place(&self) -> String {
        self.current.as_ref().map_or_else(String::new, Current::place)
    }

    /// Returns how far the inputs are read, in what `total` is counted in.
    pub(crate) fn position(&self, total: Total) -> u64 {
        match total {
            Total::Bytes(_) => self.read.get(),
            Total::Keys(_) | Total::Unknown => self.count,
        }
    }
}
