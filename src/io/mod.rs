//! All access to the file system: folders, new files, mapped files, and their bytes.

pub(crate) mod bytes;
pub(crate) mod dir;
mod mapped_files;
pub(crate) mod mapping;
pub(crate) mod new_file;
