//! What becomes of a map's memory as its keys are removed: what the map reports, what the pool has
//! taken from the allocator, what the allocator has given out, and what the system counts as
//! resident.
//!
//! `cargo run --release --example memory_back -- [MAP] [small-pages] [WAIT=SECONDS] [FILE]`
//!
//! MAP is `fast`, `shared`, `arena` or `btree`. FILE has a key a line; without it keys are
//! generated. `small-pages` turns the pool's huge pages off. With another allocator:
//! `LD_PRELOAD=libjemalloc.so.2 target/release/examples/memory_back`. Its resident bytes are 0
//! except on Linux.

use memkv::{ArenaArt, ConcurrentArt, FastArt, pool};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator, with a count of the bytes in use.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all calls go to `System`, with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Relaxed);
        // SAFETY: by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: by the caller.
        unsafe { System.dealloc(ptr, layout) }
    }
}

/// What the program does with each kind of map.
trait Map: Default {
    fn put(&mut self, key: &[u8], value: u64);
    fn take(&mut self, key: &[u8]);
    fn reported(&self) -> usize;
    fn compact(&mut self);
}

macro_rules! maps {
    ($($map:ty, $compact:ident;)*) => {$(
        impl Map for $map {
            fn put(&mut self, key: &[u8], value: u64) {
                self.insert(key, value);
            }
            fn take(&mut self, key: &[u8]) {
                self.remove(key);
            }
            fn reported(&self) -> usize {
                self.memory_usage().total()
            }
            fn compact(&mut self) {
                self.$compact();
            }
        }
    )*};
}
maps! {
    FastArt<u64>, shrink_to_fit;
    ArenaArt<u64>, shrink_to_fit;
    ConcurrentArt<u64>, reclaim;
}

/// For comparison. It does not know how much memory it has.
impl Map for BTreeMap<Box<[u8]>, u64> {
    fn put(&mut self, key: &[u8], value: u64) {
        self.insert(key.into(), value);
    }
    fn take(&mut self, key: &[u8]) {
        self.remove(key);
    }
    fn reported(&self) -> usize {
        0
    }
    fn compact(&mut self) {}
}

/// Returns the resident bytes of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

/// Puts numbers in random order (Fisher and Yates, xorshift).
fn shuffle(numbers: &mut [u32]) {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    for end in (1..numbers.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        numbers.swap(end, (state % (end as u64 + 1)) as usize);
    }
}

/// Asks glibc for what it keeps of freed memory. Other allocators do nothing here.
fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Fills a map, empties it in steps, and prints a line for each.
fn run<M: Map>(keys: &[&[u8]], wait: u64) {
    let mut order: Vec<u32> = (0..keys.len() as u32).collect();
    shuffle(&mut order);
    let (live, before) = (LIVE.load(Relaxed), resident());
    let print = |step: &str, reported: usize| {
        let mib = |bytes: usize| bytes as f64 / (1 << 20) as f64;
        println!(
            "{step:<24}{:>10.1}{:>10.1}{:>10.1}{:>10.1}",
            mib(reported),
            mib(pool::usage().reserved),
            mib(LIVE.load(Relaxed).saturating_sub(live)),
            mib(resident().saturating_sub(before)),
        );
    };
    println!("{:<24}{:>10}{:>10}{:>10}{:>10}", "MiB", "reported", "pool", "live", "resident");

    let mut map = M::default();
    for &i in &order {
        map.put(keys[i as usize], i.into());
    }
    print("all keys", map.reported());

    // Removed in another order than they were inserted.
    shuffle(&mut order);
    let n = order.len();
    for (part, percent) in [(0..n / 2, 50), (n / 2..n / 10 * 9, 90)] {
        order[part].iter().for_each(|&i| map.take(keys[i as usize]));
        print(&format!("{percent} % removed"), map.reported());
        map.compact();
        print("  compacted", map.reported());
    }
    order[n / 10 * 9..].iter().for_each(|&i| map.take(keys[i as usize]));
    print("all removed", map.reported());
    drop(map);
    print("map dropped", 0);
    if wait > 0 {
        std::thread::sleep(std::time::Duration::from_secs(wait));
        // An allocator notices the time when it is called.
        (0..10_000).for_each(|size| drop(std::hint::black_box(vec![0u8; size])));
        print(&format!("{wait} s later"), 0);
    }
    trim();
    print("malloc_trim", 0);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut map, mut wait, mut text) = ("fast".to_string(), 0, None);
    for word in std::env::args().skip(1) {
        match word.as_str() {
            "fast" | "shared" | "arena" | "btree" => map = word,
            "small-pages" => pool::set_huge_pages(false),
            _ if word.starts_with("WAIT=") => wait = word["WAIT=".len()..].parse()?,
            _ => text = Some(std::fs::read(word)?),
        }
    }
    let text = text.unwrap_or_else(|| {
        (0..300_000u64)
            .flat_map(|i| {
                let site = i * 7_919 % 1_009;
                format!("https://www.site{site}.example.org/articles/{i:08}\n").into_bytes()
            })
            .collect()
    });
    let keys: Vec<&[u8]> = text.split(|&b| b == b'\n').filter(|key| !key.is_empty()).collect();
    let bytes: usize = keys.iter().map(|key| key.len()).sum();
    println!("{} keys of {:.1} MiB, {map}", keys.len(), bytes as f64 / (1 << 20) as f64);
    // What is resident from here on belongs to the map.
    trim();
    match map.as_str() {
        "shared" => run::<ConcurrentArt<u64>>(&keys, wait),
        "arena" => run::<ArenaArt<u64>>(&keys, wait),
        "btree" => run::<BTreeMap<Box<[u8]>, u64>>(&keys, wait),
        _ => run::<FastArt<u64>>(&keys, wait),
    }
    Ok(())
}
