//! `HybridStore`: a frozen base, a delta of the changes since, and the compaction that merges both.
//!
//! ```text
//!   reads: left to right
//!   ─────────────────────▶  ┌───────┐      ┌──────────────┐      ┌──────┐
//!   writes ─▶ lock ───────▶ │ delta │ then │ frozen delta │ then │ base │
//!               │           └───────┘      └──────────────┘      └──────┘
//!               │   freeze_delta └────────────▶ └───── merge ──┬────┘
//!               ▼                                              ▼
//!             log ◀── folder: manifest, layer, logs ◀─── new base: install_base
//! ```
//!
//! | file | job |
//! |---|---|
//! | change.rs | one change, and the interface of a log |
//! | delta.rs | the changes since the base was built |
//! | state.rs | delta, frozen delta and base, and how they are replaced |
//! | store.rs, open.rs | `HybridStore`: its operations; how one is created, opened and saved |
//! | many.rs | operations on many keys, and those made of other operations |
//! | scan.rs | ranges |
//! | compact.rs | compaction |
//! | home.rs | the open folder and its lock |
//! | folder.rs, manifest.rs | which files count, and how they are replaced |
//! | log.rs, log_reader.rs, frame.rs | the write-ahead log: writer, reader, format |
//! | reader.rs | a store that only reads its folder |
//! | recover.rs | what is whole of a damaged folder |
//! | options.rs, stats.rs, recovery.rs, error.rs | public types |
//! | model.rs | a store for loom: the lock, deltas and state are all that threads meet in |

#![forbid(unsafe_code)]

mod change;
mod delta;
mod error;
#[cfg(memkv_loom)]
mod model;
mod state;

#[cfg(feature = "storage")]
mod compact;
#[cfg(feature = "storage")]
mod folder;
#[cfg(feature = "storage")]
mod frame;
#[cfg(feature = "storage")]
mod home;
#[cfg(feature = "storage")]
mod log;
#[cfg(feature = "storage")]
mod log_reader;
#[cfg(feature = "storage")]
mod manifest;
#[cfg(feature = "storage")]
mod many;
#[cfg(feature = "storage")]
mod open;
#[cfg(feature = "storage")]
mod options;
#[cfg(feature = "storage")]
mod parallel;
#[cfg(feature = "storage")]
mod reader;
#[cfg(feature = "storage")]
mod recover;
#[cfg(feature = "storage")]
mod recovery;
#[cfg(feature = "storage")]
mod scan;
#[cfg(feature = "storage")]
mod stats;
#[cfg(feature = "storage")]
mod store;

#[cfg(feature = "storage")]
pub use error::ExchangeError;
pub use error::HybridError;
#[cfg(memkv_loom)]
pub use model::ModelStore;
#[cfg(feature = "storage")]
pub use options::{HybridOptions, Wal};
#[cfg(feature = "storage")]
pub use recover::Loss;
#[cfg(feature = "storage")]
pub use recovery::{CutEnd, Recovery};
#[cfg(feature = "storage")]
pub use scan::{HybridKeys, HybridRange, HybridValues};
#[cfg(feature = "storage")]
pub use stats::{HybridStats, HybridUsage};
#[cfg(feature = "storage")]
pub use store::HybridStore;
