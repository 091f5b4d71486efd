//! `memkv search`: prints the keys that match a pattern.

use crate::{
    content::Content,
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
/// except with --keys. Exit status: 0 if a key matches, 1 if none does, 2 on an error.
#[derive(Args, Debug)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    pattern: Pattern,
    /// Find only keys that begin with this prefix, which is part of what the pattern matches. No
    /// other keys are read.
    #[arg(long, value_name = "KEY")]
    prefix: Option<OsString>,
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

/// An automaton that matches the keys with a prefix.
struct Prefix<'a>(&'a [u8]);

impl<'a> Automaton for Prefix<'a> {
    /// The part of the prefix that is still to come, or `None` if the key differs from it.
    type State = Option<&'a [u8]>;

    fn start(&self) -> Self::State {
        Some(self.0)
    }

    fn is_match(&self, left: &Self::State) -> bool {
        left.is_some_and(<[u8]>::is_empty)
    }

    fn can_match(&self, left: &Self::State) -> bool {
        left.is_some()
    }

    fn accept(&self, left: &Self::State, byte: u8) -> Self::State {
        match *left {
            Some([first, rest @ ..]) => (*first == byte).then_some(rest),
            whole_or_none => whole_or_none,
        }
    }
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
    let prefix = Prefix(args.prefix.as_ref().map_or(b"", |prefix| prefix.as_encoded_bytes()));
    let both = prefix.intersection(automaton);
    by_kind!(&args.input.open()?, content => print_matches(args, content, both, distance, out))
}

fn print_matches<V: ToolValue + ?Sized>(
    args: &SearchArgs,
    content: &Content<V>,
    automaton: impl Automaton,
    distance: impl Fn(&[u8]) -> Option<usize>,
    out: &mut impl Write,
) -> Result<bool> {
    let mut found = Found::new(&args.printing, out);
    content.search(automaton, |key, value| Ok(found.add(key, value, distance(key))?))?;
    Ok(found.finish()?)
}
