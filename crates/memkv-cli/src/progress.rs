//! Progress on the standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    cell::Cell,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// The keys, or bytes, between two looks at the clock.
const KEYS_PER_LOOK: u64 = 1 << 12;
const BYTES_PER_LOOK: u64 = 1 << 18;
const PATIENCE: Duration = Duration::from_secs(1);

/// What is counted, and how much there is if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Total {
    Keys(u64),
    Bytes(u64),
    /// Keys, nobody knows how many.
    Unknown,
}

/// A line on a terminal that shows a count, for work that takes longer than a second.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    next: u64,
    per_look: u64,
    shown: bool,
}

impl Progress {
    /// Creates a progress line. With a total it shows a percentage and the time left.
    pub(crate) fn new(what: &'static str, total: Total) -> Self {
        // The bar comes last and takes what is left of the line.
        let (template, len, per_look) = match total {
            Total::Keys(keys) => (
                "{msg}: {percent}%, {human_pos} of {human_len} keys, {elapsed}, {eta} left \
                 {wide_bar}",
                Some(keys),
                KEYS_PER_LOOK,
            ),
            Total::Bytes(bytes) => (
                "{msg}: {percent}%, {decimal_bytes} of {decimal_total_bytes}, {elapsed}, \
                 {eta} left {wide_bar}",
                Some(bytes),
                BYTES_PER_LOOK,
            ),
            Total::Unknown => ("{msg}: {human_pos} keys, {elapsed}", None, KEYS_PER_LOOK),
        };
        let bar =
            ProgressBar::with_draw_target(len, ProgressDrawTarget::hidden()).with_message(what);
        bar.set_style(ProgressStyle::with_template(template).expect("the template is valid"));
        Self { bar, started: Instant::now(), next: per_look, per_look, shown: false }
    }

    /// Shows a count, but not every one.
    pub(crate) fn at(&mut self, count: u64) {
        if count < self.next {
            return;
        }
        self.next = count + self.per_look;
        if !self.shown && self.started.elapsed() >= PATIENCE {
            self.shown = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(count);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// The steps of long work: one line on a terminal, otherwise a line for each step.
pub(crate) struct Steps {
    total: u64,
    begun: Cell<u64>,
    /// `None` if the standard error is no terminal.
    bar: Option<ProgressBar>,
}

impl Steps {
    /// Creates the progress of `total` steps.
    pub(crate) fn new(total: u64) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(
                "{percent}%, {pos} of {len}, {elapsed}, {eta} left: {wide_msg}",
            )
            .expect("the template is valid");
            let bar = ProgressBar::new(total).with_style(style);
            bar.enable_steady_tick(Duration::from_secs(1));
            bar
        });
        Self { total, begun: Cell::new(0), bar }
    }

    /// Shows that the next step begins.
    pub(crate) fn begin(&self, what: &str) {
        let (step, total) = (self.begun.get() + 1, self.total);
        self.begun.set(step);
        match &self.bar {
            Some(bar) => {
                bar.set_position(step - 1);
                bar.set_message(what.to_owned());
            }
            // An error of this write cannot be reported.
            None => _ = writeln!(io::stderr(), "memkv: {step} of {total}: {what}"),
        }
    }
}

/// Writes a line about work of a child process, whose parent may show a line on the terminal.
pub(crate) fn note(what: &str) {
    let mut stderr = io::stderr();
    let clear = if stderr.is_terminal() { "\r\x1b[2K" } else { "" };
    // An error of this write cannot be reported.
    let _ = writeln!(stderr, "{clear}memkv: {what}");
}

impl Drop for Steps {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
