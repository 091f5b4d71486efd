//! Regular expressions, as automata that are made before the search.

use anyhow::{Context, Result};
use memkv::Automaton;
use regex_automata::{
    Anchored,
    dfa::{Automaton as _, StartKind, dense},
    nfa::thompson,
    util::{primitives::StateID, start, syntax},
};

/// Bytes of an automaton, and bytes to make it with.
const MOST: usize = 32 << 20;

/// A regular expression that matches somewhere in a key.
pub(super) struct Regex {
    dfa: dense::DFA<Vec<u32>>,
    start: StateID,
}

/// A state, or that the beginning of the key has matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Matched,
    At(StateID),
}

impl Regex {
    pub(super) fn new(pattern: &str) -> Result<Self> {
        let failed = "cannot search with this regular expression";
        // Keys are bytes, of any kind.
        let nfa = thompson::Compiler::new()
            .configure(thompson::Config::new().utf8(false).nfa_size_limit(Some(MOST)))
            .syntax(syntax::Config::new().utf8(false))
            .build(pattern)
            .context(failed)?;
        // Without a beginning that may be any, all keys that begin otherwise can be passed over.
        let (kind, anchored) = match nfa.is_always_start_anchored() {
            true => (StartKind::Anchored, Anchored::Yes),
            false => (StartKind::Unanchored, Anchored::No),
        };
        let config = dense::Config::new().start_kind(kind).dfa_size_limit(Some(MOST)).determinize_size_limit(Some(MOST));
        let dfa = dense::Builder::new().configure(config).build_from_nfa(&nfa).context(failed)?;
        let start = dfa.start_state(&start::Config::new().anchored(anchored)).context(failed)?;
        Ok(Self { dfa, start })
    }
}

impl Automaton for Regex {
    type State = State;

    fn start(&self) -> State {
        State::At(self.start)
    }

    fn is_match(&self, state: &State) -> bool {
        match *state {
            State::Matched => true,
            // A match is told of one step late, which may be the end.
            State::At(state) => self.dfa.is_match_state(self.dfa.next_eoi_state(state)),
        }
    }

    fn can_match(&self, state: &State) -> bool {
        match *state {
            State::Matched => true,
            State::At(state) => !self.dfa.is_dead_state(state),
        }
    }

    fn will_always_match(&self, state: &State) -> bool {
        *state == State::Matched
    }

    fn accept(&self, state: &State, byte: u8) -> State {
        let State::At(state) = *state else { return State::Matched };
        let next = self.dfa.next_state(state, byte);
        if self.dfa.is_match_state(next) { State::Matched } else { State::At(next) }
    }
}

#[cfg(test)]
mod tests {
    use super::Regex;
    use memkv::{Automaton, FrozenLayer};

    fn matches(pattern: &str, keys: &[&[u8]]) -> Vec<usize> {
        let regex = Regex::new(pattern).unwrap();
        let run = |key: &&[u8]| regex.is_match(&key.iter().fold(regex.start(), |state, &byte| regex.accept(&state, byte)));
        (0..keys.len()).filter(|&i| run(&keys[i])).collect()
    }

    #[test]
    fn matches_somewhere_or_at_the_ends() {
        let keys: [&[u8]; 7] = [b"", b"abc", b"xabcx", b"ab", b"\xFFabc\xFF", b"abc\n", "\u{e4}bc".as_bytes()];
        assert_eq!(matches("abc", &keys), [1, 2, 4, 5]);
        assert_eq!(matches("^abc", &keys), [1, 5]);
        assert_eq!(matches("abc$", &keys), [1]);
        assert_eq!(matches("^abc$|^$", &keys), [0, 1]);
        assert_eq!(matches("", &keys), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(matches("^.bc$", &keys), [1, 6]);
        assert_eq!(matches("(?-u)^\\xFF", &keys), [4]);
        assert_eq!(matches("(?i)AB$", &keys), [3]);
        assert_eq!(matches("(?-u:\\b)bc", &keys), [6]);
    }

    #[test]
    fn an_anchored_pattern_excludes() {
        let regex = Regex::new("^https://[a-c]").unwrap();
        let after = |key: &[u8]| regex.can_match(&key.iter().fold(regex.start(), |state, &byte| regex.accept(&state, byte)));
        assert!(after(b"") && after(b"https://") && after(b"https://bz"));
        assert!(!after(b"x") && !after(b"https://d"));
    }

    #[test]
    fn patterns_without_an_automaton_are_errors() {
        // Bad syntax; 2^100 states; a boundary of Unicode's; a counter too large.
        for pattern in ["(", "(a|b)*a(a|b){100}", "\\b", "\\w{20000}"] {
            assert!(Regex::new(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn finds_the_same_in_a_layer() {
        let keys: Vec<String> = (0..5000).map(|i| format!("https://{:x}.example.org/{i}", i * 7919 % 256)).collect();
        let layer = FrozenLayer::from_unsorted(keys.iter().map(|key| (key, 0)).collect()).unwrap();
        for (pattern, matches) in [("^https://[a-c]f\\.", "af.bf.cf."), ("//7[^.]\\..*99$", "")] {
            let found: Vec<String> = layer.search(Regex::new(pattern).unwrap()).map(|(key, _)| String::from_utf8(key).unwrap()).collect();
            let mut expected: Vec<&String> = if matches.is_empty() {
                keys.iter().filter(|key| key[7..].starts_with("/7") && key[10..].starts_with('.') && key.ends_with("99")).collect()
            } else {
                keys.iter().filter(|key| matches.contains(&key[8..11]) && key[10..].starts_with('.')).collect()
            };
            expected.sort();
            assert!(!expected.is_empty() && found.iter().eq(expected), "{pattern}: {found:?}");
        }
    }
}
