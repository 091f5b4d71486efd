//! Tables to encode with, of any kind.

use super::decoder::{Decoder, SymbolKind};
use super::fsst::{self, Fsst, FsstEncoder};
use super::onpair::OnPair;
use super::table::{MAX_SYMBOL_BYTES, Matcher, Symbol};
use super::train::{Limits, Sample, train};
use std::alloc::Layout;
use std::collections::TryReserveError;
use std::fmt;
use std::sync::Arc;

/// Bytes of a sample that each generation of training parses at least.
const MIN_BYTES: usize = 1 << 16;

/// A trained table to encode with.
pub(crate) struct Encoder {
    kind: SymbolKind,
    matcher: Matcher,
    /// The same symbols, for tables with codes of one byte.
    fsst: Option<FsstEncoder>,
}

/// The tables that a layer is encoded with.
#[derive(Clone)]
pub(crate) struct Encoders {
    pub(crate) keys: Arc<Encoder>,
    /// That of values which are byte strings.
    pub(crate) values: Option<Arc<Encoder>>,
}

impl fmt::Debug for Encoders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = (self.keys.kind, self.values.as_ref().map(|values| values.kind));
        f.debug_tuple("Encoders").field(&kinds).finish()
    }
}

/// Returns what there was memory for.
fn or_abort<T>(made: Result<T, TryReserveError>) -> T {
    made.unwrap_or_else(|_| std::alloc::handle_alloc_error(Layout::new::<Matcher>()))
}

impl Encoder {
    /// Trains a table on a sample, for `bytes` bytes to encode: a table must not be larger than
    /// what it saves.
    pub(crate) fn train(kind: SymbolKind, sample: &Sample, bytes: usize) -> Self {
        let matcher = or_abort(match kind {
            SymbolKind::Plain => Matcher::try_new(Vec::new()),
            SymbolKind::Fsst => fsst::train_matcher(sample, MIN_BYTES, true),
            SymbolKind::OnPair => train(
                sample,
                Limits {
                    symbols: (bytes / 128).clamp(256, Matcher::MAX_SYMBOLS),
                    len: MAX_SYMBOL_BYTES,
                    all_bytes: true,
                    generations: 6,
                    min_bytes: MIN_BYTES,
                    least: 3,
                    is_parallel: true,
                },
            ),
        });
        Self::new(kind, matcher)
    }

    fn new(kind: SymbolKind, matcher: Matcher) -> Self {
        let fsst = (kind == SymbolKind::Fsst).then(|| or_abort(FsstEncoder::try_new(&matcher)));
        Encoder { kind, matcher, fsst }
    }

    /// Returns the table of a decoder if it is like those of [`train`](Self::train): not too large,
    /// in order, and with a code for every string.
    pub(crate) fn of(decoder: &Decoder) -> Option<Self> {
        let (kind, symbols) = (decoder.kind(), decoder.symbols());
        let whole = kind != SymbolKind::OnPair
            || (0..=u8::MAX).all(|byte| symbols.binary_search(&Symbol::of(&[byte])).is_ok());
        if !whole || symbols.len() > Matcher::MAX_SYMBOLS {
            return None;
        }
        let matcher = or_abort(Matcher::try_new(symbols.clone()));
        (matcher.symbols() == symbols).then(|| Self::new(kind, matcher))
    }

    /// Returns the bytes of a code.
    pub(crate) fn code_bytes(&self) -> usize {
        if self.kind == SymbolKind::OnPair { 2 } else { 1 }
    }

    /// Returns the approximate bytes of memory that the decoder takes.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self.kind {
            SymbolKind::Plain => 0,
            SymbolKind::Fsst => size_of::<Fsst>(),
            SymbolKind::OnPair => 16 * self.matcher.symbols().len(),
        }
    }

    /// Returns the table to decode with.
    pub(crate) fn decoder(&self) -> Decoder {
        let symbols = self.matcher.symbols();
        match self.kind {
            SymbolKind::Plain => Decoder::Plain,
            SymbolKind::Fsst => Decoder::Fsst(Arc::new(Fsst::new(symbols))),
            SymbolKind::OnPair => Decoder::OnPair(OnPair::new(symbols)),
        }
    }

    /// Appends the codes of a string.
    pub(crate) fn encode(&self, string: &[u8], out: &mut Vec<u8>) {
        match (self.kind, &self.fsst) {
            (_, Some(fsst)) => fsst.append(string, out),
            (SymbolKind::OnPair, _) => self
                .matcher
                .parse(string, |code, _, _| out.extend_from_slice(&(code as u16).to_le_bytes())),
            _ => out.extend_from_slice(string),
        }
    }
}
