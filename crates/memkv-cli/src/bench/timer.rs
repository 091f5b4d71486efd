//! Measures CPU and wall time.

use rustix::time::{ClockId, clock_gettime};

/// Sums of CPU and wall time, in seconds.
#[derive(Default)]
pub(crate) struct Timer {
    cpu: f64,
    wall: f64,
}

impl Timer {
    /// Runs `f`, adds its time, and returns its result.
    pub(crate) fn time<T>(&mut self, f: impl FnOnce() -> T) -> T {
        let (cpu, wall) = (seconds(ClockId::ThreadCPUTime), seconds(ClockId::Monotonic));
        let result = f();
        self.wall += seconds(ClockId::Monotonic) - wall;
        self.cpu += seconds(ClockId::ThreadCPUTime) - cpu;
        result
    }

    /// Returns the thread's CPU time in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        self.cpu
    }

    /// Returns the wall time in seconds.
    pub(crate) fn wall(&self) -> f64 {
        self.wall
    }

    /// Returns operations a second of CPU time and of wall time.
    pub(crate) fn rates(&self, operations: usize) -> [f64; 2] {
        [self.cpu, self.wall].map(|seconds| operations as f64 / f64::max(seconds, 1e-9))
    }
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
