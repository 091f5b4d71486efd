//! Histories of point operations, and a check that they are linearizable.
//!
//! The check is that of Wing and Gong, "Testing and verifying concurrent objects", 1993, with the
//! cache of visited states of Lowe, "Testing for linearizability", 2017.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

/// The keys of a history. All are in one leaf, or in neighbours that split and merge.
pub(crate) const KEYS: usize = 3;
/// The value of each key.
pub(crate) type State = [Option<u64>; KEYS];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Call {
    Get(usize),
    Insert(usize, u64),
    Remove(usize),
    Add(usize),
    Exchange(usize, Option<u64>, Option<u64>),
    RemoveIfEven(usize),
    Pop,
    Clear,
}

/// The result of a call: a value, a pair, or a refusal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answer {
    Value(Option<u64>),
    Exchange(Result<Option<u64>, Option<u64>>),
    Popped(Option<(usize, u64)>),
    Nothing,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) call: Call,
    pub(crate) answer: Answer,
    pub(crate) begin: u64,
    pub(crate) end: u64,
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
        Call::Exchange(k, current, new) if state[k] == current => {
            Answer::Exchange(Ok(std::mem::replace(&mut state[k], new)))
        }
        Call::Exchange(k, ..) => Answer::Exchange(Err(state[k])),
        Call::RemoveIfEven(k) => {
            Answer::Value(if state[k].is_some_and(|v| v % 2 == 0) { state[k].take() } else { None })
        }
        Call::Pop => Answer::Popped((0..KEYS).find_map(|k| Some((k, state[k].take()?)))),
        Call::Clear => {
            *state = [None; KEYS];
            Answer::Nothing
        }
    }
}

/// Returns `true` if the history, sorted by starts of calls, has an order that the specification
/// allows.
pub(crate) fn is_linearizable(history: &[Event], state: State) -> bool {
    fn search(
        history: &[Event],
        done: u64,
        state: State,
        seen: &mut HashSet<(u64, State)>,
    ) -> bool {
        if done.count_ones() as usize == history.len() {
            return true;
        }
        if !seen.insert((done, state)) {
            return false;
        }
        let open = |i: &usize| done & 1 << i == 0;
        // The next call started before any call that is not yet ordered ended.
        let first_end =
            (0..history.len()).filter(open).map(|i| history[i].end).min().unwrap_or(u64::MAX);
        (0..history.len()).filter(open).filter(|&i| history[i].begin < first_end).any(|i| {
            let mut after = state;
            specified(&mut after, history[i].call) == history[i].answer
                && search(history, done | 1 << i, after, seen)
        })
    }
    assert!(history.len() <= 64);
    search(history, 0, state, &mut HashSet::new())
}

pub(crate) fn key(k: usize) -> [u8; 9] {
    // In the middle of the keys around them.
    let mut key = *b"key/50/..";
    key[7..].copy_from_slice(&[b'0', b'0' + k as u8]);
    key
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
        11..=12 => {
            Call::Exchange(k, Some(v).filter(|v| *v < 3), Some(v + 1).filter(|_| x & 1 == 0))
        }
        13 => Call::RemoveIfEven(k),
        14 => Call::Pop,
        _ => Call::Clear,
    }
}

/// A tested map, as one thread uses it.
pub(crate) trait Subject {
    fn value_of(&self, k: usize) -> Option<u64>;
    fn call(&self, call: Call) -> Answer;
}

/// Implements `Subject` for the handles of both maps.
macro_rules! subject {
    ($kind:ident) => {
        impl Subject for memkv::$kind::Pinned<'_, u64> {
            fn value_of(&self, k: usize) -> Option<u64> {
                self.get(key(k))
            }
            fn call(&self, call: Call) -> Answer {
                match call {
                    Call::Get(k) => Answer::Value(self.get(key(k))),
                    Call::Insert(k, v) => Answer::Value(self.insert(key(k), v)),
                    Call::Remove(k) => Answer::Value(self.remove(key(k))),
                    Call::Add(k) => {
                        Answer::Value(self.compute(key(k), |v| Some(v.unwrap_or(0) + 1)).0)
                    }
                    Call::Exchange(k, current, new) => {
                        Answer::Exchange(self.compare_exchange(key(k), current, new))
                    }
                    Call::RemoveIfEven(k) => Answer::Value(self.remove_if(key(k), |v| v % 2 == 0)),
                    Call::Pop => {
                        Answer::Popped(self.pop_first().map(|(found, v)| {
                            ((0..KEYS).find(|&k| key(k)[..] == found).unwrap(), v)
                        }))
                    }
                    Call::Clear => {
                        self.clear();
                        Answer::Nothing
                    }
                }
            }
        }
    };
}

subject!(concurrent);
subject!(sharded);

/// The value of each key.
pub(crate) fn state(subject: &impl Subject) -> State {
    std::array::from_fn(|k| subject.value_of(k))
}

/// Makes the random calls of thread `t` of a round.
pub(crate) fn calls(
    subject: &impl Subject,
    clock: &AtomicU64,
    (round, t): (u64, u64),
    n: u64,
    whole: bool,
) -> Vec<Event> {
    (0..n).map(|i| call(subject, clock, random(round, t, i, whole))).collect()
}

/// Makes one call.
pub(crate) fn call(subject: &impl Subject, clock: &AtomicU64, call: Call) -> Event {
    let begin = clock.fetch_add(1, SeqCst);
    let answer = subject.call(call);
    Event { call, answer, begin, end: clock.fetch_add(1, SeqCst) }
}

/// Asserts that the history of all threads is linearizable.
pub(crate) fn check(mut history: Vec<Event>, state: State) {
    history.sort_by_key(|event| event.begin);
    assert!(is_linearizable(&history, state), "from {state:?}: {history:#?}");
}

/// In each round lets several threads make `n` random calls, each on a subject of its own, and
/// checks the history. This thread runs `beside` at the same time. With `whole` the map has no
/// other keys, and calls may concern all of them.
pub(crate) fn histories<S: Subject>(
    rounds: Range<u64>,
    threads: u64,
    n: u64,
    whole: bool,
    subject: impl Fn() -> S + Sync,
    beside: impl Fn(u64),
) {
    let clock = AtomicU64::new(0);
    for seed in rounds {
        let state = state(&subject());
        let barrier = Barrier::new(threads as usize + 1);
        let history = thread::scope(|scope| {
            let (subject, clock, barrier) = (&subject, &clock, &barrier);
            let run = move |t| {
                let subject = subject();
                barrier.wait();
                calls(&subject, clock, (seed, t), n, whole)
            };
            let runs: Vec<_> = (0..threads).map(|t| scope.spawn(move || run(t))).collect();
            barrier.wait();
            beside(seed);
            runs.into_iter().flat_map(|run| run.join().unwrap()).collect()
        });
        check(history, state);
    }
}
