//! `memkv search`: prints the keys that match a pattern.

use crate::{
    layer::{Input, with_layer},
    print::{Printed, Printer},
};
use anyhow::{Context, Result};
use clap::Args;
use memkv::{Automaton, FrozenLayer, LayerValue, LevenshteinAutomaton, RegexAutomaton};
use std::{ffi::OsString, io::Write};

/// Print the keys that match a pattern, and their values, in order.
///
/// Exit status: 0 if a key matches, 1 if none does, 2 on an error.
#[derive(Args, Debug)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    pattern: Pattern,
    /// The number of characters that may be missing, added or replaced, with --fuzzy.
    #[arg(
        long,
        short,
        default_value_t = 1,
        conflicts_with = "regex",
        value_parser = clap::value_parser!(u8).range(0..=LevenshteinAutomaton::MAX_DISTANCE as i64)
    )]
    distance: u8,
    /// Print at most this many keys.
    #[arg(long, short = 'n', value_name = "COUNT")]
    limit: Option<u64>,
    /// Print keys without their values.
    #[arg(long, short)]
    keys: bool,
    /// Print only the number of matches.
    #[arg(long, short)]
    count: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Pattern {
    /// Find keys in which a regular expression matches; ^ and $ mean the beginning and the end.
    /// With ^ and a text at its start, only keys with that prefix are read. The syntax is that of
    /// the crate regex.
    #[arg(long, short = 'e', value_name = "REGEX")]
    regex: Option<String>,
    /// Find keys within an edit distance of this text.
    #[arg(long, short, value_name = "TEXT")]
    fuzzy: Option<OsString>,
}

/// Searches, and returns `true` if a key matches.
pub(crate) fn run(args: &SearchArgs, out: &mut impl Write) -> Result<bool> {
    match (&args.pattern.regex, &args.pattern.fuzzy) {
        (Some(regex), _) => print(args, RegexAutomaton::new(regex)?, out),
        (None, Some(text)) => {
            let near = LevenshteinAutomaton::new(text.as_encoded_bytes(), args.distance.into())
                .context("the distance is too large")?;
            print(args, near, out)
        }
        (None, None) => unreachable!("one is required"),
    }
}

fn print(args: &SearchArgs, automaton: impl Automaton, out: &mut impl Write) -> Result<bool> {
    with_layer!(&args.input.open()?, layer => print_matches(args, layer, automaton, out))
}

fn print_matches<V>(
    args: &SearchArgs,
    layer: &FrozenLayer<V>,
    automaton: impl Automaton,
    out: &mut impl Write,
) -> Result<bool>
where
    V: LayerValue + ?Sized,
    for<'v> V::Lent<'v>: Printed,
{
    let mut printer = Printer::new(&mut *out, !args.keys);
    let mut matches = layer.search(automaton);
    let mut count = 0;
    while args.limit.is_none_or(|limit| count < limit) {
        let Some((key, value)) = matches.next_ref() else { break };
        if !args.count {
            printer.record(key, value)?;
        }
        count += 1;
    }
    printer.finish()?;
    if args.count {
        writeln!(out, "{count}")?;
    }
    // With a limit of 0 the exit status still tells if there is a match.
    Ok(count > 0 || (args.limit == Some(0) && matches.next_ref().is_some()))
}
