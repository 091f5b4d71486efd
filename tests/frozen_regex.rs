//! `RegexAutomaton` alone, against the crate `regex`, and in layers.

use memkv::{Automaton, Codec, FrozenLayer, FrozenOptions, RegexAutomaton};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn matches(regex: &RegexAutomaton, key: &[u8]) -> bool {
    regex.is_match(&key.iter().fold(regex.start(), |state, &byte| regex.accept(&state, byte)))
}

#[test]
fn matches_somewhere_or_at_the_ends() {
    let keys: [&[u8]; 7] =
        [b"", b"abc", b"xabcx", b"ab", b"\xFFabc\xFF", b"abc\n", "\u{e4}bc".as_bytes()];
    let check = |pattern: &str, want: &[usize]| {
        let regex = RegexAutomaton::new(pattern).unwrap();
        assert!(
            (0..keys.len()).filter(|&i| matches(&regex, keys[i])).eq(want.iter().copied()),
            "{pattern}"
        );
    };
    check("abc", &[1, 2, 4, 5]);
    check("^abc", &[1, 5]);
    check("abc$", &[1]);
    check("^abc$|^$", &[0, 1]);
    check("", &[0, 1, 2, 3, 4, 5, 6]);
    check("^.bc$", &[1, 6]);
    check(r"(?-u)^\xFF", &[4]);
    check(r"(?s-u:^.{5}$)", &[2, 4]);
    check("(?i)AB$", &[3]);
    check(r"(?-u:\b)bc", &[6]);
}

#[test]
fn an_anchored_pattern_excludes() {
    let regex = RegexAutomaton::new("^https://[a-c]").unwrap();
    let state =
        |key: &[u8]| key.iter().fold(regex.start(), |state, &byte| regex.accept(&state, byte));
    for key in ["", "https://", "https://bz"] {
        assert!(regex.can_match(&state(key.as_bytes())), "{key}");
    }
    for key in ["x", "https://d"] {
        assert!(!regex.can_match(&state(key.as_bytes())), "{key}");
    }
    assert!(regex.will_always_match(&state(b"https://bz")));
}

#[test]
fn patterns_without_an_automaton_are_errors() {
    // Bad syntax; 2^100 states; a Unicode word boundary; a counter that is too large.
    for pattern in ["(", "(a|b)*a(a|b){100}", r"\b", r"\w{20000}"] {
        let error = RegexAutomaton::new(pattern).unwrap_err().to_string();
        assert!(error.starts_with("cannot search with this regular expression: "), "{error}");
    }
}

/// Patterns over a small alphabet.
fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[ab\u{e9}]{1,3}",
        Just(".".to_owned()),
        Just("[^a]".to_owned()),
        Just(r"(?s-u:.)".to_owned()),
        Just("$".to_owned())
    ];
    let inside = leaf.prop_recursive(3, 12, 3, |part| {
        prop_oneof![
            (part.clone(), part.clone()).prop_map(|(a, b)| format!("{a}{b}")),
            (part.clone(), part.clone()).prop_map(|(a, b)| format!("(?:{a}|{b})")),
            (part, "[*+?]").prop_map(|(a, times)| format!("(?:{a}){times}")),
        ]
    });
    ("\\^?", inside).prop_map(|(start, pattern)| start + &pattern)
}

proptest! {
    #[test]
    fn finds_what_the_crate_regex_finds(
        pattern in pattern(),
        keys in proptest::collection::btree_set(proptest::collection::vec(
            prop_oneof![
                4 => Just(&b"a"[..]),
                4 => Just(&b"b"[..]),
                2 => Just("\u{e9}".as_bytes()),
                1 => Just(&b"\xC3"[..]),
                1 => Just(&b"\n"[..]),
            ],
            0..8,
        ).prop_map(|parts| parts.concat()), 0..100),
    ) {
        let model = regex::bytes::RegexBuilder::new(&pattern).build().unwrap();
        let want: Vec<Vec<u8>> = keys.iter().filter(|key| model.is_match(key)).cloned().collect();
        let pairs: Vec<(&Vec<u8>, u64)> = keys.iter().map(|key| (key, 0)).collect();
        for codec in [Codec::Packed, Codec::Fst] {
            let options = FrozenOptions::new().codec(codec).chunk_keys(40);
            let layer = options.from_sorted(&pairs).unwrap();
            let regex = RegexAutomaton::new(&pattern).unwrap();
            let found: Vec<Vec<u8>> = layer.search(regex).map(|(key, _)| key).collect();
            prop_assert_eq!(&found, &want);
        }
    }
}

#[test]
fn many_keys() {
    let keys: BTreeSet<String> =
        (0..5000).map(|i| format!("https://{:x}.example.org/{i}", i * 7919 % 256)).collect();
    let pairs: Vec<(&String, u64)> = keys.iter().zip(0..).collect();
    let layer = FrozenLayer::from_sorted(&pairs).unwrap();
    let found = |pattern| {
        layer
            .search(RegexAutomaton::new(pattern).unwrap())
            .map(|(key, _)| String::from_utf8(key).unwrap())
    };
    let with = |part: &'static [&str]| {
        keys.iter().filter(move |key| part.iter().any(|part| key.contains(part))).cloned()
    };
    assert!(found(r"^https://[a-c]f\.").eq(with(&["//af.", "//bf.", "//cf."])));
    assert!(
        found(r"//7[^.]\..*99$")
            .eq(with(&["//7"]).filter(|key| &key[10..11] == "." && key.ends_with("99")))
    );
}
