//! `memkv intersection`, `difference` and `symmetric-difference` of layers.
//!
//! Not to be confused with sets of layers, which may be inputs.

use crate::{
    layer::{self, by_kind},
    output::{Destination, RuleName, Writing},
    print::{Found, Printing},
    progress::{Progress, Total},
    text,
    values::ToolValue,
};
use anyhow::Result;
use clap::Args;
use memkv::{FrozenError, FrozenLayer, FrozenLayerBuilder, FrozenStream, LayerValues};
use std::{io::Write, path::PathBuf};

/// The keys between two looks at how far the layers are read, which takes a lookup in each.
const KEYS_PER_LOOK: u64 = 1 << 14;

const NOTE: &str = "All inputs are checked first, and then read once, side by side: memory does \
    not depend on their size, except for stores, which are read into memory. Lines are as `memkv \
    scan` prints them. Layers without values can be used with others: their values are 0, or \
    empty texts. Exit status: 0 if there is such a key or a layer is written, 1 if there is no \
    such key, 2 on an error.";

/// The layers, and what becomes of the keys.
#[derive(Args, Debug)]
#[command(after_long_help = NOTE)]
pub(crate) struct SetArgs {
    /// Layer files, and folders of stores and of sets of layers. Files must not be changed while
    /// the command runs.
    #[arg(required = true, num_args = 2.., value_name = "FILE")]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    printing: Printing,
    /// Which value a key has that is in several of the layers.
    #[arg(long, value_enum, default_value_t = RuleName::First, value_name = "RULE")]
    on_duplicate: RuleName,
    /// Write a layer to this file instead of printing, or to the standard output if it is -. It
    /// appears under its name once it is complete; until then an existing layer stays. What is not
    /// a layer is not replaced.
    #[arg(
        long, short, value_name = "FILE",
        conflicts_with_all = ["limit", "keys", "count", "json", "null"]
    )]
    output: Option<PathBuf>,
    #[command(flatten)]
    writing: Writing,
}

/// Which keys are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Intersection,
    Difference,
    SymmetricDifference,
}

impl Operation {
    fn stream<V: ToolValue + ?Sized>(self, layers: &[FrozenLayer<V>]) -> FrozenStream<'_, V> {
        match self {
            Self::Intersection => FrozenLayer::intersection(layers),
            Self::Difference => FrozenLayer::difference(layers),
            Self::SymmetricDifference => FrozenLayer::symmetric_difference(layers),
        }
    }

    /// Returns whether a key is wanted that has a value in these layers. `inputs` has the input of
    /// each layer; no two layers of one input have the same key.
    fn wants<T>(self, values: LayerValues<'_, T>, inputs: &[usize]) -> bool {
        match self {
            Self::Intersection => inputs.last().is_some_and(|last| values.len() == last + 1),
            Self::Difference => values.len() == 1 && inputs[values[0].0] == 0,
            Self::SymmetricDifference => values.len() % 2 == 1,
        }
    }
}

/// The keys of an operation on inputs, each of them one layer or several of disjoint ranges.
struct Keys<'a, V: ToolValue + ?Sized> {
    layers: &'a [FrozenLayer<V>],
    inputs: &'a [usize],
    operation: Operation,
}

impl<V: ToolValue + ?Sized> Keys<'_, V> {
    /// Passes each key and its values to `take`, in order, until it returns `false`.
    fn each(
        &self,
        mut take: impl FnMut(&[u8], LayerValues<'_, V::Owned>) -> Result<bool>,
    ) -> Result<()> {
        let has_parts = self.inputs.iter().enumerate().any(|(layer, &input)| layer != input);
        // Layers that are parts of one input do not have their keys in common, so the library's
        // operations do not apply to them.
        let mut stream = match has_parts {
            true => FrozenLayer::union(self.layers),
            false => self.operation.stream(self.layers),
        };
        while let Some((key, values)) = stream.next() {
            let is_wanted = !has_parts || self.operation.wants(values, self.inputs);
            if is_wanted && !take(key, values)? {
                break;
            }
        }
        Ok(())
    }
}

/// Prints or writes the keys, and returns whether there is one or a layer is written.
pub(crate) fn run(args: &SetArgs, operation: Operation, out: &mut impl Write) -> Result<bool> {
    let opened = layer::open_same(&args.inputs, args.on_duplicate.rule(), true)?;
    by_kind!(&opened.layers, layers => {
        let keys = Keys { layers, inputs: &opened.inputs, operation };
        match &args.output {
            None => print(args, &keys, out),
            Some(path) => {
                let to = Destination { path, writing: &args.writing };
                write(args.on_duplicate, to, &keys, out).map(|()| true)
            }
        }
    })
}

fn print<V: ToolValue + ?Sized>(
    args: &SetArgs,
    keys: &Keys<'_, V>,
    out: &mut impl Write,
) -> Result<bool> {
    let mut found = Found::new(&args.printing, out);
    keys.each(|key, values| {
        with_value::<V, _>(args.on_duplicate, key, values, |value| {
            Ok(found.add(key, V::field(value), None)?)
        })
    })?;
    Ok(found.finish()?)
}

fn write<V: ToolValue + ?Sized>(
    rule: RuleName,
    to: Destination<'_>,
    keys: &Keys<'_, V>,
    out: &mut impl Write,
) -> Result<()> {
    let layers = keys.layers;
    let total = layers.iter().map(|layer| layer.len() as u64).sum();
    let failed = |error| to.failed(error);
    let mut target = to.target(None)?;
    let mut builder =
        FrozenLayerBuilder::<V>::create_as(target.path(), to.options()).map_err(failed)?;
    target.begin(builder.unfinished_path());
    let mut progress = Progress::new("reading", Total::Keys(total));
    keys.each(|key, values| {
        if builder.len().is_multiple_of(KEYS_PER_LOOK) {
            progress.at(layers.iter().map(|layer| layer.rank(key) as u64).sum());
        }
        with_value::<V, _>(rule, key, values, |value| builder.insert(key, value).map_err(failed))?;
        Ok(true)
    })?;
    let keys = builder.finish_file().map_err(failed)?;
    drop(progress);
    target.finish(keys, &text::layers(layers.len(), total), out)
}

/// Passes on the value that a key has by the rule.
fn with_value<V: ToolValue + ?Sized, R>(
    rule: RuleName,
    key: &[u8],
    values: LayerValues<'_, V::Owned>,
    take: impl FnOnce(V::Lent<'_>) -> Result<R>,
) -> Result<R> {
    let (first, last) = (&values[0].1, &values[values.len() - 1].1);
    match rule {
        _ if values.len() == 1 => take(V::lent(first)),
        RuleName::First => take(V::lent(first)),
        RuleName::Last => take(V::lent(last)),
        RuleName::Sum => take(V::lent(&V::sum(key, values)?)),
        RuleName::Error => Err(FrozenError::Repeated { key: key.to_vec() }.into()),
    }
}
