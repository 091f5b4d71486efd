//! Shared by the model tests: keys that are hard on a tree, and ranges of the model.
//!
//! Each other file of this folder is small and has one helper. A test binary that does not include
//! this file declares those that it needs, so that none of its code is unused.

#![allow(dead_code, reason = "each of the tests uses a part")]

pub(crate) mod child;
pub(crate) mod files;
pub(crate) mod forge;
pub(crate) mod frozen_kinds;
pub(crate) mod history;
pub(crate) mod mapped;
pub(crate) mod names;
pub(crate) mod put_files;
pub(crate) mod rng;
pub(crate) mod test_path;
pub(crate) mod texts;

use memkv::KeyCoding;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Bound;

/// Keys with shared prefixes, NUL and 0xFF, the empty key, and lengths around a byte's limit.
pub(crate) fn key() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => Just(b"a".to_vec()),
        2 => Just(b"ab".to_vec()),
        2 => Just(vec![0]),
        2 => Just(vec![0xFF]),
        2 => Just(b"https://www.example.org/".to_vec()),
        2 => any::<u8>().prop_map(|b| vec![b]),
        2 => (0u16..600).prop_map(|n| format!("{n}").into_bytes()),
        1 => prop_oneof![252usize..=258, 508usize..=512, Just(70)].prop_map(|n| vec![b'x'; n]),
    ];
    proptest::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}

/// Runs a function that must not deadlock.
pub(crate) fn comes_back(work: impl FnOnce() + Send + 'static) {
    let (done, is_done) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        work();
        done.send(()).unwrap();
    });
    is_done
        .recv_timeout(std::time::Duration::from_secs(120))
        .expect("a thread waits for itself, or has failed");
    thread.join().unwrap();
}

/// Generates one end of a range.
pub(crate) fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        3 => key().prop_map(Bound::Included),
        3 => key().prop_map(Bound::Excluded),
        1 => Just(Bound::Unbounded),
    ]
}

/// Returns the part of a model that a range must yield.
pub(crate) fn inside<V: Copy>(
    model: &BTreeMap<Vec<u8>, V>,
    start: &Bound<Vec<u8>>,
    end: &Bound<Vec<u8>>,
) -> Vec<(Vec<u8>, V)> {
    let after = |k: &Vec<u8>| match start {
        Bound::Included(s) => k >= s,
        Bound::Excluded(s) => k > s,
        Bound::Unbounded => true,
    };
    let before = |k: &Vec<u8>| match end {
        Bound::Included(e) => k <= e,
        Bound::Excluded(e) => k < e,
        Bound::Unbounded => true,
    };
    model.iter().filter(|(k, _)| after(k) && before(k)).map(|(k, v)| (k.clone(), *v)).collect()
}

/// Returns the part of a model whose keys start with `prefix`.
pub(crate) fn prefixed(model: &BTreeMap<Vec<u8>, u64>, prefix: &[u8]) -> Vec<(Vec<u8>, u64)> {
    model.iter().filter(|(k, _)| k.starts_with(prefix)).map(|(k, v)| (k.clone(), *v)).collect()
}

/// Returns the keys of a model, without the first of every `n`.
pub(crate) fn without_every(n: u8, model: &BTreeMap<Vec<u8>, u64>) -> Vec<Vec<u8>> {
    let stays = |i: usize| i.is_multiple_of(usize::from(n));
    model.keys().enumerate().filter(|(i, _)| !stays(*i)).map(|(_, k)| k.clone()).collect()
}

/// Returns `count` neighbours that start with `key`, in an order that neither ascends nor descends,
/// each with its number. Their endings are of a kind that `n` chooses.
pub(crate) fn neighbours(key: &[u8], count: u32, n: u16) -> impl Iterator<Item = (Vec<u8>, u64)> {
    (0..count.into()).map(move |i| {
        let ending = texts::ending(n, i + u64::from(n / texts::KINDS));
        ([key, &ending].concat(), i)
    })
}

/// Generates how a map stores its keys. Small maps code them from here on.
pub(crate) fn coding() -> impl Strategy<Value = KeyCoding> {
    memkv::code_small_maps();
    prop_oneof![
        2 => Just(KeyCoding::Symbols),
        1 => Just(KeyCoding::Auto),
        1 => Just(KeyCoding::Plain),
    ]
}

/// Asserts that a cursor takes steps as one of the model does. `step` moves it by one entry,
/// forwards or back; it has been sought to `key`.
pub(crate) fn walks(
    model: &BTreeMap<Vec<u8>, u64>,
    key: &[u8],
    steps: &[bool],
    mut step: impl FnMut(bool) -> Option<(Vec<u8>, u64)>,
) {
    let entries: Vec<_> = model.iter().collect();
    let mut at = entries.partition_point(|(k, _)| k.as_slice() < key);
    for &forward in steps {
        let before = at.checked_sub(1);
        let want = if forward { Some(at) } else { before }.and_then(|at| entries.get(at));
        assert_eq!(step(forward), want.map(|(k, v)| (k.to_vec(), **v)));
        if want.is_some() {
            at = if forward { at + 1 } else { at - 1 };
        }
    }
}

/// Returns the number of cases: `PROPTEST_CASES`, or `usual`.
pub(crate) fn cases(usual: u32) -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    asked.unwrap_or(if cfg!(miri) { 4 } else { usual })
}

/// Asserts that a range, made anew each time, has these entries: forwards, backwards, and from both
/// ends.
pub(crate) fn is_both_ways<T: Clone + PartialEq + Debug, R: DoubleEndedIterator<Item = T>>(
    range: impl Fn() -> R,
    want: Vec<T>,
) {
    assert_eq!(range().collect::<Vec<_>>(), want);
    assert!(range().rev().eq(want.iter().rev().cloned()));
    assert_eq!(range().count(), want.len());
    let (mut both, mut want) = (range(), want.into_iter());
    for i in 0.. {
        let (got, want) = if i % 3 == 0 {
            (both.next_back(), want.next_back())
        } else {
            (both.next(), want.next())
        };
        assert_eq!(got, want);
        if got.is_none() {
            break;
        }
    }
    assert_eq!((both.next(), both.next_back()), (None, None));
}
