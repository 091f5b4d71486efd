//! A store in a folder: loaded, changed by several threads, closed, opened again, and compacted.
//!
//! `cargo run --release --example hybrid_store`

use memkv::{FrozenLayer, HybridError, HybridStore};
use std::thread;

const PAGES: u64 = 100_000;

fn url(page: u64) -> String {
    format!("https://www.site{:03}.example/articles/{page:06}.html", page / 200)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("memkv-example-{}", std::process::id()));

    // A base of sorted keys, saved to a folder.
    let pages: Vec<(String, u64)> = (0..PAGES).map(|page| (url(page), page)).collect();
    HybridStore::from(FrozenLayer::from_sorted(&pages)?).save(&folder)?;

    // A change is in the log's file when the call returns, and on disk after each `sync`.
    let store = HybridStore::open(&folder)?;
    println!("{} keys in {} bytes", store.len(), store.memory_usage().total());
    thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                let store = &store;
                scope.spawn(move || -> Result<(), HybridError> {
                    for page in (thread..2000).step_by(2) {
                        // All these keys are neighbours.
                        store.compute(url(page), |visits| Some(visits.unwrap_or(0) + 1))?;
                        store.insert(format!("{}?print", url(page)), page)?;
                        if page % 500 == thread {
                            store.sync()?;
                        }
                    }
                    store.remove(url(5000 + thread))?;
                    store.sync()
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })?;
    println!("{} changes in {} bytes", store.stats().delta_keys, store.stats().delta_bytes);

    // Everything is there when the folder is opened again.
    store.close()?;
    let store = HybridStore::open(&folder)?;
    println!("{} changes replayed", store.stats().replayed);
    assert_eq!(store.len() as u64, PAGES + 2000 - 2);
    assert_eq!(store.get(url(7)), Some(8));
    assert_eq!(store.get(url(5000)), None);

    // Merges both into one layer. Reads and writes could go on at the same time.
    store.compact()?;
    let stats = store.stats();
    println!(
        "compacted: {} chunks reused, {} encoded; writers waited {:?} at most",
        stats.last_reused, stats.last_encoded, stats.longest_pause
    );
    assert_eq!(stats.delta_keys, 0);

    // In order, from base and changes.
    let mut range = store.prefix("https://www.site000.");
    assert_eq!(range.next(), Some((url(0).into_bytes(), 1)));
    assert_eq!(range.next(), Some((format!("{}?print", url(0)).into_bytes(), 0)));

    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
