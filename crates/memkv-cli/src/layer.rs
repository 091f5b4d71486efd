//! Layer files and folders of stores, which several commands read.

use crate::{
    signals::TempFolder,
    text,
    values::{NO_SUMS, ToolValue},
};
use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use clap::Args;
use memkv::{
    BytesLayer, FrozenError, FrozenLayer, FrozenLayerBuilder, FrozenOptions, HybridError,
    HybridStore, OnDuplicate, Recovery, ValueKind,
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
pub(crate) type AnyLayer = ByKind<FrozenLayer, BytesLayer, KeyLayer>;

/// Layers of the same kind.
type Layers = ByKind<Vec<FrozenLayer>, Vec<BytesLayer>, Vec<KeyLayer>>;

/// Runs code for each kind of layers, to which it gives a name.
macro_rules! with_layer {
    ($any:expr, $layer:ident => $body:expr) => {
        match $any {
            $crate::layer::ByKind::Numbers($layer) => $body,
            $crate::layer::ByKind::Bytes($layer) => $body,
            $crate::layer::ByKind::Keys($layer) => $body,
        }
    };
}
pub(crate) use with_layer;

impl AnyLayer {
    /// Returns the layer of numbers.
    ///
    /// # Errors
    /// The values are byte strings, or there are none.
    pub(crate) fn numbers(self) -> Result<FrozenLayer> {
        match self {
            Self::Numbers(layer) => Ok(layer),
            _ => bail!("the values are not numbers"),
        }
    }
}

/// A layer, or the content of a store.
pub(crate) struct Opened {
    pub(crate) layer: AnyLayer,
    /// What was found in the folder of a store.
    pub(crate) store: Option<StoreState>,
}

/// What is said of a store.
pub(crate) struct StoreState {
    pub(crate) recovery: Recovery,
    pub(crate) base_keys: usize,
    pub(crate) changes: u64,
}

/// Maps a layer file, of which only the parts that are used are read; or reads the folder of a
/// store, and checks it.
pub(crate) fn open(path: &Path) -> Result<Opened> {
    if path.is_dir() {
        let store = HybridStore::open_read_only(path).map_err(|error| match error {
            HybridError::NotAStore { .. } => {
                anyhow!("cannot open {}: it is a folder without a store", path.display())
            }
            error => error.into(),
        })?;
        let state = StoreState {
            recovery: store.recovery().clone(),
            base_keys: store.stats().base_keys,
            changes: store.stats().replayed,
        };
        let layer = AnyLayer::Numbers(store.to_layer()?);
        return Ok(Opened { layer, store: Some(state) });
    }
    if let Some(what) = text::special(path) {
        bail!(
            "cannot open {}: it is {what}; a layer is mapped, so it must be a file",
            path.display()
        );
    }
    let layer = match map::<u64>(path) {
        Err(FrozenError::Values { found: ValueKind::Bytes, .. }) => map(path).map(AnyLayer::Bytes),
        Err(FrozenError::Values { found: ValueKind::Unit, .. }) => map(path).map(AnyLayer::Keys),
        opened => opened.map(AnyLayer::Numbers),
    };
    let layer = layer.map_err(|error| match (&error, text::content(path)) {
        (FrozenError::NotALayer, Some(what)) => {
            anyhow!("cannot open {}: {error}: it is {what}", path.display())
        }
        _ => named("open", path, error),
    })?;
    Ok(Opened { layer, store: None })
}

/// Maps a layer file of values of a kind.
fn map<V: ToolValue + ?Sized>(path: &Path) -> Result<FrozenLayer<V>, FrozenError> {
    #[expect(unsafe_code, reason = "a file of any size must be read without a copy in memory")]
    // SAFETY: (M1) this program replaces files and never changes one in place. `--help` of each
    // command that reads layers asks the user not to change a file that is in use.
    unsafe {
        FrozenLayer::open_mapped_as(path)
    }
}

/// Maps a layer file after checking all of it, or reads the folder of a store.
pub(crate) fn open_checked(path: &Path) -> Result<Opened> {
    let opened = open(path)?;
    if opened.store.is_none() {
        with_layer!(&opened.layer, layer => layer.verify())
            .with_context(|| path.display().to_string())?;
    }
    Ok(opened)
}

/// Layers whose values are of one kind, and the folder of what was made for that.
pub(crate) struct SameKind {
    pub(crate) layers: Layers,
    _folder: Option<TempFolder>,
}

/// Opens and checks layers. If `fills`, those without values become layers of the kind of the
/// others, in temporary files: with zeros, or with empty byte strings.
///
/// # Errors
/// One of them cannot be opened or is damaged, some have numbers and some byte strings, or some
/// none, or `rule` adds what are no numbers.
pub(crate) fn open_same(paths: &[PathBuf], rule: OnDuplicate, fills: bool) -> Result<SameKind> {
    let opened = paths.iter().map(|path| Ok(open_checked(path)?.layer));
    let opened = opened.collect::<Result<Vec<_>>>()?;
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
    Ok(SameKind { layers, _folder: folder })
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

/// Adds the path to an error, unless it has the path.
pub(crate) fn named(operation: &str, path: &Path, error: FrozenError) -> Error {
    match error {
        FrozenError::File(_) | FrozenError::Repeated { .. } | FrozenError::SumOverflow { .. } => {
            error.into()
        }
        _ => Error::new(error).context(format!("cannot {operation} {}", path.display())),
    }
}

/// The layer that a command reads.
#[derive(Args, Debug)]
pub(crate) struct Input {
    /// A file of `memkv build` or `FrozenLayer::save`, or the folder of a `HybridStore`. A file is
    /// mapped, so it must not be changed in place while the command runs. Replacing it, as `memkv
    /// build` does, is fine. A folder may be in use by a process that writes to it.
    file: PathBuf,
    /// Check the whole file first. Otherwise keys of a damaged file may be missing or have wrong
    /// values. A folder is always checked.
    #[arg(long)]
    check: bool,
}

impl Input {
    pub(crate) fn open(&self) -> Result<AnyLayer> {
        Ok(self.open_with_state()?.layer)
    }

    pub(crate) fn open_with_state(&self) -> Result<Opened> {
        if self.check { open_checked(&self.file) } else { open(&self.file) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.file
    }
}
