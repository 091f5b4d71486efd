//! The C data interface of Apache Arrow, by which libraries hand over columns without a copy.
//!
//! An object with `__arrow_c_array__` is one array, one with `__arrow_c_stream__` several of the
//! same type; both return capsules. ffi.rs has the structures, import.rs reads, export.rs writes.
//! See <https://arrow.apache.org/docs/format/CDataInterface.html>.

mod export;
mod ffi;
mod import;

pub(crate) use export::{Array, Batches, ScanStream, objects};
pub(crate) use import::{ArrayStream, StringArray, ValueArray, is_arrow, is_stream};
