//! Sequences of operations against `BTreeMap`, with a check of the structure after every change.
//!
//! A few bytes of input encode a key. Repeated and numbered parts make long, nested and dense keys,
//! which a fuzzer would hardly find byte by byte.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use memkv::{FastArt, KeyCoding};
use std::collections::BTreeMap;
use std::ops::Bound;

type Model = BTreeMap<Vec<u8>, u64>;

const WORDS: [&str; 16] = [
    "https://www.",
    "example",
    ".org/",
    "page-",
    "/index",
    ".html",
    "usr",
    "/share/",
    "account",
    "catalogue",
    "image",
    "\u{ff}",
    "\0\0",
    "0",
    "aaaaaaaaaaaa",
    "",
];

#[derive(Arbitrary, Debug)]
enum Part {
    Byte(u8),
    Text([u8; 4]),
    Number(u8),
    Run(u8, u8),
    /// A long part, up to the widths at which nodes change their layout.
    Long(u8, u16),
    /// Words, which symbols code well, and bytes among them.
    Words(u16, u8),
}

#[derive(Arbitrary, Debug)]
struct Key(Part, Option<Part>, Option<Part>);

impl Key {
    fn bytes(&self) -> Vec<u8> {
        let mut key = Vec::new();
        for part in [Some(&self.0), self.1.as_ref(), self.2.as_ref()].into_iter().flatten() {
            match *part {
                Part::Byte(b) => key.push(b),
                Part::Text(text) => key.extend(text),
                Part::Number(n) => key.extend(format!("{n:03}").bytes()),
                Part::Run(b, n) => key.extend(std::iter::repeat_n(b, n.into())),
                Part::Long(b, n) => key.extend(std::iter::repeat_n(b, (n % 2048).into())),
                Part::Words(words, n) => {
                    key.extend(
                        (0..4).flat_map(|i| WORDS[usize::from(words >> (4 * i) & 15)].bytes()),
                    );
                    key.push(n);
                }
            }
        }
        key
    }
}

#[derive(Arbitrary, Debug)]
enum Op {
    Insert(Key, u64),
    /// Numbered keys after a common prefix, ascending or scattered, each with `n` more bytes.
    Many(Key, u8, bool, u16),
    /// Scattered keys that begin with one and end with words, of which tables are made.
    ManyWords(Key, u8, u16),
    Remove(Key),
    RemoveNth(u16),
    RemoveRange(Bound<Key>, Bound<Key>),
    RemoveEvery(u8),
    Get(Key),
    Set(Key, u64),
    Scan(Bound<Key>, Bound<Key>),
    LongestPrefix(Key),
    SplitOff(Key, bool),
    Rebuild,
    Clone,
    Move,
}

fn bytes(bound: &Bound<Key>) -> Bound<Vec<u8>> {
    match bound {
        Bound::Included(key) => Bound::Included(key.bytes()),
        Bound::Excluded(key) => Bound::Excluded(key.bytes()),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// `BTreeMap::range` panics on ranges that are empty here.
fn inside(model: &Model, start: &Bound<Vec<u8>>, end: &Bound<Vec<u8>>) -> Vec<(Vec<u8>, u64)> {
    use std::ops::RangeBounds;
    let range = (start.as_ref(), end.as_ref());
    model
        .iter()
        .filter(|(key, _)| RangeBounds::<Vec<u8>>::contains(&range, *key))
        .map(|(key, value)| (key.clone(), *value))
        .collect()
}

fn step(map: &mut FastArt, model: &mut Model, op: &Op) {
    match op {
        Op::Insert(key, value) => {
            assert_eq!(map.insert(key.bytes(), *value), model.insert(key.bytes(), *value))
        }
        Op::Many(key, n, ascending, long) => {
            for i in 0..u32::from(*n) {
                let number = if *ascending { i } else { i * 7919 % 256 };
                let mut key = key.bytes();
                key.extend(format!("{number:03}").bytes());
                key.extend(std::iter::repeat_n(b'-', usize::from(*long % 1024)));
                assert_eq!(map.insert(&key, i.into()), model.insert(key, i.into()));
            }
        }
        Op::ManyWords(key, n, words) => {
            for i in 0..u16::from(*n) {
                let mut key = key.bytes();
                let r = (i ^ words).wrapping_mul(0x9E37);
                key.extend(Key(Part::Words(r, i as u8), None, None).bytes());
                assert_eq!(map.insert(&key, i.into()), model.insert(key, i.into()));
            }
        }
        Op::Remove(key) => assert_eq!(map.remove(key.bytes()), model.remove(&key.bytes())),
        Op::RemoveNth(n) => {
            if let Some(key) = model.keys().nth(usize::from(*n) % model.len().max(1)).cloned() {
                assert_eq!(map.remove(&key), model.remove(&key));
            }
        }
        Op::RemoveRange(start, end) => {
            let (start, end) = (bytes(start), bytes(end));
            let gone = inside(model, &start, &end);
            assert_eq!(map.remove_range::<Vec<u8>, _>((start, end)), gone.len());
            for (key, _) in gone {
                model.remove(&key);
            }
        }
        Op::RemoveEvery(n) => {
            let n = usize::from(*n % 8) + 2;
            let gone: Vec<_> = model
                .keys()
                .enumerate()
                .filter(|(i, _)| i % n != 0)
                .map(|(_, key)| key.clone())
                .collect();
            for key in gone {
                assert_eq!(map.remove(&key), model.remove(&key));
            }
        }
        Op::Get(key) => assert_eq!(map.get(key.bytes()), model.get(&key.bytes()).copied()),
        Op::Set(key, value) => {
            *map.entry(key.bytes()).or_insert(0) ^= value;
            *model.entry(key.bytes()).or_insert(0) ^= value;
        }
        Op::Scan(start, end) => {
            let (start, end) = (bytes(start), bytes(end));
            let want = inside(model, &start, &end);
            let range = || map.range::<Vec<u8>, _>((start.clone(), end.clone()));
            assert!(range().eq(want.iter().cloned()));
            assert!(range().rev().eq(want.iter().rev().cloned()));
            assert_eq!(range().count(), want.len());
        }
        Op::LongestPrefix(key) => {
            let key = key.bytes();
            let want = model
                .iter()
                .filter(|(stored, _)| key.starts_with(stored))
                .max_by_key(|(stored, _)| stored.len());
            assert_eq!(
                map.get_longest_prefix(&key),
                want.map(|(stored, value)| (&key[..stored.len()], *value))
            );
        }
        Op::SplitOff(key, keep) => {
            let (mut behind, mut model_behind) =
                (map.split_off(key.bytes()), model.split_off(&key.bytes()));
            behind.check().unwrap();
            if *keep {
                map.append(&mut behind);
                model.append(&mut model_behind);
            } else {
                assert!(behind.into_iter().eq(model_behind));
            }
        }
        Op::Rebuild => map.shrink_to_fit(),
        Op::Clone => *map = map.clone(),
        // A map may be moved at any time.
        Op::Move => *map = *Box::new(std::mem::take(map)),
    }
}

fuzz_target!(|input: (bool, Vec<Op>)| {
    let (is_coded, ops) = input;
    memkv::code_small_maps();
    let coding = if is_coded { KeyCoding::Symbols } else { KeyCoding::Auto };
    let (mut map, mut model) = (FastArt::with_coding(coding), Model::new());
    for op in &ops {
        step(&mut map, &mut model, op);
        map.check().unwrap();
        // Hundreds of long keys would only be slow.
        if model.keys().map(Vec::len).sum::<usize>() > 1 << 20 {
            break;
        }
    }
    assert!(map.iter().eq(model.iter().map(|(key, value)| (key.clone(), *value))));
    assert!(map.iter().rev().eq(model.iter().rev().map(|(key, value)| (key.clone(), *value))));
});
