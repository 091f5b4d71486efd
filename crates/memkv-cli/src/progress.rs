//! Progress on a terminal, for work that takes longer than a second.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// The counts between two looks at the clock.
const STEP: u64 = 1 << 12;
const PATIENCE: Duration = Duration::from_secs(1);

/// A progress line.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    next: u64,
    shown: bool,
}

impl Progress {
    /// Creates a progress line, with the total if it is known.
    pub(crate) fn new(what: &'static str, len: Option<u64>) -> Self {
        let template = match len {
            Some(_) => "{msg}: {bar:30} {human_pos} of {human_len} keys, {elapsed}, {eta} left",
            None => "{msg}: {human_pos} keys, {elapsed}",
        };
        let bar =
            ProgressBar::with_draw_target(len, ProgressDrawTarget::hidden()).with_message(what);
        bar.set_style(ProgressStyle::with_template(template).expect("the template is right"));
        Self { bar, started: Instant::now(), next: STEP, shown: false }
    }

    /// Shows a count, but not every one.
    pub(crate) fn at(&mut self, count: u64) {
        if count < self.next {
            return;
        }
        self.next = count + STEP;
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
