//! Building: keys are cut into chunks, which the threads of rayon encode while more keys come in.
//!
//! ```text
//!   insert ─▶ pending chunk ─▶ held until there is enough to find symbols with ─▶ encoded in parallel ─▶ in order ─▶ memory or file
//! ```
//!
//! Where a chunk is cut, and which symbols there are, hangs on the keys alone. So the result is the same for any number of threads.

#![forbid(unsafe_code)]

use super::FrozenLayer;
use super::chunk::{self, Chunk, Codec};
use super::error::FrozenError;
use super::file;
use super::layer::Layer;
use super::options::{FrozenOptions, SymbolTable, ValueWidth};
use super::packed::{BLOCK, PADDING, TreeBuilder};
use super::pending::Pending;
use super::symbols::{Encoder, Kind, Sample};
use crate::MAX_KEY_LEN;
use crate::error::Failure;
use crate::io::bytes::Bytes;
use crate::io::new_file::NewFile;
use crate::pool;
use crate::tree::common_prefix;
use rayon::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

/// Bytes of keys that end a chunk at the latest, so that places inside it fit 32 bits.
const CHUNK_BYTES: usize = 64 << 20;
/// Bytes of keys, front-coded, from which the symbols are found.
const HELD_BYTES: usize = 32 << 20;
/// Bytes of chunks that are held together. While they are moved there, as many are in memory twice.
const GATHERED: usize = 64 << 20;
/// Bytes of a sample.
const FSST_SAMPLE: usize = 1 << 17;
const ONPAIR_SAMPLE: usize = 6 << 20;
/// Bytes on which kinds of symbols are tried.
const TRIAL: usize = 1 << 18;

/// Builds a [`FrozenLayer`] from keys that ascend, in bounded memory beside the layer itself: chunks are encoded by the threads of rayon's pool
/// while the caller goes on inserting.
///
/// ```
/// use memkv::{FrozenLayer, FrozenLayerBuilder};
///
/// let mut builder = FrozenLayerBuilder::new()?;
/// builder.insert(b"key1", 1)?;
/// let frozen: FrozenLayer = builder.finish()?;
/// assert_eq!(frozen.get(b"key1"), Some(1));
/// # Ok::<(), memkv::FrozenError>(())
/// ```
///
/// # Memory
/// Until the symbols are found, the first 32 MiB of the keys, front-coded, and their values, 16 bytes a key. From then on, the chunks in work:
/// two for each thread of the pool.
pub struct FrozenLayerBuilder {
    options: FrozenOptions,
    pending: Pending,
    /// Keys inserted.
    len: u64,
    /// The last key of the chunk before `pending`.
    last: Vec<u8>,
    separators: Option<TreeBuilder>,
    chunks_begun: u32,
    /// Chunks that wait for the symbols.
    held: Vec<Pending>,
    held_bytes: usize,
    encoder: Option<Arc<Encoder>>,
    work: Work,
}

/// Chunks on their way through the pool.
struct Work {
    sender: Sender<(usize, Chunk)>,
    receiver: Receiver<(usize, Chunk)>,
    sent: usize,
    received: usize,
    /// Bytes that each chunk may take until it is done, and all of them together.
    costs: VecDeque<usize>,
    cost: usize,
    /// Encoded ones that others must come before.
    early: BTreeMap<usize, Chunk>,
    done: Vec<Chunk>,
    file: Option<NewFile>,
    /// Why the file could not be written.
    failed: Option<Failure>,
}

impl Work {
    fn new(file: Option<NewFile>) -> Self {
        let (sender, receiver) = channel();
        let (costs, early, done) = (VecDeque::new(), BTreeMap::new(), Vec::new());
        Work {
            sender,
            receiver,
            sent: 0,
            received: 0,
            costs,
            cost: 0,
            early,
            done,
            file,
            failed: None,
        }
    }

    fn check(&self) -> Result<(), FrozenError> {
        Ok(Failure::check(self.failed.as_ref())?)
    }

    fn send(
        &mut self,
        pending: Pending,
        options: &FrozenOptions,
        encoder: &Arc<Encoder>,
    ) -> Result<(), FrozenError> {
        self.check()?;
        let (number, sender, encoder) = (self.sent, self.sender.clone(), Arc::clone(encoder));
        let (codec, with_values) = (options.codec, options.values == ValueWidth::Auto);
        self.sent += 1;
        // As it is, and encoded.
        self.costs.push_back(2 * pending.heap_bytes());
        self.cost += 2 * pending.heap_bytes();
        rayon::spawn(move || {
            // If nobody waits any more, the builder is gone.
            let _ = sender.send((number, chunk::encode(&pending, codec, &encoder, with_values)));
        });
        self.wait(2 * rayon::current_num_threads(), options.memory)
    }

    /// Waits until at most so many chunks are in work, and take at most `memory` bytes.
    fn wait(&mut self, most: usize, memory: usize) -> Result<(), FrozenError> {
        self.check()?;
        loop {
            let arrived = match self.receiver.try_recv() {
                Ok(arrived) => Some(arrived),
                Err(TryRecvError::Disconnected) => None,
                Err(TryRecvError::Empty)
                    if self.sent - self.received <= most && self.cost <= memory =>
                {
                    return Ok(());
                }
                // A thread of the pool itself has to help, or might wait for what only it can do.
                Err(TryRecvError::Empty) => match rayon::yield_now() {
                    None => self.receiver.recv().ok(),
                    Some(rayon::Yield::Executed) => continue,
                    Some(rayon::Yield::Idle) => {
                        std::thread::yield_now();
                        continue;
                    }
                },
            };
            let Some((number, chunk)) = arrived else { return Ok(()) };
            self.received += 1;
            self.early.insert(number, chunk);
            while let Some(mut chunk) = self.early.remove(&self.done.len()) {
                if let Some(file) = &mut self.file {
                    if let Err(error) = file.write(chunk.data.as_slice()) {
                        self.failed = Some(Failure::new(&error));
                        return self.check();
                    }
                    chunk.data = chunk.data.forget();
                }
                self.done.push(chunk);
                self.cost -= self.costs.pop_front().unwrap_or(0);
            }
        }
    }
}

impl FrozenLayerBuilder {
    /// A builder with the default [options](FrozenOptions), which makes a layer in memory.
    ///
    /// # Errors
    /// None so far: that of the options does not arise from the default ones.
    pub fn new() -> Result<Self, FrozenError> {
        Self::with_options(FrozenOptions::new())
    }

    /// A builder with some options, which makes a layer in memory.
    ///
    /// # Errors
    /// An option is outside what is possible.
    pub fn with_options(options: FrozenOptions) -> Result<Self, FrozenError> {
        options.check()?;
        Ok(FrozenLayerBuilder {
            options,
            pending: Pending::default(),
            len: 0,
            last: Vec::new(),
            separators: None,
            chunks_begun: 0,
            held: Vec::new(),
            held_bytes: 0,
            encoder: None,
            work: Work::new(None),
        })
    }

    /// A builder that writes chunks to a file as they are encoded. The file gets its name when it is complete, by [`finish`](Self::finish) or
    /// [`finish_file`](Self::finish_file); until then it has another one in the same folder, and is removed if the builder is dropped.
    ///
    /// # Errors
    /// An option is outside what is possible, or the file cannot be made.
    ///
    /// ```
    /// use memkv::{FrozenLayer, FrozenLayerBuilder, FrozenOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-build-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("layer");
    /// let mut builder = FrozenLayerBuilder::create(&path, FrozenOptions::new())?;
    /// builder.insert("a", 1)?;
    /// assert_eq!(builder.finish_file()?, 1);
    /// assert_eq!(FrozenLayer::open(&path)?.get("a"), Some(1));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn create(path: impl AsRef<Path>, options: FrozenOptions) -> Result<Self, FrozenError> {
        let mut builder = Self::with_options(options)?;
        let mut file = NewFile::create(path.as_ref())?;
        file.write(&file::header())?;
        builder.work.file = Some(file);
        Ok(builder)
    }

    /// Keys inserted so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether no key was inserted yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a key, which has to be greater than the one before. Waits where the threads that encode do not keep up.
    ///
    /// # Errors
    /// The key is not greater than the one before it, or is over the limit: then the builder is as it was, and other keys can follow. Or the
    /// file cannot be written: then it cannot be finished, and what follows gives the same error.
    pub fn insert(&mut self, key: impl AsRef<[u8]>, value: u64) -> Result<(), FrozenError> {
        let key = key.as_ref();
        if key.len() > MAX_KEY_LEN {
            return Err(FrozenError::KeyTooLong { position: self.len, len: key.len() });
        }
        if self.pending.is_empty() {
            self.begin_chunk(key)?;
        }
        if !self.pending.push(key, value) {
            return Err(self.not_ascending(key));
        }
        self.inserted()
    }

    /// Adds keys that were front-coded by others.
    pub(super) fn insert_all(&mut self, part: &Pending) -> Result<(), FrozenError> {
        for i in 0..part.len() {
            let ((lcp, suffix), value) = (part.entry(i), part.values()[i]);
            if i > 0 && !self.pending.is_empty() {
                self.pending.follow(lcp, suffix, value);
                self.inserted()?;
            } else {
                // The key before is the last of the chunk before, or of another part, with which nothing is shared here.
                self.insert([&self.last[..lcp], suffix].concat(), value)?;
            }
        }
        Ok(())
    }

    /// Counts a key, and ends a chunk that is full.
    #[inline]
    fn inserted(&mut self) -> Result<(), FrozenError> {
        self.len += 1;
        if is_full(&self.pending, &self.options) {
            let pending = std::mem::take(&mut self.pending);
            self.last = pending.last().to_vec();
            self.take(pending)?;
        }
        Ok(())
    }

    #[cold]
    fn not_ascending(&self, key: &[u8]) -> FrozenError {
        FrozenError::NotAscending { position: self.len, key: key.to_vec() }
    }

    /// Notes the separator before a chunk that begins with `key`.
    fn begin_chunk(&mut self, key: &[u8]) -> Result<(), FrozenError> {
        match &mut self.separators {
            None => self.separators = Some(TreeBuilder::new(0)),
            Some(separators) => {
                let shared = common_prefix(&self.last, key);
                if key
                    .get(shared)
                    .is_none_or(|byte| self.last.get(shared).is_some_and(|last| last > byte))
                {
                    return Err(self.not_ascending(key));
                }
                separators.push(&key[..=shared], self.chunks_begun);
            }
        }
        self.chunks_begun += 1;
        Ok(())
    }

    /// Takes a whole chunk: encodes it, or holds it until there are symbols.
    fn take(&mut self, pending: Pending) -> Result<(), FrozenError> {
        if let Some(encoder) = &self.encoder {
            return self.work.send(pending, &self.options, encoder);
        }
        self.held_bytes += pending.suffix_bytes();
        self.held.push(pending);
        let enough = self.options.sample.is_some()
            || needs_no_sample(&self.options)
            || self.held_bytes >= HELD_BYTES;
        if enough { self.release() } else { Ok(()) }
    }

    /// Finds the symbols, and encodes what waits for them.
    fn release(&mut self) -> Result<(), FrozenError> {
        let encoder = Arc::new(find_symbols(&self.options, &self.held));
        for pending in std::mem::take(&mut self.held) {
            self.work.send(pending, &self.options, &encoder)?;
        }
        self.encoder = Some(encoder);
        Ok(())
    }

    /// Encodes what is left. Gives the layer, without the chunks' bytes where these are in a file, and the file.
    fn complete(mut self) -> Result<(Layer, Option<NewFile>), FrozenError> {
        if !self.pending.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            self.take(pending)?;
        }
        if self.encoder.is_none() {
            self.release()?;
        }
        self.work.wait(0, usize::MAX)?;
        let encoder = self.encoder.as_deref().expect("there is one after release");
        let separators = self.separators.unwrap_or_else(|| TreeBuilder::new(0));
        if self.work.file.is_none() {
            gather(&mut self.work.done, GATHERED);
        }
        Ok((assemble(self.options.codec, encoder, self.work.done, separators), self.work.file))
    }

    /// Completes the layer. One that was written to a file is read back into memory; [`finish_file`](Self::finish_file) does not.
    ///
    /// # Errors
    /// The file cannot be written or read, or could not be written before.
    pub fn finish(self) -> Result<FrozenLayer, FrozenError> {
        let (layer, file) = self.complete()?;
        match file {
            None => Ok(FrozenLayer::of(layer)),
            Some(file) => {
                let path = file.path().to_owned();
                commit(&layer, file)?;
                FrozenLayer::open(path)
            }
        }
    }

    /// Completes the file of a builder from [`create`](Self::create), and says how many keys it has.
    ///
    /// # Errors
    /// The file cannot be written, or could not before; or there is none.
    pub fn finish_file(self) -> Result<u64, FrozenError> {
        let (layer, file) = self.complete()?;
        let file = file.ok_or(FrozenError::Option("the builder was not made to write a file"))?;
        commit(&layer, file)?;
        Ok(layer.len as u64)
    }
}

fn commit(layer: &Layer, mut file: NewFile) -> Result<(), FrozenError> {
    file.write(&file::trailer(layer))?;
    Ok(file.commit()?)
}

impl fmt::Debug for FrozenLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenLayerBuilder").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Bytes of keys that end a chunk.
pub(super) fn chunk_bytes(options: &FrozenOptions) -> usize {
    CHUNK_BYTES.min(options.memory / 16)
}

/// Whether a chunk ends here.
#[inline]
fn is_full(pending: &Pending, options: &FrozenOptions) -> bool {
    pending.len() >= options.chunk_keys || pending.raw_bytes() >= chunk_bytes(options)
}

fn needs_no_sample(options: &FrozenOptions) -> bool {
    options.codec == Codec::Fst || options.symbols == SymbolTable::None
}

/// A part of the keys of some chunks: of every so many blocks one, so that there are about `bytes` of it.
fn sample(chunks: &[Pending], bytes: usize, offset: usize) -> Sample {
    let all: usize = chunks.iter().map(Pending::suffix_bytes).sum();
    let step = (all / bytes).max(1);
    let mut sample = Sample::default();
    let mut block = 0;
    for chunk in chunks {
        for first in (0..chunk.len()).step_by(BLOCK) {
            if block % step == offset % step {
                for i in first..chunk.len().min(first + BLOCK) {
                    sample.push(chunk.entry(i).1);
                }
            }
            block += 1;
        }
    }
    sample
}

fn find_symbols(options: &FrozenOptions, held: &[Pending]) -> Encoder {
    if needs_no_sample(options) {
        return Encoder::train(Kind::Plain, &Sample::default(), 0);
    }
    let all: usize = held.iter().map(Pending::suffix_bytes).sum();
    let train = |kind: Kind| match &options.sample {
        Some(sample) => Encoder::train(kind, sample, usize::MAX),
        None => Encoder::train(
            kind,
            &sample(held, if kind == Kind::Fsst { FSST_SAMPLE } else { ONPAIR_SAMPLE }, 0),
            all,
        ),
    };
    match options.symbols {
        SymbolTable::None => train(Kind::Plain),
        SymbolTable::Fsst => train(Kind::Fsst),
        SymbolTable::OnPair => train(Kind::OnPair),
        SymbolTable::Auto => {
            let trial = sample(held, TRIAL, 1);
            // Keys that come with a sample are so many that the table's size is of no account.
            let all = if options.sample.is_some() { 1 << 40 } else { all };
            let size = |encoder: &Encoder| {
                let mut codes = Vec::new();
                trial.iter().for_each(|string| encoder.encode(string, &mut codes));
                codes.len() as u128 * all.max(1) as u128 / trial.bytes().max(1) as u128
                    + encoder.heap_bytes() as u128
            };
            let encoders = [Kind::Plain, Kind::Fsst, Kind::OnPair]
                .into_par_iter()
                .map(train)
                .collect::<Vec<_>>();
            encoders.into_iter().min_by_key(size).expect("there are three")
        }
    }
}

/// Moves the bytes of chunks together, about so many, so that huge pages can hold them.
pub(super) fn gather(chunks: &mut [Chunk], most: usize) {
    let mut rest = chunks;
    while !rest.is_empty() {
        let (mut count, mut bytes) = (0, 0);
        while count < rest.len() && bytes < most {
            bytes += rest[count].data.len();
            count += 1;
        }
        let (group, behind) = rest.split_at_mut(count);
        let mut room = pool::huge_page_buffer(bytes);
        for chunk in group.iter_mut() {
            room.extend_from_slice(chunk.data.as_slice());
            chunk.data = chunk.data.forget();
        }
        let gathered = Bytes::of_vec(room);
        let mut offset = 0;
        for chunk in group {
            let len = chunk.data.len() as u64;
            chunk.data = gathered.part(offset, len).expect("it was put there");
            offset += len;
        }
        rest = behind;
    }
}

/// Puts encoded chunks together.
pub(super) fn assemble(
    codec: Codec,
    encoder: &Encoder,
    mut chunks: Vec<Chunk>,
    separators: TreeBuilder,
) -> Layer {
    let mut len = 0;
    for chunk in &mut chunks {
        chunk.start = len;
        len += chunk.len;
    }
    let mut top = Vec::new();
    let top_tree = separators.finish(&mut top);
    top.extend_from_slice(&[0; PADDING]);
    Layer { codec, decoder: encoder.decoder(), top: Bytes::of_vec(top), top_tree, chunks, len }
}

/// Keys of a part of the input, as far as they are right.
#[derive(Default)]
struct Part {
    chunks: Vec<Pending>,
    error: Option<FrozenError>,
}

impl Part {
    fn add(&mut self, options: &FrozenOptions, position: u64, key: &[u8], value: u64) {
        if key.len() > MAX_KEY_LEN {
            self.error = Some(FrozenError::KeyTooLong { position, len: key.len() });
            return;
        }
        if !push(&mut self.chunks, options, key, value) {
            self.error = Some(FrozenError::NotAscending { position, key: key.to_vec() });
        }
    }
}

/// Adds a key to the last of some chunks, or a new one, if it is greater than all before.
fn push(chunks: &mut Vec<Pending>, options: &FrozenOptions, key: &[u8], value: u64) -> bool {
    match chunks.last_mut() {
        Some(chunk) if !is_full(chunk, options) => chunk.push(key, value),
        last => {
            let ascends = last.is_none_or(|last| last.last() < key);
            if ascends {
                let mut chunk = Pending::default();
                chunk.push(key, value);
                chunks.push(chunk);
            }
            ascends
        }
    }
}

/// Builds a layer of keys that are all there, each chunk by a thread. A chunk that is not ended by the bytes of its keys is a part of its own.
pub(super) fn from_par_sorted<K, I>(
    options: &FrozenOptions,
    pairs: I,
) -> Result<FrozenLayer, FrozenError>
where
    K: AsRef<[u8]>,
    I: IndexedParallelIterator<Item = (K, u64)>,
{
    options.check()?;
    let add = |mut part: Part, (position, (key, value)): (usize, (K, u64))| {
        if part.error.is_none() {
            part.add(options, position as u64, key.as_ref(), value);
        }
        part
    };
    let parts: Vec<Part> =
        pairs.enumerate().fold_chunks(options.chunk_keys, Part::default, add).collect();
    let mut pendings: Vec<Pending> = Vec::with_capacity(parts.len());
    let (mut position, mut in_place) = (0, true);
    for Part { chunks, error } in parts {
        if let Some((last, first)) = pendings.last().zip(chunks.first())
            && last.last() >= first.first()
        {
            return Err(FrozenError::NotAscending { position, key: first.first().to_vec() });
        }
        position += chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        error.map_or(Ok(()), Err)?;
        for chunk in chunks {
            // Behind a chunk that ended early all borders are elsewhere.
            if in_place {
                in_place = chunk.len() == options.chunk_keys;
                pendings.push(chunk);
            } else {
                let _: Result<(), Infallible> = chunk.for_each(|key, value| {
                    _ = push(&mut pendings, options, key, value);
                    Ok(())
                });
            }
        }
    }
    let mut separators: Option<TreeBuilder> = None;
    for (i, pair) in pendings.windows(2).enumerate() {
        let (last, first) = (pair[0].last(), pair[1].first());
        separators
            .get_or_insert_with(|| TreeBuilder::new(0))
            .push(&first[..=common_prefix(last, first)], i as u32 + 1);
    }
    let encoder = find_symbols(options, &pendings);
    let with_values = options.values == ValueWidth::Auto;
    let mut chunks: Vec<Chunk> = pendings
        .into_par_iter()
        .map(|pending| chunk::encode(&pending, options.codec, &encoder, with_values))
        .collect();
    gather(&mut chunks, GATHERED);
    let separators = separators.unwrap_or_else(|| TreeBuilder::new(0));
    Ok(FrozenLayer::of(assemble(options.codec, &encoder, chunks, separators)))
}
