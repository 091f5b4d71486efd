//! Ordered maps of other crates, as rows of the benchmark of memkv-cli, and whether these maps are right.

#![forbid(unsafe_code)]

pub mod probe;
pub mod rows;
