//! Tables to decode with, of any kind.

use super::fsst::{self, Fsst};
use super::onpair::OnPair;
use super::table::{MAX_SYMBOL_BYTES, Symbol};
#[cfg(feature = "sets")]
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// The kinds of tables, with their numbers in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SymbolKind {
    Plain = 0,
    Fsst = 1,
    OnPair = 2,
}

/// A table to decode with. Clones share it.
#[derive(Clone, PartialEq)]
pub(crate) enum Decoder {
    Plain,
    Fsst(Arc<Fsst>),
    OnPair(OnPair),
}

/// Runs code for any kind of table, which it names as a generic `Coder`.
macro_rules! with_coder {
    ($decoder:expr, $coder:ident => $body:expr) => {
        match $decoder {
            $crate::symbols::Decoder::Plain => {
                let $coder = $crate::symbols::Plain;
                $body
            }
            $crate::symbols::Decoder::Fsst(table) => {
                let $coder = &**table;
                $body
            }
            $crate::symbols::Decoder::OnPair(table) => {
                let $coder = table;
                $body
            }
        }
    };
}
pub(crate) use with_coder;

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind().fmt(f)
    }
}

impl Decoder {
    pub(crate) fn kind(&self) -> SymbolKind {
        match self {
            Decoder::Plain => SymbolKind::Plain,
            Decoder::Fsst(_) => SymbolKind::Fsst,
            Decoder::OnPair(_) => SymbolKind::OnPair,
        }
    }

    /// Reads a table of `symbols` symbols.
    pub(crate) fn read(kind: SymbolKind, table: &[u8], symbols: usize) -> Option<Self> {
        if kind == SymbolKind::Plain {
            return (symbols == 0 && table.is_empty()).then_some(Decoder::Plain);
        }
        let (lens, mut bytes) = table.split_at_checked(symbols)?;
        let longest =
            if kind == SymbolKind::Fsst { fsst::MAX_SYMBOL_BYTES } else { MAX_SYMBOL_BYTES };
        let mut read = Vec::with_capacity(symbols);
        for &len in lens {
            let (symbol, rest) = bytes.split_at_checked(usize::from(len))?;
            if symbol.is_empty() || symbol.len() > longest {
                return None;
            }
            read.push(Symbol::of(symbol));
            bytes = rest;
        }
        if !bytes.is_empty() {
            return None;
        }
        match kind {
            SymbolKind::Fsst if symbols <= fsst::MAX_SYMBOLS => {
                Some(Decoder::Fsst(Arc::new(Fsst::new(&read))))
            }
            SymbolKind::OnPair if symbols <= 1 << 16 => Some(Decoder::OnPair(OnPair::new(&read))),
            _ => None,
        }
    }

    pub(super) fn symbols(&self) -> Vec<Symbol> {
        match self {
            Decoder::Plain => Vec::new(),
            Decoder::Fsst(table) => table.symbols(),
            Decoder::OnPair(table) => table.symbols(),
        }
    }

    /// Returns the number of symbols, and the table in the form that [`read`](Self::read) reads.
    pub(crate) fn table(&self) -> (usize, Vec<u8>) {
        let symbols = self.symbols();
        (symbols.len(), write_table(&symbols))
    }

    /// Returns the bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Decoder::Plain => 0,
            Decoder::Fsst(_) => size_of::<Fsst>(),
            Decoder::OnPair(table) => table.heap_bytes(),
        }
    }

    /// Returns the address of the table, which clones have in common.
    #[cfg(feature = "sets")]
    fn address(&self) -> *const u8 {
        match self {
            Decoder::Plain => std::ptr::null(),
            Decoder::Fsst(table) => Arc::as_ptr(table).cast(),
            Decoder::OnPair(table) => table.address(),
        }
    }
}

pub(super) fn write_table(symbols: &[Symbol]) -> Vec<u8> {
    let mut table: Vec<u8> = symbols.iter().map(|symbol| symbol.len() as u8).collect();
    symbols.iter().for_each(|symbol| table.extend_from_slice(&symbol.bytes()[..symbol.len()]));
    table
}

/// Tables that layers have in common, so that each is in memory once: it stays in cache, and a
/// thousand layers take no thousand tables.
#[cfg(feature = "sets")]
#[derive(Default)]
pub(crate) struct SharedTables(Vec<Decoder>);

/// Most tables that are kept to be shared. Layers with one of their own each gain nothing.
#[cfg(feature = "sets")]
const MAX_SHARED_TABLES: usize = 4;

#[cfg(feature = "sets")]
impl SharedTables {
    /// Replaces a table by an equal one that is known, or keeps it for others.
    pub(crate) fn share(&mut self, decoder: &mut Decoder) {
        match self.0.iter().find(|known| *known == decoder) {
            Some(known) => *decoder = known.clone(),
            None if self.0.len() < MAX_SHARED_TABLES => self.0.push(decoder.clone()),
            None => {}
        }
    }

    /// Returns the bytes on the heap of these tables and of others. Each table is counted once.
    pub(crate) fn heap_bytes_with<'d>(
        &'d self,
        others: impl Iterator<Item = &'d Decoder>,
    ) -> usize {
        let mut counted = HashSet::new();
        let is_new = |table: &&Decoder| counted.insert(table.address());
        self.0.iter().chain(others).filter(is_new).map(Decoder::heap_bytes).sum()
    }
}
