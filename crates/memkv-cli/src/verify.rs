//! `memkv verify`: checks files for damage.

use crate::{
    layer::{self, with_layer},
    text,
};
use anyhow::Result;
use clap::Args;
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// Check files for damage.
///
/// Reads all of each layer file or folder of a store, and prints its name and OK, or the error. Of
/// a store that was not closed it prints what a crash may have left: an incomplete end of a log of
/// one frame is a write that had not returned; more frames are damage, or writes that a failure of
/// the machine tore. `memkv repair` reads those that are whole, and opening the store for writing
/// cuts them off. Exit status: 0 if all are intact, 2 if not.
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// Layer files, which must not be changed while the command runs, and folders of stores.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Checks the files, and returns `true` if all are intact.
pub(crate) fn run(args: &VerifyArgs, out: &mut impl Write) -> Result<bool> {
    let mut all = true;
    for file in &args.files {
        match layer::open_checked(file) {
            Ok(opened) => {
                let keys = with_layer!(&opened.layer, layer => layer.len());
                writeln!(out, "{}: OK, {keys} keys", file.display())?;
                let Some(state) = opened.store else { continue };
                if !state.recovery.was_closed {
                    writeln!(out, "{}: not closed, or open", file.display())?;
                }
                for end in &state.recovery.cut {
                    let (file, frames, bytes) = (end.file.display(), end.frames, end.bytes);
                    write!(out, "{file}: incomplete at its end: {frames} frames, {bytes} bytes")?;
                    // One frame is a write that had not returned.
                    let hint =
                        "; memkv repair reads what is whole, opening for writing cuts it off";
                    writeln!(out, "{}", if frames > 1 { hint } else { "" })?;
                    all &= frames <= 1;
                }
            }
            Err(error) => {
                all = false;
                // An error of this write cannot be reported.
                let _ = writeln!(io::stderr(), "memkv: {}", text::message(&error));
            }
        }
    }
    out.flush()?;
    Ok(all)
}
