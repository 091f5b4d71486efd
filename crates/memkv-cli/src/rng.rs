//! Deterministic random numbers: the SplitMix64 generator (Steele, Lea, Flood 2014), and its output
//! function as a hash.
//!
//! The sequences define what `--seed` of a benchmark means, so they must not change with the
//! version of a dependency.

/// Applies SplitMix64's output function, a bijection of 64-bit words whose results look random.
pub fn mix(word: u64) -> u64 {
    let z = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Hashes two words. For a fixed `seed` it is a bijection of `word`.
pub fn hash(seed: u64, word: u64) -> u64 {
    mix(mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15)) ^ word)
}

/// A stream of random numbers.
#[derive(Debug)]
pub struct Rng(u64);

impl Rng {
    /// Creates the stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// Returns the next number of the stream.
    #[expect(clippy::should_implement_trait, reason = "the stream does not end")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Returns a number below `bound`, which is not 0. The bias of `bound / 2^64` is negligible.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// Returns a number from 0 up to, but not including, 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns a rank below `ranks` with a probability of about 1/(rank + 1): Zipf's law.
    pub fn zipf(&mut self, ranks: u64) -> u64 {
        let rank = (ranks as f64 + 1.0).powf(self.unit()) as u64;
        rank.clamp(1, ranks) - 1
    }

    /// Returns one of the items.
    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len() as u64) as usize]
    }

    /// Shuffles items by Fisher and Yates's method.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Rng, hash};

    #[test]
    fn the_sequence_is_fixed() {
        let mut rng = Rng::new(0);
        // The first numbers of SplitMix64 with state 0 in every published implementation.
        assert_eq!(rng.next(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(rng.next(), 0x6e78_9e6a_a1b9_65f4);
        assert_ne!(hash(1, 2), hash(2, 1));
    }

    #[test]
    fn numbers_stay_in_range() {
        let mut rng = Rng::new(7);
        let mut seen = [0; 10];
        for _ in 0..10_000 {
            seen[rng.below(10) as usize] += 1;
            assert!((0.0..1.0).contains(&rng.unit()));
        }
        assert!(seen.iter().all(|&n| (800..1200).contains(&n)), "{seen:?}");
    }

    #[test]
    fn zipf_favours_low_ranks() {
        let mut rng = Rng::new(7);
        let mut seen = [0; 100];
        for _ in 0..100_000 {
            seen[rng.zipf(100) as usize] += 1;
        }
        assert!(
            seen[0] > 10_000 && seen[0] > seen[1] && seen[1] > seen[10] && seen[10] > seen[90],
            "{seen:?}"
        );
    }

    #[test]
    fn a_shuffle_keeps_the_items() {
        let mut items: Vec<u32> = (0..1000).collect();
        Rng::new(3).shuffle(&mut items);
        assert_ne!(items[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        items.sort_unstable();
        assert!(items.iter().copied().eq(0..1000));
    }
}
