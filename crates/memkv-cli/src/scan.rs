//! `memkv scan`: prints keys in order.

use crate::{
    content::{Bounds, Content},
    layer::{Input, by_kind},
    print::{Found, Printing},
    values::ToolValue,
};
use anyhow::Result;
use clap::Args;
use std::io::Write;

/// Print keys and their values, in bytewise order.
///
/// Each line has a key, a tab and a value, as `memkv build` reads them; of a layer without values
/// it has the key alone. Exit status: 0 if there are keys, 1 if there are none, 2 on an error.
#[derive(Args, Debug)]
pub(crate) struct ScanArgs {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    bounds: Bounds,
    /// Print from the greatest key to the least.
    #[arg(long, short)]
    reverse: bool,
    #[command(flatten)]
    printing: Printing,
}

/// Scans, and returns whether there is a key.
pub(crate) fn run(args: &ScanArgs, out: &mut impl Write) -> Result<bool> {
    by_kind!(&args.input.open()?, content => scan(args, content, out))
}

fn scan<V: ToolValue + ?Sized>(
    args: &ScanArgs,
    content: &Content<V>,
    out: &mut impl Write,
) -> Result<bool> {
    let range = args.bounds.range();
    let mut found = Found::new(&args.printing, out);
    if args.printing.count {
        found.skip(content.count(&range)?);
    } else {
        content.scan(&range, args.reverse, |key, value| Ok(found.add(key, value, None)?))?;
    }
    Ok(found.finish()?)
}
