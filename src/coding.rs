//! How a map stores keys.

#![forbid(unsafe_code)]

/// How a map stores the bytes that a key does not share with the key before it.
///
/// Codes take a third fewer bytes than URLs or paths do. They cost time: see the
/// [decision](https://github.com/memkv/memkv/blob/main/docs/decisions/0025-coded-leaves.md). A map
/// keeps its way of coding when it is cloned or turned into another kind of map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyCoding {
    /// As they are while the map has less than some 150,000 keys, and then as
    /// [`Symbols`](Self::Symbols).
    #[default]
    Auto,
    /// As they are.
    Plain,
    /// As codes of a table of symbols, short strings that the map's own keys often have.
    ///
    /// Leaves that this does not make smaller stay as they are. The table is trained when the map
    /// has some ten thousand keys, and others when new keys are unlike them.
    Symbols,
}
