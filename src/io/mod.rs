//! Everything that touches the file system: new files, mapped files, and the bytes of either.

pub(crate) mod bytes;
mod mapped_files;
pub(crate) mod mapping;
pub(crate) mod new_file;
