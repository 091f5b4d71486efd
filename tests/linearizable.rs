//! Recorded histories of point operations must have an order in which they could have happened one after the other: Wing and Gong, "Testing
//! and verifying concurrent objects", 1993; with the memory of states seen of Lowe, "Testing for linearizability", 2017.

use memkv::ConcurrentArt;
use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

/// Keys of a history. All lie in one leaf or in neighbours that split and merge.
const KEYS: usize = 3;
/// What each key holds.
type State = [Option<u64>; KEYS];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    Get(usize),
    Insert(usize, u64),
    Remove(usize),
    Add(usize),
    Exchange(usize, Option<u64>, Option<u64>),
    RemoveIfEven(usize),
    Pop,
    Clear,
}

/// What came back: a value, a pair, or a refusal.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Value(Option<u64>),
    Exchange(Result<Option<u64>, Option<u64>>),
    Popped(Option<(usize, u64)>),
    Nothing,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    call: Call,
    answer: Answer,
    begin: u64,
    end: u64,
}

/// What the call does to a map, one after the other.
fn specified(state: &mut State, call: Call) -> Answer {
    match call {
        Call::Get(k) => Answer::Value(state[k]),
        Call::Insert(k, v) => Answer::Value(state[k].replace(v)),
        Call::Remove(k) => Answer::Value(state[k].take()),
        Call::Add(k) => {
            let old = state[k];
            state[k] = Some(old.unwrap_or(0) + 1);
            Answer::Value(old)
        }
        Call::Exchange(k, current, new) if state[k] == current => Answer::Exchange(Ok(std::mem::replace(&mut state[k], new))),
        Call::Exchange(k, ..) => Answer::Exchange(Err(state[k])),
        Call::RemoveIfEven(k) => Answer::Value(if state[k].is_some_and(|v| v % 2 == 0) { state[k].take() } else { None }),
        Call::Pop => Answer::Popped((0..KEYS).find_map(|k| Some((k, state[k].take()?)))),
        Call::Clear => {
            *state = [None; KEYS];
            Answer::Nothing
        }
    }
}

/// Whether the history, sorted by its beginnings, has an order that the specification allows.
fn is_linearizable(history: &[Event], state: State) -> bool {
    fn search(history: &[Event], done: u64, state: State, seen: &mut HashSet<(u64, State)>) -> bool {
        if done.count_ones() as usize == history.len() {
            return true;
        }
        if !seen.insert((done, state)) {
            return false;
        }
        let open = |i: &usize| done & 1 << i == 0;
        // What is next began before anything that is not done yet ended.
        let first_end = (0..history.len()).filter(open).map(|i| history[i].end).min().unwrap_or(u64::MAX);
        (0..history.len()).filter(open).filter(|&i| history[i].begin < first_end).any(|i| {
            let mut after = state;
            specified(&mut after, history[i].call) == history[i].answer && search(history, done | 1 << i, after, seen)
        })
    }
    assert!(history.len() <= 64);
    search(history, 0, state, &mut HashSet::new())
}

fn key(k: usize) -> [u8; 9] {
    // In the middle of what surrounds them.
    let mut key = *b"key/50/..";
    key[7..].copy_from_slice(&[b'0', b'0' + k as u8]);
    key
}

/// The map must have no other key before the first of these, or it could not be popped.
fn around(i: usize) -> String {
    format!("key/{:02}/{}", 51 + i % 40, i)
}

fn call(map: &memkv::concurrent::Pinned<'_, u64>, call: Call) -> Answer {
    match call {
        Call::Get(k) => Answer::Value(map.get(key(k))),
        Call::Insert(k, v) => Answer::Value(map.insert(key(k), v)),
        Call::Remove(k) => Answer::Value(map.remove(key(k))),
        Call::Add(k) => Answer::Value(map.compute(key(k), |v| Some(v.unwrap_or(0) + 1)).0),
        Call::Exchange(k, current, new) => Answer::Exchange(map.compare_exchange(key(k), current, new)),
        Call::RemoveIfEven(k) => Answer::Value(map.remove_if(key(k), |v| v % 2 == 0)),
        Call::Pop => Answer::Popped(map.pop_first().map(|(found, v)| ((0..KEYS).find(|&k| key(k)[..] == found).unwrap(), v))),
        Call::Clear => {
            map.map().clear();
            Answer::Nothing
        }
    }
}

fn random(seed: u64, thread: u64, i: u64, whole: bool) -> Call {
    let mut x = (seed * 31 + thread) * 97 + i + 1;
    for _ in 0..3 {
        x = (x ^ x >> 31).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    let k = (x >> 8) as usize % KEYS;
    let v = (x >> 20) % 4;
    match (x >> 40) % if whole { 16 } else { 14 } {
        0..=3 => Call::Get(k),
        4..=6 => Call::Insert(k, v),
        7..=8 => Call::Remove(k),
        9..=10 => Call::Add(k),
        11..=12 => Call::Exchange(k, Some(v).filter(|v| *v < 3), Some(v + 1).filter(|_| x & 1 == 0)),
        13 => Call::RemoveIfEven(k),
        14 => Call::Pop,
        _ => Call::Clear,
    }
}

/// Lets some threads make calls at random, and checks what each saw. With `whole` the map has these keys alone, and calls concern all of it.
fn histories(rounds: u64, threads: u64, calls: u64, whole: bool) {
    let map = ConcurrentArt::<u64>::new();
    if !whole {
        (0..400).for_each(|i| _ = map.insert(around(i), 0));
    }
    let clock = AtomicU64::new(0);
    for seed in 0..rounds {
        let state: State = std::array::from_fn(|k| map.get(key(k)));
        let barrier = Barrier::new(threads as usize + 1);
        let mut history: Vec<Event> = thread::scope(|scope| {
            let (map, clock, barrier) = (&map, &clock, &barrier);
            let run = move |t| {
                let pinned = map.pin();
                barrier.wait();
                (0..calls)
                    .map(|i| {
                        let what = random(seed, t, i, whole);
                        let begin = clock.fetch_add(1, SeqCst);
                        let answer = call(&pinned, what);
                        Event { call: what, answer, begin, end: clock.fetch_add(1, SeqCst) }
                    })
                    .collect::<Vec<_>>()
            };
            let runs: Vec<_> = (0..threads).map(|t| scope.spawn(move || run(t))).collect();
            barrier.wait();
            if !whole {
                // Neighbours come and go: splits and merges around the keys.
                (0..40).for_each(|i| _ = if seed % 2 == 0 { map.remove(around(i)) } else { map.insert(around(i), seed) });
            }
            runs.into_iter().flat_map(|run| run.join().unwrap()).collect()
        });
        history.sort_by_key(|event| event.begin);
        assert!(is_linearizable(&history, state), "from {state:?}: {history:#?}");
    }
}

#[test]
fn the_checker_finds_what_is_wrong() {
    let event = |call, answer, begin, end| Event { call, answer, begin, end };
    let insert = event(Call::Insert(0, 7), Answer::Value(None), 0, 1);
    let early = event(Call::Get(0), Answer::Value(None), 2, 3);
    let late = event(Call::Get(0), Answer::Value(Some(7)), 2, 3);
    assert!(is_linearizable(&[insert, late], [None; KEYS]));
    assert!(!is_linearizable(&[insert, early], [None; KEYS]));
    // The same reading is right if it began before the insert ended.
    assert!(is_linearizable(&[Event { end: 3, ..insert }, Event { begin: 1, end: 2, ..early }], [None; KEYS]));
    let lost = [event(Call::Add(1), Answer::Value(Some(1)), 0, 2), event(Call::Add(1), Answer::Value(Some(1)), 1, 3)];
    assert!(!is_linearizable(&lost, [None, Some(1), None]));
}

fn rounds(n: u64) -> u64 {
    if cfg!(miri) { n / 1000 + 1 } else { n }
}

#[test]
fn histories_of_two_threads_are_linearizable() {
    histories(rounds(8000), 2, 12, false);
    histories(rounds(8000), 2, 12, true);
}

#[test]
fn histories_of_four_threads_are_linearizable() {
    histories(rounds(3000), 4, 7, false);
    histories(rounds(3000), 4, 7, true);
}
