//! Measures the memory that the pool loses, and its time. Run with
//! `cargo test --release -- --ignored --nocapture pool_measure`.

use super::*;
use std::time::Instant;

/// Leaves that grow and split, or shrink and merge.
struct Leaves {
    pool: Box<Pool>,
    cells: Vec<(NonNull<u8>, u32, Origin)>,
    requested: usize,
    rng: Rng,
    pairs: usize,
}

const STEP_BYTES: usize = 29;
const MAX_LEAF_BYTES: usize = 1500;

impl Leaves {
    fn new() -> Leaves {
        Leaves { pool: new_pool(), cells: Vec::new(), requested: 0, rng: Rng(42), pairs: 0 }
    }

    fn alloc(&mut self, bytes: usize) -> (NonNull<u8>, u32, Origin) {
        let cell = self.pool.alloc(bytes).expect("memory");
        self.requested += bytes;
        // SAFETY: (P4) the cell is this test's.
        unsafe { cell.ptr.as_ptr().write(1) };
        (cell.ptr, bytes as u32, cell.origin)
    }

    fn free(&mut self, cell: (NonNull<u8>, u32, Origin)) {
        self.requested -= cell.1 as usize;
        self.pairs += 1;
        // SAFETY: (P3) as `alloc` returned it.
        unsafe { self.pool.free(cell.0, cell.1 as usize, cell.2) };
    }

    fn grow(&mut self, bytes: usize) {
        while self.requested < bytes {
            if self.cells.is_empty() {
                let cell = self.alloc(MAX_LEAF_BYTES / 2);
                self.cells.push(cell);
            }
            let at = self.rng.below(self.cells.len());
            let old = self.cells[at];
            let size = old.1 as usize + STEP_BYTES;
            if size < MAX_LEAF_BYTES {
                self.cells[at] = self.alloc(size);
            } else {
                // Not quite in the middle, as leaves of keys are not.
                let left = size / 2 - 60 + self.rng.below(120);
                self.cells[at] = self.alloc(left);
                let right = self.alloc(size - left);
                self.cells.push(right);
            }
            self.free(old);
        }
    }

    fn decline(&mut self, bytes: usize) {
        while self.requested > bytes {
            let at = self.rng.below(self.cells.len());
            let old = self.cells[at];
            let mut size = old.1 as usize - STEP_BYTES;
            if size < 400 {
                let last = self.cells.len() - 1;
                self.cells.swap(at, last);
                self.cells.pop();
                let other = self.rng.below(last);
                let neighbour = self.cells[other];
                size += neighbour.1 as usize;
                self.cells[other] = self.alloc(size);
                self.free(neighbour);
            } else {
                self.cells[at] = self.alloc(size);
            }
            self.free(old);
        }
    }

    /// Returns bytes reserved and bytes used, for each byte requested.
    fn ratio(&self) -> (f64, f64) {
        let usage = self.pool.usage();
        let requested = self.requested as f64;
        (usage.reserved as f64 / requested, usage.used as f64 / requested)
    }

    fn report(&self, what: &str) {
        let (reserved, used) = self.ratio();
        let usage = self.pool.usage();
        let pages: usize = self.pool.heaps.iter().map(|heap| heap.lock().page_bytes()).sum();
        println!(
            "{what:28} requested {:7.2} MiB, used {used:.4}, pages {:.4}, \
             reserved {reserved:.4} ({:.2} MiB)",
            self.requested as f64 / 1048576.0,
            pages as f64 / self.requested as f64,
            usage.reserved as f64 / 1048576.0,
        );
    }
}

impl Drop for Leaves {
    fn drop(&mut self) {
        for cell in std::mem::take(&mut self.cells) {
            self.free(cell);
        }
        assert_eq!(self.pool.usage().reserved, 0);
    }
}

/// Prints the time of a step: choosing a leaf, alloc and free.
fn time(what: &str, leaves: &mut Leaves, work: impl FnOnce(&mut Leaves)) {
    let pairs = leaves.pairs;
    let start = Instant::now();
    work(leaves);
    let each = start.elapsed().as_nanos() as f64 / (leaves.pairs - pairs) as f64;
    println!("{what:28} {each:.1} ns a step (random leaf, alloc, free)");
}

#[test]
#[ignore = "a measurement"]
fn pool_measure() {
    let most = std::env::var("MEMKV_POOL_MIB").map_or(64, |s| s.parse().expect("MiB"));
    let mut leaves = Leaves::new();
    for mib in [1, 3, 4, 8, 16, 32, 64, 128, 640] {
        if mib > most {
            break;
        }
        // The mean over a range, since the last slab may be just begun or full.
        let mut mean = 0.0;
        for i in 1..=10 {
            leaves.grow((mib << 20) + (mib << 20) / 50 * i);
            mean += leaves.ratio().0 / 10.0;
        }
        leaves.report(&format!("growth {mib} (mean {mean:.4})"));
    }
    leaves.grow((most * 5 / 4) << 20);
    time("growing", &mut leaves, |leaves| {
        let more = leaves.requested + leaves.requested / 8;
        leaves.grow(more);
    });
    let full = leaves.requested;
    for percent in [90, 75, 60, 50] {
        time("declining", &mut leaves, |l| l.decline(full / 100 * percent));
        leaves.report(&format!("decline to {percent} %"));
    }
    // Ten changes for each leaf, without growth.
    for _ in 0..leaves.cells.len() * 5 / 100 {
        let now = leaves.requested;
        leaves.grow(now + 100 * STEP_BYTES);
        leaves.decline(now);
    }
    leaves.report("after changes");
    for percent in [25, 10, 3] {
        time("declining", &mut leaves, |l| l.decline(full / 100 * percent));
        leaves.report(&format!("decline to {percent} %"));
    }
    time("growing again", &mut leaves, |leaves| leaves.grow(full / 2));
    leaves.report("growth again to 50 %");
}

/// Measures alloc and free alone: cells in random order, each replaced by one of the next size.
#[test]
#[ignore = "a measurement"]
fn pool_measure_pairs() {
    for mib in [2, 64, 512] {
        let pool = new_pool();
        let mut rng = Rng(5);
        let mut cells: Vec<_> = (0..mib << 10)
            .map(|_| {
                let bytes = 700 + rng.below(800);
                let cell = pool.alloc(bytes).expect("memory");
                (cell.ptr, bytes, cell.origin)
            })
            .collect();
        for i in 0..cells.len() {
            let j = rng.below(cells.len());
            cells.swap(i, j);
        }
        for round in 0..4 {
            let start = Instant::now();
            let rounds = (128 / mib).max(1);
            for _ in 0..rounds {
                for cell in &mut cells {
                    let bytes = if cell.1 > 1470 { 700 } else { cell.1 + STEP_BYTES };
                    let new = pool.alloc(bytes).expect("memory");
                    // SAFETY: (P3) as `alloc` returned it.
                    unsafe { pool.free(cell.0, cell.1, cell.2) };
                    *cell = (new.ptr, bytes, new.origin);
                }
            }
            let each = start.elapsed().as_nanos() as f64 / (rounds * cells.len()) as f64;
            println!("{mib} MiB, round {round}: {each:.1} ns a pair");
        }
        for cell in cells {
            // SAFETY: (P3) as `alloc` returned it.
            unsafe { pool.free(cell.0, cell.1, cell.2) };
        }
    }
}

/// Measures threads that share the pool, each with cells of its own.
#[test]
#[ignore = "a measurement"]
fn pool_measure_threads() {
    for threads in [1, 2, 4] {
        let pool = busy_pool();
        let start = Instant::now();
        std::thread::scope(|scope| {
            for seed in 1..=threads {
                let pool = &pool;
                scope.spawn(move || {
                    let mut rng = Rng(seed);
                    let mut cells = Vec::new();
                    for step in 0..2_000_000 {
                        let bytes = 700 + rng.below(800);
                        let cell = pool.alloc(bytes).expect("memory");
                        cells.push((cell.ptr, bytes, cell.origin));
                        if step > 2000 {
                            let (ptr, bytes, origin) = cells.swap_remove(rng.below(2000));
                            // SAFETY: (P3) as `alloc` returned it.
                            unsafe { pool.free(ptr, bytes, origin) };
                        }
                    }
                    for (ptr, bytes, origin) in cells {
                        // SAFETY: (P3) as `alloc` returned it.
                        unsafe { pool.free(ptr, bytes, origin) };
                    }
                });
            }
        });
        let each = start.elapsed().as_nanos() as f64 / 2e6;
        println!("{threads} threads: {each:.1} ns a pair in each");
    }
}
