//! `LayerSet`: a folder of layers whose key ranges follow each other.
//!
//! ```text
//!   manifest.json          which files count, in order, and the range of each
//!   part-5f0c…-00000.frozen   a .. g
//!   part-5f0c…-00001.frozen   h .. t
//!   part-9a41…-00000.frozen   u .. z, appended later
//! ```
//!
//! A *part* is a layer of a set. The *manifest* is written last, under another name, and renamed:
//! so a set is either what it was or what it should become. Readers keep the manifest that they
//! opened. Files that it does not name are of no concern to them.
//!
//! * layer_set.rs: the public face, with lookups. scan.rs, search.rs: iterators. verify.rs,
//!   vacuum.rs: upkeep.
//! * parts.rs: which parts are open.
//! * manifest.rs: the format, which FORMAT.md describes.
//! * builder.rs: sets from keys in order or in any order, and from maps. unfinished.rs: what they
//!   have begun to write. join.rs: sets of sets.

#![forbid(unsafe_code)]
#![expect(
    clippy::type_complexity,
    reason = "pairs that may be absent or fail have no shorter type"
)]

mod builder;
mod error;
mod join;
mod layer_set;
mod manifest;
mod parts;
mod scan;
mod search;
mod unfinished;
mod vacuum;
mod verify;

pub use builder::{LayerSetBuilder, SetInfo, SetOptions};
pub use error::SetError;
pub use layer_set::LayerSet;
pub use manifest::SetPart;
pub(crate) use parts::Opening;
pub use scan::SetRange;
pub use search::SetSearch;
pub use unfinished::UnfinishedSet;
