//! `memkv verify`: checks files for damage.

use crate::layer;
use anyhow::Result;
use clap::Args;
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// Check files for damage.
///
/// Reads all of each file, and prints its name and OK, or the error. Exit status: 0 if all files
/// are intact, 1 if not.
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// The files, which must not be changed while the command runs.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Checks the files, and returns `true` if all are intact.
pub(crate) fn run(args: &VerifyArgs, out: &mut impl Write) -> Result<bool> {
    let mut all = true;
    for file in &args.files {
        match layer::open_checked(file) {
            Ok(layer) => writeln!(out, "{}: OK, {} keys", file.display(), layer.len())?,
            Err(error) => {
                all = false;
                // An error of this write cannot be reported.
                let _ = writeln!(io::stderr(), "memkv: {error:#}");
            }
        }
    }
    out.flush()?;
    Ok(all)
}
