//! `memkv scan`: prints keys in order.

use crate::{
    layer::{Input, with_layer},
    print::{Printed, Printer},
};
use anyhow::{Context, Result};
use clap::Args;
use memkv::{FrozenLayer, LayerValue};
use std::{ffi::OsString, io::Write};

/// Print keys and their values, in bytewise order.
///
/// Each line has a key, a tab and a value, as `memkv build` reads them.
#[derive(Args, Debug)]
pub(crate) struct ScanArgs {
    #[command(flatten)]
    input: Input,
    /// Print only keys that begin with this prefix.
    #[arg(long, value_name = "KEY")]
    prefix: Option<OsString>,
    /// Print only keys that are at least this one.
    #[arg(long, value_name = "KEY")]
    from: Option<OsString>,
    /// Print only keys that are less than this one.
    #[arg(long, value_name = "KEY")]
    to: Option<OsString>,
    /// Print at most this many keys.
    #[arg(long, short = 'n', value_name = "COUNT")]
    limit: Option<usize>,
    /// Print from the greatest key to the least.
    #[arg(long, short)]
    reverse: bool,
    /// Print keys without their values.
    #[arg(long, short)]
    keys: bool,
    /// Print only the number of keys.
    #[arg(long, short)]
    count: bool,
}

pub(crate) fn run(args: &ScanArgs, out: &mut impl Write) -> Result<()> {
    with_layer!(&args.input.open()?, layer => scan(args, layer, out))
}

fn scan<V>(args: &ScanArgs, layer: &FrozenLayer<V>, out: &mut impl Write) -> Result<()>
where
    V: LayerValue + ?Sized,
    for<'v> V::Lent<'v>: Printed,
{
    // Bounds as ranks, which can be compared.
    let (mut from, mut to) = (0, layer.len());
    if let Some(prefix) = &args.prefix {
        let prefix = prefix.as_encoded_bytes();
        from = layer.rank(prefix);
        to = from + layer.prefix(prefix).len();
    }
    if let Some(key) = &args.from {
        from = from.max(layer.rank(key.as_encoded_bytes()));
    }
    if let Some(key) = &args.to {
        to = to.min(layer.rank(key.as_encoded_bytes()));
    }
    let count = to.saturating_sub(from).min(args.limit.unwrap_or(usize::MAX));
    if args.count {
        writeln!(out, "{count}")?;
        return Ok(());
    }
    let mut cursor = layer.cursor();
    cursor.seek_to_rank(if args.reverse { to } else { from });
    let mut printer = Printer::new(out, !args.keys);
    for _ in 0..count {
        let record = if args.reverse { cursor.prev() } else { cursor.next() };
        let (key, value) = record.with_context(|| {
            format!("{} is damaged: keys are missing", args.input.path().display())
        })?;
        printer.record(key, value)?;
    }
    Ok(printer.finish()?)
}
