//! Measures allocated and resident memory.

use anyhow::{Result, anyhow};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// Returns the bytes allocated in this process, without freed bytes in thread caches.
pub(crate) fn allocated() -> Result<i64> {
    use tikv_jemalloc_ctl::{Access, AsName, epoch, stats};
    // 4096 means all arenas.
    const CACHED: &[u8] = b"stats.arenas.4096.tcache_bytes\0";
    let read = || -> tikv_jemalloc_ctl::Result<(usize, usize)> {
        epoch::advance()?;
        Ok((stats::allocated::read()?, CACHED.name().read()?))
    };
    let (allocated, cached) =
        read().map_err(|error| anyhow!("cannot read jemalloc's statistics: {error}"))?;
    Ok(allocated as i64 - cached as i64)
}

/// Runs `work` and returns its result and the peak of allocated bytes,
/// sampled every 2 ms.
pub(crate) fn with_peak<R>(work: impl FnOnce() -> R) -> Result<(R, i64)> {
    let (done, most) = (AtomicBool::new(false), AtomicI64::new(0));
    thread::scope(|scope| {
        let watch = scope.spawn(|| -> Result<()> {
            while !done.load(Relaxed) {
                most.fetch_max(allocated()?, Relaxed);
                thread::sleep(Duration::from_millis(2));
            }
            Ok(())
        });
        let result = work();
        done.store(true, Relaxed);
        watch.join().map_err(|_| anyhow!("a thread panicked"))??;
        most.fetch_max(allocated()?, Relaxed);
        Ok((result, most.load(Relaxed)))
    })
}

/// Returns the peak resident bytes of this process, where the system reports them.
pub(crate) fn peak_resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// Returns the resident bytes of this process, or 0 where the system does not report them.
pub(crate) fn resident() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: i64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as i64
}
