//! Bytes of coded leaves: as new keys differ from those before, and where codes save nothing. A
//! binary of its own, in which small maps are not coded.

mod common {
    pub(crate) mod texts;
}

use common::texts::{KINDS, ending, random_bytes};
use memkv::{ConcurrentArt, FastArt, KeyCoding, MemoryUsage};

const KEYS: u64 = 100_000;

/// Returns the keys of a kind, each once.
fn keys(kind: u16) -> impl Iterator<Item = Vec<u8>> {
    (0..KEYS).map(move |i| ending(kind, i))
}

fn urls() -> impl Iterator<Item = Vec<u8>> {
    keys(1)
}

fn bytes(usage: MemoryUsage) -> usize {
    usage.leaves + usage.inner
}

/// Tables that are trained on keys of one kind do not code the next kinds worse than tables that
/// were trained on these alone.
#[test]
fn tables_follow_keys_that_change() {
    let kinds = [1, 2, 3];
    let mut one = FastArt::<u32>::with_coding(KeyCoding::Symbols);
    let mut apart = 0;
    for kind in kinds {
        let mut own = FastArt::<u32>::with_coding(KeyCoding::Symbols);
        for key in keys(kind) {
            one.insert(&key, 0);
            own.insert(&key, 0);
        }
        apart += bytes(own.memory_usage());
    }
    let one = bytes(one.memory_usage());
    println!("one map {one} bytes, three maps {apart}");
    assert!(one <= apart + apart * 6 / 100, "{one} bytes in one map, {apart} in three");
}

/// An empty map takes over the keys of another, but not its coding.
#[test]
fn appended_keys_are_coded_as_the_map_codes() {
    let of = |coding| {
        let mut map = FastArt::<u32>::with_coding(coding);
        urls().for_each(|key| _ = map.insert(key, 0));
        map
    };
    let [plain, coded] = [KeyCoding::Plain, KeyCoding::Symbols].map(|coding| {
        let other = if coding == KeyCoding::Plain { KeyCoding::Symbols } else { KeyCoding::Plain };
        let (mut map, mut other) = (FastArt::with_coding(coding), of(other));
        map.append(&mut other);
        assert_eq!((map.len(), other.len()), (urls().count(), 0));
        map.check().unwrap();
        urls().for_each(|key| _ = other.insert(key, 0));
        [bytes(map.memory_usage()), bytes(other.memory_usage())]
    });
    let [of_plain, of_coded] =
        [KeyCoding::Plain, KeyCoding::Symbols].map(|coding| bytes(of(coding).memory_usage()));
    assert!(of_coded < of_plain * 9 / 10, "{of_plain} bytes, {of_coded} coded");
    // What was appended to is packed. The other one is as if it were new.
    assert!(
        plain[0] > of_coded && plain[0] <= of_plain && coded[0] <= of_coded,
        "{plain:?} {coded:?}"
    );
    assert!(plain[1] < of_plain * 9 / 10 && coded[1] == of_plain, "{plain:?} {coded:?}");
}

/// Returns keys that no table codes in fewer bytes. They come after all URLs.
fn random() -> Vec<Vec<u8>> {
    let key = |i| [&b"z"[..], &random_bytes(i, 4 + i as usize % 20)].concat();
    (0..KEYS).map(key).collect()
}

/// Asserts that keys take no more bytes of leaves in a map that codes them than in a plain one, or
/// a bit each, alone and after keys for which tables are made.
fn assert_no_larger(name: &str, keys: &[Vec<u8>]) {
    let of = |coding, before: &[Vec<u8>]| {
        let mut map = FastArt::<u32>::with_coding(coding);
        before.iter().for_each(|key| _ = map.insert(key, 0));
        let bytes = map.memory_usage().leaves;
        keys.iter().for_each(|key| _ = map.insert(key, 0));
        map.memory_usage().leaves - bytes
    };
    let shared = |coding, before: &[Vec<u8>]| {
        let map = ConcurrentArt::<u32>::with_coding(coding);
        before.iter().for_each(|key| _ = map.insert(key, 0));
        let bytes = map.memory_usage().leaves;
        keys.iter().for_each(|key| _ = map.insert(key, 0));
        map.memory_usage().leaves - bytes
    };
    let urls: Vec<_> = urls().collect();
    for before in [&[][..], &urls] {
        let fast = [KeyCoding::Plain, KeyCoding::Symbols].map(|coding| of(coding, before));
        let shared = [KeyCoding::Plain, KeyCoding::Symbols].map(|coding| shared(coding, before));
        for [plain, coded] in [fast, shared] {
            println!("{name} after {} URLs: {plain} bytes, {coded} coded", before.len());
            assert!(coded <= plain + keys.len() / 8, "{name}: {plain} bytes, {coded} coded");
        }
    }
}

#[test]
fn what_cannot_be_coded_stays_as_it_is() {
    let mut keys = random();
    assert_no_larger("random keys", &keys);
    keys.sort_unstable();
    assert_no_larger("random keys in order", &keys);
}

/// Ascending keys in a shared map. Those that a table codes badly do not get leaves of their own.
#[test]
fn ascending_keys_of_two_kinds_fill_their_leaves() {
    for run in [5, 40] {
        let all = [KeyCoding::Plain, KeyCoding::Symbols].map(|coding| {
            let map = ConcurrentArt::<u32>::with_coding(coding);
            for step in 0..KEYS / run {
                let mut keys: Vec<Vec<u8>> = (step * run..(step + 1) * run)
                    .map(|i| match step % 2 {
                        0 => ending(1, i),
                        _ => random_bytes(i, 4 + i as usize % 20),
                    })
                    .map(|key| [&(step as u32).to_be_bytes()[..], &key].concat())
                    .collect();
                keys.sort_unstable();
                keys.iter().for_each(|key| _ = map.insert(key, 0));
            }
            bytes(map.memory_usage())
        });
        println!("{run} keys of a kind: {} bytes, {} coded", all[0], all[1]);
        assert!(all[1] < all[0], "{} bytes, {} coded", all[0], all[1]);
    }
}

#[test]
fn all_kinds_mixed_are_smaller_coded() {
    let keys: Vec<Vec<u8>> = (0..KEYS)
        .map(|i| [&[b'a' + (i % 8) as u8][..], &ending(i as u16 % KINDS, i)].concat())
        .filter(|key| key.len() < 300)
        .collect();
    let [plain, coded] = [KeyCoding::Plain, KeyCoding::Symbols].map(|coding| {
        let mut map = FastArt::<u32>::with_coding(coding);
        keys.iter().for_each(|key| _ = map.insert(key, 0));
        bytes(map.memory_usage())
    });
    println!("{plain} bytes, {coded} coded");
    assert!(coded < plain, "{plain} bytes, {coded} coded");
}
