//! Thresholds that are lower in tests, so that few keys reach what large maps do.

#![forbid(unsafe_code)]

#[cfg(feature = "_testing")]
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Whether thresholds are always low: in unit tests, and in models.
const IS_LOW: bool = cfg!(any(test, memkv_loom, memkv_shuttle));

/// Whether [`code_small_maps`] was called.
#[cfg(feature = "_testing")]
static CODES_SMALL_MAPS: AtomicBool = AtomicBool::new(false);

/// Makes small maps code their keys, and train tables often, for the rest of the process.
#[cfg(feature = "_testing")]
#[doc(hidden)]
pub fn code_small_maps() {
    CODES_SMALL_MAPS.store(true, Relaxed);
}

/// A threshold, and its value in tests.
#[derive(Clone, Copy)]
pub(crate) struct Threshold {
    low: usize,
    usual: usize,
}

impl Threshold {
    pub(crate) const fn new(low: usize, usual: usize) -> Threshold {
        Threshold { low, usual }
    }

    /// Returns the value: a constant, except with the feature `_testing`.
    #[inline(always)]
    pub(crate) fn get(self) -> usize {
        if Self::are_low() { self.low } else { self.usual }
    }

    /// Returns whether thresholds have their values of tests.
    #[inline(always)]
    pub(crate) fn are_low() -> bool {
        let is_low = IS_LOW;
        #[cfg(feature = "_testing")]
        let is_low = is_low || CODES_SMALL_MAPS.load(Relaxed);
        is_low
    }
}
