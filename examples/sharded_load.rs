//! Loads a million unsorted keys on all cores, changes the map from two threads while a shard is
//! split, and freezes it.
//!
//! `cargo run --release --example sharded_load`

use memkv::{FrozenLayer, ShardedArt};
use std::thread;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text: Vec<u8> = (0..1_000_000u64)
        .flat_map(|i| {
            format!("https://example.org/page/{:07}\n", i * 7_919 % 1_000_003).into_bytes()
        })
        .collect();

    // The value of a key is the offset of its line. `load_file` maps a file instead.
    let map = ShardedArt::new(16);
    let begin = Instant::now();
    map.load_text(&text, |line, at| (line, at))?;
    println!(
        "{} keys of {} bytes in {:.2} s",
        map.len(),
        text.len(),
        begin.elapsed().as_secs_f64()
    );
    println!("{} bytes, in {} shards", map.memory_usage().total(), map.shards().len());

    thread::scope(|scope| {
        scope.spawn(|| {
            (0..1000).for_each(|i| _ = map.insert(format!("https://example.org/new/{i}"), i))
        });
        scope.spawn(|| map.split("https://example.org/page/0001"));
        // Each key that stays is yielded once and in order, even while a split moves it.
        assert_eq!(map.prefix("https://example.org/page/").count(), 1_000_000);
    });

    let layer = FrozenLayer::from(&map);
    println!("frozen: {} bytes", layer.memory_usage().total());
    assert_eq!(layer.len(), 1_001_000);
    Ok(())
}
