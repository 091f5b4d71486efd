//! A key beyond the limit panics at the caller's line, not at one inside the library.
//!
//! It sets the panic hook, so it is a process of its own.

use memkv::{
    ArenaArt, ConcurrentArenaArt, ConcurrentArt, FastArt, FastSet, MAX_KEY_LEN, ShardedArt,
};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;

static PLACE: Mutex<Option<String>> = Mutex::new(None);

fn panics_here(what: &str, call: impl FnOnce()) {
    *PLACE.lock().unwrap() = None;
    assert!(panic::catch_unwind(AssertUnwindSafe(call)).is_err(), "{what}");
    let place = PLACE.lock().unwrap().take();
    assert_eq!(place.as_deref(), Some(file!()), "{what}");
}

#[test]
fn oversized_keys_panic_at_the_callers_line() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| match info.payload_as_str() {
        Some(message) if message.contains("exceeds the limit") => {
            *PLACE.lock().unwrap() = info.location().map(|place| place.file().to_owned());
        }
        _ => hook(info),
    }));
    let long = &vec![0u8; MAX_KEY_LEN + 1];

    let mut fast = FastArt::<u64>::new();
    panics_here("FastArt::insert", || _ = fast.insert(long, 1));
    panics_here("FastArt::entry", || _ = *fast.entry(long).or_insert(1));
    panics_here("FastArt::or_insert_with", || _ = *fast.entry(long).or_insert_with(|| 1));
    panics_here("FastArt::or_default", || _ = *fast.entry(long).or_default());
    let mut set = FastSet::new();
    panics_here("FastSet::insert", || _ = set.insert(long));
    let mut arena = ArenaArt::<String>::new();
    panics_here("ArenaArt::insert", || _ = arena.insert(long, String::new()));
    panics_here("ArenaArt::entry", || _ = arena.entry(long).or_default());

    let shared = ConcurrentArt::<u64>::new();
    panics_here("ConcurrentArt::insert", || _ = shared.insert(long, 1));
    panics_here("ConcurrentArt::pin", || _ = shared.pin().insert(long, 1));
    panics_here("compare_exchange", || _ = shared.compare_exchange(long, None, Some(1)));
    panics_here("compute", || _ = shared.compute(long, |_| Some(1)));
    let sharded = ShardedArt::<u64>::default();
    panics_here("ShardedArt::insert", || _ = sharded.insert(long, 1));
    panics_here("ShardedArt::pin", || _ = sharded.pin().insert(long, 1));
    let shared = ConcurrentArenaArt::<String>::new();
    panics_here("ConcurrentArenaArt::insert", || _ = shared.insert(long, String::new()));
    panics_here("ConcurrentArenaArt::pin", || _ = shared.pin().insert(long, String::new()));

    // Closures inside the library have no caller's location.
    macro_rules! also {
        ($($call:expr;)*) => {$(
            panics_here(stringify!($call), || _ = $call);
        )*};
    }
    let (concurrent, pinned) = (&ConcurrentArt::<u64>::new(), shared.pin());
    let text = String::new;
    also! {
        fast.extend([(long, 1)]);
        FastArt::<u64>::from([(long, 1)]);
        FastArt::<u64>::from_iter([(long, 1)]);
        set.extend([long]);
        FastSet::from_iter([long]);
        arena.extend([(long, text())]);
        ArenaArt::from([(long, text())]);
        ArenaArt::from_iter([(long, text())]);
        concurrent.get_or_insert_with(long, || 1);
        sharded.get_or_insert_with(long, || 1);
        { concurrent }.extend([(long, 1)]);
        { &sharded }.extend([(long, 1)]);
        { &shared }.extend([(long, text())]);
        ConcurrentArt::<u64>::from([(long, 1)]);
        ConcurrentArt::<u64>::from_iter([(long, 1)]);
        ShardedArt::<u64>::from([(long, 1)]);
        ShardedArt::<u64>::from_iter([(long, 1)]);
        ConcurrentArenaArt::from([(long, text())]);
        ConcurrentArenaArt::from_iter([(long, text())]);
        shared.compute(long, |_| Some(text()));
        shared.get_or_insert_with(long, text);
        shared.compare_exchange(long, None, Some(text()));
        pinned.compute(long, |_| Some(text()));
        pinned.get_or_insert_with(long, text);
        pinned.compare_exchange(long, None, Some(text()));
    }
}
