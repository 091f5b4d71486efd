//! `memkv merge`: merges several layers into one.

use crate::{
    layer::{self, Output},
    progress::Progress,
};
use anyhow::Result;
use clap::Args;
use memkv::{FrozenLayer, FrozenLayerBuilder};
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
        .map(|path| Ok(layer::open_checked(path)?.layer))
        .collect::<Result<Vec<FrozenLayer>>>()?;
    let total = layers.iter().map(|layer| layer.len() as u64).sum();
    let mut progress = Progress::new("merging", Some(total));
    let failed = |error| args.output.failed(error);
    let mut builder =
        FrozenLayerBuilder::create(args.output.path(), args.output.options()).map_err(failed)?;
    builder.insert_layers_with(&layers, |read| progress.at(read)).map_err(failed)?;
    builder.finish_file().map_err(failed)?;
    Ok(())
}
