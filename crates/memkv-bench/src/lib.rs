//! Ordered maps of other crates as rows of the benchmark of memkv-cli, and checks of these maps.

#![forbid(unsafe_code)]

pub mod probe;
pub mod rows;
