//! Serialization as that of `FastArt`: a sequence of pairs.

use super::ArenaArt;
use crate::fast::serde::{read, write};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

impl<T: Serialize> Serialize for ArenaArt<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(serializer, self.iter())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ArenaArt<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, ArenaArt::new(), |map, key, value| map.try_insert(key, value).map(drop))
    }
}
