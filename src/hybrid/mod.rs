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

#[cfg(feature = "storage")]
mod compact;
#[cfg(feature = "storage")]
mod folder;
#[cfg(feature = "storage")]
mod log;
#[cfg(feature = "storage")]
mod options;
#[cfg(feature = "storage")]
mod scan;
#[cfg(feature = "storage")]
mod stats;
#[cfg(feature = "storage")]
mod store;

pub use error::HybridError;
#[cfg(loom)]
pub use model::ModelStore;
#[cfg(feature = "storage")]
pub use options::{HybridOptions, Wal};
#[cfg(feature = "storage")]
pub use scan::HybridRange;
#[cfg(feature = "storage")]
pub use stats::{HybridStats, HybridUsage};
#[cfg(feature = "storage")]
pub use store::HybridStore;
