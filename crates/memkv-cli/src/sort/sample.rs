//! A sample of passing keys: blocks of neighbours, evenly spread over all keys.

use crate::keys::KeyList;

/// The keys of a block. They are neighbours, since symbols are trained on what follows the prefix
/// that a key shares with the one before.
const KEYS_PER_BLOCK: usize = 64;

/// One of every few blocks of keys. If there are too many, every second one is dropped.
pub(crate) struct Sample {
    keys: KeyList,
    /// One of this many blocks is kept.
    stride: u64,
    seen: u64,
    /// The bytes of keys.
    most: usize,
}

impl Sample {
    pub(super) fn new(most: usize) -> Self {
        Self { keys: KeyList::default(), stride: 1, seen: 0, most }
    }

    /// Takes the next key, or skips it without reading it.
    pub(super) fn offer<'k>(&mut self, key: impl FnOnce() -> &'k [u8]) {
        let block = self.seen / KEYS_PER_BLOCK as u64;
        self.seen += 1;
        if !block.is_multiple_of(self.stride) {
            return;
        }
        self.keys.push(key());
        if self.keys.raw_bytes() > self.most && self.keys.len() > KEYS_PER_BLOCK {
            let kept: Vec<u32> = (0..self.keys.len() as u32)
                .filter(|i| (*i as usize / KEYS_PER_BLOCK).is_multiple_of(2))
                .collect();
            self.keys = self.keys.select(&kept);
            self.stride *= 2;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::{KEYS_PER_BLOCK, Sample};

    #[test]
    fn is_even_and_of_whole_blocks() {
        let mut sample = Sample::new(10_000);
        for i in 0..100_000u64 {
            let key = i.to_be_bytes();
            sample.offer(|| &key);
        }
        let kept: Vec<u64> =
            sample.iter().map(|key| u64::from_be_bytes(key.try_into().unwrap())).collect();
        let blocks: Vec<u64> =
            kept.chunks(KEYS_PER_BLOCK).map(|block| block[0] / KEYS_PER_BLOCK as u64).collect();
        assert!((5_000..=10_000).contains(&(kept.len() * 8)), "{}", kept.len());
        assert!(
            blocks.windows(2).all(|pair| pair[1] - pair[0] == blocks[1] - blocks[0]),
            "{blocks:?}"
        );
        assert!(
            kept.chunks(KEYS_PER_BLOCK)
                .all(|block| block.windows(2).all(|pair| pair[1] == pair[0] + 1))
        );
        assert!(*kept.last().unwrap() > 90_000);
    }
}
