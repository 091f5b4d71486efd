//! Ranges of byte strings.

#![forbid(unsafe_code)]

use crate::tree::common_prefix;
use std::ops::{Bound, RangeBounds};

/// Returns the bounds of a range as byte strings.
pub(crate) fn bounds<'a, K: AsRef<[u8]> + ?Sized + 'a>(
    range: &'a impl RangeBounds<K>,
) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    (range.start_bound().map(AsRef::as_ref), range.end_bound().map(AsRef::as_ref))
}

/// Returns `true` if no key can lie between the bounds.
pub(crate) fn is_empty(start: Bound<&[u8]>, end: Bound<&[u8]>) -> bool {
    match (start, end) {
        (Bound::Included(a), Bound::Included(b)) => a > b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => {
            a >= b
        }
        _ => false,
    }
}

/// Returns the end of the range of keys that begin with `prefix`.
pub(crate) fn prefix_end(prefix: &[u8]) -> Bound<Vec<u8>> {
    match prefix.iter().rposition(|&b| b != 0xFF) {
        None => Bound::Unbounded,
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            Bound::Excluded(end)
        }
    }
}

/// Returns the longest prefix of `key` that is less than `bound`, which is at most `key`.
pub(crate) fn prefix_below<'k>(key: &'k [u8], bound: &[u8]) -> Option<&'k [u8]> {
    debug_assert!(bound <= key);
    let shared = common_prefix(bound, key);
    // A longer prefix has a greater byte than the bound.
    let len = if shared < bound.len() { Some(shared) } else { shared.checked_sub(1) };
    len.map(|len| &key[..len])
}

/// The range of keys that begin with a prefix.
pub(crate) struct Prefixed<'p> {
    prefix: &'p [u8],
    end: Bound<Vec<u8>>,
}

impl<'p> Prefixed<'p> {
    pub(crate) fn by(prefix: &'p (impl AsRef<[u8]> + ?Sized)) -> Self {
        let prefix = prefix.as_ref();
        Prefixed { prefix, end: prefix_end(prefix) }
    }
}

impl RangeBounds<[u8]> for Prefixed<'_> {
    fn start_bound(&self) -> Bound<&[u8]> {
        Bound::Included(self.prefix)
    }

    fn end_bound(&self) -> Bound<&[u8]> {
        self.end.as_ref().map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_its_successor() {
        assert_eq!(prefix_end(b""), Bound::Unbounded);
        assert_eq!(prefix_end(b"\xFF\xFF"), Bound::Unbounded);
        assert_eq!(prefix_end(b"ab"), Bound::Excluded(b"ac".to_vec()));
        assert_eq!(prefix_end(b"a\xFF\xFF"), Bound::Excluded(b"b".to_vec()));
    }

    #[test]
    fn the_longest_prefix_below_a_bound_is_found() {
        let keys = ["", "a", "ab", "abc", "abd", "ac", "b"].map(str::as_bytes);
        for bound in keys {
            for key in keys.into_iter().filter(|&key| key >= bound) {
                let prefixes = (0..=key.len()).rev().map(|len| &key[..len]);
                assert_eq!(
                    prefix_below(key, bound),
                    prefixes.into_iter().find(|&prefix| prefix < bound)
                );
            }
        }
    }

    #[test]
    fn empty_ranges_are_recognized() {
        use Bound::{Excluded, Included, Unbounded};
        assert!(!is_empty(Included(b"a"), Included(b"a")));
        assert!(is_empty(Included(b"a"), Excluded(b"a")));
        assert!(is_empty(Excluded(b"a"), Included(b"a")));
        assert!(is_empty(Included(b"b"), Included(b"a")));
        assert!(!is_empty(Unbounded, Excluded(b"")));
    }
}
