//! `memkv merge`: merges several layers into one.

use crate::{
    layer::{self, by_kind},
    output::Output,
    progress::{Progress, Total},
    text,
    values::ToolValue,
};
use anyhow::Result;
use clap::Args;
use memkv::{FrozenLayer, FrozenLayerBuilder};
use std::{io::Write, path::PathBuf};

/// Merge layers into one, which has all their keys.
///
/// All inputs are checked first. For a key that several of them have, the last one's value is kept,
/// unless --on-duplicate is given. The output may be one of the inputs.
#[derive(Args, Debug)]
pub(crate) struct MergeArgs {
    /// Layer files, and folders of stores and of sets of layers. Files must not be changed while
    /// the command runs.
    #[arg(required = true, value_name = "FILE")]
    inputs: Vec<PathBuf>,
    /// Merge layers without values with others: their values are 0, or empty texts.
    #[arg(long)]
    zeros: bool,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: &MergeArgs, out: &mut impl Write) -> Result<()> {
    let opened = layer::open_same(&args.inputs, args.output.rule(), args.zeros)?;
    by_kind!(&opened.layers, layers => merge(args, layers, out))
}

fn merge<V: ToolValue + ?Sized>(
    args: &MergeArgs,
    layers: &[FrozenLayer<V>],
    out: &mut impl Write,
) -> Result<()> {
    let total = layers.iter().map(|layer| layer.len() as u64).sum();
    let to = args.output.destination();
    let failed = |error| to.failed(error);
    let mut target = to.target(None)?;
    let options = to.options().on_duplicate(args.output.rule());
    let mut builder = FrozenLayerBuilder::<V>::create_as(target.path(), options).map_err(failed)?;
    target.begin(builder.unfinished_path());
    let mut progress = Progress::new("merging", Total::Keys(total));
    builder.insert_layers_with(layers, |read| progress.at(read)).map_err(failed)?;
    let keys = builder.finish_file().map_err(failed)?;
    drop(progress);
    target.finish(keys, &text::layers(layers.len(), total), out)
}
