//! Hooks for tests: path counters, deliberate errors that models must find, failpoints, lower
//! thresholds.

#[cfg(test)]
pub(crate) mod coverage;
#[cfg(feature = "storage")]
pub(crate) mod failpoint;
#[macro_use]
#[cfg_attr(
    not(any(memkv_loom, memkv_shuttle)),
    expect(unreachable_pub, reason = "loom_tests choose mutants")
)]
pub mod mutant;
pub(crate) mod threshold;

/// Counts that a path is taken, in tests.
macro_rules! cover {
    ($event:ident) => {
        #[cfg(test)]
        $crate::testing::coverage::hit($crate::testing::coverage::Event::$event)
    };
}
