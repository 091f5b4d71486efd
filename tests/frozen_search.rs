//! `FrozenLayer::search` against running the automaton over every key.

use fst::automaton::{AlwaysMatch, Automaton, Levenshtein, Str, Subsequence};
use memkv::{Codec, FrozenLayer, FrozenOptions, SymbolTable};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn matches<A: Automaton>(automaton: &A, key: &[u8]) -> bool {
    let state = key.iter().fold(automaton.start(), |state, &byte| automaton.accept(&state, byte));
    automaton.is_match(&automaton.accept_eof(&state).unwrap_or(state))
}

/// Matches keys of even length, which is known only at the end of a key.
struct Even;

impl Automaton for Even {
    /// Whether the length is even, and whether the key has ended.
    type State = (bool, bool);

    fn start(&self) -> (bool, bool) {
        (true, false)
    }

    fn is_match(&self, &(even, ended): &(bool, bool)) -> bool {
        even && ended
    }

    fn accept(&self, &(even, _): &(bool, bool), _: u8) -> (bool, bool) {
        (!even, false)
    }

    fn accept_eof(&self, &(even, _): &(bool, bool)) -> Option<(bool, bool)> {
        Some((even, true))
    }
}

/// Matches no key.
struct Never;

impl Automaton for Never {
    type State = ();

    fn start(&self) {}

    fn is_match(&self, (): &()) -> bool {
        false
    }

    fn can_match(&self, (): &()) -> bool {
        false
    }

    fn accept(&self, (): &(), _: u8) {}
}

fn check<A: Automaton>(layer: &FrozenLayer, model: &BTreeMap<Vec<u8>, u64>, automaton: A) {
    let want: Vec<_> = model
        .iter()
        .filter(|(key, _)| matches(&automaton, key))
        .map(|(key, value)| (key.clone(), *value))
        .collect();
    assert_eq!(layer.search(&automaton).collect::<Vec<_>>(), want);
    let mut search = layer.search(automaton);
    for (key, value) in &want {
        assert_eq!(search.next_ref(), Some((&key[..], *value)));
    }
    assert_eq!(search.next_ref(), None);
}

fn check_all(model: &BTreeMap<Vec<u8>, u64>, text: &str, chunk: usize) {
    for options in
        [FrozenOptions::new().symbols(SymbolTable::Fsst), FrozenOptions::new().codec(Codec::Fst)]
    {
        let pairs: Vec<(&Vec<u8>, u64)> = model.iter().map(|(key, value)| (key, *value)).collect();
        let layer = options.chunk_keys(chunk).from_sorted(&pairs).unwrap();
        check(&layer, model, AlwaysMatch);
        check(&layer, model, Even);
        check(&layer, model, Never);
        check(&layer, model, Str::new(text));
        check(&layer, model, Str::new(text).starts_with());
        check(&layer, model, Str::new(text).starts_with().complement());
        check(&layer, model, Subsequence::new(text));
        check(&layer, model, Subsequence::new(text).intersection(Str::new("a").starts_with()));
        for distance in [1, 2] {
            check(&layer, model, Levenshtein::new(text, distance).unwrap());
            check(
                &layer,
                model,
                Levenshtein::new(text, distance).unwrap().union(Str::new("b").starts_with()),
            );
        }
    }
}

proptest! {
    #[test]
    fn finds_what_the_automaton_matches(
        model in proptest::collection::btree_map(
            "[ab0\u{e9}]{0,6}".prop_map(String::into_bytes),
            any::<u64>(),
            0..150,
        ),
        text in "[ab0\u{e9}]{0,5}",
        chunk in prop_oneof![Just(16usize), Just(37), Just(1 << 16)],
    ) {
        check_all(&model, &text, chunk);
    }

    #[test]
    fn keys_of_any_bytes(
        model in proptest::collection::btree_map(
            proptest::collection::vec(prop_oneof![Just(b'a'), Just(0xFF), any::<u8>()], 0..6),
            any::<u64>(),
            0..150,
        ),
    ) {
        check_all(&model, "a", 40);
    }
}

#[test]
fn many_keys() {
    let model: BTreeMap<Vec<u8>, u64> = (0..20_000u64)
        .map(|i| (format!("https://{}.example/{}", i * 7919 % 1009, i % 31).into_bytes(), i))
        .collect();
    for text in ["https://100.example/7", "https://99", "", "zzz", "https://1008.example/30"] {
        check_all(&model, text, 5000);
    }
}
