//! The place of a word in ascending words: by a binary search without branches, whose last steps
//! vectors may do.

/// Returns how many of `n` ascending items are less than what is sought: those of which `is_less`
/// says so.
///
/// A binary search, whose next half is chosen by a conditional move.
///
/// # Complexity
/// O(log n).
#[inline(always)]
pub(crate) fn place(n: usize, is_less: impl Fn(usize) -> bool) -> usize {
    let from = halve(n, 1, &is_less);
    from + usize::from(n > 0 && is_less(from))
}

/// Returns how many of the first of `n` items can be left out if at most `most` are to be left: all
/// of them are less, and those after the ones left are not.
#[inline(always)]
fn halve(mut n: usize, most: usize, is_less: impl Fn(usize) -> bool) -> usize {
    let mut from = 0;
    while n > most {
        let half = n / 2;
        from = std::hint::select_unpredictable(is_less(from + half - 1), from + half, from);
        n -= half;
    }
    from
}

/// Returns how many of the ascending words are less than `word`.
#[inline(always)]
pub(crate) fn count_less(words: &[i64], word: i64) -> usize {
    // SAFETY: (L2) `place` passes indices below the number of words.
    place(words.len(), |i| unsafe { *words.get_unchecked(i) } < word)
}

#[cfg(all(target_arch = "x86_64", not(memkv_portable), not(miri)))]
pub(crate) use avx2::{count_less_avx2, has_avx2};

#[cfg(all(target_arch = "x86_64", not(memkv_portable), not(miri)))]
mod avx2 {
    use super::{count_less, halve};
    use std::arch::x86_64::*;
    use std::sync::atomic::AtomicU8;
    use std::sync::atomic::Ordering::Relaxed;

    /// The words that vectors compare.
    const WINDOW: usize = 16;

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

    /// As [`super::count_less`], with the last sixteen words compared at once.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn count_less_avx2(words: &[i64], word: i64) -> usize {
        let Some(last) = words.len().checked_sub(WINDOW) else { return count_less(words, word) };
        // SAFETY: (L2) as in `count_less`.
        let is_less = |i: usize| unsafe { *words.get_unchecked(i) } < word;
        let from = halve(words.len(), WINDOW, is_less).min(last);
        let word = _mm256_set1_epi64x(word);
        let is_less = |i: usize| {
            // SAFETY: (L2) `from` is at most the window's last place.
            let words = unsafe { _mm256_loadu_si256(words.as_ptr().add(from + 4 * i).cast()) };
            _mm256_cmpgt_epi64(word, words)
        };
        // A lane is -1 for each word that is less.
        let less = _mm256_add_epi64(
            _mm256_add_epi64(is_less(0), is_less(1)),
            _mm256_add_epi64(is_less(2), is_less(3)),
        );
        let less = _mm_add_epi64(_mm256_castsi256_si128(less), _mm256_extracti128_si256(less, 1));
        from + (_mm_cvtsi128_si64(less) + _mm_extract_epi64(less, 1)).unsigned_abs() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_that_are_less_are_counted(
            mut words in proptest::collection::vec(
                prop_oneof![any::<i64>(), -3i64..3, Just(i64::MIN), Just(i64::MAX)],
                0..80,
            ),
            word in prop_oneof![any::<i64>(), -3i64..3, Just(i64::MIN), Just(i64::MAX)],
        ) {
            words.sort_unstable();
            let want = words.iter().filter(|&&other| other < word).count();
            prop_assert_eq!(count_less(&words, word), want);
            #[cfg(all(target_arch = "x86_64", not(memkv_portable), not(miri)))]
            if has_avx2() {
                // SAFETY: (T2) the processor has AVX2.
                prop_assert_eq!(unsafe { count_less_avx2(&words, word) }, want);
            }
        }
    }
}
