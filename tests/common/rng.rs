//! Pseudo-random numbers.

/// A stream of pseudo-random numbers (xorshift64*). Its seed must not be 0.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    /// Returns the next number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % n
    }
}
