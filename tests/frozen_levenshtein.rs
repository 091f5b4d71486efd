//! `LevenshteinAutomaton` alone, against the whole table of edits, and in layers.

use memkv::{Automaton, Codec, FrozenLayer, FrozenOptions, LevenshteinAutomaton};
use proptest::prelude::*;

const MAX: usize = LevenshteinAutomaton::MAX_DISTANCE;

/// Returns the characters of a text, computed in another way than the automaton does.
fn characters(text: &[u8]) -> Vec<u32> {
    text.utf8_chunks()
        .flat_map(|chunk| {
            let lone = chunk.invalid().iter().map(|&byte| 0x11_0000 + u32::from(byte));
            chunk.valid().chars().map(u32::from).chain(lone)
        })
        .collect()
}

/// Returns the number of edits between two texts.
fn edits(a: &[u8], b: &[u8], transpositions: bool) -> usize {
    let (a, b) = (characters(a), characters(b));
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let replaced = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    replaced.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1)
                }
            };
            if transpositions && i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                table[i][j] = table[i][j].min(table[i - 2][j - 2] + 1);
            }
        }
    }
    table[a.len()][b.len()]
}

fn automaton(text: &[u8], distance: usize, transpositions: bool) -> LevenshteinAutomaton {
    LevenshteinAutomaton::new(text, distance).unwrap().transpositions(transpositions)
}

#[test]
fn distances() {
    let check = |text: &str, key: &[u8], want: [usize; 2]| {
        for (want, transpositions) in want.into_iter().zip([false, true]) {
            for max in 0..=MAX {
                let got = automaton(text.as_bytes(), max, transpositions).distance(key);
                assert_eq!(got, Some(want).filter(|&want| want <= max), "{text} {key:x?} {max}");
            }
        }
    };
    check("", b"", [0, 0]);
    check("", b"abc", [3, 3]);
    check("abc", b"", [3, 3]);
    check("kitten", b"sitting", [3, 3]);
    check("abcd", b"bacd", [2, 1]);
    check("abcd", b"badc", [3, 2]);
    // Swapped characters are not edited again.
    check("ca", b"abc", [3, 3]);
    // Characters, not bytes; the parts of an incomplete one count each.
    check("\u{e4}b", "b\u{e4}".as_bytes(), [2, 1]);
    check("a", "\u{1f600}".as_bytes(), [1, 1]);
    check("\u{20ac}", b"\xE2\x82", [2, 2]);
    check("\0a", b"a\0", [2, 1]);
    // No byte outside UTF-8 is a character.
    check("\u{ff}", b"\xFF", [1, 1]);
}

#[test]
fn distances_are_limited() {
    assert!(LevenshteinAutomaton::new("a", MAX).is_some());
    for distance in [MAX + 1, 256, usize::MAX] {
        assert!(LevenshteinAutomaton::new("a", distance).is_none());
    }
}

#[test]
fn long_keys_in_a_layer() {
    let keys: Vec<String> =
        (0..400).map(|i| format!("https://example.org/{}/{i:06}", "long-".repeat(20))).collect();
    let layer = FrozenLayer::from_unsorted(keys.iter().map(|key| (key, 0)).collect()).unwrap();
    let text = keys[123].as_bytes();
    for transpositions in [false, true] {
        for max in [0, 1, 3, MAX] {
            let found: Vec<Vec<u8>> =
                layer.search(automaton(text, max, transpositions)).map(|(key, _)| key).collect();
            let near = |key: &&String| edits(text, key.as_bytes(), transpositions) <= max;
            assert!(found.iter().eq(keys.iter().filter(near).map(|key| key.as_bytes())), "{max}");
        }
    }
}

/// Short texts of a small alphabet, with characters of each length and with bytes outside UTF-8.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        8 => Just(&b"a"[..]),
        8 => Just(&b"b"[..]),
        4 => Just("\u{e4}".as_bytes()),
        2 => Just("\u{20ac}".as_bytes()),
        2 => Just("\u{1f600}".as_bytes()),
        1 => Just(&b"\xE2\x82"[..]),
        1 => Just(&b"\xF0\x9F\x98"[..]),
        1 => Just(&b"\x80"[..]),
        1 => Just(&b"\xFF"[..]),
    ];
    proptest::collection::vec(part, 0..9).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn is_the_table_of_edits(text in text(), key in text(), transpositions: bool) {
        let want = edits(&text, &key, transpositions);
        for max in 0..=MAX {
            let near = automaton(&text, max, transpositions);
            let mut state = near.start();
            let mut could = near.can_match(&state);
            for &byte in &key {
                state = near.accept(&state, byte);
                // A state that cannot match stays so.
                prop_assert!(could || !near.can_match(&state));
                could = near.can_match(&state);
            }
            prop_assert_eq!(near.is_match(&state), want <= max);
            prop_assert!(could || want > max);
            prop_assert_eq!(near.distance(&key), Some(want).filter(|&want| want <= max));
        }
    }

    #[test]
    fn any_bytes(
        text: Vec<u8>,
        key: Vec<u8>,
        max in 0..=MAX,
        other in 0..=MAX,
        transpositions: bool,
    ) {
        let near = automaton(&text, max, transpositions);
        let want = Some(edits(&text, &key, transpositions)).filter(|&want| want <= max);
        prop_assert_eq!(near.distance(&key), want);
        prop_assert_eq!(near.distance(&text), Some(0));
        // Nonsense, but no panic: a state of another automaton.
        let mut state = automaton(&key, other, true).start();
        for &byte in &key {
            state = near.accept(&state, byte);
            std::hint::black_box((near.can_match(&state), near.is_match(&state)));
        }
    }
}

proptest! {
    #[test]
    fn finds_the_near_keys(
        text in text(),
        keys in proptest::collection::btree_set(text(), 0..100),
        max in 0..=4usize,
        transpositions: bool,
    ) {
        let near = automaton(&text, max, transpositions);
        let want: Vec<Vec<u8>> = keys
            .iter()
            .filter(|key| edits(&text, key, transpositions) <= max)
            .cloned()
            .collect();
        let pairs: Vec<(&Vec<u8>, u64)> = keys.iter().map(|key| (key, 0)).collect();
        for codec in [Codec::Packed, Codec::Fst] {
            let options = FrozenOptions::new().codec(codec).chunk_keys(40);
            let layer = options.from_sorted(&pairs).unwrap();
            let found: Vec<Vec<u8>> = layer.search(&near).map(|(key, _)| key).collect();
            prop_assert_eq!(&found, &want);
        }
    }
}
