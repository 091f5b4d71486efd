//! Keys that a map does not have, to be looked up in vain.

use crate::{keys::KeyList, rng::Rng};

/// The keys of a map, and keys held out of it.
pub(crate) struct Loaded<'a> {
    pub(crate) keys: &'a KeyList,
    /// Indices of the keys in the order of the keys.
    pub(crate) sorted: &'a [u32],
    pub(crate) held: &'a KeyList,
}

impl Loaded<'_> {
    /// Returns absent keys: in turn a held-out key, and one that differs from a key in its last
    /// bytes.
    pub(crate) fn absent(&self, rng: &mut Rng, count: usize) -> KeyList {
        let mut absent = KeyList::default();
        for i in 0..count {
            let held = (i % 2 == 0 && !self.held.is_empty())
                .then(|| self.held.get(rng.below(self.held.len() as u64) as usize))
                // A file may contain a key twice.
                .filter(|key| !self.contains(key));
            match held {
                Some(key) => absent.push(key),
                None => absent.push(&self.near_miss(rng)),
            }
        }
        absent
    }

    /// Returns an absent key: a present one with its last byte changed, or more bytes if needed.
    fn near_miss(&self, rng: &mut Rng) -> Vec<u8> {
        let mut key = self.keys.get(rng.below(self.keys.len() as u64) as usize).to_vec();
        for attempt in 0.. {
            let changed = key.len().min(1 + attempt / 8);
            let start = key.len() - changed;
            for byte in &mut key[start..] {
                // Low bits first, so that the byte mostly stays a letter or a digit.
                *byte ^= 1 << rng.below(if attempt < 4 { 4 } else { 8 });
            }
            if changed == 0 || attempt > 64 {
                key.push(rng.next() as u8);
            }
            if !self.contains(&key) {
                break;
            }
        }
        key
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.sorted.binary_search_by(|&i| self.keys.get(i as usize).cmp(key)).is_ok()
    }
}
