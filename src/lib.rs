//! An ordered in-memory index for string keys.

mod error;
mod fast;
mod raw;
mod value;

pub use error::InsertError;
pub use raw::pool;
pub use value::{Bits, Value};
