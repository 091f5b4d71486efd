//! Search by an automaton in transducers: both go down together, and where the automaton cannot match any more, the branch is left out.
//!
//! Chunks are walked one after the other. Those whose keys are all excluded are not opened: the least string that is not excluded from a
//! chunk's first key on says which chunk is next.

#![forbid(unsafe_code)]

use super::Automaton;
use super::automaton_path::AutomatonPath;
use super::chunk::Chunk;
use super::fst::FstChunk;
use super::layer::Layer;

use fst::raw::{Node, Output};

/// The way through the transducers of a layer.
pub(super) struct FstWalk<'a> {
    layer: &'a Layer,
    /// The chunk after the one that is walked.
    next: usize,
    current: Option<(&'a Chunk, &'a FstChunk)>,
    /// The nodes from the root down to that of the path.
    nodes: Vec<Level<'a>>,
}

struct Level<'a> {
    node: Node<'a>,
    /// The transition that is next.
    next: usize,
    output: Output,
}

impl<'a> FstWalk<'a> {
    pub(super) fn new(layer: &'a Layer) -> Self {
        FstWalk { layer, next: 0, current: None, nodes: Vec::new() }
    }

    /// The next key that matches, which is the path then, and its value.
    pub(super) fn next<'p, A: Automaton>(
        &mut self,
        path: &'p mut AutomatonPath<A>,
    ) -> Option<(&'p [u8], u64)> {
        loop {
            let (node, output) = match self.nodes.last_mut() {
                None => (self.open(path)?, Output::zero()),
                Some(place) if place.next == place.node.len() => {
                    self.nodes.pop();
                    path.pop();
                    continue;
                }
                Some(place) => {
                    let transition = place.node.transition(place.next);
                    place.next += 1;
                    if !path.push(transition.inp) {
                        path.pop();
                        continue;
                    }
                    let output = place.output.cat(transition.out);
                    (self.current?.1.node(transition.addr), output)
                }
            };
            self.nodes.push(Level { node, next: 0, output });
            if node.is_final() && path.is_match() {
                let place = output.cat(node.final_output()).value();
                if let Some(value) = self.current?.0.value(place as usize) {
                    return Some((path.key(), value));
                }
            }
        }
    }

    /// Opens the next chunk that may have a match, and goes to its root. A damaged one is passed over.
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
