//! `memkv get`: the values of some keys.

use crate::{
    layer::Input,
    print::Printer,
    source::{Lines, STDIN},
};
use anyhow::{Context, Result};
use clap::Args;
use std::{
    ffi::OsString,
    io::{self, Write},
};

/// Keys that are looked up together.
const BATCH: usize = 256;

/// Print the value of a key.
///
/// Of several keys, prints each one that is there with a tab and its value. Exit status: 0 if all keys are there, 1 if
/// one is absent, 2 if something went wrong.
#[derive(Args, Debug)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    input: Input,
    /// The keys. A single - stands for the lines of the standard input.
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<OsString>,
    /// Print nothing; only the exit status tells.
    #[arg(long, short)]
    quiet: bool,
}

/// Whether all keys are there.
pub(crate) fn run(args: &GetArgs, out: &mut impl Write) -> Result<bool> {
    let layer = args.input.open()?;
    let mut printer = Printer::new(out, true);
    let mut all = true;
    let mut look_up = |keys: &[&[u8]], single: bool| -> Result<()> {
        for (key, value) in keys.iter().zip(layer.get_many(keys)) {
            match value {
                None => {
                    all = false;
                    if !args.quiet {
                        // Nobody is left to tell if this fails.
                        let _ =
                            writeln!(io::stderr(), "memkv: no such key: {}", key.escape_ascii());
                    }
                }
                Some(_) if args.quiet => {}
                Some(value) if single => printer.value(value)?,
                Some(value) => printer.record(key, value)?,
            }
        }
        Ok(())
    };
    let keys: Vec<&[u8]> = args.keys.iter().map(|key| key.as_encoded_bytes()).collect();
    if keys != [STDIN.as_bytes()] {
        look_up(&keys, keys.len() == 1)?;
    } else {
        let mut lines = Lines::new(io::stdin().lock());
        let mut batch: Vec<Vec<u8>> = Vec::new();
        loop {
            let line = lines.next().context("cannot read the standard input")?;
            if line.is_none() || batch.len() == BATCH {
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
