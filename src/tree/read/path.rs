//! The path of a cursor, from the root to the leaf.

use crate::tree::node::Node;

/// An inner node on the path to the leaf.
#[derive(Clone, Copy)]
pub(crate) struct Level {
    pub(crate) node: Node,
    /// Index of the child on the path.
    pub(crate) child: usize,
}

/// Levels that take no allocation: those of a hundred million keys, unless they are long.
const INLINE_LEVELS: usize = 5;

/// The inner nodes on the path to a leaf, the root first.
#[derive(Clone, Default)]
pub(crate) struct Path {
    /// The first levels, as far as there are any.
    first: [Option<Level>; INLINE_LEVELS],
    /// Levels in `first`.
    in_first: usize,
    more: Vec<Level>,
}

impl Path {
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.in_first = 0;
        self.more.clear();
    }

    #[inline]
    pub(crate) fn push(&mut self, level: Level) {
        if let Some(free) = self.first.get_mut(self.in_first) {
            *free = Some(level);
            self.in_first += 1;
        } else {
            self.more.push(level);
        }
    }

    pub(crate) fn pop(&mut self) {
        if self.more.pop().is_none() {
            self.in_first = self.in_first.saturating_sub(1);
        }
    }

    pub(crate) fn last(&self) -> Option<&Level> {
        self.more.last().or_else(|| self.first[..self.in_first].last()?.as_ref())
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut Level> {
        self.more.last_mut().or_else(|| self.first[..self.in_first].last_mut()?.as_mut())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Level> {
        self.first[..self.in_first].iter().flatten().chain(&self.more)
    }
}
