//! `memkv repair`: what is whole of a damaged store.

use crate::text;
use anyhow::Result;
use clap::Args;
use indicatif::HumanCount;
use memkv::{HybridStore, Loss};
use std::io::Write;
use std::path::PathBuf;

/// Read what is whole of a damaged store, and print what is lost.
///
/// Changes nothing, unless it is told where to write. Exit status: 0 if nothing is lost, 2 if
/// something is.
#[derive(Args, Debug)]
pub(crate) struct RepairArgs {
    /// The folder of a store that no process has open.
    folder: PathBuf,
    /// Write what is whole to this store, in place of what it holds.
    #[arg(long, short, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Write what is whole to the folder itself, and remove its damaged files.
    #[arg(long, conflicts_with = "output")]
    in_place: bool,
}

/// Returns whether nothing is lost.
pub(crate) fn run(args: &RepairArgs, out: &mut impl Write) -> Result<bool> {
    let (store, lost) = HybridStore::recover(&args.folder)?;
    for loss in &lost {
        writeln!(out, "lost: {}", describe(loss))?;
    }
    writeln!(out, "keys: {}", store.len())?;
    let target = if args.in_place { Some(&args.folder) } else { args.output.as_ref() };
    match target {
        Some(folder) => {
            store.save(folder)?;
            writeln!(out, "written to {}", folder.display())?;
        }
        None if !lost.is_empty() => {
            writeln!(out, "nothing was changed: --output or --in-place writes what is whole")?;
        }
        None => {}
    }
    out.flush()?;
    Ok(lost.is_empty())
}

/// Returns what a loss is. Its keys are whole, since they tell what to restore.
fn describe(loss: &Loss) -> String {
    let Loss::Keys { file, count, after, before } = loss else { return loss.to_string() };
    let mut text = format!("{}: {} keys", file.display(), HumanCount(*count));
    for (word, key) in [("after", after), ("before", before)] {
        if let Some(key) = key {
            text += &format!(" {word} \"{}\"", text::escaped(key, usize::MAX));
        }
    }
    text
}
