//! `memkv merge`: merges several layers into one.

use crate::{
    layer::{self, AnyLayer, Output},
    progress::Progress,
};
use anyhow::{Result, ensure};
use clap::Args;
use indicatif::HumanCount;
use memkv::{FrozenLayer, FrozenLayerBuilder, LayerValue};
use std::{io::Write, path::PathBuf};

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

pub(crate) fn run(args: &MergeArgs, out: &mut impl Write) -> Result<()> {
    let (mut numbers, mut bytes) = (Vec::new(), Vec::new());
    for path in &args.inputs {
        match layer::open_checked(path)?.layer {
            AnyLayer::Numbers(layer) => numbers.push(layer),
            AnyLayer::Bytes(layer) => bytes.push(layer),
        }
    }
    ensure!(
        numbers.is_empty() || bytes.is_empty(),
        "some layers have numbers as values, and some byte strings"
    );
    if bytes.is_empty() { merge(args, &numbers, out) } else { merge(args, &bytes, out) }
}

fn merge<V: LayerValue + ?Sized>(
    args: &MergeArgs,
    layers: &[FrozenLayer<V>],
    out: &mut impl Write,
) -> Result<()> {
    let total = layers.iter().map(|layer| layer.len() as u64).sum();
    let failed = |error| args.output.failed(error);
    let mut target = args.output.target(None)?;
    let mut builder =
        FrozenLayerBuilder::<V>::create_as(target.path(), args.output.options()).map_err(failed)?;
    target.begin(builder.unfinished_path());
    let mut progress = Progress::new("merging", Some(total));
    builder.insert_layers_with(layers, |read| progress.at(read)).map_err(failed)?;
    let keys = builder.finish_file().map_err(failed)?;
    drop(progress);
    target.finish(keys, &format!("{} layers with {}", layers.len(), HumanCount(total)), out)
}
