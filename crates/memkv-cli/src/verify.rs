//! `memkv verify`: checks files for damage.

use crate::{
    content::{Content, set_error},
    layer::{self, AnyContent, Opened, by_kind},
    text,
    values::ToolValue,
};
use anyhow::{Error, Result};
use clap::Args;
use memkv::LayerSet;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Check files for damage.
///
/// Reads all of each layer file, set of layers or store, and prints its name and OK, or the error.
/// Of a set it checks all parts, and prints the error of each that is damaged or missing. Of a
/// store that was not closed it prints what a crash may have left: an incomplete end of a log that
/// has one frame is a write that had not returned; more frames are damage, or writes that a failure
/// of the machine tore, and `memkv repair` reads those that are whole. Exit status: 0 if all are
/// intact, 2 if not.
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// Layer files, and folders of stores and of sets of layers. Files must not be changed while
    /// the command runs.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Checks the files, and returns `true` if all are intact.
pub(crate) fn run(args: &VerifyArgs, out: &mut impl Write) -> Result<bool> {
    let mut all = true;
    for file in &args.files {
        let errors = match layer::open(file) {
            Ok(Opened { content, store: None }) => check(file, &content, out)?,
            Ok(Opened { content, store: Some(state) }) => {
                let keys = by_kind!(&content, content => content.len());
                writeln!(out, "{}: OK, {keys} keys", file.display())?;
                if !state.recovery.was_closed {
                    writeln!(out, "{}: not closed, or open", file.display())?;
                }
                for end in &state.recovery.cut {
                    let (file, frames, bytes) = (end.file.display(), end.frames, end.bytes);
                    write!(out, "{file}: incomplete at its end: {frames} frames, {bytes} bytes")?;
                    // One frame is a write that had not returned.
                    let hint = "; memkv repair reads what is whole";
                    writeln!(out, "{}", if frames > 1 { hint } else { "" })?;
                    all &= frames <= 1;
                }
                Vec::new()
            }
            Err(error) => vec![error],
        };
        all &= errors.is_empty();
        for error in errors {
            // An error of this write cannot be reported.
            let _ = writeln!(io::stderr(), "memkv: {}", text::message(&error));
        }
    }
    out.flush()?;
    Ok(all)
}

/// Checks a layer or each part of a set, and prints that it is intact, or returns the errors.
fn check(file: &Path, content: &AnyContent, out: &mut impl Write) -> Result<Vec<Error>> {
    let errors: Vec<Error> = by_kind!(content, content => match content {
        Content::Layer(..) => content.verify().err().into_iter().collect(),
        Content::Set(set) => damaged_parts(set),
    });
    if errors.is_empty() {
        let (keys, parts) = by_kind!(content, content => (content.len(), content.parts()));
        let parts = parts.map(|parts| format!(" in {}", text::parts(parts)));
        writeln!(out, "{}: OK, {keys} keys{}", file.display(), parts.unwrap_or_default())?;
    }
    Ok(errors)
}

fn damaged_parts<V: ToolValue + ?Sized>(set: &LayerSet<V>) -> Vec<Error> {
    let parts = 0..set.parts().len();
    parts.filter_map(|part| set.verify_part(part).err().map(set_error)).collect()
}
