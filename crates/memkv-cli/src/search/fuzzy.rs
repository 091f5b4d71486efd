//! Keys that are similar to a text: the automaton of an edit distance.
//!
//! A state is a column of the table that Wagner and Fischer's method fills: the number of edits
//! between the key so far and the first `j` characters of the text. More than `distance` entries
//! off the diagonal it takes more edits than are allowed, so only a few entries of a column matter
//! (Ukkonen, "Algorithms for approximate string matching", 1985). No table is built before the
//! search, so the text may have any length.
//!
//! Characters are those of UTF-8. A byte that is not part of one counts as a character of its own.

use memkv::Automaton;

/// The largest distance.
pub(super) const MAX_DISTANCE: u8 = 7;
/// The entries of a column.
const BAND: usize = 2 * MAX_DISTANCE as usize + 1;

/// An automaton that accepts the strings within an edit distance of a text.
pub(super) struct Fuzzy {
    text: Vec<u32>,
    distance: usize,
}

/// A column, and the bytes of an incomplete character.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    /// The characters of the key so far.
    count: usize,
    /// Entry `i` is for the first `count + i - distance` characters of the text; `distance + 1`
    /// stands for any larger number.
    column: [u8; BAND],
    bytes: [u8; 4],
    pending: usize,
}

impl Fuzzy {
    pub(super) fn new(text: &[u8], distance: u8) -> Self {
        let mut characters = Vec::new();
        let (mut bytes, mut pending) = ([0; 4], 0);
        for &byte in text {
            read(&mut bytes, &mut pending, byte, |character| characters.push(character));
        }
        characters.extend(bytes[..pending].iter().map(|&byte| lone(byte)));
        Self { text: characters, distance: distance.min(MAX_DISTANCE).into() }
    }

    /// Returns the first position of the text that the column covers, which may be negative.
    fn place(&self, state: &State, i: usize) -> Option<usize> {
        (state.count + i).checked_sub(self.distance).filter(|&place| place <= self.text.len())
    }

    fn step(&self, state: &mut State, character: u32) {
        let (band, too_many) = (2 * self.distance + 1, self.distance as u8 + 1);
        let before = state.column;
        state.count += 1;
        for i in 0..band {
            let Some(place) = self.place(state, i) else {
                state.column[i] = too_many;
                continue;
            };
            // The diagonal moves with the key: the neighbour becomes the predecessor, and the next
            // one the neighbour.
            let added = if i + 1 < band { before[i + 1].saturating_add(1) } else { too_many };
            let missing = if i > 0 { state.column[i - 1].saturating_add(1) } else { too_many };
            let replaced = match place.checked_sub(1) {
                Some(last) => before[i] + u8::from(self.text[last] != character),
                None => too_many,
            };
            state.column[i] = added.min(missing).min(replaced).min(too_many);
        }
    }
}

impl Automaton for Fuzzy {
    type State = State;

    fn start(&self) -> State {
        let mut state =
            State { count: 0, column: [self.distance as u8 + 1; BAND], bytes: [0; 4], pending: 0 };
        for i in 0..=2 * self.distance {
            if let Some(place) = self.place(&state, i) {
                state.column[i] = place as u8;
            }
        }
        state
    }

    fn is_match(&self, state: &State) -> bool {
        let mut state = *state;
        for byte in state.bytes.into_iter().take(state.pending) {
            self.step(&mut state, lone(byte));
        }
        let end = (self.text.len() + self.distance).checked_sub(state.count);
        end.is_some_and(|i| i <= 2 * self.distance && usize::from(state.column[i]) <= self.distance)
    }

    fn can_match(&self, state: &State) -> bool {
        state.column[..=2 * self.distance].iter().any(|&edits| usize::from(edits) <= self.distance)
    }

    fn accept(&self, state: &State, byte: u8) -> State {
        let mut next = *state;
        let (mut bytes, mut pending) = (state.bytes, state.pending);
        read(&mut bytes, &mut pending, byte, |character| self.step(&mut next, character));
        (next.bytes, next.pending) = (bytes, pending);
        next
    }
}

/// Returns the character for a byte outside UTF-8, which is none of Unicode's.
fn lone(byte: u8) -> u32 {
    0x11_0000 + u32::from(byte)
}

/// Takes one more byte, and passes on the characters that are now complete.
fn read(bytes: &mut [u8; 4], pending: &mut usize, byte: u8, mut give: impl FnMut(u32)) {
    bytes[*pending] = byte;
    *pending += 1;
    while *pending > 0 {
        match str::from_utf8(&bytes[..*pending]) {
            Ok(text) => {
                text.chars().for_each(|character| give(character.into()));
                *pending = 0;
            }
            Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => return,
            Err(_) => {
                // The first byte begins no character; the others may.
                give(lone(bytes[0]));
                bytes.copy_within(1.., 0);
                *pending -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fuzzy, MAX_DISTANCE, lone};
    use crate::rng::Rng;
    use memkv::{Automaton, FrozenLayer};

    /// Returns the characters of a text, computed in another way.
    fn characters(text: &[u8]) -> Vec<u32> {
        text.utf8_chunks()
            .flat_map(|chunk| {
                chunk
                    .valid()
                    .chars()
                    .map(u32::from)
                    .chain(chunk.invalid().iter().map(|&byte| lone(byte)))
            })
            .collect()
    }

    fn distance(a: &[u32], b: &[u32]) -> usize {
        let mut row: Vec<usize> = (0..=b.len()).collect();
        for (i, x) in a.iter().enumerate() {
            let mut diagonal = row[0];
            row[0] = i + 1;
            for (j, y) in b.iter().enumerate() {
                let next = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
                diagonal = std::mem::replace(&mut row[j + 1], next);
            }
        }
        row[b.len()]
    }

    fn random(rng: &mut Rng) -> Vec<u8> {
        let parts: [&[u8]; 7] = [
            b"a",
            b"b",
            "\u{e4}".as_bytes(),
            "\u{20ac}".as_bytes(),
            "\u{1f600}".as_bytes(),
            b"\xE2\x82",
            b"\xFF",
        ];
        (0..rng.below(9)).flat_map(|_| parts[rng.below(7) as usize]).copied().collect()
    }

    #[test]
    fn is_the_edit_distance() {
        let mut rng = Rng::new(11);
        for _ in 0..20_000 {
            let (text, key) = (random(&mut rng), random(&mut rng));
            let edits = distance(&characters(&text), &characters(&key));
            for most in 0..=MAX_DISTANCE {
                let fuzzy = Fuzzy::new(&text, most);
                let mut state = fuzzy.start();
                let mut could = fuzzy.can_match(&state);
                for &byte in &key {
                    state = fuzzy.accept(&state, byte);
                    // A state that cannot match stays so.
                    assert!(could || !fuzzy.can_match(&state));
                    could = fuzzy.can_match(&state);
                }
                assert_eq!(
                    fuzzy.is_match(&state),
                    edits <= most.into(),
                    "{text:x?} {key:x?} {most}"
                );
                assert!(could || edits > most.into(), "{text:x?} {key:x?} {most}");
            }
        }
    }

    #[test]
    fn finds_long_keys_in_a_layer() {
        let keys: Vec<String> = (0..400)
            .map(|i| format!("https://example.org/{}/{i:06}", "long-".repeat(20)))
            .collect();
        let layer = FrozenLayer::from_unsorted(keys.iter().map(|key| (key, 0)).collect()).unwrap();
        for most in [0, 1, 3, 7] {
            let found: Vec<Vec<u8>> =
                layer.search(Fuzzy::new(keys[123].as_bytes(), most)).map(|(key, _)| key).collect();
            let near = |key: &&String| {
                distance(&characters(key.as_bytes()), &characters(keys[123].as_bytes()))
                    <= most.into()
            };
            assert!(found.iter().eq(keys.iter().filter(near).map(|key| key.as_bytes())), "{most}");
        }
    }
}
