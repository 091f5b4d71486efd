//! What tests and models choose or count: errors to be made, paths taken, file operations to fail.

#[cfg(test)]
pub(crate) mod coverage;
#[cfg(feature = "storage")]
pub(crate) mod failpoint;
#[macro_use]
#[cfg_attr(not(any(loom, shuttle)), expect(unreachable_pub, reason = "models choose mutants"))]
pub mod mutant;

/// Notes that a path was taken, for the tests that ask for every one of them.
macro_rules! cover {
    ($event:ident) => {
        #[cfg(test)]
        $crate::testing::coverage::hit($crate::testing::coverage::Event::$event)
    };
}
