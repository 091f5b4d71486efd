//! `HybridStore`: a frozen base, a shared map of what was changed since, and the compaction that makes one of both.
//!
//! ```text
//!   reads, from the left       delta.rs            delta.rs            frozen/
//!   ────────────────────▶    ┌ delta  ┐   then   ┌ sealed ┐   then   ┌ base ┐
//!   writes ──▶ gate.rs ──▶   └────────┘          └────────┘          └──────┘        state.rs: which these are, and how they are replaced
//!                 │            │  seal ─────────────▶  └──── merge ────▶ new base       compact.rs
//!                 └─ log.rs ◀──┘                                           │
//!                      └────────── folder.rs: manifest, layer, logs ◀──────┘
//! ```
//!
//! Of these, gate, delta and state are all that threads meet in, and what models explore (model.rs).

#![forbid(unsafe_code)]

mod delta;
mod error;
mod journal;
#[cfg(loom)]
mod model;
mod state;

#[cfg(not(loom))]
mod compact;
#[cfg(not(loom))]
mod folder;
#[cfg(not(loom))]
mod log;
#[cfg(not(loom))]
mod options;
#[cfg(not(loom))]
mod scan;
#[cfg(not(loom))]
mod stats;
#[cfg(not(loom))]
mod store;

pub use error::HybridError;
#[cfg(loom)]
pub use model::ModelStore;
#[cfg(not(loom))]
pub use options::{HybridOptions, Wal};
#[cfg(not(loom))]
pub use scan::HybridRange;
#[cfg(not(loom))]
pub use stats::{HybridStats, HybridUsage};
#[cfg(not(loom))]
pub use store::HybridStore;
