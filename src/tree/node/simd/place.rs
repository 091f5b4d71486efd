//! The place of a head in ascending heads: by a binary search without branches, whose last steps
//! vectors may do.

/// How heads are compared.
pub(crate) trait Compare {
    /// Returns how many of the ascending heads are less than `head`.
    ///
    /// A head is one word, or pairs of words, of which the first decides that differs. The second
    /// word of a pair has no sign.
    ///
    /// # Complexity
    /// O(log n).
    fn count_less<const N: usize>(heads: &[[i64; N]], head: [i64; N]) -> usize;
}

/// Compares word by word.
pub(crate) struct ByWords;

impl Compare for ByWords {
    #[inline(always)]
    fn count_less<const N: usize>(heads: &[[i64; N]], head: [i64; N]) -> usize {
        let from = halve(heads, &head, 1);
        from + usize::from(heads.get(from).is_some_and(|first| is_less(first, &head)))
    }
}

/// Returns how many of the first heads can be left out if at most `most` are to be left: all of
/// them are less than `head`, and those after the ones left are not.
///
/// The next half is chosen by a conditional move.
#[inline(always)]
fn halve<const N: usize>(heads: &[[i64; N]], head: &[i64; N], most: usize) -> usize {
    let (mut from, mut n) = (0, heads.len());
    while n > most {
        let half = n / 2;
        // SAFETY: (L2) `from + n` is at most the number of heads.
        let last = unsafe { heads.get_unchecked(from + half - 1) };
        from = std::hint::select_unpredictable(is_less(last, head), from + half, from);
        n -= half;
    }
    from
}

/// Compares two heads without branches, two words at a time.
#[inline(always)]
fn is_less<const N: usize>(a: &[i64; N], b: &[i64; N]) -> bool {
    if N == 1 {
        return a[0] < b[0];
    }
    let pair = |words: &[i64; N], i: usize| {
        i128::from(words[i]) << 64 | i128::from(words[i + 1].cast_unsigned())
    };
    (0..N).step_by(2).rev().fold(false, |less, i| {
        let (a, b) = (pair(a, i), pair(b, i));
        (a < b) | ((a == b) & less)
    })
}

#[cfg(all(target_arch = "x86_64", not(memkv_portable), not(miri)))]
pub(crate) use avx2::{ByAvx2, has_avx2};

#[cfg(all(target_arch = "x86_64", not(memkv_portable), not(miri)))]
mod avx2 {
    use super::{ByWords, Compare, halve};
    use std::arch::x86_64::*;
    use std::sync::atomic::AtomicU8;
    use std::sync::atomic::Ordering::Relaxed;

    /// What is known of the processor: nothing at first.
    static KNOWN: AtomicU8 = AtomicU8::new(0);
    const HAS_AVX2: u8 = 1;
    const HAS_NONE: u8 = 2;

    /// Returns whether the processor has AVX2, and the instructions on bits that came with it.
    #[inline(always)]
    pub(crate) fn has_avx2() -> bool {
        match KNOWN.load(Relaxed) {
            0 => detect(),
            known => known == HAS_AVX2,
        }
    }

    #[cold]
    fn detect() -> bool {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt");
        KNOWN.store(if has { HAS_AVX2 } else { HAS_NONE }, Relaxed);
        has
    }

    /// Compares the last sixteen heads of one word at once, and longer heads as [`ByWords`] does.
    ///
    /// It is named only in functions that are compiled for AVX2 (T2).
    pub(crate) struct ByAvx2;

    /// The heads that vectors compare.
    const WINDOW: usize = 16;
    /// The words of a vector.
    const LANES: usize = 4;

    impl Compare for ByAvx2 {
        #[inline(always)]
        fn count_less<const N: usize>(heads: &[[i64; N]], head: [i64; N]) -> usize {
            match heads.len().checked_sub(WINDOW) {
                Some(last) if N == 1 => {
                    let from = halve(heads, &head, WINDOW).min(last);
                    // SAFETY: (T2) the caller is compiled for AVX2. (L2) The window ends at or
                    // before the last head, and a head is a word.
                    unsafe { from + count_in_window(heads[from..].as_ptr().cast(), head[0]) }
                }
                _ => ByWords::count_less(heads, head),
            }
        }
    }

    /// Returns how many of the `WINDOW` words from `words` on are less than `word`.
    ///
    /// # Safety
    /// As many words may be read (L2).
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn count_in_window(words: *const i64, word: i64) -> usize {
        let word = _mm256_set1_epi64x(word);
        let mut less = _mm256_setzero_si256();
        for i in 0..WINDOW / LANES {
            // SAFETY: (L2) by the caller.
            let words = unsafe { _mm256_loadu_si256(words.add(LANES * i).cast()) };
            // A lane is -1 if its word is less.
            less = _mm256_sub_epi64(less, _mm256_cmpgt_epi64(word, words));
        }
        let less = _mm_add_epi64(_mm256_castsi256_si128(less), _mm256_extracti128_si256(less, 1));
        (_mm_cvtsi128_si64(less) + _mm_extract_epi64(less, 1)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word() -> impl Strategy<Value = i64> {
        prop_oneof![any::<i64>(), -3i64..3, Just(i64::MIN), Just(i64::MAX)]
    }

    /// Checks all ways to compare.
    fn check<const N: usize>(mut heads: Vec<[i64; N]>, head: [i64; N]) {
        let signed = |head: &[i64; N]| {
            std::array::from_fn::<_, N, _>(|i| {
                if i.is_multiple_of(2) { head[i] } else { head[i] ^ i64::MIN }
            })
        };
        heads.sort_unstable_by_key(signed);
        let want = heads.iter().filter(|other| signed(other) < signed(&head)).count();
        assert_eq!(ByWords::count_less(&heads, head), want);
        #[cfg(all(target_arch = "x86_64", not(memkv_portable), not(miri)))]
        if has_avx2() {
            assert_eq!(ByAvx2::count_less(&heads, head), want);
        }
    }

    fn heads<const N: usize>() -> impl Strategy<Value = (Vec<[i64; N]>, [i64; N])> {
        let head = proptest::collection::vec(word(), N).prop_map(|words| words.try_into().unwrap());
        let head = head.boxed();
        (proptest::collection::vec(head.clone(), 0..80), head)
    }

    proptest! {
        #[test]
        fn heads_that_are_less_are_counted(
            (one, two, four) in (heads::<1>(), heads::<2>(), heads::<4>())
        ) {
            check(one.0, one.1);
            check(two.0, two.1);
            check(four.0, four.1);
        }
    }
}
