//! The tests of the public interface that can share a process, as one binary.
//!
//! A test that reads or sets process-wide state (an allocator, failpoints, the pool's usage,
//! retired bytes) is a binary of its own beside this one: see `[[test]]` in Cargo.toml.

mod common;
mod steps;

mod api;
mod arena_drops;
mod arena_model;
mod concurrent;
mod concurrent_arena;
mod concurrent_model;
mod frozen_bytes;
mod frozen_collection;
mod frozen_external;
mod frozen_levenshtein;
mod frozen_model;
mod frozen_reader;
#[cfg(feature = "regex")]
mod frozen_regex;
mod frozen_search;
mod frozen_typed;
mod hybrid_model;
mod hybrid_threads;
mod kinds;
mod linearizable;
mod load_reader;
mod maps;
mod model;
mod scans;
#[cfg(feature = "serde")]
mod serde;
mod sharded;
mod sharded_model;
mod shared_api;
mod values;
