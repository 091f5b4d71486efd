//! Histograms of latencies, and their percentiles as figures.

use super::record::{Record, put};
use anyhow::Result;
use hdrhistogram::Histogram;
use std::time::Instant;

/// The percentiles shown, by name.
pub(crate) const PERCENTILES: [(&str, f64); 4] =
    [("p50", 50.0), ("p99", 99.0), ("p999", 99.9), ("max", 100.0)];

/// Latencies in nanoseconds, up to a minute, with three digits.
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_max(60_000_000_000, 3)?))
    }

    /// Runs `work`, records its latency, and returns its result.
    pub(crate) fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let result = work();
        self.0.saturating_record(begin.elapsed().as_nanos() as u64);
        result
    }

    /// Adds the latencies of `other`.
    pub(crate) fn add(&mut self, other: &Self) -> Result<()> {
        Ok(self.0.add(&other.0)?)
    }

    /// Sets the figures `{name}_{percentile}{unit}`.
    pub(crate) fn put(
        &self,
        record: &mut Record,
        name: &str,
        percentiles: &[(&str, f64)],
        unit: &str,
    ) {
        for &(percentile, at) in percentiles {
            put(record, &format!("{name}_{percentile}{unit}"), self.0.value_at_percentile(at));
        }
    }
}
