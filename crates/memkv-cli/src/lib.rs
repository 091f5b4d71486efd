//! The command-line tool `memkv`: its commands, its benchmark, and the generator of keys.
//!
//! This library is for the tool itself, and for the benchmarks and tests of the crate `memkv`. Its
//! interface may change with every version.

// The only exceptions map files, in content.rs and lines.rs.
#![deny(unsafe_code)]

pub mod bench;
mod build;
mod commands;
mod content;
pub mod generate;
mod get;
mod input;
mod input_lines;
pub mod keys;
mod layer;
mod lines;
mod merge;
mod output;
mod print;
mod progress;
mod repair;
pub mod rng;
mod scan;
mod search;
mod sets;
mod signals;
mod source;
mod stats;
mod text;
mod vacuum;
mod values;
mod verify;

pub use commands::run;
