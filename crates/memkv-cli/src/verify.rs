//! `memkv verify`: whether files are whole.

use crate::layer;
use anyhow::Result;
use clap::Args;
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// Check that files are as they were written.
///
/// Reads all of each file, and prints its name and OK, or what is wrong. Exit status: 0 if all are whole, 1 if not.
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// The files, which must not be written to meanwhile.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Whether all files are whole.
pub(crate) fn run(args: &VerifyArgs, out: &mut impl Write) -> Result<bool> {
    let mut all = true;
    for file in &args.files {
        match layer::open_checked(file) {
            Ok(layer) => writeln!(out, "{}: OK, {} keys", file.display(), layer.len())?,
            Err(error) => {
                all = false;
                // Nobody is left to tell if this fails.
                let _ = writeln!(io::stderr(), "memkv: {error:#}");
            }
        }
    }
    out.flush()?;
    Ok(all)
}
