//! A sample of keys that pass by: blocks of neighbours, evenly over all of them.

use crate::keys::Keys;

/// Keys of a block. Neighbours, since what symbols are sought for is where a key differs from the one before.
const BLOCK: usize = 64;

/// Blocks of keys, of every so many one. When they become too many, every second one goes.
pub(crate) struct Sample {
    keys: Keys,
    /// Of so many blocks that pass by one is kept.
    stride: u64,
    seen: u64,
    /// Bytes of keys.
    most: usize,
}

impl Sample {
    pub(super) fn new(most: usize) -> Self {
        Self { keys: Keys::default(), stride: 1, seen: 0, most }
    }

    /// Takes the next key, or does not even look at it.
    pub(super) fn offer<'k>(&mut self, key: impl FnOnce() -> &'k [u8]) {
        let block = self.seen / BLOCK as u64;
        self.seen += 1;
        if !block.is_multiple_of(self.stride) {
            return;
        }
        self.keys.push(key());
        if self.keys.raw_bytes() > self.most && self.keys.len() > BLOCK {
            let kept: Vec<u32> = (0..self.keys.len() as u32)
                .filter(|i| (*i as usize / BLOCK).is_multiple_of(2))
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
    use super::{BLOCK, Sample};

    #[test]
    fn is_even_and_of_whole_blocks() {
        let mut sample = Sample::new(10_000);
        for i in 0..100_000u64 {
            let key = i.to_be_bytes();
            sample.offer(|| &key);
        }
        let kept: Vec<u64> =
            sample.iter().map(|key| u64::from_be_bytes(key.try_into().unwrap())).collect();
        let blocks: Vec<u64> = kept.chunks(BLOCK).map(|block| block[0] / BLOCK as u64).collect();
        assert!((5_000..=10_000).contains(&(kept.len() * 8)), "{}", kept.len());
        assert!(
            blocks.windows(2).all(|pair| pair[1] - pair[0] == blocks[1] - blocks[0]),
            "{blocks:?}"
        );
        assert!(
            kept.chunks(BLOCK).all(|block| block.windows(2).all(|pair| pair[1] == pair[0] + 1))
        );
        assert!(*kept.last().unwrap() > 90_000);
    }
}
