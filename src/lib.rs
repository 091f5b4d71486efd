//! An ordered in-memory index for string keys.

mod error;
mod fast;
mod key;
mod raw;
mod value;

pub use error::{BuildError, InsertError};
pub use fast::{
    Cursor, Entry, FastArt, FastSet, IntoIter, IntoKeys, Iter, Keys, MemoryUsage, OccupiedEntry, Range, VacantEntry, ValueMut, Values,
};
pub use raw::{MAX_KEY_LEN, pool};
pub use value::{Bits, Value};
