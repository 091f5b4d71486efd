//! Layer files, and folders of stores and of sets, which several commands read.

use crate::{
    content::{Content, map, named, set_error},
    signals::TempFolder,
    text,
    values::{NO_SUMS, ToolValue},
};
use anyhow::{Result, anyhow, bail, ensure};
use clap::Args;
use memkv::{
    BytesLayer, FrozenError, FrozenLayer, FrozenLayerBuilder, FrozenOptions, HybridError,
    HybridStore, OnDuplicate, Recovery, SetError, ValueKind,
};
use std::path::{Path, PathBuf};

/// One thing for each kind of values.
pub(crate) enum ByKind<N, B, K> {
    Numbers(N),
    Bytes(B),
    /// No values.
    Keys(K),
}

/// A layer without values.
type KeyLayer = FrozenLayer<()>;

/// A layer of any values that this program writes.
type AnyLayer = ByKind<FrozenLayer, BytesLayer, KeyLayer>;

/// A layer or a set of any values that this program writes.
pub(crate) type AnyContent = ByKind<Content<u64>, Content<[u8]>, Content<()>>;

/// Layers of the same kind.
type Layers = ByKind<Vec<FrozenLayer>, Vec<BytesLayer>, Vec<KeyLayer>>;

/// Runs code for each kind of values. It gives a name to what has them.
macro_rules! by_kind {
    ($any:expr, $name:ident => $body:expr) => {
        match $any {
            $crate::layer::ByKind::Numbers($name) => $body,
            $crate::layer::ByKind::Bytes($name) => $body,
            $crate::layer::ByKind::Keys($name) => $body,
        }
    };
}
pub(crate) use by_kind;

impl AnyContent {
    /// Returns the layer of numbers.
    ///
    /// # Errors
    /// The values are byte strings, or there are none, or it is a set.
    pub(crate) fn numbers(self) -> Result<FrozenLayer> {
        match self {
            Self::Numbers(Content::Layer(layer, _)) => Ok(layer),
            _ => bail!("it is not a layer of numbers"),
        }
    }

    /// Returns the layer, or the parts of the set in `folder` as layers, at least one.
    fn into_layers(self, folder: &Path) -> Result<Vec<AnyLayer>> {
        Ok(match self {
            Self::Numbers(content) => {
                content.into_layers(folder)?.into_iter().map(AnyLayer::Numbers).collect()
            }
            Self::Bytes(content) => {
                content.into_layers(folder)?.into_iter().map(AnyLayer::Bytes).collect()
            }
            Self::Keys(content) => {
                content.into_layers(folder)?.into_iter().map(AnyLayer::Keys).collect()
            }
        })
    }
}

/// A layer, a set, or the content of a store.
pub(crate) struct Opened {
    pub(crate) content: AnyContent,
    /// What was found in the folder of a store.
    pub(crate) store: Option<StoreState>,
}

/// What is said of a store.
pub(crate) struct StoreState {
    pub(crate) recovery: Recovery,
    pub(crate) base_keys: usize,
    pub(crate) changes: u64,
}

/// Maps a layer file or a set, of which only the parts that are used are read; or reads the folder
/// of a store, and checks it.
pub(crate) fn open(path: &Path) -> Result<Opened> {
    if path.is_dir() {
        let store = match HybridStore::open_read_only(path) {
            Err(HybridError::NotAStore { .. }) => return open_set(path),
            store => store?,
        };
        let state = StoreState {
            recovery: store.recovery().clone(),
            base_keys: store.stats().base_keys,
            changes: store.stats().replayed,
        };
        let content = Content::Layer(store.to_layer()?, path.to_owned());
        return Ok(Opened { content: AnyContent::Numbers(content), store: Some(state) });
    }
    if let Some(what) = text::special(path) {
        bail!(
            "cannot open {}: it is {what}; a layer is mapped, so it must be a file",
            path.display()
        );
    }
    let content = match Content::map_layer(path) {
        Err(FrozenError::Values { found: ValueKind::Bytes, .. }) => {
            Content::map_layer(path).map(AnyContent::Bytes)
        }
        Err(FrozenError::Values { found: ValueKind::Unit, .. }) => {
            Content::map_layer(path).map(AnyContent::Keys)
        }
        opened => opened.map(AnyContent::Numbers),
    };
    let content = content.map_err(|error| match (&error, text::content(path)) {
        (FrozenError::NotALayer, Some(what)) => {
            anyhow!("cannot open {}: {error}: it is {what}", path.display())
        }
        _ => named("open", path, error),
    })?;
    Ok(Opened { content, store: None })
}

/// Opens a folder that is not one of a store.
fn open_set(path: &Path) -> Result<Opened> {
    let content = match Content::map_set(path) {
        Err(SetError::Values { found: ValueKind::Bytes, .. }) => {
            Content::map_set(path).map(AnyContent::Bytes)
        }
        Err(SetError::Values { found: ValueKind::Unit, .. }) => {
            Content::map_set(path).map(AnyContent::Keys)
        }
        opened => opened.map(AnyContent::Numbers),
    };
    let content = content.map_err(|error| match error {
        SetError::NotASet { .. } => anyhow!(
            "cannot open {}: it is a folder with neither a store nor a set of layers",
            path.display()
        ),
        error => set_error(error).context(format!("cannot open {}", path.display())),
    })?;
    Ok(Opened { content, store: None })
}

/// Opens a set of layers.
///
/// # Errors
/// It is a layer or a store, or cannot be opened.
pub(crate) fn open_as_set(path: &Path) -> Result<AnyContent> {
    let Opened { content, store } = open(path)?;
    let is_set = by_kind!(&content, content => content.parts().is_some());
    let what = if store.is_some() { "a store" } else { "a layer" };
    ensure!(is_set, "cannot open {}: it is {what}, not a set of layers", path.display());
    Ok(content)
}

/// Opens a layer file or a set and checks all of it, or reads the folder of a store.
pub(crate) fn open_checked(path: &Path) -> Result<Opened> {
    let opened = open(path)?;
    if opened.store.is_none() {
        by_kind!(&opened.content, content => content.verify())?;
    }
    Ok(opened)
}

/// Layers whose values are of one kind, and the folder of what was made for that.
pub(crate) struct SameKind {
    pub(crate) layers: Layers,
    /// For each layer, the number of the input that it is or that it is a part of. Ascending, and
    /// each input has a layer.
    pub(crate) inputs: Vec<usize>,
    _folder: Option<TempFolder>,
}

/// Opens and checks layers, and the parts of sets as layers. If `fills`, those without values are
/// copied with values of the kind of the others, to temporary files: zeros, or empty byte strings.
///
/// # Errors
/// One of them cannot be opened or is damaged, some have numbers and some byte strings, or some
/// none, or `rule` adds what are no numbers.
pub(crate) fn open_same(paths: &[PathBuf], rule: OnDuplicate, fills: bool) -> Result<SameKind> {
    let (mut opened, mut inputs) = (Vec::new(), Vec::new());
    for (input, path) in paths.iter().enumerate() {
        opened.extend(open_checked(path)?.content.into_layers(path)?);
        inputs.resize(opened.len(), input);
    }
    let has_values = |layer: &&AnyLayer| !matches!(layer, AnyLayer::Keys(_));
    let valued = opened.iter().find(has_values);
    if valued.is_some() && !fills && !opened.iter().all(|layer| has_values(&layer)) {
        bail!("some layers have values, and some have none; --zeros makes these 0, or empty texts");
    }
    let is_number = matches!(valued, Some(AnyLayer::Numbers(_)));
    let mut folder = None;
    let layers = match valued {
        Some(AnyLayer::Numbers(_)) => Layers::Numbers(of_kind(opened, &mut folder, |any| {
            if let AnyLayer::Numbers(layer) = any { Ok(layer) } else { Err(any) }
        })?),
        Some(AnyLayer::Bytes(_)) => Layers::Bytes(of_kind(opened, &mut folder, |any| {
            if let AnyLayer::Bytes(layer) = any { Ok(layer) } else { Err(any) }
        })?),
        Some(AnyLayer::Keys(_)) | None => Layers::Keys(of_kind(opened, &mut folder, |any| {
            if let AnyLayer::Keys(layer) = any { Ok(layer) } else { Err(any) }
        })?),
    };
    ensure!(is_number || rule != OnDuplicate::Sum, NO_SUMS);
    Ok(SameKind { layers, inputs, _folder: folder })
}

/// Returns layers of a kind. `take` returns one that is of it, or else the layer that it was given.
fn of_kind<V: ToolValue + ?Sized>(
    layers: Vec<AnyLayer>,
    folder: &mut Option<TempFolder>,
    take: impl Fn(AnyLayer) -> Result<FrozenLayer<V>, AnyLayer>,
) -> Result<Vec<FrozenLayer<V>>> {
    let mut all = Vec::with_capacity(layers.len());
    for (number, layer) in layers.into_iter().enumerate() {
        all.push(match take(layer) {
            Ok(layer) => layer,
            Err(AnyLayer::Keys(keys)) => {
                let folder = match folder {
                    Some(folder) => folder,
                    None => folder.insert(TempFolder::new(None)?),
                };
                with_values(&keys, &folder.path().join(number.to_string()))?
            }
            Err(_) => bail!("some layers have numbers as values, and some byte strings"),
        });
    }
    Ok(all)
}

/// Returns a copy, in a file, of a layer without values, with values of another kind.
fn with_values<V: ToolValue + ?Sized>(keys: &KeyLayer, path: &Path) -> Result<FrozenLayer<V>> {
    let mut builder = FrozenLayerBuilder::<V>::create_as(path, FrozenOptions::new())?;
    let mut cursor = keys.cursor();
    while let Some((key, ())) = cursor.next() {
        builder.insert(key, V::absent())?;
    }
    builder.finish_file()?;
    Ok(map(path)?)
}

/// The layer that a command reads.
#[derive(Args, Debug)]
pub(crate) struct Input {
    /// A file of `memkv build` or `FrozenLayer::save`, the folder of a set of layers, or that of a
    /// `HybridStore`. Files of layers are mapped, so they must not be changed in place while the
    /// command runs. Replacing them, as `memkv build` does, is fine. A folder may be in use by a
    /// process that writes to it.
    file: PathBuf,
    /// Check the whole file, or all parts of a set, first. Otherwise keys of a damaged file may be
    /// missing or have wrong values. A store is always checked.
    #[arg(long)]
    check: bool,
}

impl Input {
    pub(crate) fn open(&self) -> Result<AnyContent> {
        Ok(self.open_with_state()?.content)
    }

    pub(crate) fn open_with_state(&self) -> Result<Opened> {
        if self.check { open_checked(&self.file) } else { open(&self.file) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.file
    }
}
