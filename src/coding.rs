//! How a map stores keys.

#![forbid(unsafe_code)]

/// How a map stores the bytes that a key does not share with the key before it.
///
/// Of URLs or paths, codes take a third fewer bytes, but more time. A map of two million URLs then
/// takes 27 bytes a key instead of 33. Inserts run at 0.77 of the rate, removals at 0.88, scans at
/// 0.68, and lookups at the same rate. A map keeps its way of coding when it is cloned or turned
/// into another kind of map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyCoding {
    /// As they are.
    #[default]
    Plain,
    /// As they are while the map has less than some 100,000 keys, and then as
    /// [`Symbols`](Self::Symbols). Smaller maps are mostly in the processor's caches.
    Auto,
    /// As codes of a table of symbols, short strings that the map's own keys often have.
    ///
    /// Leaves that this does not make smaller stay as they are. The table is trained when the map
    /// has some ten thousand keys, and others when new keys are unlike them.
    Symbols,
}
