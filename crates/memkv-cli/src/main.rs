//! The command-line tool `memkv`: its allocator. The rest is in the library target.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// All structures are measured with the same allocator, which reports how much is in use.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    memkv_cli::run()
}
