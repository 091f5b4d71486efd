//! The handle of a shared map, which keeps its thread pinned from call to call.

use super::sealed::Sealed;
use crate::reclaim::{self, Pin};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;

/// Calls made under one pin before it is renewed.
const CALLS_PER_PIN: u32 = 64;

/// A handle to a shared map for many calls of one thread. Returned by `pin` of the map.
///
/// A thread is *pinned* while it reads a map, so that nothing it reads is freed. Each call of a map
/// pins for itself. A handle keeps its thread pinned between calls too, so that a call need not
/// announce its pin to the other threads. Every 64 calls, and whenever the thread has memory to
/// free, the handle renews its pin.
///
/// The methods of the map are reached through [`Deref`], with the same guarantees.
///
/// **Warning:** an idle handle, or one beside another pin of its thread, keeps replaced nodes from
/// being freed. Drop it.
///
/// Cursors, ranges and other handles are pins too, and only a thread's sole pin can be renewed. The
/// handle of a [`ConcurrentArenaArt`](crate::ConcurrentArenaArt) is
/// [never renewed](crate::arena::shared::Pinned). A handle is not `Send`.
///
/// ```
/// let map = memkv::ConcurrentArt::new();
/// let pinned = map.pin();
/// for word in ["a", "b", "a"] {
///     pinned.compute(word, |count| Some(count.unwrap_or(0) + 1u32));
/// }
/// assert_eq!((pinned.get("a"), pinned.len()), (Some(2), 2));
/// ```
///
/// Start a long scan from the map, without a handle:
///
/// ```
/// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2)]);
/// let pinned = map.pin();
/// let range = pinned.map().iter();
/// drop(pinned);
/// assert_eq!(range.count(), 2);
/// ```
///
/// A handle cannot outlive its map:
///
/// ```compile_fail,E0505
/// let map = memkv::ConcurrentArt::from([("a", 1u64)]);
/// let pinned = map.pin();
/// drop(map);
/// pinned.get("a");
/// ```
///
/// ```
/// let map = memkv::ConcurrentArt::from([("a", 1u64)]);
/// let pinned = map.pin();
/// pinned.get("a");
/// drop(pinned);
/// drop(map);
/// ```
///
/// It cannot be sent to another thread:
///
/// ```compile_fail,E0277
/// let map = memkv::ShardedArt::from([("a", 1u64)]);
/// let pinned = map.pin();
/// std::thread::scope(|scope| scope.spawn(move || pinned.get("a")).join().unwrap());
/// ```
///
/// ```
/// let map = memkv::ShardedArt::from([("a", 1u64)]);
/// std::thread::scope(|scope| scope.spawn(|| map.pin().get("a")).join().unwrap());
/// ```
pub struct Pinned<'m, M: Pinnable> {
    map: &'m M,
    pub(crate) held: M::Held,
}

/// A map that has a [`Pinned`] handle. Sealed.
pub trait Pinnable: Sealed {
    /// How the handle keeps its thread pinned.
    #[doc(hidden)]
    type Held: Hold;
}

/// How a handle keeps its thread pinned. Sealed.
pub trait Hold: Sealed {
    /// Pins this thread.
    #[doc(hidden)]
    fn new() -> Self;

    /// Prepares a call of the map.
    #[doc(hidden)]
    fn step(&self) {}
}

/// A pin that is renewed now and then. It is never lent, so nothing depends on it.
#[expect(missing_debug_implementations, reason = "it has no name outside")]
pub struct Renewed {
    pin: RefCell<Pin>,
    /// Calls until it is renewed.
    calls: Cell<u32>,
}

impl Sealed for Renewed {}

impl Hold for Renewed {
    fn new() -> Self {
        Renewed { pin: RefCell::new(reclaim::pin()), calls: Cell::new(CALLS_PER_PIN) }
    }

    #[inline]
    fn step(&self) {
        match self.calls.get() {
            calls @ 1.. if !reclaim::is_due() => self.calls.set(calls - 1),
            _ => self.renew(),
        }
    }
}

impl Renewed {
    #[cold]
    fn renew(&self) {
        // The drop of a value that is freed here may call the handle.
        let Ok(mut pin) = self.pin.try_borrow_mut() else { return };
        self.calls.set(CALLS_PER_PIN);
        pin.renew();
        pin.help();
    }
}

/// A pin that is never renewed, so that values may be borrowed for as long as it lasts (V3).
#[expect(missing_debug_implementations, reason = "it has no name outside")]
pub struct Lasting(pub(crate) Pin);

impl Sealed for Lasting {}

impl Hold for Lasting {
    fn new() -> Self {
        Lasting(reclaim::pin_to_write())
    }
}

impl<'m, M: Pinnable> Pinned<'m, M> {
    pub(crate) fn new(map: &'m M) -> Self {
        Pinned { map, held: M::Held::new() }
    }

    /// Returns the map that this handle belongs to.
    pub fn map(&self) -> &'m M {
        self.map
    }
}

/// Gives access to the map's methods.
impl<M: Pinnable> Deref for Pinned<'_, M> {
    type Target = M;

    #[inline]
    fn deref(&self) -> &M {
        self.held.step();
        self.map
    }
}

impl<'m, M: Pinnable, T> Extend<T> for Pinned<'m, M>
where
    &'m M: Extend<T>,
{
    /// Inserts the pairs one by one.
    #[track_caller]
    fn extend<I: IntoIterator<Item = T>>(&mut self, pairs: I) {
        let (mut map, held) = (self.map, &self.held);
        map.extend(pairs.into_iter().inspect(|_| held.step()));
    }
}

impl<M: Pinnable> fmt::Debug for Pinned<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned").finish_non_exhaustive()
    }
}
