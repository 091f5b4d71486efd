//! Building a layer from keys in any order, in bounded memory: an external merge sort.
//!
//! ```text
//!   insert ─▶ arena ─▶ sorted by all threads ─▶ front-coded run in a spill file ─┐
//!                              └─▶ starts of the sample's spans                  │
//!   sample ◀─ spans of neighbours, read from all runs ◀──────────────────────────┤
//!   layer  ◀─ FrozenLayerBuilder ◀─ loser tree ◀──────────────────────────────────┘
//! ```
//!
//! * builder.rs: the public face, over records.rs.
//! * sorter.rs: when an arena is spilled, and what is merged in the end.
//! * arena.rs: records in memory, and sorting them. varint.rs: numbers in records.
//! * run.rs: sorted records in a spill file.
//! * merge.rs: the loser tree over runs, arenas or layers.
//! * duplicate.rs: the rules for a key that occurs several times.
//! * sample.rs: the keys that symbols are chosen from.
//!
//! The layer depends on the records alone, neither on the memory nor on the threads. For this the
//! sample is chosen by the keys' hashes, and a rule whose result depends on the order in which
//! values are combined keeps them apart until the last merge.
//!
//! # Source
//! Knuth, "The Art of Computer Programming", volume 3, 5.4: external sorting.

mod arena;
mod builder;
pub(super) mod duplicate;
pub(super) mod merge;
mod records;
mod run;
mod sample;
mod sorter;
mod varint;

pub use builder::ExternalBuilder;
pub use duplicate::OnDuplicate;
#[cfg(feature = "sets")]
pub(crate) use records::{ExternalRecords, refused};
