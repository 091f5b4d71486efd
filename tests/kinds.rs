//! Every kind of key, twenty thousand of each, against `BTreeMap`: inserted in the order in which
//! they are generated, scanned, removed.

use memkv::FastArt;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};

const N: usize = if cfg!(miri) { 300 } else { 20_000 };

/// A small, fast random number generator (xorshift64*).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 32) as usize % n
    }
}

fn same(map: &FastArt, model: &BTreeMap<Vec<u8>, u64>) {
    map.check().unwrap();
    assert_eq!(map.len(), model.len());
    let mut cursor = map.cursor();
    for (key, value) in model {
        assert_eq!(cursor.next(), Some((&key[..], *value)));
    }
    assert_eq!(cursor.next(), None);
    for (key, value) in model.iter().rev() {
        assert_eq!(cursor.prev(), Some((&key[..], *value)));
    }
    assert_eq!(cursor.prev(), None);
}

/// Ranges between present keys and absent keys.
fn scans(map: &FastArt, model: &BTreeMap<Vec<u8>, u64>, rng: &mut Rng) {
    let keys: Vec<_> = model.keys().collect();
    for i in 0..100 {
        let from = rng.below(keys.len());
        let to = (from + rng.below(300)).min(keys.len() - 1);
        let (start, mut end) = (keys[from], keys[to].clone());
        if i % 2 == 0 {
            end.push(0);
        }
        let range = (Included(&start[..]), Excluded(&end[..]));
        let want: Vec<_> =
            model.range::<[u8], _>(range).map(|(key, value)| (key.clone(), *value)).collect();
        assert_eq!(map.range::<[u8], _>(range).collect::<Vec<_>>(), want);
        assert!(map.range::<[u8], _>(range).rev().eq(want.iter().rev().cloned()));
        assert_eq!(map.range::<[u8], _>(range).count(), want.len());
        let prefix = &start[..rng.below(start.len() + 1)];
        let want = model
            .range::<[u8], _>((Included(prefix), Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .count();
        assert_eq!(map.count_prefix(prefix), want);
    }
}

fn holds(keys: impl Iterator<Item = Vec<u8>>) {
    let mut rng = Rng(1);
    let (mut map, mut model) = (FastArt::new(), BTreeMap::new());
    for (i, key) in keys.enumerate() {
        assert_eq!(map.insert(&key, i as u64), model.insert(key, i as u64));
        if (i + 1) % (N / 4) == 0 {
            same(&map, &model);
        }
    }
    let mut keys: Vec<_> = model.keys().cloned().collect();
    assert!(keys.len() > N / 2, "{} different keys", keys.len());
    let refs: Vec<_> = keys.iter().rev().collect();
    assert!(map.get_many(&refs).into_iter().eq(model.values().rev().map(|value| Some(*value))));
    for key in &keys {
        assert_eq!(map.get(key), model.get(key).copied());
        let longer = [&key[..], b"\0"].concat();
        assert_eq!(map.get(&longer), model.get(&longer).copied());
        let shorter = &key[..key.len() - 1];
        assert_eq!(map.get(shorter), model.get(shorter).copied());
    }
    scans(&map, &model, &mut rng);
    assert!(FastArt::from_sorted(model.iter().map(|(key, value)| (key, *value))).unwrap() == map);
    // Half in random order, then the rest in ascending order.
    for i in (1..keys.len()).rev() {
        keys.swap(i, rng.below(i + 1));
    }
    let (first, rest) = keys.split_at_mut(N / 2);
    rest.sort();
    for (i, key) in first.iter().chain(rest.iter()).enumerate() {
        assert_eq!(map.remove(key), model.remove(key));
        assert_eq!(map.remove(key), None);
        if (i + 1) % (N / 4) == 0 {
            same(&map, &model);
        }
    }
    same(&map, &model);
    assert!(map.is_empty());
}

#[test]
fn random_integers() {
    let mut rng = Rng(2);
    holds((0..N).map(|_| rng.next().to_be_bytes().to_vec()));
}

#[test]
fn ascending_integers() {
    holds((0..N as u64).map(|i| i.to_be_bytes().to_vec()));
}

#[test]
fn descending_integers() {
    holds((0..N as u64).rev().map(|i| (i * 3).to_be_bytes().to_vec()));
}

#[test]
fn uuids_as_text() {
    let mut rng = Rng(3);
    holds((0..N).map(|_| {
        let (a, b) = (rng.next(), rng.next());
        let (time, rest) = (a >> 32, b & 0xFFFF_FFFF_FFFF);
        format!(
            "{time:08x}-{:04x}-4{:03x}-a{:03x}-{rest:012x}",
            (a >> 16) & 0xFFFF,
            a & 0xFFF,
            b >> 52
        )
        .into_bytes()
    }));
}

/// A word made of syllables, of which some are much more frequent than others.
fn word(rng: &mut Rng) -> String {
    const SYLLABLES: [&str; 12] =
        ["an", "ber", "con", "de", "er", "in", "ing", "re", "st", "tion", "un", "y"];
    let (n, mut word) = (2 + rng.below(4), String::new());
    for _ in 0..n {
        word += SYLLABLES[rng.below(12).min(rng.below(12))];
    }
    word
}

#[test]
fn words() {
    let mut rng = Rng(4);
    holds((0..N).map(|i| {
        if i % 4 == 0 {
            word(&mut rng) + &word(&mut rng)
        } else {
            word(&mut rng) + &format!("{}", i % 900)
        }
        .into_bytes()
    }));
}

#[test]
fn domains() {
    let mut rng = Rng(5);
    const TOP: [&str; 4] = ["com", "org", "example", "net"];
    holds((0..N).map(|i| {
        format!(
            "{}.{}-{}.{}",
            TOP[rng.below(4)],
            word(&mut rng),
            i % 7000,
            ["www", "mail", "a", ""][i % 4]
        )
        .into_bytes()
    }));
}

#[test]
fn paths() {
    let mut rng = Rng(6);
    holds((0..N).map(|i| {
        let depth = 1 + rng.below(6);
        let mut path = String::new();
        (0..depth).for_each(|_| path += &format!("/{}", word(&mut rng)));
        format!("/home{path}/file-{i}.txt").into_bytes()
    }));
}

#[test]
fn keys_of_200_bytes() {
    let mut rng = Rng(7);
    holds((0..N).map(|i| {
        let mut key = format!("{:0>180}", rng.below(50)).into_bytes();
        key.extend_from_slice(format!("{:0>20}", i * 7919 % N).as_bytes());
        key
    }));
}

/// All keys in one small part of the key space, in clusters that grow in turn.
#[test]
fn hot_spot() {
    let mut next = [0u32; 7];
    let mut rng = Rng(8);
    holds((0..N).map(|_| {
        let spot = rng.below(7);
        next[spot] += 1;
        [&b"customer/000042/order/"[..], &[spot as u8], &next[spot].to_be_bytes()].concat()
    }));
}

/// Keys of NUL and 0xFF bytes only.
#[test]
fn extreme_bytes() {
    holds((0..N).map(|i| {
        (0..15)
            .map(|bit| if ((i * 7 % 32_768) >> bit) & 1 == 0 { 0 } else { 0xFF })
            .chain([0; 3].into_iter().take(i % 4))
            .collect()
    }));
}
