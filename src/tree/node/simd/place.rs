//! The place of a word in ascending words: by a binary search without branches, whose last steps are
//! vector compares if the processor has AVX2.

/// The words that vectors compare.
const WINDOW: usize = 16;

/// Returns how many of the ascending words are less than `word`.
///
/// # Complexity
/// O(log n).
#[inline(always)]
pub(crate) fn count_less(words: &[i64], word: i64) -> usize {
    #[cfg(all(target_arch = "x86_64", not(memkv_portable), not(miri)))]
    if words.len() >= WINDOW && std::arch::is_x86_feature_detected!("avx2") {
        let from = halve(words, word, WINDOW).min(words.len() - WINDOW);
        if let Some(window) = words[from..].first_chunk() {
            // SAFETY: (T2) the processor has AVX2.
            return from + unsafe { avx2::count_less(window, word) };
        }
    }
    let from = halve(words, word, 1);
    from + usize::from(words.get(from).is_some_and(|&first| first < word))
}

/// Returns how many of the first words can be left out if at most `most` are to be left: all of
/// them are less than `word`, and those after the ones left are not.
///
/// The next half is chosen by a conditional move.
#[inline(always)]
fn halve(words: &[i64], word: i64, most: usize) -> usize {
    let (mut from, mut n) = (0, words.len());
    while n > most {
        let half = n / 2;
        from = std::hint::select_unpredictable(words[from + half - 1] < word, from + half, from);
        n -= half;
    }
    from
}

#[cfg(all(target_arch = "x86_64", not(memkv_portable), not(miri)))]
mod avx2 {
    use super::WINDOW;
    use std::arch::x86_64::*;

    /// Returns how many of the words are less than `word`.
    #[target_feature(enable = "avx2")]
    pub(super) fn count_less(words: &[i64; WINDOW], word: i64) -> usize {
        let word = _mm256_set1_epi64x(word);
        let (vectors, _) = words.as_chunks::<4>();
        let is_less = |i: usize| {
            // SAFETY: (L1) a vector has as many words.
            let words = unsafe { _mm256_loadu_si256(vectors[i].as_ptr().cast()) };
            _mm256_cmpgt_epi64(word, words)
        };
        // A lane is -1 for each word that is less.
        let less = _mm256_add_epi64(
            _mm256_add_epi64(is_less(0), is_less(1)),
            _mm256_add_epi64(is_less(2), is_less(3)),
        );
        let less = _mm_add_epi64(_mm256_castsi256_si128(less), _mm256_extracti128_si256(less, 1));
        -(_mm_cvtsi128_si64(less) + _mm_extract_epi64(less, 1)) as usize
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
            let from = halve(&words, word, 1);
            let without_vectors = from + words[from..].iter().take_while(|&&w| w < word).count();
            prop_assert!(without_vectors == want && want - from <= 1);
        }
    }
}
