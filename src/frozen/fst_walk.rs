//! Search by an automaton in transducers: walks both together, and skips a branch when the
//! automaton cannot match any more.
//!
//! Outputs are positions, so the output up to a node is the position of the least key at or below
//! it. Nodes before the first key of a range are walked through by that, and the walk ends at the
//! first node after its last key.
//!
//! Chunks are walked one after the other. A chunk whose keys are all excluded is not opened: the
//! least string that is not excluded, from a chunk's first key on, tells which chunk is next.

use super::Automaton;
use super::automaton_path::AutomatonPath;
use super::chunk::Chunk;
use super::fst::FstChunk;
use super::layer::Layer;
use super::layer_value::ValueAt;

use fst::raw::{Node, Output};
use std::ops::Range;

/// A walk through the transducers of a layer.
pub(super) struct FstWalk<'a> {
    layer: &'a Layer,
    /// The ranks in which keys are searched.
    ranks: Range<usize>,
    /// The same, relative to the current chunk.
    positions: Range<u64>,
    /// The rank after the last match.
    rank: usize,
    /// The number of the chunk after the current one.
    next: usize,
    current: Option<(&'a Chunk, &'a FstChunk)>,
    /// The nodes from the root to that of the path.
    nodes: Vec<Level<'a>>,
}

struct Level<'a> {
    node: Node<'a>,
    /// The number of the next transition.
    next: usize,
    output: Output,
}

impl<'a> FstWalk<'a> {
    /// Creates a walk through the keys of a range of ranks.
    pub(super) fn new(layer: &'a Layer, ranks: Range<usize>) -> Self {
        let first = layer.chunk_at(ranks.start).filter(|_| !ranks.is_empty());
        let next = first.unwrap_or(layer.chunks.len());
        let (rank, positions) = (ranks.start, 0..0);
        FstWalk { layer, ranks, positions, rank, next, current: None, nodes: Vec::new() }
    }

    /// Returns the rank after the last match.
    #[cfg(feature = "sets")]
    pub(super) fn rank(&self) -> usize {
        self.rank
    }

    /// Returns the next key that matches, which is the path then, and the place of its value.
    pub(super) fn next<'p, A: Automaton>(
        &mut self,
        path: &'p mut AutomatonPath<A>,
    ) -> Option<(&'p [u8], ValueAt<'a>)> {
        loop {
            let (node, output) = match self.nodes.last_mut() {
                None => (self.open(path)?, Output::zero()),
                Some(level) if level.next == level.node.len() => {
                    self.nodes.pop();
                    path.pop();
                    continue;
                }
                Some(level) => {
                    let transition = level.node.transition(level.next);
                    level.next += 1;
                    let output = level.output.cat(transition.out);
                    if output.value() >= self.positions.end {
                        self.nodes.clear();
                        self.next = usize::MAX;
                        return None;
                    }
                    if !path.push(transition.inp) {
                        path.pop();
                        continue;
                    }
                    (self.current?.1.node(transition.addr), output)
                }
            };
            self.nodes.push(Level { node, next: 0, output });
            if output.value() < self.positions.start {
                self.pass_keys_before();
            } else if node.is_final() && path.is_match() {
                let position = output.cat(node.final_output()).value() as usize;
                let chunk = self.current?.0;
                self.rank = chunk.start + position + 1;
                return Some((path.key(), self.layer.value_at(chunk, position)));
            }
        }
    }

    /// Opens the next chunk that may have a match and returns its root. Skips damaged chunks.
    fn open<A: Automaton>(&mut self, path: &mut AutomatonPath<A>) -> Option<Node<'a>> {
        path.truncate(0);
        if !path.can_match() {
            return None;
        }
        loop {
            let (mut index, layer) = (self.next, self.layer);
            let in_range = |chunk: &&Chunk| chunk.start < self.ranks.end;
            let mut chunk = layer.chunks.get(index).filter(in_range)?;
            let mut fst = chunk.fst();
            if let Some(first) = fst
                && !first.first_key().all(|byte| path.push(byte))
            {
                if !path.skip() {
                    self.next = usize::MAX;
                    return None;
                }
                index = layer.index_of(path.key()).map_or(index, |found| found.max(index));
                if index > self.next {
                    chunk = layer.chunks.get(index).filter(in_range)?;
                    fst = chunk.fst();
                }
            }
            path.truncate(0);
            self.next = index + 1;
            if let Some(fst) = fst {
                self.current = Some((chunk, fst));
                let position = |rank: usize| rank.saturating_sub(chunk.start) as u64;
                self.positions = position(self.ranks.start)..position(self.ranks.end);
                return Some(fst.root());
            }
        }
    }

    /// Skips the keys of the last node that are before the range.
    #[cold]
    fn pass_keys_before(&mut self) {
        let Some(Level { node, next, output }) = self.nodes.last_mut() else { return };
        let position = self.positions.start.saturating_sub(output.value());
        let leads_there = |output: Output| output.value() <= position;
        let up_to = node.transitions().take_while(|transition| leads_there(transition.out)).count();
        *next = up_to.saturating_sub(1);
    }
}
