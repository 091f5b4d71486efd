//! `memkv stats`: prints the sizes of a layer.

use crate::layer::{Input, Opened, StoreState, with_layer};
use anyhow::{Context, Result};
use clap::Args;
use memkv::{FrozenLayer, LayerValue};
use serde_json::json;
use std::io::{self, Write};
use std::path::Path;

/// Print the number of keys, and the bytes of each part.
#[derive(Args, Debug)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    input: Input,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &StatsArgs, out: &mut impl Write) -> Result<()> {
    let Opened { layer, store } = args.input.open_with_state()?;
    with_layer!(&layer, layer => print(args, layer, store, out))
}

fn print<V: LayerValue + ?Sized>(
    args: &StatsArgs,
    layer: &FrozenLayer<V>,
    store: Option<StoreState>,
    out: &mut impl Write,
) -> Result<()> {
    let path = args.input.path();
    let bytes = file_bytes(path).with_context(|| format!("cannot read {}", path.display()))?;
    let usage = layer.memory_usage();
    let per_key = bytes as f64 / layer.len().max(1) as f64;
    let headers = layer.header_bytes();
    let text =
        |record: Option<(Vec<u8>, V::Owned)>| record.map(|(key, _)| key.escape_ascii().to_string());
    // As `--codec` and `--symbols` name them.
    let codec = format!("{:?}", layer.codec()).to_lowercase();
    let symbols = format!("{:?}", layer.symbols()).to_lowercase();
    let (first, last) = (text(layer.first_key_value()), text(layer.last_key_value()));
    if args.json {
        let record = json!({
            "keys": layer.len(), "file_bytes": bytes, "bytes_per_key": per_key, "codec": codec,
            "symbols": symbols, "chunks": layer.chunks(), "key_bytes": usage.keys,
            "header_bytes": headers, "value_bytes": usage.values, "index_bytes": usage.index,
            "symbol_bytes": usage.symbols, "first_key": first, "last_key": last,
            "store": store.as_ref().map(|store| json!({
                "base_keys": store.base_keys, "changes": store.changes,
                "closed": store.recovery.was_closed,
            })),
        });
        writeln!(out, "{record}")?;
        return Ok(());
    }
    let each =
        |part: usize| format!("{part} bytes, {:.2} a key", part as f64 / layer.len().max(1) as f64);
    writeln!(out, "keys:      {}", layer.len())?;
    writeln!(out, "file:      {bytes} bytes, {per_key:.2} a key")?;
    if let Some(store) = store {
        let open = if store.recovery.was_closed { "closed" } else { "not closed, or open" };
        writeln!(
            out,
            "store:     {} keys in the base, {} changes",
            store.base_keys, store.changes
        )?;
        writeln!(out, "  state:   {open}; what follows is the content as one layer")?;
    }
    writeln!(out, "codec:     {codec}")?;
    writeln!(out, "symbols:   {symbols}, {} bytes in memory", usage.symbols)?;
    writeln!(out, "chunks:    {}", layer.chunks())?;
    writeln!(out, "keys in:   {}", each(usage.keys))?;
    writeln!(out, "  lengths: {}", each(headers))?;
    writeln!(out, "values in: {}", each(usage.values))?;
    writeln!(out, "index in:  {} bytes in memory", usage.index)?;
    if let (Some(first), Some(last)) = (first, last) {
        writeln!(out, "first key: {first}")?;
        writeln!(out, "last key:  {last}")?;
    }
    out.flush()?;
    Ok(())
}

/// Returns the bytes of a file, or of the files of a folder.
fn file_bytes(path: &Path) -> io::Result<u64> {
    if !path.is_dir() {
        return Ok(path.metadata()?.len());
    }
    std::fs::read_dir(path)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}
