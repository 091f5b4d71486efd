//! Edit distances as automata.
//!
//! A state is a column of the table that Wagner and Fischer's method fills: the number of edits
//! between the key so far and the first `j` characters of the text. More than `max` entries off the
//! diagonal it takes more edits than are allowed, so only a few entries of a column matter
//! (Ukkonen). No table is built before the search, so the text may have any length.
//!
//! A swap of neighbours is an entry of the column before the last one, on the same diagonal.

use super::Automaton;

/// The entries of a column.
const BAND: usize = 2 * LevenshteinAutomaton::MAX_DISTANCE + 1;

/// A text and a number of edits that it may be away from a key, for
/// [`FrozenLayer::search`](crate::FrozenLayer::search).
///
/// An edit inserts, removes or replaces one character; with [`transpositions`], it may also swap
/// two neighbours. Characters are those of UTF-8. Text and keys may be any bytes: a byte that is
/// not part of a UTF-8 character counts as a character of its own, which equals the same byte only.
///
/// The whole key is compared. A search skips keys whose beginning already takes too many edits, so
/// a smaller distance makes it faster.
///
/// # Examples
///
/// ```
/// use memkv::{FrozenLayer, LevenshteinAutomaton};
///
/// let layer = FrozenLayer::from_sorted(&[("cart", 1), ("cat", 2), ("cta", 3), ("dog", 4)])?;
/// let near = LevenshteinAutomaton::new("cat", 1).unwrap();
/// assert!(layer.search(&near).map(|(_, value)| value).eq([1, 2]));
///
/// // The best matches first.
/// let near = near.transpositions(true);
/// let mut found: Vec<_> = layer.search(&near).map(|(key, _)| key).collect();
/// found.sort_by_key(|key| near.distance(key));
/// assert_eq!(found, [b"cat".to_vec(), b"cart".to_vec(), b"cta".to_vec()]);
/// # Ok::<(), memkv::FrozenError>(())
/// ```
///
/// # Complexity
/// `O(distance)` for each character of a key, whatever the length of the text. The automaton takes
/// four bytes for each character of the text, and a state about 64 bytes.
///
/// # Source
/// * V. Levenshtein: "Binary codes capable of correcting deletions, insertions, and reversals",
///   Soviet Physics Doklady 1966. The distance.
/// * R. Wagner, M. Fischer: "The string-to-string correction problem", Journal of the ACM 1974. The
///   table whose columns are the states.
/// * E. Ukkonen: "Algorithms for approximate string matching", Information and Control 1985. The
///   part of the table that is computed.
/// * F. Damerau: "A technique for computer detection and correction of spelling errors",
///   Communications of the ACM 1964. The swap of neighbours as one edit.
///
/// [`transpositions`]: LevenshteinAutomaton::transpositions
#[derive(Clone, Debug)]
pub struct LevenshteinAutomaton {
    text: Vec<u32>,
    /// The most edits.
    max: usize,
    transpositions: bool,
}

/// The state of a [`LevenshteinAutomaton`] after some bytes of a key.
#[derive(Clone, Copy, Debug)]
pub struct LevenshteinState {
    /// The characters of the key so far.
    count: usize,
    /// Entry `i` is for the first `count + i - max` characters of the text; `max + 1` stands for
    /// any larger number.
    column: [u8; BAND],
    /// The column before the last character.
    before: [u8; BAND],
    /// The last character.
    last: u32,
    partial: Partial,
}

/// The bytes of an incomplete character.
#[derive(Clone, Copy, Debug, Default)]
struct Partial {
    bytes: [u8; 4],
    len: u8,
}

impl LevenshteinAutomaton {
    /// The largest distance.
    pub const MAX_DISTANCE: usize = 7;

    /// Creates an automaton that matches the keys at most `distance` edits away from a text.
    ///
    /// Returns `None` if the distance is more than [`MAX_DISTANCE`](Self::MAX_DISTANCE).
    pub fn new(text: impl AsRef<[u8]>, distance: usize) -> Option<Self> {
        if distance > Self::MAX_DISTANCE {
            return None;
        }
        let mut characters = Vec::new();
        let mut partial = Partial::default();
        for &byte in text.as_ref() {
            partial.push(byte, |character| characters.push(character));
        }
        characters.extend(partial.rest());
        Some(LevenshteinAutomaton { text: characters, max: distance, transpositions: false })
    }

    /// Sets whether a swap of two neighbouring characters is one edit.
    ///
    /// The default is `false`: a swap is two edits.
    ///
    /// Swapped characters are not edited again: from `ca` to `abc` it is three edits, though a swap
    /// and an insertion between the two would do. That is the *optimal string alignment* distance,
    /// and not Damerau's without restrictions.
    #[must_use]
    pub fn transpositions(mut self, transpositions: bool) -> Self {
        self.transpositions = transpositions;
        self
    }

    /// Returns the number of edits between the text and a key, or `None` if the automaton does not
    /// match the key.
    ///
    /// # Complexity
    /// `O(distance)` for each character of the key, up to one after which it cannot match.
    pub fn distance(&self, key: impl AsRef<[u8]>) -> Option<usize> {
        let mut state = self.start();
        for &byte in key.as_ref() {
            if !self.can_match(&state) {
                return None;
            }
            self.push(&mut state, byte);
        }
        self.edits(state)
    }

    /// Returns the number of edits if the key ends here.
    fn edits(&self, mut state: LevenshteinState) -> Option<usize> {
        for character in state.partial.rest() {
            self.step(&mut state, character);
        }
        let i = (self.text.len() + self.max).checked_sub(state.count)?;
        let edits = *state.column[..=2 * self.max].get(i)?;
        Some(edits.into()).filter(|&edits| edits <= self.max)
    }

    fn push(&self, state: &mut LevenshteinState, byte: u8) {
        let mut partial = state.partial;
        partial.push(byte, |character| self.step(state, character));
        state.partial = partial;
    }

    /// Returns the number of characters of the text that an entry of the column is for.
    fn text_len(&self, state: &LevenshteinState, i: usize) -> Option<usize> {
        (state.count + i).checked_sub(self.max).filter(|&len| len <= self.text.len())
    }

    fn step(&self, state: &mut LevenshteinState, character: u32) {
        let (band, too_many) = (2 * self.max + 1, self.max as u8 + 1);
        let (before, older) = (state.column, state.before);
        state.count += 1;
        for i in 0..band {
            let Some(len) = self.text_len(state, i) else {
                state.column[i] = too_many;
                continue;
            };
            // The diagonal moves with the key: the neighbour becomes the predecessor, and the next
            // one the neighbour.
            let added = if i + 1 < band { before[i + 1] + 1 } else { too_many };
            let missing = if i > 0 { state.column[i - 1] + 1 } else { too_many };
            let text = &self.text[..len];
            let replaced = match text {
                [.., last] => before[i] + u8::from(*last != character),
                [] => too_many,
            };
            let swapped = match text {
                [.., a, b] if self.transpositions && *a == character && *b == state.last => {
                    older[i] + 1
                }
                _ => too_many,
            };
            state.column[i] = added.min(missing).min(replaced).min(swapped).min(too_many);
        }
        state.before = before;
        state.last = character;
    }
}

impl Automaton for LevenshteinAutomaton {
    type State = LevenshteinState;

    fn start(&self) -> LevenshteinState {
        let too_many = [self.max as u8 + 1; BAND];
        let mut state = LevenshteinState {
            count: 0,
            column: too_many,
            before: too_many,
            last: 0,
            partial: Partial::default(),
        };
        for i in 0..=2 * self.max {
            if let Some(len) = self.text_len(&state, i) {
                state.column[i] = len as u8;
            }
        }
        state
    }

    fn is_match(&self, state: &LevenshteinState) -> bool {
        self.edits(*state).is_some()
    }

    /// Returns `false` if every entry of the column is too large. A swap, which skips the column,
    /// does not change that: it is no cheaper than to replace the first of the two characters.
    fn can_match(&self, state: &LevenshteinState) -> bool {
        state.column[..=2 * self.max].iter().any(|&edits| usize::from(edits) <= self.max)
    }

    fn accept(&self, state: &LevenshteinState, byte: u8) -> LevenshteinState {
        let mut next = *state;
        self.push(&mut next, byte);
        next
    }
}

impl Partial {
    /// Adds a byte, and passes on the characters that are now complete.
    fn push(&mut self, byte: u8, mut give: impl FnMut(u32)) {
        self.bytes[usize::from(self.len)] = byte;
        self.len += 1;
        while self.len > 0 {
            match str::from_utf8(&self.bytes[..self.len.into()]) {
                Ok(text) => {
                    text.chars().for_each(|character| give(character.into()));
                    self.len = 0;
                }
                Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => return,
                Err(_) => {
                    // The first byte begins no character; the others may.
                    give(lone(self.bytes[0]));
                    self.bytes.copy_within(1.., 0);
                    self.len -= 1;
                }
            }
        }
    }

    /// Returns the characters for the bytes if no more follow.
    fn rest(self) -> impl Iterator<Item = u32> {
        self.bytes.into_iter().take(self.len.into()).map(lone)
    }
}

/// Returns the character for a byte outside UTF-8, which is none of Unicode's.
fn lone(byte: u8) -> u32 {
    0x11_0000 + u32::from(byte)
}
