//! The format of a layer's bytes, in memory and in files. FORMAT.md describes it.

use super::byte_values;
use super::chunk::Chunk;
use super::codec::Codec;
use super::error::FrozenError;
use super::layer::Layer;
use super::limits::MAX_GROWN_CHUNK_KEYS;
use super::packed::{self, IndexTree};
use super::values::ValueLayout;
use crate::io::bytes::Bytes;
use crate::symbols::{Decoder, SymbolKind};
use crate::value::ValueKind;
use crate::words::{u32_at, u64_at};
use std::sync::OnceLock;

pub(crate) const MAGIC: &[u8; 8] = b"memkvFRZ";
const END_MAGIC: &[u8; 8] = b"memkvEND";
/// The version of layers of `u64`.
const VERSION: u32 = 1;
/// The version of layers of other values, which a reader of version 1 must not take for `u64`.
const TYPED_VERSION: u32 = 2;
/// Magic number, version, zeros.
pub(crate) const HEADER_BYTES: usize = 16;
const DIRECTORY_ENTRY_BYTES: usize = 48;
const FOOTER_BYTES: usize = 88;

fn version_of(kind: ValueKind) -> u32 {
    if kind == ValueKind::U64 { VERSION } else { TYPED_VERSION }
}

pub(crate) fn header(kind: ValueKind) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&version_of(kind).to_le_bytes());
    header
}

/// Returns what follows the chunks: symbols, directory, index of chunks, footer.
pub(crate) fn trailer(layer: &Layer) -> Vec<u8> {
    let mut out = Vec::new();
    let chunks_end =
        HEADER_BYTES as u64 + layer.chunks.iter().map(|chunk| chunk.data.len() as u64).sum::<u64>();
    let (symbols, table) = layer.decoder.table();
    let (value_symbols, value_table) =
        layer.value_decoder.as_ref().map(Decoder::table).unwrap_or_default();
    out.extend_from_slice(&table);
    out.extend_from_slice(&value_table);
    let mut offset = HEADER_BYTES as u64;
    for chunk in &layer.chunks {
        let values = chunk.data.len() - chunk.key_bytes;
        for word in [offset, chunk.key_bytes as u64, values as u64, chunk.layout.base] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&(chunk.len as u32).to_le_bytes());
        out.extend_from_slice(&[chunk.layout.width, chunk.tree.height, 0, 0]);
        out.extend_from_slice(&chunk.tree.root.to_le_bytes());
        out.extend_from_slice(&chunk.checksum.to_le_bytes());
        offset += chunk.data.len() as u64;
    }
    out.extend_from_slice(layer.index.as_slice());
    let (tables, index) = ((table.len() + value_table.len()) as u64, layer.index.len() as u64);
    let length = chunks_end + out.len() as u64 + FOOTER_BYTES as u64;
    for word in [chunks_end, tables, layer.chunks.len() as u64, index, layer.len as u64] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&layer.index_tree.root.to_le_bytes());
    out.extend_from_slice(&(symbols as u32).to_le_bytes());
    out.extend_from_slice(&[
        layer.index_tree.height,
        layer.codec as u8,
        layer.decoder.kind() as u8,
        layer.kind as u8,
    ]);
    out.extend_from_slice(&(value_table.len() as u32).to_le_bytes());
    out.extend_from_slice(&(value_symbols as u32).to_le_bytes());
    let value_kind = layer.value_decoder.as_ref().map_or(SymbolKind::Plain, Decoder::kind);
    out.extend_from_slice(&[value_kind as u8, 0, 0, 0]);
    out.extend_from_slice(&length.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header(layer.kind));
    hasher.update(&out);
    out.extend_from_slice(&[0; 4]);
    let at = out.len() - 4;
    out[at..].copy_from_slice(&hasher.finalize().to_le_bytes());
    out.extend_from_slice(&version_of(layer.kind).to_le_bytes());
    out.extend_from_slice(END_MAGIC);
    out
}

const fn damaged(part: &'static str) -> FrozenError {
    FrozenError::Damaged { part, chunk: None }
}

/// Reads header and trailer, but no chunk.
pub(crate) fn parse(bytes: &Bytes) -> Result<Layer, FrozenError> {
    let data = bytes.as_slice();
    if !MAGIC.starts_with(&data[..data.len().min(8)]) {
        return Err(FrozenError::NotALayer);
    }
    let version = u32_at(data, 8).ok_or(FrozenError::Truncated)?;
    if version != VERSION && version != TYPED_VERSION {
        return Err(FrozenError::Version { found: version });
    }
    let footer_at = data
        .len()
        .checked_sub(FOOTER_BYTES)
        .filter(|&at| at >= HEADER_BYTES)
        .ok_or(FrozenError::Truncated)?;
    let footer = &data[footer_at..];
    let word = |at: usize| u64_at(footer, at).ok_or(FrozenError::Truncated);
    let half = |at: usize| u32_at(footer, at).ok_or(FrozenError::Truncated);
    if footer[FOOTER_BYTES - 8..] != *END_MAGIC || word(64)? != data.len() as u64 {
        return Err(FrozenError::Truncated);
    }
    let (table_at, table_len, count, index_len, len) =
        (word(0)?, word(8)?, word(16)?, word(24)?, word(32)?);
    let checked = data
        .get(usize::try_from(table_at).unwrap_or(usize::MAX)..data.len() - 16)
        .ok_or(damaged("footer"))?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&data[..HEADER_BYTES]);
    hasher.update(checked);
    if hasher.finalize() != half(72)? || half(76)? != version {
        return Err(damaged("directory"));
    }
    // From here on the trailer is as it was written, unless somebody forged its checksum. So every
    // number is compared with the bytes before it is used.
    let (height, codec, kind) = (footer[48], footer[49], footer[50]);
    let codec = match codec {
        0 => Codec::Packed,
        1 => Codec::Fst,
        _ => return Err(damaged("footer")),
    };
    let symbol_kind = |number: u8| match number {
        0 => Ok(SymbolKind::Plain),
        1 => Ok(SymbolKind::Fsst),
        2 => Ok(SymbolKind::OnPair),
        _ => Err(damaged("footer")),
    };
    let values = ValueKind::of_number(footer[51])
        .filter(|&values| version_of(values) == version)
        .ok_or(damaged("footer"))?;
    let entries_at = table_at.checked_add(table_len).ok_or(damaged("footer"))?;
    let entries_len = count.checked_mul(DIRECTORY_ENTRY_BYTES as u64).ok_or(damaged("footer"))?;
    let index_at = entries_at.checked_add(entries_len).ok_or(damaged("footer"))?;
    if index_at.checked_add(index_len) != Some(footer_at as u64) {
        return Err(damaged("footer"));
    }
    let part = |offset, len| bytes.part(offset, len).ok_or(damaged("footer"));
    let (table, entries, index) =
        (part(table_at, table_len)?, part(entries_at, entries_len)?, part(index_at, index_len)?);
    let table_bytes = table.as_slice();
    let (table, value_table) = table_bytes
        .len()
        .checked_sub(half(52)? as usize)
        .and_then(|at| table_bytes.split_at_checked(at))
        .ok_or(damaged("footer"))?;
    let read = |kind, table, symbols| {
        Decoder::read(symbol_kind(kind)?, table, symbols as usize).ok_or(damaged("symbol table"))
    };
    let decoder = read(kind, table, half(44)?)?;
    let value_decoder = match values {
        ValueKind::Bytes => Some(read(footer[60], value_table, half(56)?)?),
        _ if value_table.is_empty() => None,
        _ => return Err(damaged("footer")),
    };
    let mut chunks = Vec::with_capacity(entries.len() / DIRECTORY_ENTRY_BYTES);
    let (mut start, mut offset) = (0usize, HEADER_BYTES as u64);
    for (i, entry) in entries.as_slice().chunks_exact(DIRECTORY_ENTRY_BYTES).enumerate() {
        let damaged = || FrozenError::Damaged { part: "directory entry", chunk: Some(i) };
        let word = |at| u64_at(entry, at).ok_or_else(damaged);
        let (at, keys, values) = (word(0)?, word(8)?, word(16)?);
        let all = keys.checked_add(values).ok_or_else(damaged)?;
        let (len, width) = (u32_at(entry, 32).ok_or_else(damaged)? as usize, entry[36]);
        let layout = ValueLayout { base: word(24)?, width };
        let (height, root) = (entry[37], u32_at(entry, 40).ok_or_else(damaged)?);
        let end = at.checked_add(all).filter(|&end| end <= table_at);
        // First what the other conditions rely on.
        if at != offset
            || width > 64
            || !(1..=MAX_GROWN_CHUNK_KEYS).contains(&len)
            || match value_decoder {
                None => values != layout.bytes(len) as u64,
                Some(_) => values < byte_values::least_bytes(layout, len) as u64,
            }
            || !match codec {
                Codec::Packed => packed::is_possible(len, height, keys, &decoder),
                Codec::Fst => height == 0 && root == 0,
            }
        {
            return Err(damaged());
        }
        chunks.push(Chunk {
            start,
            len,
            data: bytes.part(at, all).ok_or_else(damaged)?,
            key_bytes: keys as usize,
            tree: IndexTree { root, height },
            layout,
            checksum: u32_at(entry, 44).ok_or_else(damaged)?,
            trusted: false,
            fst: OnceLock::new(),
        });
        start = start.checked_add(len).ok_or_else(damaged)?;
        offset = end.ok_or_else(damaged)?;
    }
    if start as u64 != len
        || offset != table_at
        || height != IndexTree::height_of(chunks.len())
        || index.len() < IndexTree::least_bytes(chunks.len())
    {
        return Err(damaged("directory"));
    }
    let index_tree = IndexTree { root: half(40)?, height };
    Ok(Layer { codec, kind: values, decoder, value_decoder, index, index_tree, chunks, len: start })
}

/// Returns all bytes of a layer's file.
pub(crate) fn to_bytes(layer: &Layer) -> Vec<u8> {
    let mut out = header(layer.kind).to_vec();
    layer.chunks.iter().for_each(|chunk| out.extend_from_slice(chunk.data.as_slice()));
    out.extend_from_slice(&trailer(layer));
    out
}
