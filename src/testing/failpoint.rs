//! Failpoints: abort, or fail, at the n-th file operation. For tests of what that leaves behind.

#![forbid(unsafe_code)]

use std::io::{self, Write};
#[cfg(feature = "_testing")]
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// File operations until the process aborts; 0 if it does not.
#[cfg(feature = "_testing")]
static OPERATIONS_TO_ABORT: AtomicU64 = AtomicU64::new(0);
/// Writes until one fails; 0 if none does.
#[cfg(feature = "_testing")]
static WRITES_TO_FAILURE: AtomicU64 = AtomicU64::new(0);
/// Whether all writes fail.
#[cfg(feature = "_testing")]
static WRITES_FAIL: AtomicBool = AtomicBool::new(false);
/// Syncs until one fails; 0 if none does.
#[cfg(feature = "_testing")]
static SYNCS_TO_FAILURE: AtomicU64 = AtomicU64::new(0);

/// Aborts the process before the `operations`-th file operation from now on; 0 turns it off.
#[cfg(feature = "_testing")]
#[doc(hidden)]
pub fn abort_after(operations: u64) {
    OPERATIONS_TO_ABORT.store(operations, Relaxed);
}

/// Makes the `writes`-th write to a file from now on fail; 0 turns it off.
#[cfg(feature = "_testing")]
#[doc(hidden)]
pub fn fail_after(writes: u64) {
    WRITES_TO_FAILURE.store(writes, Relaxed);
}

/// Makes all writes to files fail, or no longer.
#[cfg(feature = "_testing")]
#[doc(hidden)]
pub fn fail_writes(fail: bool) {
    WRITES_FAIL.store(fail, Relaxed);
}

/// Makes the `syncs`-th sync of a file or folder from now on fail; 0 turns it off.
#[cfg(feature = "_testing")]
#[doc(hidden)]
pub fn fail_sync_after(syncs: u64) {
    SYNCS_TO_FAILURE.store(syncs, Relaxed);
}

/// Counts down, and returns whether this is the operation that was set.
#[cfg(feature = "_testing")]
fn is_due(left: &AtomicU64) -> bool {
    left.load(Relaxed) != 0 && left.fetch_sub(1, Relaxed) == 1
}

/// Counts a file operation other than a write. Called before it.
#[inline(always)]
pub(crate) fn point() {
    #[cfg(feature = "_testing")]
    if is_due(&OPERATIONS_TO_ABORT) {
        std::process::abort();
    }
}

/// Counts a sync of a file or folder. Called before it. If it is to fail here, returns an error.
#[inline(always)]
pub(crate) fn sync() -> io::Result<()> {
    point();
    #[cfg(feature = "_testing")]
    if is_due(&SYNCS_TO_FAILURE) {
        return Err(io::Error::other("failpoint"));
    }
    Ok(())
}

/// Writes bytes to a file. If it is to abort or fail here, it writes two thirds of them before.
#[cfg(feature = "_testing")]
pub(crate) fn write(mut file: impl Write, bytes: &[u8]) -> io::Result<()> {
    let (aborts, fails) = (is_due(&OPERATIONS_TO_ABORT), is_due(&WRITES_TO_FAILURE));
    let fails = fails || WRITES_FAIL.load(Relaxed);
    if aborts || fails {
        file.write_all(&bytes[..bytes.len() * 2 / 3])?;
    }
    if aborts {
        std::process::abort();
    }
    if fails { Err(io::Error::other("failpoint")) } else { file.write_all(bytes) }
}

/// Writes bytes to a file.
#[cfg(not(feature = "_testing"))]
#[inline(always)]
pub(crate) fn write(mut file: impl Write, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)
}
