//! `memkv stats`: prints the sizes of a layer.

use crate::{
    content::Content,
    layer::{Input, Opened, StoreState, by_kind},
    print::json_text,
    text,
    values::ToolValue,
};
use anyhow::{Context, Result};
use clap::Args;
use indicatif::HumanCount;
use memkv::{FrozenLayer, LayerSet};
use serde_json::{Value, json};
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
    let Opened { content, store } = args.input.open_with_state()?;
    by_kind!(&content, content => match content {
        Content::Layer(layer, _) => print(args, layer, store, out),
        Content::Set(set) => print_set(args, set, out),
    })
}

/// Adds the first and the last key to a JSON object.
fn add_ends(record: &mut Value, first: Option<&[u8]>, last: Option<&[u8]>) {
    for (name, key) in [("first_key", first), ("last_key", last)] {
        let (name, text) = json_text(name, key);
        record[name] = text;
    }
}

fn write_ends(out: &mut impl Write, first: Option<&[u8]>, last: Option<&[u8]>) -> Result<()> {
    if let (Some(first), Some(last)) = (first, last) {
        writeln!(out, "first key: {}", text::shown(first))?;
        writeln!(out, "last key:  {}", text::shown(last))?;
    }
    Ok(out.flush()?)
}

/// Returns a number of bytes, and how many that is for each key.
fn each(bytes: u64, keys: u64) -> String {
    match keys {
        0 => text::size(bytes),
        keys => format!("{}, {:.2} a key", text::size(bytes), bytes as f64 / keys as f64),
    }
}

/// Prints what the manifest has. No part is opened.
fn print_set<V: ToolValue + ?Sized>(
    args: &StatsArgs,
    set: &LayerSet<V>,
    out: &mut impl Write,
) -> Result<()> {
    let (parts, keys) = (set.parts(), set.len());
    let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
    let first = parts.first().map(|part| &*part.first);
    let last = parts.last().map(|part| &*part.last);
    if args.json {
        let mut record = json!({
            "keys": keys, "file_bytes": bytes, "bytes_per_key": bytes as f64 / keys.max(1) as f64,
            "values": V::NAME, "parts": parts.len(), "duplicates": set.duplicates(),
        });
        add_ends(&mut record, first, last);
        writeln!(out, "{record}")?;
        return Ok(out.flush()?);
    }
    writeln!(out, "keys:      {}", HumanCount(keys))?;
    writeln!(out, "values:    {}", V::NAME)?;
    writeln!(out, "parts:     {}", HumanCount(parts.len() as u64))?;
    writeln!(out, "files:     {}", each(bytes, keys))?;
    writeln!(out, "repeated:  {} records when it was built", HumanCount(set.duplicates()))?;
    write_ends(out, first, last)
}

fn print<V: ToolValue + ?Sized>(
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
    // As `--codec` and `--symbols` name them.
    let codec = format!("{:?}", layer.codec()).to_lowercase();
    let symbols = format!("{:?}", layer.symbols()).to_lowercase();
    let first = layer.first_key_value().map(|(key, _)| key);
    let last = layer.last_key_value().map(|(key, _)| key);
    if args.json {
        let mut record = json!({
            "keys": layer.len(), "file_bytes": bytes, "bytes_per_key": per_key, "codec": codec,
            "symbols": symbols, "chunks": layer.chunks(), "key_bytes": usage.keys,
            "header_bytes": headers, "value_bytes": usage.values, "index_bytes": usage.index,
            "symbol_bytes": usage.symbols, "values": V::NAME,
            "store": store.as_ref().map(|store| json!({
                "base_keys": store.base_keys, "changes": store.changes,
                "closed": store.recovery.was_closed,
            })),
        });
        add_ends(&mut record, first.as_deref(), last.as_deref());
        writeln!(out, "{record}")?;
        return Ok(out.flush()?);
    }
    let each = |bytes: u64| each(bytes, layer.len() as u64);
    writeln!(out, "keys:      {}", HumanCount(layer.len() as u64))?;
    writeln!(out, "values:    {}", V::NAME)?;
    let place = if store.is_some() { "folder:   " } else { "file:     " };
    writeln!(out, "{place} {}", each(bytes))?;
    if let Some(store) = store {
        let open = if store.recovery.was_closed { "closed" } else { "not closed, or open" };
        writeln!(
            out,
            "store:     {} keys in the base, {} changes",
            HumanCount(store.base_keys as u64),
            HumanCount(store.changes)
        )?;
        writeln!(out, "  state:   {open}; what follows is the content as one layer")?;
    }
    writeln!(out, "codec:     {codec}")?;
    writeln!(out, "symbols:   {symbols}, {} in memory", text::size(usage.symbols as u64))?;
    writeln!(out, "chunks:    {}", HumanCount(layer.chunks() as u64))?;
    writeln!(out, "keys in:   {}", each(usage.keys as u64))?;
    writeln!(out, "  lengths: {}", each(headers as u64))?;
    writeln!(out, "values in: {}", each(usage.values as u64))?;
    writeln!(out, "index in:  {} in memory", text::size(usage.index as u64))?;
    write_ends(out, first.as_deref(), last.as_deref())
}

/// Returns the bytes of a file, or of the files of a folder.
fn file_bytes(path: &Path) -> io::Result<u64> {
    if !path.is_dir() {
        return Ok(path.metadata()?.len());
    }
    std::fs::read_dir(path)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}
