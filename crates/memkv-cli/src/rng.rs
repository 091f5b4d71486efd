//! Deterministic random numbers: the SplitMix64 generator (Steele, Lea, Flood 2014), its output
//! function as a hash, and Zipf's law.
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

    /// Returns a rank below `ranks` by [`Zipf::harmonic`].
    pub fn zipf(&mut self, ranks: u64) -> u64 {
        Zipf::harmonic(ranks).rank(self)
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

/// Zipf's law: rank `r` has a probability proportional to `1 / (r + 1)^theta`.
#[derive(Clone, Copy, Debug)]
pub struct Zipf {
    ranks: f64,
    /// `None` for a theta of 1.
    skew: Option<Skew>,
}

/// The constants of Gray et al., "Quickly generating billion-record synthetic databases", 1994.
#[derive(Clone, Copy, Debug)]
struct Skew {
    theta: f64,
    zeta: f64,
    alpha: f64,
    eta: f64,
}

impl Zipf {
    /// Creates the law with a theta of 1, approximated by a continuous distribution.
    pub fn harmonic(ranks: u64) -> Self {
        Self { ranks: ranks as f64, skew: None }
    }

    /// Creates the law with a theta of 0.99, which the benchmark YCSB uses.
    ///
    /// # Complexity
    ///
    /// O(`ranks`), once.
    pub fn ycsb(ranks: u64) -> Self {
        let theta = 0.99;
        let zeta = |n: u64| (1..=n).map(|i| (i as f64).powf(-theta)).sum::<f64>();
        let (all, two) = (zeta(ranks), zeta(2));
        let eta = (1.0 - (2.0 / ranks as f64).powf(1.0 - theta)) / (1.0 - two / all);
        let skew = Skew { theta, zeta: all, alpha: 1.0 / (1.0 - theta), eta };
        Self { ranks: ranks as f64, skew: Some(skew) }
    }

    /// Returns a random rank, from 0 up to but not including the number of ranks.
    pub fn rank(&self, rng: &mut Rng) -> u64 {
        let unit = rng.unit();
        let Some(Skew { theta, zeta, alpha, eta }) = self.skew else {
            return ((self.ranks + 1.0).powf(unit) as u64).clamp(1, self.ranks as u64) - 1;
        };
        match unit * zeta {
            ..1.0 => 0,
            scaled if scaled < 1.0 + 0.5f64.powf(theta) => 1,
            _ => (self.ranks * (eta * unit - eta + 1.0).powf(alpha)) as u64 % self.ranks as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Rng, Zipf, hash};

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
    fn low_ranks_of_ycsb_are_most_frequent() {
        let (zipf, mut rng, mut seen) = (Zipf::ycsb(1000), Rng::new(3), vec![0u32; 1000]);
        (0..100_000).for_each(|_| seen[zipf.rank(&mut rng) as usize] += 1);
        // With a theta of 0.99 the first rank has a share of 1/zeta(1000).
        assert!((12_000..14_500).contains(&seen[0]), "{}", seen[0]);
        assert!(seen[0] > seen[1] && seen[1] > seen[10] && seen[10] > seen[900]);
        assert!(seen[500..].iter().sum::<u32>() > 1000);
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
