//! Search by an automaton in transducers: walks both together, and skips a branch when the
//! automaton cannot match any more.
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

/// A walk through the transducers of a layer.
pub(super) struct FstWalk<'a> {
    layer: &'a Layer,
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
    /// Creates a walk that begins with the chunk that has a rank.
    pub(super) fn from(layer: &'a Layer, rank: usize) -> Self {
        let next = layer.chunk_at(rank).unwrap_or(layer.chunks.len());
        FstWalk { layer, next, current: None, nodes: Vec::new() }
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
                    if !path.push(transition.inp) {
                        path.pop();
                        continue;
                    }
                    let output = level.output.cat(transition.out);
                    (self.current?.1.node(transition.addr), output)
                }
            };
            self.nodes.push(Level { node, next: 0, output });
            if node.is_final() && path.is_match() {
                let position = output.cat(node.final_output()).value();
                return Some((path.key(), self.layer.value_at(self.current?.0, position as usize)));
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
            let mut chunk = layer.chunks.get(index)?;
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
                    chunk = layer.chunks.get(index)?;
                    fst = chunk.fst();
                }
            }
            path.truncate(0);
            self.next = index + 1;
            if let Some(fst) = fst {
                self.current = Some((chunk, fst));
                return Some(fst.root());
            }
        }
    }
}
