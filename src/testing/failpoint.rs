//! Ends of the process, or errors, at chosen file operations, for tests of what these leave behind.

#![forbid(unsafe_code)]

use std::io::{self, Write};
#[cfg(feature = "_testing")]
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[cfg(feature = "_testing")]
/// Operations until the end, and writes to a file until one fails, if they are not 0.
static LEFT: AtomicU64 = AtomicU64::new(0);
#[cfg(feature = "_testing")]
static GOOD: AtomicU64 = AtomicU64::new(0);

#[cfg(feature = "_testing")]
/// Aborts the process before its `operations`-th operation on files from now on; 0: not at all. For tests.
#[doc(hidden)]
pub fn crash_after(operations: u64) {
    LEFT.store(operations, Relaxed);
}

#[cfg(feature = "_testing")]
/// Lets the `writes`-th write to a file from now on fail. For tests.
#[doc(hidden)]
pub fn fail_after(writes: u64) {
    GOOD.store(writes, Relaxed);
}

#[cfg(feature = "_testing")]
/// Whether what is counted is to happen now.
fn strikes(left: &AtomicU64) -> bool {
    left.load(Relaxed) != 0 && left.fetch_sub(1, Relaxed) == 1
}

/// An operation on files follows.
#[inline(always)]
pub(crate) fn point() {
    #[cfg(feature = "_testing")]
    if strikes(&LEFT) {
        std::process::abort();
    }
}

/// Writes bytes to a file; if it is the operation to end at, or to fail, a part of them.
#[cfg(feature = "_testing")]
pub(crate) fn write(mut file: impl Write, bytes: &[u8]) -> io::Result<()> {
    let (ends, fails) = (strikes(&LEFT), strikes(&GOOD));
    if ends || fails {
        file.write_all(&bytes[..bytes.len() * 2 / 3])?;
    }
    if ends {
        std::process::abort();
    }
    if fails { Err(io::Error::other("a failure for a test")) } else { file.write_all(bytes) }
}

/// Writes bytes to a file.
#[cfg(not(feature = "_testing"))]
#[inline(always)]
pub(crate) fn write(mut file: impl Write, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)
}
