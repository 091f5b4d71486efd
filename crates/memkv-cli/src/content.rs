//! What commands read: a layer, or a set of layers, with one interface.
//!
//! A part of a set is opened when it is needed, so every method may fail. The error names the part.

use crate::values::{Field, ToolValue};
use anyhow::{Context, Error, Result};
use clap::Args;
use memkv::{
    Automaton, FrozenError, FrozenLayer, FrozenLayerBuilder, LayerSet, LayerValue, SetError,
};
use std::{
    ffi::OsString,
    ops::Bound,
    path::{Path, PathBuf},
};

/// A layer or a set of layers, with values of a kind.
pub(crate) enum Content<V: ToolValue + ?Sized> {
    /// A layer, and its file or the folder of its store.
    Layer(FrozenLayer<V>, PathBuf),
    Set(LayerSet<V>),
}

/// The keys that a command reads.
#[derive(Args, Debug)]
pub(crate) struct Bounds {
    /// Print only keys that begin with this prefix.
    #[arg(long, value_name = "KEY")]
    prefix: Option<OsString>,
    /// Print only keys that are at least this one.
    #[arg(long, value_name = "KEY")]
    from: Option<OsString>,
    /// Print only keys that are less than this one.
    #[arg(long, value_name = "KEY")]
    to: Option<OsString>,
}

impl Bounds {
    /// Returns the keys that are within all bounds.
    pub(crate) fn range(&self) -> KeyRange {
        let mut range = KeyRange::default();
        if let Some(prefix) = &self.prefix {
            range.prefix(prefix.as_encoded_bytes());
        }
        if let Some(key) = &self.from {
            range.from(key.as_encoded_bytes());
        }
        if let Some(key) = &self.to {
            range.to(key.as_encoded_bytes());
        }
        range
    }
}

/// The keys from one on, up to another one without it.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyRange {
    from: Vec<u8>,
    /// `None` if there is no end.
    to: Option<Vec<u8>>,
}

impl KeyRange {
    fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        let to = self.to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        (Bound::Included(&self.from), to)
    }

    /// Leaves the keys that are at least `key`.
    pub(crate) fn from(&mut self, key: &[u8]) {
        if *key > *self.from {
            self.from = key.to_vec();
        }
    }

    /// Leaves the keys that are less than `key`.
    pub(crate) fn to(&mut self, key: &[u8]) {
        if self.to.as_deref().is_none_or(|to| key < to) {
            self.to = Some(key.to_vec());
        }
    }

    /// Leaves the keys that begin with `prefix`.
    pub(crate) fn prefix(&mut self, prefix: &[u8]) {
        self.from(prefix);
        // The least key after them ends where the prefix has a byte that can be larger.
        if let Some(at) = prefix.iter().rposition(|&byte| byte < u8::MAX) {
            let mut after = prefix[..=at].to_vec();
            after[at] += 1;
            self.to(&after);
        }
    }
}

impl<V: ToolValue + ?Sized> Content<V> {
    /// Maps a layer file.
    pub(crate) fn map_layer(path: &Path) -> Result<Self, FrozenError> {
        Ok(Self::Layer(map(path)?, path.to_owned()))
    }

    /// Opens a set, whose parts are mapped when they are needed.
    pub(crate) fn map_set(folder: &Path) -> Result<Self, SetError> {
        #[expect(unsafe_code, reason = "a set of any size must be read without a copy in memory")]
        // SAFETY: (M1) this program writes new parts and never changes one in place. `--help` of
        // each command that reads sets asks the user not to change a file that is in use.
        unsafe {
            LayerSet::open_mapped_as(folder).map(Self::Set)
        }
    }

    /// Returns the number of keys.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Layer(layer, _) => layer.len() as u64,
            Self::Set(set) => set.len(),
        }
    }

    /// Returns the number of parts of a set, or `None` of a layer.
    pub(crate) fn parts(&self) -> Option<usize> {
        match self {
            Self::Layer(..) => None,
            Self::Set(set) => Some(set.parts().len()),
        }
    }

    /// Verifies everything.
    ///
    /// # Errors
    /// The layer, or a part of the set, is damaged or missing.
    pub(crate) fn verify(&self) -> Result<()> {
        match self {
            Self::Layer(layer, path) => layer.verify().with_context(|| path.display().to_string()),
            Self::Set(set) => set.verify().map_err(set_error),
        }
    }

    /// Passes the value of each key to `found`, in the order of the keys.
    pub(crate) fn get_many(
        &self,
        keys: &[&[u8]],
        mut found: impl FnMut(Option<Field<'_>>),
    ) -> Result<()> {
        match self {
            Self::Layer(layer, _) => {
                layer.get_many_with(keys, |value| found(value.map(V::field)));
            }
            Self::Set(set) => {
                for value in set.get_many(keys).map_err(set_error)? {
                    found(value.as_ref().map(|value| V::field(V::lent(value))));
                }
            }
        }
        Ok(())
    }

    /// Returns the number of keys in a range, which are not read.
    pub(crate) fn count(&self, range: &KeyRange) -> Result<u64> {
        let rank = |key: &[u8]| match self {
            Self::Layer(layer, _) => Ok(layer.rank(key) as u64),
            Self::Set(set) => set.rank(key).map_err(set_error),
        };
        let to = range.to.as_deref().map_or(Ok(self.len()), rank)?;
        Ok(to.saturating_sub(rank(&range.from)?))
    }

    /// Passes the keys in a range to `take`, in order or from the greatest to the least, until it
    /// returns `false`.
    pub(crate) fn scan(
        &self,
        range: &KeyRange,
        is_reverse: bool,
        mut take: impl FnMut(&[u8], Field<'_>) -> Result<bool>,
    ) -> Result<()> {
        match self {
            Self::Layer(layer, path) => {
                let from = layer.rank(&range.from);
                let to = range.to.as_ref().map_or(layer.len(), |to| layer.rank(to));
                let mut cursor = layer.cursor();
                cursor.seek_to_rank(if is_reverse { to } else { from });
                for _ in from..to {
                    let record = if is_reverse { cursor.prev() } else { cursor.next() };
                    let (key, value) = record.with_context(|| {
                        format!("{} is damaged: keys are missing", path.display())
                    })?;
                    if !take(key, V::field(value))? {
                        break;
                    }
                }
            }
            Self::Set(set) => {
                let mut keys = set.range::<[u8], _>(range.bounds());
                while let Some(record) =
                    if is_reverse { keys.next_back_ref() } else { keys.next_ref() }
                {
                    let (key, value) = record.map_err(set_error)?;
                    if !take(key, V::field(value))? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Passes the keys in a range that an automaton matches to `take`, in order, until it returns
    /// `false`.
    pub(crate) fn search(
        &self,
        automaton: impl Automaton,
        range: &KeyRange,
        mut take: impl FnMut(&[u8], Field<'_>) -> Result<bool>,
    ) -> Result<()> {
        match self {
            Self::Layer(layer, _) => {
                let mut matches = layer.search_range::<_, [u8], _>(automaton, range.bounds());
                while let Some((key, value)) = matches.next_ref() {
                    if !take(key, V::field(value))? {
                        break;
                    }
                }
            }
            Self::Set(set) => {
                let mut matches = set.search_range::<_, [u8], _>(automaton, range.bounds());
                while let Some(found) = matches.next_ref() {
                    let (key, value) = found.map_err(set_error)?;
                    if !take(key, V::field(value))? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns the layer, or the parts of the set in `folder` as layers, of which there is at least
    /// one. The ranges of parts are disjoint.
    pub(crate) fn into_layers(self, folder: &Path) -> Result<Vec<FrozenLayer<V>>> {
        match self {
            Self::Layer(layer, _) => Ok(vec![layer]),
            Self::Set(set) if set.is_empty() => {
                let builder = FrozenLayerBuilder::<V>::typed()?;
                Ok(vec![builder.finish()?])
            }
            Self::Set(set) => {
                let open = |path: PathBuf| map(&path).map_err(|error| named("open", &path, error));
                set.parts().iter().map(|part| open(folder.join(&part.path))).collect()
            }
        }
    }
}

/// Maps a layer file of values of a kind.
pub(crate) fn map<V: LayerValue + ?Sized>(path: &Path) -> Result<FrozenLayer<V>, FrozenError> {
    #[expect(unsafe_code, reason = "a file of any size must be read without a copy in memory")]
    // SAFETY: (M1) this program replaces files and never changes one in place. `--help` of each
    // command that reads layers asks the user not to change a file that is in use.
    unsafe {
        FrozenLayer::open_mapped_as(path)
    }
}

/// Adds the path to an error, unless it has the path.
pub(crate) fn named(operation: &str, path: &Path, error: FrozenError) -> Error {
    match error {
        FrozenError::File(_) | FrozenError::Repeated { .. } | FrozenError::SumOverflow { .. } => {
            error.into()
        }
        _ => Error::new(error).context(format!("cannot {operation} {}", path.display())),
    }
}

/// Returns an error of a set. What concerns a key or a file becomes the error that layers have.
pub(crate) fn set_error(error: SetError) -> Error {
    match error {
        // In the words that the other commands have for a layer.
        SetError::Layer { part, error } => named("read", &part, error),
        SetError::Build(error) => error.into(),
        SetError::File(error) => FrozenError::File(error).into(),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::KeyRange;

    #[test]
    fn a_prefix_is_a_range() {
        for (prefix, to) in [
            (&b""[..], None),
            (b"a", Some(&b"b"[..])),
            (b"a\xff", Some(b"b")),
            (b"\xff\xff", None),
            (b"a\xfe", Some(b"a\xff")),
        ] {
            let mut range = KeyRange::default();
            range.prefix(prefix);
            assert_eq!((&*range.from, range.to.as_deref()), (prefix, to));
        }
        let mut range = KeyRange::default();
        range.from(b"b");
        range.to(b"x");
        range.prefix(b"a");
        assert_eq!((&*range.from, range.to.as_deref()), (&b"b"[..], Some(&b"b"[..])));
    }
}
