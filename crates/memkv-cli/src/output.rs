//! The layer files and sets of layers that commands write.

use crate::{
    content::{named, set_error},
    input::{LAYER_MAGIC, STDIN},
    signals::{Begun, TempFolder, Unfinished},
    text,
};
use anyhow::{Context, Error, Result, bail, ensure};
use clap::{Args, ValueEnum};
use indicatif::HumanCount;
use memkv::{
    Codec, FrozenError, FrozenOptions, LayerSet, OnDuplicate, SetError, SetInfo, SymbolTable,
    UnfinishedSet,
};
use std::{
    fs::File,
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    time::Instant,
};

/// The layer that a command writes, and the rule for keys that occur several times.
#[derive(Args, Debug)]
pub(crate) struct Output {
    /// The file to write, or - for the standard output. It appears under its name once it is
    /// complete; until then an existing layer stays. What is not a layer is not replaced.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// How to treat a key that occurs several times.
    #[arg(long, value_enum, default_value_t = RuleName::Last, value_name = "RULE")]
    on_duplicate: RuleName,
    #[command(flatten)]
    writing: Writing,
}

/// The options for writing a layer. They need an `--output`.
#[derive(Args, Debug)]
pub(crate) struct Writing {
    /// Replace the output also if it is not a layer.
    #[arg(long, requires = "output")]
    force: bool,
    /// Print no summary.
    #[arg(long, short, requires = "output")]
    quiet: bool,
    /// The encoding of keys.
    #[arg(long, value_enum, default_value_t = CodecName::Packed, requires = "output")]
    codec: CodecName,
    /// The symbols that replace bytes of keys, with the codec `packed`.
    #[arg(long, value_enum, default_value_t = SymbolsName::Auto, requires = "output")]
    symbols: SymbolsName,
    /// The keys of a chunk, 1 to 16777216.
    #[arg(
        long,
        default_value_t = 1 << 16,
        value_name = "KEYS",
        value_parser = clap::value_parser!(u32).range(1..=1 << 24),
        requires = "output"
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

/// Checks that a folder has a set, or nothing but what builds of sets may have left.
fn check_set_folder(folder: &Path) -> Result<()> {
    let failed = || format!("cannot write {}", folder.display());
    match LayerSet::open(folder) {
        Ok(_) | Err(SetError::Values { .. }) => return Ok(()),
        Err(SetError::NotASet { .. }) => {}
        Err(error) => return Err(set_error(error).context(failed())),
    }
    for entry in std::fs::read_dir(folder).with_context(failed)? {
        let name = entry.with_context(failed)?.file_name();
        let is_left = name.to_str().is_some_and(|name| {
            name == "manifest.lock"
                || name.starts_with(".memkv-") && name.ends_with(".tmp")
                || name.starts_with("part-") && name.ends_with(".frozen")
        });
        ensure!(is_left, "{}: the folder is neither empty nor a set of layers", failed());
    }
    Ok(())
}

/// The name of a rule for keys that occur several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RuleName {
    /// Keep the first value.
    First,
    /// Keep the last value.
    Last,
    /// Add the values.
    Sum,
    /// Return an error.
    Error,
}

impl RuleName {
    pub(crate) fn rule(self) -> OnDuplicate {
        match self {
            Self::First => OnDuplicate::First,
            Self::Last => OnDuplicate::Last,
            Self::Sum => OnDuplicate::Sum,
            Self::Error => OnDuplicate::Error,
        }
    }
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
    /// The symbols with which the keys, by a sample of them, and the table in memory take the
    /// fewest bytes.
    Auto,
    None,
    /// Up to 255 symbols of up to 8 bytes.
    Fsst,
    /// Up to 65535 symbols of up to 15 bytes: the smallest; slower to build.
    Onpair,
}

impl Output {
    /// Returns where to write, and how.
    pub(crate) fn destination(&self) -> Destination<'_> {
        Destination { path: &self.output, writing: &self.writing }
    }

    pub(crate) fn rule(&self) -> OnDuplicate {
        self.on_duplicate.rule()
    }
}

/// Where a layer is written, and how.
#[derive(Clone, Copy)]
pub(crate) struct Destination<'a> {
    pub(crate) path: &'a Path,
    pub(crate) writing: &'a Writing,
}

impl<'a> Destination<'a> {
    /// Prepares to write. What goes to the standard output is written to a temporary file of
    /// `folder` first.
    ///
    /// # Errors
    /// There is something that is not a layer, or the standard output is a terminal.
    pub(crate) fn target(self, folder: Option<&Path>) -> Result<Target<'a>> {
        let begun = Instant::now();
        if self.path == Path::new(STDIN) {
            ensure!(!io::stdout().is_terminal(), "a layer is not written to a terminal");
            let folder = TempFolder::new(folder)?;
            let path = folder.path().join("layer");
            return Ok(Target { to: self, path, folder: Some(folder), unfinished: None, begun });
        }
        if let Some(what) = text::special(self.path) {
            bail!("cannot create {}: it is {what}, and a layer is a file", self.path.display());
        }
        if !self.writing.force && holds_something_else(self.path) {
            bail!("{} is not a layer; --force replaces it", self.path.display());
        }
        let path = self.path.to_owned();
        Ok(Target { to: self, path, folder: None, unfinished: None, begun })
    }

    /// Prepares to write a set.
    ///
    /// # Errors
    /// There is a file, or a folder that has other things than a set.
    pub(crate) fn set_target(self) -> Result<Target<'a>> {
        let (begun, shown) = (Instant::now(), self.path.display());
        ensure!(
            self.path != Path::new(STDIN),
            "a set of layers is a folder, and cannot be written to the standard output"
        );
        if self.path.is_dir() {
            check_set_folder(self.path)?;
        } else if self.path.exists() {
            let what = text::special(self.path).unwrap_or("a file");
            bail!("cannot create {shown}: it is {what}, and a set is a folder");
        }
        let path = self.path.to_owned();
        Ok(Target { to: self, path, folder: None, unfinished: None, begun })
    }

    /// Adds the path to an error of writing a set, as [`failed`](Self::failed) does.
    pub(crate) fn set_failed(self, error: SetError) -> Error {
        match error {
            SetError::Build(error) => self.failed(error),
            SetError::File(error) => self.failed(FrozenError::File(error)),
            SetError::Values { .. } => {
                set_error(error).context(format!("cannot write {}", self.path.display()))
            }
            error => set_error(error),
        }
    }

    /// Adds the path to an error of writing, unless it has it or concerns a key.
    pub(crate) fn failed(self, error: FrozenError) -> Error {
        let named = named("write", self.path, error);
        match named.downcast_ref() {
            Some(FrozenError::File(file)) if file.path().file_name() != self.path.file_name() => {
                named.context(format!("cannot write {}", self.path.display()))
            }
            _ => named,
        }
    }

    pub(crate) fn options(self) -> FrozenOptions {
        let codec = match self.writing.codec {
            CodecName::Packed => Codec::Packed,
            CodecName::Fst => Codec::Fst,
        };
        let symbols = match self.writing.symbols {
            SymbolsName::Auto => SymbolTable::Auto,
            SymbolsName::None => SymbolTable::None,
            SymbolsName::Fsst => SymbolTable::Fsst,
            SymbolsName::Onpair => SymbolTable::OnPair,
        };
        let options = FrozenOptions::new().codec(codec).symbols(symbols);
        options.chunk_keys(self.writing.chunk as usize)
    }
}

/// What is written of a set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) keys: u64,
    pub(crate) parts: usize,
    pub(crate) bytes: u64,
}

/// A layer that is being written.
pub(crate) struct Target<'a> {
    to: Destination<'a>,
    path: PathBuf,
    /// The folder of what goes to the standard output.
    folder: Option<TempFolder>,
    unfinished: Option<Unfinished>,
    begun: Instant,
}

impl Target<'_> {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes what the builder has begun to write, to be removed if a signal ends the program.
    pub(crate) fn begin(&mut self, unfinished: Option<PathBuf>) {
        self.unfinished = unfinished.map(|path| Unfinished::new(Begun::Path(path)));
    }

    /// Notes the set that the builder has begun to write, and whether its folder is new.
    pub(crate) fn begin_set(&mut self, unfinished: UnfinishedSet, is_new: bool) {
        let folder = is_new.then(|| self.path.clone());
        self.unfinished = Some(Unfinished::new(Begun::Set(unfinished, folder)));
    }

    /// Copies the complete layer to the standard output if it is to go there, and prints what it
    /// is. `read` is what it was built from.
    pub(crate) fn finish(self, keys: u64, read: &str, out: &mut impl Write) -> Result<()> {
        let bytes = std::fs::metadata(&self.path)?.len();
        if self.folder.is_some() {
            io::copy(&mut File::open(&self.path)?, out)?;
            out.flush()?;
        }
        self.summarize(keys, "", read, "", bytes);
        Ok(())
    }

    /// Prints what the complete set is, or what it has more than `before`. `read` is what that was
    /// built from.
    pub(crate) fn finish_set(self, set: SetInfo, before: Option<Written>, read: &str) {
        let (more, before) =
            (if before.is_some() { "more " } else { "" }, before.unwrap_or_default());
        let parts = format!("{} with ", text::parts(set.parts.saturating_sub(before.parts)));
        // It may have been replaced before the builder began.
        let keys = set.keys.saturating_sub(before.keys);
        self.summarize(keys, more, read, &parts, set.bytes.saturating_sub(before.bytes));
    }

    fn summarize(&self, keys: u64, more: &str, read: &str, parts: &str, bytes: u64) {
        if self.to.writing.quiet {
            return;
        }
        let each = bytes as f64 / keys.max(1) as f64;
        // An error of this write cannot be reported.
        let _ = writeln!(
            io::stderr(),
            "memkv: {}: {} {more}keys of {read} in {parts}{}, {each:.2} bytes a key, {:.1} s",
            self.to.path.display(),
            HumanCount(keys),
            text::size(bytes),
            self.begun.elapsed().as_secs_f64()
        );
    }
}
