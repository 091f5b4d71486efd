//! The handle of a shared map, which lends values as plain references.

use super::ConcurrentArenaArt;
use crate::face::sealed::Sealed;
use crate::face::{self, Lasting, Pinnable};
use crate::tree::ValueRef;

/// A handle to a [`ConcurrentArenaArt`] for several calls of one thread, under one pin. Returned by
/// [`ConcurrentArenaArt::pin`].
///
/// Its own [`get`](Pinned::get) and [`get_many`](Pinned::get_many) return values as plain
/// references, which stay valid as long as the handle lives, whatever other threads do. So its pin
/// is never renewed. All other methods are those of the map.
///
/// **Warning:** while a handle lives, nothing that any map retires can be freed. Drop it.
///
/// Take a new one now and then for long work, and none for a long scan.
///
/// ```
/// let map = memkv::ConcurrentArenaArt::from([("a", "x".to_string())]);
/// let pinned = map.pin();
/// let old = pinned.get("a").unwrap();
/// pinned.insert("a", "y".to_string());
/// assert_eq!((old.as_str(), pinned.get("a").unwrap().as_str()), ("x", "y"));
/// ```
///
/// Neither a value nor a handle can outlive what it was borrowed from:
///
/// ```compile_fail,E0505
/// let map = memkv::ConcurrentArenaArt::from([("a", "x")]);
/// let pinned = map.pin();
/// let value = pinned.get("a");
/// drop(pinned);
/// assert_eq!(value, Some(&"x"));
/// ```
///
/// ```compile_fail,E0505
/// let map = memkv::ConcurrentArenaArt::from([("a", "x")]);
/// let pinned = map.pin();
/// drop(map);
/// assert_eq!(pinned.get("a"), Some(&"x"));
/// ```
///
/// ```compile_fail,E0505
/// let map = memkv::ConcurrentArenaArt::from([("a", "x")]);
/// let value = map.get("a");
/// drop(map);
/// assert!(value.is_some());
/// ```
///
/// ```
/// let map = memkv::ConcurrentArenaArt::from([("a", "x")]);
/// let pinned = map.pin();
/// let value = pinned.get("a");
/// assert_eq!(value, Some(&"x"));
/// drop(pinned);
/// let value = map.get("a");
/// assert!(value.is_some());
/// drop(value);
/// drop(map);
/// ```
pub type Pinned<'m, T> = face::Pinned<'m, ConcurrentArenaArt<T>>;

/// The handle lends values for as long as it lives, so its pin must last (V3).
impl<T: Send + Sync + 'static> Sealed for ConcurrentArenaArt<T> {}

impl<T: Send + Sync + 'static> Pinnable for ConcurrentArenaArt<T> {
    type Held = Lasting;
}

impl<T: Send + Sync + 'static> ConcurrentArenaArt<T> {
    /// Returns a handle that pins this thread once, and returns values as plain references.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x"), ("b", "y")]);
    /// let pinned = map.pin();
    /// let (a, b) = (pinned.get("a"), pinned.get("b"));
    /// assert_eq!((a, b), (Some(&"x"), Some(&"y")));
    /// ```
    pub fn pin(&self) -> Pinned<'_, T> {
        Pinned::new(self)
    }
}

impl<T: Send + Sync + 'static> Pinned<'_, T> {
    /// Returns the value of `key`, as a reference that stays valid as long as the handle lives.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", 1)]);
    /// let pinned = map.pin();
    /// let one = pinned.get("a");
    /// pinned.remove("a");
    /// assert_eq!((one, pinned.get("a")), (Some(&1), None));
    /// ```
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<&T> {
        self.map().tree.pinned(&self.held.0).get(key.as_ref()).map(ValueRef::get)
    }

    /// Returns the values of many keys, in the order of `keys`.
    ///
    /// The lookups of a batch are interleaved so that their cache misses overlap. Each lookup is
    /// atomic by itself; the batch is not.
    ///
    /// ```
    /// let map = memkv::ConcurrentArenaArt::from([("a", "x")]);
    /// assert_eq!(map.pin().get_many(&["b", "a"]), [None, Some(&"x")]);
    /// ```
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<&T>> {
        let mut values = Vec::with_capacity(keys.len());
        let keys = keys.iter().map(AsRef::as_ref);
        let tree = self.map().tree.pinned(&self.held.0);
        tree.get_many(keys, |found| values.push(found.map(ValueRef::get)));
        values
    }
}
