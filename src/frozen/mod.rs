//! `FrozenLayer`: an immutable sorted map in compressed chunks.
//!
//! ```text
//!   layer   ┌ index of the chunks ┬ symbols ┬ chunk 0 ┬ chunk 1 ┬ … ┐  layer.rs, format.rs
//!   chunk   ┌ keys: packed/ or fst.rs ┬ values: values.rs or byte_values.rs ┐  chunk.rs
//! ```
//!
//! Chunks are encoded and read independently of one another.
//!
//! * Public face: frozen_layer.rs (point reads), scan.rs, freeze.rs and bytes_layer.rs
//!   (constructors), save.rs, merge.rs, operation.rs, salvage.rs (damaged files), cursor.rs,
//!   range.rs, search.rs, regex.rs, levenshtein.rs.
//! * Building: builder.rs, writer.rs, par_build.rs and patch.rs, over front_coded.rs,
//!   choose_symbols.rs, pipeline.rs and assemble.rs. ranges.rs reads maps in parallel. external/
//!   sorts keys in any order, and has the rules for keys that occur several times.
//! * Reading: layer.rs, chunk.rs, window.rs, decoded_block.rs; for searches automaton_path.rs and
//!   fst_walk.rs.
//! * Checking bytes from elsewhere: format.rs, verify.rs, packed/check.rs, fst_check.rs, with the
//!   limits of limits.rs.
//! * Encoding: codec.rs, packed/, fst.rs, symbols/, values.rs, byte_values.rs; layer_value.rs and
//!   number.rs say what is stored of a value.

#![forbid(unsafe_code)]

mod assemble;
mod automaton_path;
mod builder;
mod byte_values;
mod bytes_layer;
mod choose_symbols;
mod chunk;
mod codec;
mod cursor;
mod decoded_block;
mod error;
mod external;
pub(crate) mod format;
mod freeze;
mod front_coded;
mod frozen_layer;
mod fst;
mod fst_check;
mod fst_walk;
mod layer;
mod layer_value;
mod levenshtein;
mod limits;
mod merge;
mod number;
mod operation;
mod options;
mod packed;
mod par_build;
mod patch;
mod pipeline;
mod range;
mod ranges;
#[cfg(feature = "regex")]
mod regex;
pub(crate) mod salvage;
mod save;
mod scan;
mod search;
mod values;
mod verify;
mod window;
mod writer;

#[cfg(feature = "sets")]
pub(crate) use crate::symbols::SharedTables;
pub use ::fst::Automaton;
#[cfg(feature = "sets")]
pub(crate) use builder::FinishedFile;
pub use builder::FrozenLayerBuilder;
pub use byte_values::MAX_VALUE_LEN;
pub use bytes_layer::{BytesLayer, BytesLayerBuilder};
pub use codec::Codec;
pub use cursor::FrozenCursor;
pub use error::FrozenError;
pub use external::{ExternalBuilder, OnDuplicate};
#[cfg(feature = "sets")]
pub(crate) use external::{ExternalRecords, refused};
#[cfg(feature = "sets")]
pub(crate) use front_coded::Stored;
pub use frozen_layer::{FrozenLayer, FrozenUsage};
pub use layer_value::LayerValue;
pub use levenshtein::{LevenshteinAutomaton, LevenshteinState};
pub use operation::{FrozenStream, LayerValues};
pub use options::{FrozenOptions, SymbolTable, ValueWidth};
pub use range::{FrozenIntoIter, FrozenKeys, FrozenRange, FrozenValues};
#[cfg(feature = "regex")]
pub use regex::{RegexAutomaton, RegexError, RegexState};
pub use search::FrozenSearch;
pub use writer::FrozenLayerWriter;
