//! How a map stores keys.

#![forbid(unsafe_code)]

/// How a map stores the bytes that a key does not share with the key before it.
///
/// Codes take a third fewer bytes than those of URLs or paths, and time: of two million URLs a map
/// takes 25 bytes a key instead of 32, and inserts run at 0.78 of the rate, removals at 0.87, scans
/// at 0.6, lookups at the same rate. A map keeps its way of coding when it is cloned or turned into
/// another kind of map.
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
