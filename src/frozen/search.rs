//! Search by an automaton, over both codecs.
//!
//! The states that the automaton had along a key are kept, one for each byte, so of the next key only what it does not share is fed to it.
//! Where a state cannot match any more, all keys that begin alike are passed over. In transducers (fst_walk.rs) that is a branch not taken. In
//! packed blocks, where keys come in order, each with what it shares with the one before, it is done within the block by their lcps alone, and
//! behind it by a search for the least string that the automaton does not exclude.

#![forbid(unsafe_code)]

use super::cursor::FrozenCursor;
use super::fst_walk::FstWalk;
use super::{Automaton, Codec, FrozenLayer};
use std::fmt;

/// A string, and the states of an automaton along it.
pub(super) struct Path<A: Automaton> {
    automaton: A,
    /// The state before each byte of `key`, and behind all of it.
    states: Vec<A::State>,
    key: Vec<u8>,
}

impl<A: Automaton> Path<A> {
    fn new(automaton: A) -> Self {
        let states = vec![automaton.start()];
        Path { automaton, states, key: Vec::new() }
    }

    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    pub(super) fn can_match(&self) -> bool {
        self.states.last().is_some_and(|state| self.automaton.can_match(state))
    }

    /// Whether the string matches, if it ends here.
    #[inline]
    pub(super) fn is_match(&self) -> bool {
        self.states.last().is_some_and(|state| match self.automaton.accept_eof(state) {
            Some(end) => self.automaton.is_match(&end),
            None => self.automaton.is_match(state),
        })
    }

    #[inline]
    pub(super) fn truncate(&mut self, len: usize) {
        self.key.truncate(len);
        self.states.truncate(len + 1);
    }

    #[inline]
    pub(super) fn pop(&mut self) {
        self.truncate(self.key.len().saturating_sub(1));
    }

    /// Adds a byte. False where no string that begins so matches.
    #[inline]
    pub(super) fn push(&mut self, byte: u8) -> bool {
        let Some(state) = self.states.last() else { return false };
        let next = self.automaton.accept(state, byte);
        let can_match = self.automaton.can_match(&next);
        self.states.push(next);
        self.key.push(byte);
        can_match
    }

    /// Goes to the least string behind all that begin with this one which is not excluded: with another last byte, or else with one of the bytes
    /// before it. False if there is none.
    pub(super) fn skip(&mut self) -> bool {
        while let Some(&byte) = self.key.last() {
            self.pop();
            for other in (byte..u8::MAX).map(|byte| byte + 1) {
                if self.push(other) {
                    return true;
                }
                self.pop();
            }
        }
        false
    }
}

/// The keys that an automaton matches, ascending, with their values. From [`FrozenLayer::search`].
pub struct FrozenSearch<'a, A: Automaton> {
    /// The last key, up to where it could not match any more.
    path: Path<A>,
    walk: Walk<'a>,
}

enum Walk<'a> {
    Packed(PackedWalk<'a>),
    Fst(FstWalk<'a>),
}

/// The way through packed blocks.
struct PackedWalk<'a> {
    cursor: FrozenCursor<'a>,
    /// Whether the next key's lcp counts from the path.
    follows: bool,
}

impl FrozenLayer {
    /// The keys that an automaton matches, ascending, with their values.
    ///
    /// Takes any automaton of the `fst` crate: prefixes, subsequences, edit distances, unions of them, and others' implementations of its trait.
    /// Parts of the layer that [`can_match`](Automaton::can_match) excludes are not decoded.
    ///
    /// ```
    /// use fst::automaton::{Automaton, Str, Subsequence};
    ///
    /// let layer = memkv::FrozenLayer::from_sorted(&[("abc", 1), ("axbxc", 2), ("b", 3)])?;
    /// assert!(layer.search(Subsequence::new("abc")).map(|(_, value)| value).eq([1, 2]));
    /// assert!(layer.search(Str::new("ax").starts_with()).map(|(key, _)| key).eq([b"axbxc"]));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn search<A: Automaton>(&self, automaton: A) -> FrozenSearch<'_, A> {
        let walk = match self.codec() {
            Codec::Packed => Walk::Packed(PackedWalk { cursor: self.cursor(), follows: false }),
            Codec::Fst => Walk::Fst(FstWalk::new(&self.layer)),
        };
        FrozenSearch { path: Path::new(automaton), walk }
    }
}

impl<A: Automaton> FrozenSearch<'_, A> {
    /// The next key that matches, lent until the next call, and its value.
    pub fn lend(&mut self) -> Option<(&[u8], u64)> {
        match &mut self.walk {
            Walk::Packed(walk) => walk.next(&mut self.path),
            Walk::Fst(walk) => walk.next(&mut self.path),
        }
    }
}

impl PackedWalk<'_> {
    fn next<A: Automaton>(&mut self, path: &mut Path<A>) -> Option<(&[u8], u64)> {
        loop {
            if !path.automaton.can_match(path.states.first()?) {
                return None;
            }
            let (lcp, key) = self.cursor.peek_shared()?;
            let shared = if self.follows {
                lcp.min(path.key.len())
            } else {
                crate::tree::common_prefix(&path.key, key)
            };
            path.truncate(shared);
            if !key[shared..].iter().all(|&byte| path.push(byte)) {
                self.pass(path);
                continue;
            }
            self.follows = true;
            if path.is_match() {
                return self.cursor.next();
            }
            self.cursor.next()?;
        }
    }

    /// Passes over the keys that begin with the path, which is excluded.
    fn pass<A: Automaton>(&mut self, path: &mut Path<A>) {
        let behind = self.cursor.rank() + 1;
        self.cursor.seek_to_rank(behind);
        if self.cursor.skip_shared(path.key.len()) {
            self.follows = true;
        } else if path.skip() {
            self.cursor.seek(&path.key);
            // Only in a damaged chunk can it be before.
            self.cursor.seek_to_rank(self.cursor.rank().max(behind));
            self.follows = false;
        } else {
            self.cursor.seek_to_rank(usize::MAX);
        }
    }
}

impl<A: Automaton> Iterator for FrozenSearch<'_, A> {
    type Item = (Vec<u8>, u64);

    fn next(&mut self) -> Option<Self::Item> {
        self.lend().map(|(key, value)| (key.to_vec(), value))
    }
}

impl<A: Automaton> fmt::Debug for FrozenSearch<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenSearch")
            .field("key", &format_args!("\"{}\"", self.path.key.escape_ascii()))
            .finish_non_exhaustive()
    }
}
