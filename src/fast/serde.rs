//! Serialization as an ascending sequence of (key bytes, value) pairs. Not every format takes bytes
//! as the keys of a map.

use super::FastArt;
use crate::error::InsertError;
use crate::face::{ExactEnds, Range};
use crate::value::Value;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeSeq, Serializer};
use std::fmt;

/// A key to serialize.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

struct ByteBuf(Vec<u8>);

impl<'de> Deserialize<'de> for ByteBuf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = ByteBuf;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a byte string")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<ByteBuf, E> {
                Ok(ByteBuf(bytes.to_vec()))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<ByteBuf, E> {
                Ok(ByteBuf(text.as_bytes().to_vec()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<ByteBuf, A::Error> {
                let mut buf = Vec::new();
                while let Some(byte) = bytes.next_element()? {
                    buf.push(byte);
                }
                Ok(ByteBuf(buf))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

impl<V: Value + Serialize> Serialize for FastArt<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(serializer, self.iter())
    }
}

/// Serializes the pairs of a range.
pub(crate) fn write<S: Serializer, E: ExactEnds<Owned: Serialize>>(
    serializer: S,
    mut range: Range<E>,
) -> Result<S::Ok, S::Error> {
    let mut seq = serializer.serialize_seq(Some(range.len()))?;
    while let Some((key, value)) = range.next_ref() {
        seq.serialize_element(&(Bytes(key), E::own(value)))?;
    }
    seq.end()
}

/// Inserts a pair into a map.
type Store<M, V> = fn(&mut M, Vec<u8>, V) -> Result<(), InsertError>;

/// Deserializes pairs into `map`.
pub(crate) fn read<'de, D: Deserializer<'de>, M, V: Deserialize<'de>>(
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
            f.write_str("a sequence of keys with their values")
        }
        fn visit_seq<A: SeqAccess<'de>>(mut self, mut pairs: A) -> Result<M, A::Error> {
            while let Some((ByteBuf(key), value)) = pairs.next_element()? {
                (self.store)(&mut self.map, key, value).map_err(A::Error::custom)?;
            }
            Ok(self.map)
        }
    }
    deserializer.deserialize_seq(Pairs { map, store })
}

impl<'de, V: Value + Deserialize<'de>> Deserialize<'de> for FastArt<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, FastArt::new(), |map, key, value| map.try_insert(key, value).map(drop))
    }
}
