//! `FrozenLayer::search` and `search_range` against running the automaton over every key.

use crate::common::inside;
use fst::automaton::{AlwaysMatch, Automaton, Levenshtein, Str, Subsequence};
use memkv::{Codec, FrozenLayer, FrozenOptions, LevenshteinAutomaton, SymbolTable};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Bound;

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

type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Asserts that a search of a range finds what the automaton matches of the range.
fn check_range<A: Automaton>(
    layer: &FrozenLayer,
    model: &BTreeMap<Vec<u8>, u64>,
    automaton: A,
    (start, end): &Bounds,
) {
    let slices = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
    let mut want: Vec<_> = layer.range::<[u8], _>(slices).collect();
    assert_eq!(want, inside(model, start, end));
    want.retain(|(key, _)| matches(&automaton, key));
    let mut search = layer.search_range::<A, [u8], _>(automaton, slices);
    let found: Vec<_> = search.by_ref().collect();
    assert_eq!(found, want, "{start:?} to {end:?}");
    assert_eq!((search.next(), search.next_ref()), (None, None));
}

/// Returns short keys of few bytes, so that many of them are alike.
fn short_key() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0), Just(b'a'), Just(b'b'), Just(0xFE), Just(0xFF)];
    proptest::collection::vec(byte, 0..5)
}

fn short_bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        1 => Just(Bound::Unbounded),
        3 => short_key().prop_map(Bound::Included),
        3 => short_key().prop_map(Bound::Excluded),
    ]
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
    fn finds_what_the_automaton_matches_in_a_range(
        model in proptest::collection::btree_map(short_key(), any::<u64>(), 0..150),
        ranges in proptest::collection::vec((short_bound(), short_bound()), 8),
        text in short_key(),
        letters in "[ab]{0,3}",
        distance in 0usize..3,
        chunk in prop_oneof![1usize..6, Just(16), Just(37), Just(1 << 16)],
    ) {
        let pairs: Vec<(&Vec<u8>, u64)> = model.iter().map(|(key, value)| (key, *value)).collect();
        let near = LevenshteinAutomaton::new(&text, distance).unwrap();
        for codec in [Codec::Packed, Codec::Fst] {
            let options = FrozenOptions::new().symbols(SymbolTable::Fsst).codec(codec);
            let layer = options.chunk_keys(chunk).from_sorted(&pairs).unwrap();
            for range in &ranges {
                check_range(&layer, &model, AlwaysMatch, range);
                check_range(&layer, &model, Never, range);
                check_range(&layer, &model, Even, range);
                check_range(&layer, &model, &near, range);
                check_range(&layer, &model, Subsequence::new(&letters), range);
                let prefixed = || Str::new(&letters).starts_with();
                check_range(&layer, &model, prefixed(), range);
                check_range(&layer, &model, prefixed().complement(), range);
            }
        }
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

/// Matches no key, and excludes none. Counts the bytes that it is fed.
struct Counting<'a>(&'a Cell<usize>);

impl Automaton for Counting<'_> {
    type State = ();

    fn start(&self) {}

    fn is_match(&self, (): &()) -> bool {
        false
    }

    fn accept(&self, (): &(), _: u8) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn a_range_is_searched_without_the_keys_around_it() {
    let keys: Vec<(String, u64)> = (0..100_000).map(|i| (format!("{i:06}"), i)).collect();
    for (codec, chunk) in
        [Codec::Packed, Codec::Fst].into_iter().flat_map(|codec| [(codec, 1000), (codec, 1 << 20)])
    {
        let layer = FrozenOptions::new().codec(codec).chunk_keys(chunk).from_sorted(&keys).unwrap();
        for (from, to) in [(0, 5), (50_000, 50_010), (77_777, 77_778), (99_990, 1_000_000)] {
            let fed = Cell::new(0);
            let range = format!("{from:06}")..format!("{to:06}");
            assert!(layer.search_range(Counting(&fed), range).next().is_none());
            assert!(fed.get() > 0 && fed.get() < 100, "{codec:?}: {} bytes", fed.get());
        }
        // An empty range is not searched.
        let fed = Cell::new(0);
        for (from, to) in [("050000", "050000"), ("05", "04"), ("050000x", "050000y")] {
            assert!(layer.search_range(Counting(&fed), from..to).next().is_none());
        }
        let (from, to) = (Bound::Excluded("050000"), Bound::Excluded("050001"));
        assert!(layer.search_range::<_, str, _>(Counting(&fed), (from, to)).next().is_none());
        assert_eq!(fed.get(), 0, "{codec:?}");
    }
}
