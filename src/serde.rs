//! Serialization of maps and sets, in one of two forms.
//!
//! | format | a map | a set |
//! |---|---|---|
//! | human-readable, all keys are UTF-8 | a map of strings | a sequence of strings |
//! | human-readable, other keys | a sequence of pairs of bytes and values | strings and bytes |
//! | binary | a sequence of pairs of bytes and values | a sequence of bytes |
//!
//! Not every binary format takes bytes as the keys of a map. What a human-readable format has is
//! asked from the format, and both forms are accepted.
//!
//! A shared map may change between two steps, so what is serialized is a copy that one scan makes:
//! its form and its length are known, and stay.

#![forbid(unsafe_code)]

use crate::arena::shared::Ref;
use crate::error::InsertError;
use crate::face::{ExactEnds, OwnedEnds, Range};
use crate::value::Value;
use crate::{ArenaArt, ConcurrentArenaArt, ConcurrentArt, FastArt, FastSet, ShardedArt};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};
use std::fmt;

/// A key, as text if it can be.
enum Key<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> Key<'a> {
    fn new(key: &'a [u8], is_text: bool) -> Self {
        match std::str::from_utf8(key) {
            Ok(text) if is_text => Key::Text(text),
            _ => Key::Bytes(key),
        }
    }
}

impl Serialize for Key<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Key::Text(text) => serializer.serialize_str(text),
            Key::Bytes(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

/// Accepts a key as bytes, as text, or as a sequence of bytes.
struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Vec<u8>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a byte string")
    }
    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }
    fn visit_str<E>(self, text: &str) -> Result<Vec<u8>, E> {
        Ok(text.as_bytes().to_vec())
    }
    fn visit_string<E>(self, text: String) -> Result<Vec<u8>, E> {
        Ok(text.into_bytes())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Vec<u8>, A::Error> {
        let mut buf = Vec::new();
        while let Some(byte) = bytes.next_element()? {
            buf.push(byte);
        }
        Ok(buf)
    }
}

/// The key of a pair.
struct PairKey(Vec<u8>);

impl<'de> Deserialize<'de> for PairKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(KeyVisitor).map(PairKey)
    }
}

/// The key of a map of strings.
struct MapKey(Vec<u8>);

impl<'de> Deserialize<'de> for MapKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_string(KeyVisitor).map(MapKey)
    }
}

/// An element of a set.
struct SetKey(Vec<u8>);

impl<'de> Deserialize<'de> for SetKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(KeyVisitor).map(SetKey)
        } else {
            deserializer.deserialize_bytes(KeyVisitor).map(SetKey)
        }
    }
}

/// Serializes a map that has all its pairs in `range`.
fn write<S: Serializer, E: ExactEnds<Owned: Serialize>>(
    serializer: S,
    range: impl Fn() -> Range<E>,
) -> Result<S::Ok, S::Error> {
    let (len, mut pairs) = (range().len(), range());
    if serializer.is_human_readable() && all_text(range()) {
        let mut map = serializer.serialize_map(Some(len))?;
        while let Some((key, value)) = pairs.next_ref() {
            map.serialize_entry(&Key::new(key, true), &E::own(value))?;
        }
        return map.end();
    }
    let mut seq = serializer.serialize_seq(Some(len))?;
    while let Some((key, value)) = pairs.next_ref() {
        seq.serialize_element(&(Key::new(key, false), E::own(value)))?;
    }
    seq.end()
}

/// Serializes a copy of the pairs of a shared map.
fn write_copy<S: Serializer, V: Value + Serialize, E: OwnedEnds<Owned = V>>(
    serializer: S,
    mut pairs: Range<E>,
) -> Result<S::Ok, S::Error> {
    let mut copy = FastArt::new();
    while let Some((key, value)) = pairs.next_ref() {
        copy.try_insert(key, E::own(value)).map_err(S::Error::custom)?;
    }
    copy.serialize(serializer)
}

/// Returns whether all keys are UTF-8.
fn all_text<E: ExactEnds>(mut range: Range<E>) -> bool {
    while let Some((key, _)) = range.next_ref() {
        if std::str::from_utf8(key).is_err() {
            return false;
        }
    }
    true
}

/// Inserts a pair into a map.
type Store<M, V> = fn(&mut M, Vec<u8>, V) -> Result<(), InsertError>;

/// Deserializes pairs into `map`. Of equal keys the last one is kept.
fn read<'de, D: Deserializer<'de>, M, V: Deserialize<'de>>(
    deserializer: D,
    map: M,
    store: Store<M, V>,
) -> Result<M, D::Error> {
    struct Pairs<M, V> {
        map: M,
        store: Store<M, V>,
    }
    impl<'de, M, V: Deserialize<'de>> Visitor<'de> for Pairs<M, V> {
        type Value = M;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of strings, or a sequence of keys with their values")
        }
        fn visit_map<A: MapAccess<'de>>(mut self, mut pairs: A) -> Result<M, A::Error> {
            while let Some((MapKey(key), value)) = pairs.next_entry()? {
                (self.store)(&mut self.map, key, value).map_err(A::Error::custom)?;
            }
            Ok(self.map)
        }
        fn visit_seq<A: SeqAccess<'de>>(mut self, mut pairs: A) -> Result<M, A::Error> {
            while let Some((PairKey(key), value)) = pairs.next_element()? {
                (self.store)(&mut self.map, key, value).map_err(A::Error::custom)?;
            }
            Ok(self.map)
        }
    }
    let pairs = Pairs { map, store };
    if deserializer.is_human_readable() {
        deserializer.deserialize_any(pairs)
    } else {
        deserializer.deserialize_seq(pairs)
    }
}

impl<V: Value + Serialize> Serialize for FastArt<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(serializer, || self.iter())
    }
}

impl<'de, V: Value + Deserialize<'de>> Deserialize<'de> for FastArt<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, FastArt::new(), |map, key, value| map.try_insert(key, value).map(drop))
    }
}

impl<T: Serialize> Serialize for ArenaArt<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(serializer, || self.iter())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ArenaArt<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, ArenaArt::new(), |map, key, value| map.try_insert(key, value).map(drop))
    }
}

impl<V: Value + Serialize> Serialize for ConcurrentArt<V> {
    /// Serializes a copy that is made first, which takes as much memory as a `FastArt` does.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_copy(serializer, self.iter())
    }
}

impl<'de, V: Value + Deserialize<'de>> Deserialize<'de> for ConcurrentArt<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FastArt::deserialize(deserializer).map(Self::from)
    }
}

impl<V: Value + Serialize> Serialize for ShardedArt<V> {
    /// Serializes a copy that is made first, which takes as much memory as a `FastArt` does.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_copy(serializer, self.iter())
    }
}

impl<'de, V: Value + Deserialize<'de>> Deserialize<'de> for ShardedArt<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FastArt::deserialize(deserializer).map(Self::from)
    }
}

impl<T: Serialize> Serialize for Ref<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        T::serialize(self, serializer)
    }
}

impl<T: Serialize + Send + Sync + 'static> Serialize for ConcurrentArenaArt<T> {
    /// Serializes a copy of the keys with a [`Ref`] to each value.
    ///
    /// **Warning:** until it is done, no memory that any map retires can be freed.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (mut copy, mut pairs) = (ArenaArt::new(), self.iter());
        while let Some((key, value)) = pairs.next_ref() {
            copy.try_insert(key, value).map_err(S::Error::custom)?;
        }
        copy.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de> + Send + Sync + 'static> Deserialize<'de> for ConcurrentArenaArt<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ArenaArt::deserialize(deserializer).map(Self::from)
    }
}

impl Serialize for FastSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_text = serializer.is_human_readable();
        let mut seq = serializer.serialize_seq(Some(self.len()))?;
        for key in self.iter() {
            seq.serialize_element(&Key::new(&key, is_text))?;
        }
        seq.end()
    }
}

impl<'de> Deserialize<'de> for FastSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = FastSet;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence of keys")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut keys: A) -> Result<FastSet, A::Error> {
                let mut set = FastSet::new();
                while let Some(SetKey(key)) = keys.next_element()? {
                    set.try_insert(key).map_err(A::Error::custom)?;
                }
                Ok(set)
            }
        }
        deserializer.deserialize_seq(Keys)
    }
}
