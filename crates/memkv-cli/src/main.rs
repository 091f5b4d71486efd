//! The command-line tool `memkv`: its allocator. All the rest is in the library target.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// All structures are measured with the same allocator, which tells how much of it is in use.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    memkv_cli::run()
}
