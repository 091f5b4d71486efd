//! The Python package `memkv`.
//!
//! * sorted.rs: what the classes have in common. layer.rs, layer_set.rs, map.rs, store.rs: the
//!   classes. index.rs: what they read, with one interface.
//! * text.rs, value.rs: keys and values as objects. column.rs: many values. records.rs: iterators.
//! * batch.rs: many keys at once. source.rs: input of builds. build.rs: builds.
//! * arrow/: columns of other libraries.
//! * errors.rs: exceptions.
//!
//! `unsafe` is in arrow/, and where files are mapped: SAFETY.md has the invariants (A1 to A5).

mod arrow;
mod batch;
mod build;
mod column;
mod errors;
mod fork;
mod index;
mod layer;
mod layer_set;
mod map;
mod records;
mod sorted;
mod source;
mod store;
mod text;
mod value;

/// The compiled part of the package.
// A free-threaded interpreter turns its lock on: fork.rs counts on it for changes of one key.
#[pyo3::pymodule(gil_used = true)]
mod _memkv {
    #[pymodule_export]
    use crate::arrow::{Array, Batches};
    #[pymodule_export]
    use crate::build::BuildInfo;
    #[pymodule_export]
    use crate::errors::{DamagedError, InUseError};
    #[pymodule_export]
    use crate::fork::{_after_fork, _before_fork};
    #[pymodule_export]
    use crate::layer::FrozenLayer;
    #[pymodule_export]
    use crate::layer_set::{LayerSet, SetPart};
    #[pymodule_export]
    use crate::map::{ChangingMapping, Map, Set};
    #[pymodule_export]
    use crate::sorted::{Frozen, Sorted, SortedMapping};
    #[pymodule_export]
    use crate::store::Store;
}
