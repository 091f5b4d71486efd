//! Folders with given files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Makes a folder anew, with these files and nothing else.
pub(crate) fn put(folder: &Path, files: &BTreeMap<String, Vec<u8>>) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(folder.join(name), bytes).unwrap());
}
