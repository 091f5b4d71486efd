//! Options for small stores in folders.

use memkv::{FrozenOptions, HybridOptions, SymbolTable, Wal};

/// Returns options with which few keys take several chunks, and no thread is started.
pub(crate) fn options(wal: Wal) -> HybridOptions {
    let frozen = FrozenOptions::new().chunk_keys(8).symbols(SymbolTable::None);
    HybridOptions::new().frozen(frozen).wal(wal).background(false).threads(1)
}
