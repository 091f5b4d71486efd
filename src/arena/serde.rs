//! Serialization as that of `FastArt`: a sequence of pairs.

use super::ArenaArt;
use crate::fast::serde::{Bytes, read};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeSeq, Serializer};

impl<T: Serialize> Serialize for ArenaArt<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.len()))?;
        let mut cursor = self.cursor();
        while let Some((key, value)) = cursor.next() {
            seq.serialize_element(&(Bytes(key), value))?;
        }
        seq.end()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ArenaArt<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, ArenaArt::new(), |map, key, value| map.try_insert(key, value).map(drop))
    }
}
