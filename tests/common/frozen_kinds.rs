//! The kinds of frozen layers.

use memkv::{Codec, FrozenOptions, SymbolTable};

/// Returns options for every kind of layer.
pub(crate) fn kinds() -> [FrozenOptions; 4] {
    let packed = |symbols| FrozenOptions::new().symbols(symbols);
    [
        packed(SymbolTable::None),
        packed(SymbolTable::Fsst),
        packed(SymbolTable::OnPair),
        FrozenOptions::new().codec(Codec::Fst),
    ]
}
