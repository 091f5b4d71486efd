//! `memkv scan`: prints keys in order.

use crate::{
    layer::{Input, with_layer},
    print::{Found, Printing},
    values::ToolValue,
};
use anyhow::{Context, Result};
use clap::Args;
use memkv::FrozenLayer;
use std::{ffi::OsString, io::Write};

/// Print keys and their values, in bytewise order.
///
/// Each line has a key, a tab and a value, as `memkv build` reads them; of a layer without values
/// it has the key alone. Exit status: 0 if there are keys, 1 if there are none, 2 on an error.
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
    /// Print from the greatest key to the least.
    #[arg(long, short)]
    reverse: bool,
    #[command(flatten)]
    printing: Printing,
}

/// Scans, and returns whether there is a key.
pub(crate) fn run(args: &ScanArgs, out: &mut impl Write) -> Result<bool> {
    with_layer!(&args.input.open()?, layer => scan(args, layer, out))
}

fn scan<V: ToolValue + ?Sized>(
    args: &ScanArgs,
    layer: &FrozenLayer<V>,
    out: &mut impl Write,
) -> Result<bool> {
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
    let mut found = Found::new(&args.printing, out);
    if args.printing.count {
        found.skip(to.saturating_sub(from) as u64);
        return Ok(found.finish(|| from < to)?);
    }
    let mut cursor = layer.cursor();
    cursor.seek_to_rank(if args.reverse { to } else { from });
    for _ in from..to {
        if found.is_full() {
            break;
        }
        let record = if args.reverse { cursor.prev() } else { cursor.next() };
        let (key, value) = record.with_context(|| {
            format!("{} is damaged: keys are missing", args.input.path().display())
        })?;
        found.add(key, V::field(value), None)?;
    }
    Ok(found.finish(|| from < to)?)
}
