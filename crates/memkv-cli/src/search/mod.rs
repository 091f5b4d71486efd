//! `memkv search`: the keys that match a pattern.

mod fuzzy;

use crate::{layer::Input, print::Printer};
use anyhow::Result;
use clap::Args;
use fuzzy::Fuzzy;
use memkv::{Automaton, FrozenLayer, RegexAutomaton};

use std::{ffi::OsString, io::Write};

/// Print the keys that match a pattern, and their values, in order.
///
/// Exit status: 0 if a key matches, 1 if none does, 2 if something went wrong.
#[derive(Args, Debug)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    pattern: Pattern,
    /// With --fuzzy: how many characters may be missing, added or replaced.
    #[arg(long, short, default_value_t = 1, conflicts_with = "regex", value_parser = clap::value_parser!(u8).range(0..=fuzzy::MOST as i64))]
    distance: u8,
    /// Print at most so many.
    #[arg(long, short = 'n', value_name = "COUNT")]
    limit: Option<u64>,
    /// Print keys without their values.
    #[arg(long, short)]
    keys: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Pattern {
    /// Keys that a regular expression matches somewhere; with ^ and $, at the beginning and at the end. One that begins
    /// with ^ and some text reads only the keys that begin so. The syntax is that of Rust's crate regex.
    #[arg(long, short = 'e', value_name = "REGEX")]
    regex: Option<String>,
    /// Keys that are this text but for a few characters.
    #[arg(long, short, value_name = "TEXT")]
    fuzzy: Option<OsString>,
}

/// Whether a key matches.
pub(crate) fn run(args: &SearchArgs, out: &mut impl Write) -> Result<bool> {
    match (&args.pattern.regex, &args.pattern.fuzzy) {
        (Some(regex), _) => print(args, RegexAutomaton::new(regex)?, out),
        (None, Some(text)) => print(args, Fuzzy::new(text.as_encoded_bytes(), args.distance), out),
        (None, None) => unreachable!("one is required"),
    }
}

fn print(args: &SearchArgs, automaton: impl Automaton, out: &mut impl Write) -> Result<bool> {
    let layer: FrozenLayer = args.input.open()?;
    let mut printer = Printer::new(out, !args.keys);
    let mut matches = layer.search(automaton);
    let mut count = 0;
    while args.limit.is_none_or(|limit| count < limit) {
        let Some((key, value)) = matches.lend() else { break };
        printer.record(key, value)?;
        count += 1;
    }
    printer.finish()?;
    // Asked for none, it still tells whether there is one.
    Ok(count > 0 || (args.limit == Some(0) && matches.lend().is_some()))
}
