//! The bytes that maps with tables say they hold, beside those of a counting allocator, and what is
//! left of tables when their maps are gone.

mod common {
    pub(crate) mod texts;
}
mod counting;

use common::texts::{KINDS, ending};
use counting::LIVE;
use memkv::{ConcurrentArt, FastArt, KeyCoding, ShardedArt};
use std::sync::atomic::Ordering::Relaxed;

/// Keys of a map, which drift through all kinds.
const KEYS: u64 = 60_000;
/// Bytes that the pool, the collector and threads keep.
const KEPT: usize = 64 << 10;

fn keys() -> impl Iterator<Item = Vec<u8>> {
    let kind = |i: u64| (i / (KEYS / u64::from(KINDS))) as u16;
    (0..KEYS).map(move |i| [&ending(kind(i), i)[..], &(i as u32).to_be_bytes()].concat())
}

fn assert_close(name: &str, said: usize, held: usize) {
    println!("{name}: {said} bytes said, {held} held");
    assert!(said.abs_diff(held) <= held / 50, "{name}: {said} bytes said, {held} held");
}

#[test]
fn tables_are_counted_and_freed() {
    memkv::code_small_maps();
    // What a thread makes once.
    drop(ConcurrentArt::from([("a", 1u64)]));
    for round in 0..3 {
        let start = LIVE.load(Relaxed);
        let held = || LIVE.load(Relaxed).saturating_sub(start);
        let mut fast = FastArt::<u64>::with_coding(KeyCoding::Symbols);
        keys().for_each(|key| _ = fast.insert(&key, 1));
        assert!(fast.memory_usage().own > 20_000, "{:?}", fast.memory_usage());
        assert_close("FastArt", fast.memory_usage().total(), held());
        // Each copy has the tables of the first.
        let copy = fast.clone();
        keys().for_each(|key| _ = fast.remove(&key));
        assert!(fast.is_empty());
        drop(fast);
        copy.check().unwrap();
        assert!(copy.keys().all(|key| copy.contains_key(key)));
        let one = ConcurrentArt::from(copy);
        one.reclaim();
        assert_close("ConcurrentArt", one.memory_usage().total(), held());
        let shared = ShardedArt::from(one.into_fast());
        shared.reclaim();
        assert_close("ShardedArt", shared.memory_usage().total(), held());
        let mut kept = shared.iter();
        assert!(kept.next().is_some());
        keys().step_by(5000).for_each(|key| _ = shared.split(key).unwrap());
        keys().step_by(10_000).for_each(|key| _ = shared.join(key).unwrap());
        keys().for_each(|key| _ = shared.remove(&key));
        assert!(shared.is_empty());
        drop(kept);
        drop(shared);
        ConcurrentArt::<u64>::new().reclaim();
        println!("round {round}: {} bytes left", held());
        assert!(held() <= KEPT, "{} bytes left", held());
    }
}
