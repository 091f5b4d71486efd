//! The pipeline of a builder: the threads of the pool encode chunks, which arrive here in order.

#![forbid(unsafe_code)]

use super::chunk::{self, Chunk};
use super::error::FrozenError;
use super::front_coded::FrontCoded;
use super::options::{FrozenOptions, ValueWidth};
use super::symbols::Encoder;
use crate::error::Failure;
use crate::io::new_file::NewFile;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

/// Chunks in work, and those that are encoded.
pub(super) struct EncodePipeline {
    sender: Sender<(usize, Chunk)>,
    receiver: Receiver<(usize, Chunk)>,
    sent: usize,
    received: usize,
    /// Memory in bytes that each chunk in work may take, in order, and the sum.
    costs: VecDeque<usize>,
    cost: usize,
    /// Encoded chunks that wait for an earlier one.
    early: BTreeMap<usize, Chunk>,
    pub(super) done: Vec<Chunk>,
    pub(super) file: Option<NewFile>,
    /// The error of the file.
    failed: Option<Failure>,
}

impl EncodePipeline {
    pub(super) fn new(file: Option<NewFile>) -> Self {
        let (sender, receiver) = channel();
        let (costs, early, done) = (VecDeque::new(), BTreeMap::new(), Vec::new());
        EncodePipeline {
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

    pub(super) fn check(&self) -> Result<(), FrozenError> {
        Ok(Failure::check(self.failed.as_ref())?)
    }

    pub(super) fn send(
        &mut self,
        pending: FrontCoded,
        options: &FrozenOptions,
        encoder: &Arc<Encoder>,
    ) -> Result<(), FrozenError> {
        self.check()?;
        let (number, sender, encoder) = (self.sent, self.sender.clone(), Arc::clone(encoder));
        let (codec, with_values) = (options.codec, options.values == ValueWidth::Auto);
        self.sent += 1;
        // The chunk as it is, and encoded.
        self.costs.push_back(2 * pending.heap_bytes());
        self.cost += 2 * pending.heap_bytes();
        rayon::spawn(move || {
            // The send fails only if the builder was dropped.
            let _ = sender.send((number, chunk::encode(&pending, codec, &encoder, with_values)));
        });
        self.wait(2 * rayon::current_num_threads(), options.memory)
    }

    /// Waits until at most `most` chunks are in work and take at most `memory` bytes.
    pub(super) fn wait(&mut self, most: usize, memory: usize) -> Result<(), FrozenError> {
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
                // A thread of the pool must help: the work that it waits for may be its own.
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
