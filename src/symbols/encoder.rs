//! Tables to encode with, of any kind.

use super::decoder::{Decoder, SymbolKind};
use super::fsst::{self, Fsst, FsstMatcher};
use super::onpair::OnPair;
use super::table::{MAX_SYMBOL_BYTES, Match, Matcher, Symbol};
use super::train::{Limits, Sample, train};
use std::alloc::Layout;
use std::collections::TryReserveError;
use std::fmt;
use std::sync::Arc;

/// Bytes of a sample that each generation of training parses at least.
const MIN_BYTES: usize = 1 << 16;

/// A trained table to encode with.
pub(crate) enum Encoder {
    Plain,
    Fsst(FsstMatcher),
    OnPair(Box<Matcher>),
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
        let kinds = (self.keys.kind(), self.values.as_ref().map(|values| values.kind()));
        f.debug_tuple("Encoders").field(&kinds).finish()
    }
}

/// Returns what there was memory for.
fn or_abort<M: Match>(made: Result<M, TryReserveError>) -> M {
    made.unwrap_or_else(|_| std::alloc::handle_alloc_error(Layout::new::<M>()))
}

/// Returns a matcher of these symbols if they are in order, and it can have as many.
fn matcher<M: Match>(symbols: Vec<Symbol>) -> Option<M> {
    let is_usable = symbols.len() <= M::MAX_SYMBOLS && symbols.is_sorted_by(|a, b| a < b);
    is_usable.then(|| or_abort(M::try_new(symbols)))
}

impl Encoder {
    /// Trains a table on a sample, for `bytes` bytes to encode: a table must not be larger than
    /// what it saves.
    pub(crate) fn train(kind: SymbolKind, sample: &Sample, bytes: usize) -> Self {
        match kind {
            SymbolKind::Plain => Encoder::Plain,
            SymbolKind::Fsst => {
                Encoder::Fsst(or_abort(fsst::train_matcher(sample, MIN_BYTES, true)))
            }
            SymbolKind::OnPair => Encoder::OnPair(Box::new(or_abort(train(
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
            )))),
        }
    }

    /// Returns the table of a decoder if it is like those of [`train`](Self::train): not too large,
    /// in order, and with a code for every string.
    pub(crate) fn of(decoder: &Decoder) -> Option<Self> {
        let symbols = decoder.symbols();
        match decoder.kind() {
            SymbolKind::Plain => Some(Encoder::Plain),
            SymbolKind::Fsst => matcher(symbols).map(Encoder::Fsst),
            SymbolKind::OnPair => {
                let matcher: Matcher = matcher(symbols)?;
                let is_single =
                    |byte| matcher.symbols().binary_search(&Symbol::of(&[byte])).is_ok();
                (0..=u8::MAX).all(is_single).then(|| Encoder::OnPair(Box::new(matcher)))
            }
        }
    }

    fn kind(&self) -> SymbolKind {
        match self {
            Encoder::Plain => SymbolKind::Plain,
            Encoder::Fsst(_) => SymbolKind::Fsst,
            Encoder::OnPair(_) => SymbolKind::OnPair,
        }
    }

    /// Returns the bytes of a code.
    pub(crate) fn code_bytes(&self) -> usize {
        if matches!(self, Encoder::OnPair(_)) { 2 } else { 1 }
    }

    /// Returns the approximate bytes of memory that the decoder takes.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Encoder::Plain => 0,
            Encoder::Fsst(_) => size_of::<Fsst>(),
            Encoder::OnPair(matcher) => 16 * matcher.symbols().len(),
        }
    }

    /// Returns the table to decode with.
    pub(crate) fn decoder(&self) -> Decoder {
        match self {
            Encoder::Plain => Decoder::Plain,
            Encoder::Fsst(matcher) => Decoder::Fsst(Arc::new(Fsst::new(matcher.symbols()))),
            Encoder::OnPair(matcher) => Decoder::OnPair(OnPair::new(matcher.symbols())),
        }
    }

    /// Appends the codes of a string.
    pub(crate) fn encode(&self, string: &[u8], out: &mut Vec<u8>) {
        match self {
            Encoder::Plain => out.extend_from_slice(string),
            Encoder::Fsst(matcher) => matcher.encoder().append(string, out),
            Encoder::OnPair(matcher) => matcher.parse(string, |code, _| {
                // Every byte is a symbol.
                let code = code.unwrap_or_default() as u16;
                out.extend_from_slice(&code.to_le_bytes());
            }),
        }
    }
}
