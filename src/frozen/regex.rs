//! Regular expressions as automata.

use super::Automaton;
use regex_automata::Anchored;
use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::{primitives::StateID, start, syntax};
use std::fmt;

/// Largest automaton, and most memory to build it, in bytes.
const MAX_AUTOMATON_BYTES: usize = 32 << 20;

/// A regular expression that matches somewhere in a key, for
/// [`FrozenLayer::search`](crate::FrozenLayer::search).
///
/// `^` and `$` match at the beginning and the end of a key. If the expression can only match at the
/// beginning, a search reads just the keys that may match; otherwise it reads all keys. The syntax
/// is that of the crate [`regex`](https://docs.rs/regex/latest/regex/#syntax). Keys need not be
/// UTF-8: `.` is a character, `(?s-u:.)` is any byte.
///
/// The automaton is built before the search, so that a byte of a key costs one table lookup. It
/// takes up to 32 MiB of memory. Unicode classes and counted repetitions need more, since their
/// states multiply.
///
/// Requires the feature `regex`.
///
/// # Examples
///
/// ```
/// use memkv::{FrozenLayer, RegexAutomaton};
///
/// let layer = FrozenLayer::from_sorted(&[("/a/10", 1), ("/b/7", 2), ("/b/70", 3)])?;
/// let search = |pattern| layer.search(RegexAutomaton::new(pattern).unwrap());
/// assert!(search("^/[b-d]/").map(|(_, value)| value).eq([2, 3]));
/// assert!(search("0$").map(|(_, value)| value).eq([1, 3]));
/// # Ok::<(), memkv::FrozenError>(())
/// ```
///
/// # Source
/// The tables are those of the crate `regex-automata`.
#[derive(Clone)]
pub struct RegexAutomaton {
    dfa: dense::DFA<Vec<u32>>,
    start: StateID,
}

/// The state of a [`RegexAutomaton`] after some bytes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegexState(RegexPosition);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RegexPosition {
    /// The bytes so far contain a match.
    Matched,
    Running(StateID),
}

/// An error of [`RegexAutomaton::new`]: the regular expression cannot be used for a search.
#[derive(Clone, Debug)]
pub struct RegexError(String);

impl fmt::Display for RegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot search with this regular expression: {}", self.0)
    }
}

impl std::error::Error for RegexError {}

impl RegexError {
    /// Creates an error with the text of another one and of its causes.
    fn of(error: impl std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        RegexError(text)
    }
}

impl RegexAutomaton {
    /// Builds the automaton of a pattern.
    ///
    /// # Errors
    /// The pattern is invalid, needs more than 32 MiB, or has what such an automaton cannot decide,
    /// such as Unicode's `\b` (`(?-u:\b)` is fine).
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        // Keys may be any bytes.
        let nfa = thompson::Compiler::new()
            .configure(
                thompson::Config::new().utf8(false).nfa_size_limit(Some(MAX_AUTOMATON_BYTES)),
            )
            .syntax(syntax::Config::new().utf8(false))
            .build(pattern)
            .map_err(RegexError::of)?;
        // An expression that matches at the beginning only excludes all keys that begin otherwise.
        let (kind, anchored) = match nfa.is_always_start_anchored() {
            true => (StartKind::Anchored, Anchored::Yes),
            false => (StartKind::Unanchored, Anchored::No),
        };
        let config = dense::Config::new()
            .start_kind(kind)
            .dfa_size_limit(Some(MAX_AUTOMATON_BYTES))
            .determinize_size_limit(Some(MAX_AUTOMATON_BYTES));
        let dfa =
            dense::Builder::new().configure(config).build_from_nfa(&nfa).map_err(RegexError::of)?;
        let start =
            dfa.start_state(&start::Config::new().anchored(anchored)).map_err(RegexError::of)?;
        Ok(RegexAutomaton { dfa, start })
    }
}

impl Automaton for RegexAutomaton {
    type State = RegexState;

    fn start(&self) -> RegexState {
        RegexState(RegexPosition::Running(self.start))
    }

    fn is_match(&self, state: &RegexState) -> bool {
        match state.0 {
            RegexPosition::Matched => true,
            // The automaton reports a match one byte late, here at the end of the key.
            RegexPosition::Running(state) => {
                self.dfa.is_match_state(self.dfa.next_eoi_state(state))
            }
        }
    }

    fn can_match(&self, state: &RegexState) -> bool {
        match state.0 {
            RegexPosition::Matched => true,
            RegexPosition::Running(state) => !self.dfa.is_dead_state(state),
        }
    }

    fn will_always_match(&self, state: &RegexState) -> bool {
        state.0 == RegexPosition::Matched
    }

    fn accept(&self, state: &RegexState, byte: u8) -> RegexState {
        match state.0 {
            RegexPosition::Matched => *state,
            RegexPosition::Running(state) => {
                let next = self.dfa.next_state(state, byte);
                RegexState(if self.dfa.is_match_state(next) {
                    RegexPosition::Matched
                } else {
                    RegexPosition::Running(next)
                })
            }
        }
    }
}

impl fmt::Debug for RegexAutomaton {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegexAutomaton")
            .field("bytes", &self.dfa.memory_usage())
            .finish_non_exhaustive()
    }
}
