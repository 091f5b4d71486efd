//! `memkv merge`: merges several layers into one.

use crate::{
    layer::{self, Output},
    progress::Progress,
    sort::{Merger, Source},
};
use anyhow::{Context, Result};
use clap::Args;
use memkv::{FrozenCursor, FrozenLayer};
use std::path::PathBuf;

/// Merge layer files into one.
///
/// All files are checked first. For a key that several files have, the last file's value is kept,
/// unless --on-duplicate is given. The output may be one of the inputs.
#[derive(Args, Debug)]
pub(crate) struct MergeArgs {
    /// The files, which must not be changed while the command runs.
    #[arg(required = true, value_name = "FILE")]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: &MergeArgs) -> Result<()> {
    let layers = args
        .inputs
        .iter()
        .map(|path| layer::open_checked(path)?.layer.numbers())
        .collect::<Result<Vec<FrozenLayer>>>()?;
    let sources = layers
        .iter()
        .map(|layer| Box::new(LayerSource::of(layer)) as Box<dyn Source + '_>)
        .collect();
    let mut merger = Merger::new(sources, args.output.on_duplicate)?;
    let mut progress =
        Progress::new("merging", Some(layers.iter().map(|layer| layer.len() as u64).sum()));
    args.output.write(args.output.options(), &mut merger, |taken| progress.at(taken))
}

/// A layer's keys.
struct LayerSource<'a> {
    cursor: FrozenCursor<'a>,
    left: usize,
    key: Vec<u8>,
    value: u64,
}

impl<'a> LayerSource<'a> {
    fn of(layer: &'a FrozenLayer) -> Self {
        Self { cursor: layer.cursor(), left: layer.len(), key: Vec::new(), value: 0 }
    }
}

impl Source for LayerSource<'_> {
    fn advance(&mut self) -> Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        let (key, value) = self.cursor.next().context("an input was altered while it was read")?;
        self.key.clear();
        self.key.extend_from_slice(key);
        self.value = value;
        Ok(true)
    }

    fn record(&self) -> (&[u8], u64) {
        (&self.key, self.value)
    }
}
