//! Mapped texts, loaded line by line.

use anyhow::{Context, Result};
use memkv::ShardedArt;
use std::path::Path;

/// Loads the lines of a file, each with its offset as value.
pub(crate) fn load_lines(map: &ShardedArt, path: &Path) -> Result<()> {
    #[expect(unsafe_code, reason = "a file of any size must be read without a copy in memory")]
    // SAFETY: (M1) the file is the caller's own, in a folder that no other program knows.
    let loaded = unsafe { map.load_file(path, |line, at| (line, at)) };
    loaded.with_context(|| format!("cannot load {}", path.display()))
}
