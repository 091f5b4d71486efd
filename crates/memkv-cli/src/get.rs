//! `memkv get`: prints the values of keys.

use crate::{
    content::Content,
    input::{Lines, STDIN},
    layer::{Input, by_kind},
    print::{Format, Printer},
    text,
    values::ToolValue,
};
use anyhow::{Context, Result};
use clap::Args;
use std::{
    ffi::OsString,
    io::{self, Write},
};

/// The keys that are looked up together.
const KEYS_PER_GROUP: usize = 256;

/// Print the values of keys.
///
/// For several keys, prints each present key with a tab and its value; of a layer without values
/// the present keys alone. Exit status: 0 if all keys are present, 1 if one is absent, 2 on an
/// error.
#[derive(Args, Debug)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    input: Input,
    /// The keys, or a single - for the lines of the standard input; with --null for its strings
    /// that end in NUL bytes.
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<OsString>,
    /// Print nothing, and only set the exit status.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    format: Format,
}

/// Looks the keys up, and returns `true` if all are present.
pub(crate) fn run(args: &GetArgs, out: &mut impl Write) -> Result<bool> {
    by_kind!(&args.input.open()?, content => get(args, content, out))
}

fn get<V: ToolValue + ?Sized>(
    args: &GetArgs,
    content: &Content<V>,
    out: &mut impl Write,
) -> Result<bool> {
    let mut printer = Printer::new(out, args.format);
    let mut all = true;
    let mut look_up = |keys: &[&[u8]], single: bool| -> Result<()> {
        let (mut left, mut printed) = (keys.iter(), Ok(()));
        content.get_many(keys, |value| {
            let Some(key) = left.next() else { return };
            let print = match value {
                None => {
                    all = false;
                    if !args.quiet {
                        // An error of this write cannot be reported.
                        let _ = writeln!(io::stderr(), "memkv: no such key: {}", text::shown(key));
                    }
                    Ok(())
                }
                Some(_) if args.quiet => Ok(()),
                Some(value) if single => printer.value(key, value),
                Some(value) => printer.record(key, value, None),
            };
            if printed.is_ok() {
                printed = print;
            }
        })?;
        Ok(printed?)
    };
    let keys: Vec<&[u8]> = args.keys.iter().map(|key| key.as_encoded_bytes()).collect();
    if keys != [STDIN.as_bytes()] {
        look_up(&keys, keys.len() == 1)?;
    } else {
        let end = if args.format.null { 0 } else { b'\n' };
        let mut lines = Lines::ended_by(io::stdin().lock(), end);
        let mut batch: Vec<Vec<u8>> = Vec::new();
        loop {
            let line = lines.next().context("cannot read the standard input")?;
            if line.is_none() || batch.len() == KEYS_PER_GROUP {
                look_up(&batch.iter().map(Vec::as_slice).collect::<Vec<_>>(), false)?;
                batch.clear();
            }
            match line {
                None => break,
                Some(line) => batch.push(line.to_vec()),
            }
        }
    }
    printer.finish()?;
    Ok(all)
}
