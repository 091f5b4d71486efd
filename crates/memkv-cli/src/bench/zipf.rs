//! Random ranks by Zipf's law.

use crate::rng::Rng;

/// Zipf's law over `n` ranks, by Gray et al., "Quickly generating billion-record synthetic
/// databases", 1994.
pub(crate) struct Zipf {
    n: f64,
    theta: f64,
    zeta: f64,
    alpha: f64,
    eta: f64,
}

impl Zipf {
    /// Creates the law with constant 0.99.
    pub(crate) fn new(n: usize) -> Self {
        let theta = 0.99;
        let zeta = |n: usize| (1..=n).map(|i| (i as f64).powf(-theta)).sum::<f64>();
        let (all, two) = (zeta(n), zeta(2));
        let eta = (1.0 - (2.0 / n as f64).powf(1.0 - theta)) / (1.0 - two / all);
        Zipf { n: n as f64, theta, zeta: all, alpha: 1.0 / (1.0 - theta), eta }
    }

    /// Returns a random rank below `n`.
    pub(crate) fn rank(&self, rng: &mut Rng) -> usize {
        let u = rng.unit();
        let uz = u * self.zeta;
        if uz < 1.0 {
            return 0;
        }
        if uz < 1.0 + 0.5f64.powf(self.theta) {
            return 1;
        }
        (self.n * (self.eta * u - self.eta + 1.0).powf(self.alpha)) as usize % self.n as usize
    }
}

#[cfg(test)]
mod tests {
    use super::{Rng, Zipf};

    #[test]
    fn low_ranks_are_most_frequent() {
        let (zipf, mut rng, mut seen) = (Zipf::new(1000), Rng::new(3), vec![0u32; 1000]);
        (0..100_000).for_each(|_| seen[zipf.rank(&mut rng)] += 1);
        // With constant 0.99 the first rank has a share of 1/zeta(1000).
        assert!((12_000..14_500).contains(&seen[0]), "{}", seen[0]);
        assert!(seen[0] > seen[1] && seen[1] > seen[10] && seen[10] > seen[900]);
        assert!(seen[500..].iter().sum::<u32>() > 1000);
    }
}
