//! The pipeline of a builder: the threads of the pool encode chunks, which arrive here in order.

use super::chunk::{self, Chunk};
use super::error::FrozenError;
use super::front_coded::FrontCoded;
use super::options::FrozenOptions;
use super::symbols::Encoder;
use crate::error::Failure;
use crate::io::new_file::NewFile;
use crate::load::Ordered;
use std::collections::VecDeque;
use std::sync::Arc;

/// Chunks in work, and those that are encoded.
pub(super) struct EncodePipeline {
    chunks: Ordered<Chunk>,
    /// Memory in bytes that each chunk in work may take, in order, and the sum.
    costs: VecDeque<usize>,
    cost: usize,
    pub(super) done: Vec<Chunk>,
    pub(super) file: Option<NewFile>,
    /// The error of the file.
    failed: Option<Failure>,
}

impl EncodePipeline {
    pub(super) fn new() -> Self {
        let (chunks, costs, done) = (Ordered::new(), VecDeque::new(), Vec::new());
        EncodePipeline { chunks, costs, cost: 0, done, file: None, failed: None }
    }

    fn check(&self) -> Result<(), FrozenError> {
        Ok(Failure::check(self.failed.as_ref())?)
    }

    /// Begins to encode a chunk. Waits while too many chunks are in work.
    pub(super) fn send(
        &mut self,
        pending: FrontCoded,
        options: &FrozenOptions,
        encoder: &Arc<Encoder>,
    ) -> Result<(), FrozenError> {
        self.check()?;
        let (ticket, encoder) = (self.chunks.begin(), Arc::clone(encoder));
        let (codec, with_values) = (options.codec, options.has_values());
        // The chunk as it is, and encoded.
        self.costs.push_back(2 * pending.heap_bytes());
        self.cost += 2 * pending.heap_bytes();
        rayon::spawn(move || ticket.send(chunk::encode(&pending, codec, &encoder, with_values)));
        self.wait(2 * rayon::current_num_threads(), options.memory)
    }

    /// Waits until at most `most` chunks are in work and take at most `memory` bytes.
    pub(super) fn wait(&mut self, most: usize, memory: usize) -> Result<(), FrozenError> {
        self.check()?;
        while self.chunks.receive(self.chunks.running() > most || self.cost > memory) {
            while let Some(mut chunk) = self.chunks.next() {
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
        Ok(())
    }
}
