//! Atomics and waiting: the standard library's, or loom's in a model.

#![forbid(unsafe_code)]

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, fence};

/// Lets others go on, the longer the more rounds one has waited.
#[cold]
pub(crate) fn wait(round: u32) {
    #[cfg(loom)]
    {
        let _ = round;
        loom::thread::yield_now();
    }
    #[cfg(not(loom))]
    match round {
        0..64 => std::hint::spin_loop(),
        64..192 => std::thread::yield_now(),
        // A holder that lost its processor to those who wait for it gets it back.
        _ => std::thread::sleep(std::time::Duration::from_micros(50)),
    }
}
