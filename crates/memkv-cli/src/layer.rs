//! Layer files, and the options for writing them, shared by several commands.

use crate::{
    input::{LAYER_MAGIC, STDIN},
    signals::Unfinished,
};
use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use clap::{Args, ValueEnum};
use indicatif::{DecimalBytes, HumanCount};
use memkv::{
    BytesLayer, Codec, FrozenError, FrozenLayer, FrozenOptions, HybridError, HybridStore,
    OnDuplicate, Recovery, SymbolTable, ValueKind,
};
use std::{
    fs::File,
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    time::Instant,
};
use tempfile::TempDir;

/// A layer of any values that this program writes.
pub(crate) enum AnyLayer {
    Numbers(FrozenLayer),
    Bytes(BytesLayer),
}

/// Runs code for either kind of layer, to which it gives a name.
macro_rules! with_layer {
    ($any:expr, $layer:ident => $body:expr) => {
        match $any {
            $crate::layer::AnyLayer::Numbers($layer) => $body,
            $crate::layer::AnyLayer::Bytes($layer) => $body,
        }
    };
}
pub(crate) use with_layer;

impl AnyLayer {
    /// Returns the layer of numbers.
    ///
    /// # Errors
    /// The values are byte strings.
    pub(crate) fn numbers(self) -> Result<FrozenLayer> {
        match self {
            Self::Numbers(layer) => Ok(layer),
            Self::Bytes(_) => bail!("the values are byte strings, not numbers"),
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
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        bail!("cannot open {}: it is not a file, as a layer is", path.display());
    }
    #[expect(unsafe_code, reason = "a file of any size must be read without a copy in memory")]
    // SAFETY: (M1) this program replaces files and never changes one in place. `--help` of each
    // command that reads layers asks the user not to change a file that is in use.
    let layer = unsafe {
        match FrozenLayer::open_mapped(path) {
            Err(FrozenError::Values { found: ValueKind::Bytes, .. }) => {
                BytesLayer::open_mapped_as(path).map(AnyLayer::Bytes)
            }
            opened => opened.map(AnyLayer::Numbers),
        }
    };
    Ok(Opened { layer: layer.map_err(|error| named("open", path, error))?, store: None })
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

/// Adds the path to an error, unless it has the path.
fn named(operation: &str, path: &Path, error: FrozenError) -> Error {
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

/// The options for writing a layer.
#[derive(Args, Debug)]
pub(crate) struct Output {
    /// The file to write, or - for the standard output. It appears under its name once it is
    /// complete; until then an existing layer stays. What is not a layer is not replaced.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Replace the output also if it is not a layer.
    #[arg(long)]
    force: bool,
    /// Print no summary.
    #[arg(long, short)]
    quiet: bool,
    /// How to treat a key that occurs several times.
    #[arg(long, value_enum, default_value_t = RuleName::Last, value_name = "RULE")]
    on_duplicate: RuleName,
    /// The encoding of keys.
    #[arg(long, value_enum, default_value_t = CodecName::Packed)]
    codec: CodecName,
    /// The symbols that replace bytes of keys, with the codec `packed`.
    #[arg(long, value_enum, default_value_t = SymbolsName::Auto)]
    symbols: SymbolsName,
    /// The keys of a chunk, 1 to 16777216.
    #[arg(
        long,
        default_value_t = 1 << 16,
        value_name = "KEYS",
        value_parser = clap::value_parser!(u32).range(1..=1 << 24)
    )]
    chunk: u32,
}

/// Returns whether a file exists that is neither empty nor a layer. A file that cannot be read is
/// left to the error of writing it.
fn holds_something_else(path: &Path) -> bool {
    let mut start = Vec::new();
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    let read = || File::open(path)?.take(LAYER_MAGIC.len() as u64).read_to_end(&mut start);
    is_file && { read }().is_ok_and(|count| count > 0) && start != LAYER_MAGIC
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RuleName {
    /// Keep the first value.
    First,
    /// Keep the last value.
    Last,
    /// Add the values.
    Sum,
    /// Return an error.
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CodecName {
    /// Front-coded blocks in a static B+-tree: the smallest and the fastest.
    Packed,
    /// A finite-state transducer for each chunk.
    Fst,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SymbolsName {
    /// The symbols with which a sample of the keys takes the fewest bytes.
    Auto,
    None,
    /// Up to 255 symbols of up to 8 bytes.
    Fsst,
    /// Up to 65535 symbols of up to 15 bytes: the smallest; slower to build.
    Onpair,
}

/// Where an output is written.
pub(crate) struct Target<'a> {
    output: &'a Output,
    path: PathBuf,
    /// The folder of what goes to the standard output.
    folder: Option<(TempDir, Unfinished)>,
    unfinished: Option<Unfinished>,
    begun: Instant,
}

impl Target<'_> {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes what the builder has begun to write, to be removed if a signal ends the program.
    pub(crate) fn begin(&mut self, unfinished: Option<PathBuf>) {
        self.unfinished = unfinished.map(Unfinished::new);
    }

    /// Copies the complete layer to the standard output if it is to go there, and prints what it
    /// is. `read` is what it was built from.
    pub(crate) fn finish(self, keys: u64, read: &str, out: &mut impl Write) -> Result<()> {
        let bytes = std::fs::metadata(&self.path)?.len();
        if self.folder.is_some() {
            io::copy(&mut File::open(&self.path)?, out)?;
            out.flush()?;
        }
        if !self.output.quiet {
            let each = bytes as f64 / keys.max(1) as f64;
            // An error of this write cannot be reported.
            let _ = writeln!(
                io::stderr(),
                "memkv: {}: {} keys of {read} in {}, {each:.2} bytes a key, {:.1} s",
                self.output.output.display(),
                HumanCount(keys),
                DecimalBytes(bytes),
                self.begun.elapsed().as_secs_f64()
            );
        }
        Ok(())
    }
}

impl Output {
    /// Returns where to write. What goes to the standard output is written to a temporary file of
    /// `folder` first.
    ///
    /// # Errors
    /// There is a file that is not a layer, or the standard output is a terminal.
    pub(crate) fn target(&self, folder: Option<&Path>) -> Result<Target<'_>> {
        let begun = Instant::now();
        if self.output == Path::new(STDIN) {
            ensure!(!io::stdout().is_terminal(), "a layer is not written to a terminal");
            let folder = match folder {
                Some(folder) => TempDir::new_in(folder),
                None => TempDir::new(),
            };
            let folder = folder.context("cannot create a temporary folder")?;
            let (path, unfinished) =
                (folder.path().join("layer"), Unfinished::new(folder.path().to_owned()));
            let folder = Some((folder, unfinished));
            return Ok(Target { output: self, path, folder, unfinished: None, begun });
        }
        if !self.force && holds_something_else(&self.output) {
            bail!("{} is not a layer; --force replaces it", self.output.display());
        }
        let path = self.output.clone();
        Ok(Target { output: self, path, folder: None, unfinished: None, begun })
    }

    /// Adds the path to an error of writing, unless it has it or concerns a key.
    pub(crate) fn failed(&self, error: FrozenError) -> Error {
        let named = named("write", &self.output, error);
        match named.downcast_ref() {
            Some(FrozenError::File(file)) if file.path().file_name() != self.output.file_name() => {
                named.context(format!("cannot write {}", self.output.display()))
            }
            _ => named,
        }
    }

    pub(crate) fn options(&self) -> FrozenOptions {
        let codec = match self.codec {
            CodecName::Packed => Codec::Packed,
            CodecName::Fst => Codec::Fst,
        };
        let symbols = match self.symbols {
            SymbolsName::Auto => SymbolTable::Auto,
            SymbolsName::None => SymbolTable::None,
            SymbolsName::Fsst => SymbolTable::Fsst,
            SymbolsName::Onpair => SymbolTable::OnPair,
        };
        let rule = match self.on_duplicate {
            RuleName::First => OnDuplicate::First,
            RuleName::Last => OnDuplicate::Last,
            RuleName::Sum => OnDuplicate::Sum,
            RuleName::Error => OnDuplicate::Error,
        };
        let options = FrozenOptions::new().codec(codec).symbols(symbols);
        options.chunk_keys(self.chunk as usize).on_duplicate(rule)
    }
}
