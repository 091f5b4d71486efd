//! `memkv search`: prints the keys that match a pattern.

use crate::{
    content::{Bounds, Content},
    layer::{Input, by_kind},
    print::{Found, Printing},
    values::ToolValue,
};
use anyhow::{Context, Result};
use clap::Args;
use memkv::{Automaton, LevenshteinAutomaton, RegexAutomaton};
use std::{ffi::OsString, io::Write};

/// Print the keys that match a pattern, and their values, in order.
///
/// Lines are as `memkv scan` prints them. With --fuzzy each begins with the distance and a tab,
/// except with --keys. With --prefix, --from or --to, other keys are not read. The pattern concerns
/// the whole key, also what is the prefix. Exit status: 0 if a key matches, 1 if none does, 2 on an
/// error.
#[derive(Args, Debug)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    pattern: Pattern,
    #[command(flatten)]
    bounds: Bounds,
    /// The number of characters that may be missing, added or replaced, with --fuzzy: 0 to 7. A
    /// larger distance makes the search slower.
    #[arg(
        long,
        short,
        default_value_t = 1,
        conflicts_with = "regex",
        value_parser = clap::value_parser!(u8).range(0..=LevenshteinAutomaton::MAX_DISTANCE as i64)
    )]
    distance: u8,
    #[command(flatten)]
    printing: Printing,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Pattern {
    /// Find keys in which a regular expression matches; ^ and $ mean the beginning and the end.
    /// With ^ and a text at its start, only keys with that prefix are read. The syntax is that of
    /// the crate regex. Its automaton may take 32 MiB, which large counted repetitions exceed.
    #[arg(long, short = 'e', value_name = "REGEX")]
    regex: Option<String>,
    /// Find keys within an edit distance of this text, which may have any length.
    #[arg(long, short, value_name = "TEXT")]
    fuzzy: Option<OsString>,
}

/// Searches, and returns `true` if a key matches.
pub(crate) fn run(args: &SearchArgs, out: &mut impl Write) -> Result<bool> {
    match (&args.pattern.regex, &args.pattern.fuzzy) {
        (Some(regex), _) => print(args, RegexAutomaton::new(regex)?, |_| None, out),
        (None, Some(text)) => {
            let near = LevenshteinAutomaton::new(text.as_encoded_bytes(), args.distance.into())
                .context("the distance is too large")?;
            print(args, &near, |key| near.distance(key), out)
        }
        (None, None) => unreachable!("one is required"),
    }
}

fn print(
    args: &SearchArgs,
    automaton: impl Automaton,
    distance: impl Fn(&[u8]) -> Option<usize>,
    out: &mut impl Write,
) -> Result<bool> {
    by_kind!(&args.input.open()?, content => print_matches(args, content, automaton, distance, out))
}

fn print_matches<V: ToolValue + ?Sized>(
    args: &SearchArgs,
    content: &Content<V>,
    automaton: impl Automaton,
    distance: impl Fn(&[u8]) -> Option<usize>,
    out: &mut impl Write,
) -> Result<bool> {
    let mut found = Found::new(&args.printing, out);
    let range = args.bounds.range();
    content.search(automaton, &range, |key, value| Ok(found.add(key, value, distance(key))?))?;
    Ok(found.finish()?)
}
