//! What the library asks the system for, memory apart: folders, new files, files without a name,
//! mapped files and their bytes, and which process this is.

#[cfg(feature = "storage")]
pub(crate) mod bytes;
#[cfg(feature = "storage")]
pub(crate) mod dir;
#[cfg(feature = "storage")]
mod mapped_files;
#[cfg(feature = "storage")]
pub(crate) mod mapped_layer;
#[cfg(feature = "storage")]
pub(crate) mod mapping;
#[cfg(feature = "storage")]
pub(crate) mod new_file;
pub(crate) mod process;
#[cfg(feature = "storage")]
pub(crate) mod spill_file;
