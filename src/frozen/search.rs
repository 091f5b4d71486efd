//! Search by an automaton, over both codecs.
//!
//! Keys come in order, each with what it shares with the one before. The states that the automaton had along the last key are kept, one for each byte,
//! so of the next key only what it does not share is fed to it. Where a state cannot match any more, all keys that begin alike are passed
//! over: within the block by their lcps alone, and behind it by a search for the least string that the automaton does not exclude.

#![forbid(unsafe_code)]

use super::cursor::FrozenCursor;
use super::{Automaton, FrozenLayer};
use std::fmt;

/// The keys that an automaton matches, ascending, with their values. From [`FrozenLayer::search`].
pub struct FrozenSearch<'a, A: Automaton> {
    automaton: A,
    cursor: FrozenCursor<'a>,
    /// The state before each byte of `key`, and behind all of it.
    states: Vec<A::State>,
    /// The last key, up to where it could not match any more.
    key: Vec<u8>,
    /// Whether the next key's lcp counts from `key`.
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
        let states = vec![automaton.start()];
        FrozenSearch { automaton, cursor: self.cursor(), states, key: Vec::new(), follows: false }
    }
}

impl<A: Automaton> FrozenSearch<'_, A> {
    /// The next key that matches, lent until the next call, and its value.
    pub fn lend(&mut self) -> Option<(&[u8], u64)> {
        loop {
            if !self.automaton.can_match(self.states.first()?) {
                return None;
            }
            let (lcp, key) = self.cursor.peek_shared()?;
            let shared = if self.follows { lcp.min(self.key.len()) } else { crate::raw::common_prefix(&self.key, key) };
            self.key.truncate(shared);
            self.states.truncate(shared + 1);
            let mut dead = false;
            for &byte in &key[shared..] {
                let next = self.automaton.accept(self.states.last()?, byte);
                self.key.push(byte);
                dead = !self.automaton.can_match(&next);
                self.states.push(next);
                if dead {
                    break;
                }
            }
            if dead {
                self.pass();
                continue;
            }
            self.follows = true;
            if self.automaton.is_match(self.states.last()?) {
                return self.cursor.next();
            }
            self.cursor.next()?;
        }
    }

    /// Passes over the keys that begin with `key`, whose last state excludes them.
    fn pass(&mut self) {
        let behind = self.cursor.rank() + 1;
        self.cursor.seek_to_rank(behind);
        if self.cursor.skip_shared(self.key.len()) {
            self.follows = true;
            return;
        }
        // The least string behind them that is not excluded: with another last byte, or else with one of the bytes before it.
        while let Some(byte) = self.key.pop() {
            self.states.pop();
            let Some(state) = self.states.last() else { return };
            let other = (byte..u8::MAX).map(|byte| byte + 1).find(|&byte| self.automaton.can_match(&self.automaton.accept(state, byte)));
            if let Some(other) = other {
                self.key.push(other);
                self.cursor.seek(&self.key);
                // Only in a damaged chunk can it be before.
                self.cursor.seek_to_rank(self.cursor.rank().max(behind));
                self.key.pop();
                self.follows = false;
                return;
            }
        }
        self.cursor.seek_to_rank(usize::MAX);
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
        f.debug_struct("FrozenSearch").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}
