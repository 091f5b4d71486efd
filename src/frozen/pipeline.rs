//! The pipeline of a builder: the threads of the pool encode chunks, which arrive here in order.

use super::chunk::{self, Chunk, ChunkForm};
use super::error::FrozenError;
use super::front_coded::FrontCoded;
use crate::error::FileError;
use crate::io::new_file::NewFile;
use crate::io::process::Process;
use crate::load::Ordered;
use crate::symbols::Encoders;
use crate::sync::parallel;
use rayon::ThreadPool;
use std::collections::VecDeque;

/// Chunks in work, and those that are encoded.
pub(super) struct EncodePipeline {
    /// The process that made this. In a fork of it the chunks in work never arrive.
    process: Process,
    /// The threads that encode, if they are the builder's own.
    pub(super) pool: Option<ThreadPool>,
    chunks: Ordered<Chunk>,
    /// Memory in bytes that each chunk in work may take, in order, and the sum.
    costs: VecDeque<usize>,
    cost: usize,
    pub(super) done: Vec<Chunk>,
    /// Number of chunks whose bytes were passed on, and forgotten.
    drained: usize,
    pub(super) file: Option<NewFile>,
    /// The error of the file.
    failed: Option<FileError>,
}

impl EncodePipeline {
    pub(super) fn new(pool: Option<ThreadPool>) -> Self {
        EncodePipeline {
            process: Process::current(),
            pool,
            chunks: Ordered::new(),
            costs: VecDeque::new(),
            cost: 0,
            done: Vec::new(),
            drained: 0,
            file: None,
            failed: None,
        }
    }

    /// Returns the error of the file, or of a process that did not make this.
    pub(super) fn check(&self) -> Result<(), FrozenError> {
        if !self.process.is_current() {
            return Err(FrozenError::Forked);
        }
        self.failed.as_ref().map_or(Ok(()), |failed| Err(failed.copy().into()))
    }

    /// Begins to encode a chunk. Waits while too many chunks are in work, or while they take more
    /// than `memory` bytes.
    pub(super) fn send(
        &mut self,
        pending: FrontCoded,
        encoders: &Encoders,
        form: ChunkForm,
        memory: usize,
    ) -> Result<(), FrozenError> {
        self.check()?;
        let (ticket, encoders) = (self.chunks.begin(), encoders.clone());
        // The chunk as it is, and encoded.
        self.costs.push_back(2 * pending.heap_bytes());
        self.cost += 2 * pending.heap_bytes();
        let encode = move || ticket.send(chunk::encode(&pending, &encoders, form));
        let threads = parallel::spawn_or(self.pool.as_ref(), encode);
        self.receive(2 * threads, memory)
    }

    /// Runs `work` on the threads that encode.
    pub(super) fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        parallel::in_pool_or(self.pool.as_ref(), work)
    }

    /// Waits until no chunk is in work.
    pub(super) fn finish(&mut self) -> Result<(), FrozenError> {
        self.check()?;
        self.receive(0, usize::MAX)
    }

    /// Waits until at most `most` chunks are in work and take at most `memory` bytes.
    fn receive(&mut self, most: usize, memory: usize) -> Result<(), FrozenError> {
        while self.chunks.receive(self.chunks.running() > most || self.cost > memory) {
            while let Some(chunk) = self.chunks.next() {
                self.done.push(chunk);
                self.cost -= self.costs.pop_front().unwrap_or(0);
            }
            if let Some(mut file) = self.file.take() {
                let written = self.drain(|bytes| file.write(bytes));
                self.file = Some(file);
                self.failed = written.err();
                self.check()?;
            }
        }
        Ok(())
    }

    /// Passes the bytes of chunks that are done to `write`, and forgets them.
    pub(super) fn drain<E>(
        &mut self,
        mut write: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for chunk in &mut self.done[self.drained..] {
            write(chunk.data.as_slice())?;
            chunk.data = chunk.data.forget();
            self.drained += 1;
        }
        Ok(())
    }
}

impl Drop for EncodePipeline {
    fn drop(&mut self) {
        if self.chunks.running() > 0 && !self.process.is_current() {
            self.chunks.abandon();
        }
    }
}
