//! A string and the states of an automaton along it.

use super::Automaton;

/// A string, and the automaton's states along it.
pub(super) struct AutomatonPath<A: Automaton> {
    automaton: A,
    /// The state before each byte of `key`, and the state after the last.
    states: Vec<A::State>,
    key: Vec<u8>,
}

impl<A: Automaton> AutomatonPath<A> {
    pub(super) fn new(automaton: A) -> Self {
        let states = vec![automaton.start()];
        AutomatonPath { automaton, states, key: Vec::new() }
    }

    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Returns whether any string can match. There is always a first state.
    #[inline]
    pub(super) fn can_match_from_start(&self) -> Option<bool> {
        Some(self.automaton.can_match(self.states.first()?))
    }

    pub(super) fn can_match(&self) -> bool {
        self.states.last().is_some_and(|state| self.automaton.can_match(state))
    }

    /// Returns whether the string matches if it ends here.
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

    /// Appends a byte. Returns false if no string with this beginning matches.
    #[inline]
    pub(super) fn push(&mut self, byte: u8) -> bool {
        let Some(state) = self.states.last() else { return false };
        let next = self.automaton.accept(state, byte);
        let can_match = self.automaton.can_match(&next);
        self.states.push(next);
        self.key.push(byte);
        can_match
    }

    /// Moves to the least string that is greater than all strings with this beginning and is not
    /// excluded. It has another last byte, or another byte before. Returns false if there is none.
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
