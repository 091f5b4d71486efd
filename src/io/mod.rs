//! All access to the file system: new files, mapped files, and their bytes.

pub(crate) mod bytes;
mod mapped_files;
pub(crate) mod mapping;
pub(crate) mod new_file;
