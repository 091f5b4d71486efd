//! Merging sorted sources with a loser tree.
//!
//! Each inner node has the source that lost there, so a step replays only the matches on the path
//! from one leaf to the root. Knuth, volume 3, 5.4.1.

use super::duplicate::Duplicates;
use crate::frozen::error::FrozenError;
use crate::frozen::front_coded::Stored;
use std::cmp::Ordering;

/// A source of keys in ascending order.
pub(crate) trait Source {
    /// Steps to the next key, at first to the first one. Returns `false` if there is none.
    fn advance(&mut self) -> Result<bool, FrozenError>;

    /// Returns the current key.
    fn key(&self) -> &[u8];
}

/// A source of keys with the bytes of their values.
pub(crate) trait RecordSource: Source {
    /// Returns the key and the value of the current record.
    fn record(&self) -> (&[u8], &[u8]);
}

/// Sources in the order of their current keys. Of equal keys, that of an earlier source is less.
pub(crate) struct LoserTree<S> {
    sources: Vec<S>,
    ended: Vec<bool>,
    /// The inner nodes, from index 1 on.
    nodes: Vec<Node>,
    winner: usize,
    /// Steps so far.
    taken: u64,
}

#[derive(Clone, Copy)]
struct Node {
    loser: usize,
    /// Whether the loser has the key of the source that won here.
    is_tied: bool,
}

impl Node {
    /// A node that no source has reached yet.
    const UNSET: Node = Node { loser: usize::MAX, is_tied: false };
}

impl<S: Source> LoserTree<S> {
    /// Creates a tree, and steps each source to its first key.
    pub(crate) fn new(sources: Vec<S>) -> Result<Self, FrozenError> {
        let mut tree = Self::unset(sources);
        tree.set(Source::advance)?;
        Ok(tree)
    }

    /// Creates a tree of sources that are not at a key yet.
    fn unset(sources: Vec<S>) -> Self {
        let (ended, nodes) = (vec![true; sources.len()], vec![Node::UNSET; sources.len()]);
        LoserTree { sources, ended, nodes, winner: 0, taken: 0 }
    }

    /// Steps each source to another key, given a function that returns whether there is one.
    fn set(
        &mut self,
        mut step: impl FnMut(&mut S) -> Result<bool, FrozenError>,
    ) -> Result<(), FrozenError> {
        for (source, ended) in self.sources.iter_mut().zip(&mut self.ended) {
            *ended = !step(source)?;
        }
        self.nodes.fill(Node::UNSET);
        (0..self.sources.len()).for_each(|source| self.play(source));
        Ok(())
    }

    /// Returns the number of steps so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Returns the source with the least key. `None` once all have ended.
    #[inline]
    pub(crate) fn least(&mut self) -> Option<&mut S> {
        let is_left = self.ended.get(self.winner).is_some_and(|&ended| !ended);
        if is_left { self.sources.get_mut(self.winner) } else { None }
    }

    /// Returns whether a later source has the least key as well.
    #[inline]
    pub(crate) fn is_tied(&self) -> bool {
        // All that have lost to the least key stand on its path.
        let mut node = (self.winner + self.sources.len()) / 2;
        while node > 0 {
            if self.nodes[node].is_tied {
                return true;
            }
            node /= 2;
        }
        false
    }

    /// Steps the source with the least key.
    #[inline]
    pub(crate) fn step(&mut self) -> Result<(), FrozenError> {
        self.taken += 1;
        self.ended[self.winner] = !self.sources[self.winner].advance()?;
        self.play(self.winner);
        Ok(())
    }

    /// Plays the matches of a source, from its leaf up.
    #[inline]
    fn play(&mut self, mut source: usize) {
        let mut node = (source + self.sources.len()) / 2;
        while node > 0 {
            let loser = self.nodes[node].loser;
            if loser == Node::UNSET.loser {
                self.nodes[node].loser = source;
                return;
            }
            let order = self.order(loser, source);
            self.nodes[node].is_tied = order == Ordering::Equal;
            if order.then(loser.cmp(&source)).is_lt() {
                (self.nodes[node].loser, source) = (source, loser);
            }
            node /= 2;
        }
        self.winner = source;
    }

    /// Compares the keys of two sources. That of an ended source is greater.
    #[inline]
    fn order(&self, a: usize, b: usize) -> Ordering {
        match (self.ended[a], self.ended[b]) {
            (false, false) => self.sources[a].key().cmp(self.sources[b].key()),
            (true, _) => Ordering::Greater,
            (false, true) => Ordering::Less,
        }
    }
}

/// The merged records of several sources, each of which may have a key several times.
pub(crate) struct Merger<S> {
    tree: LoserTree<S>,
    /// The rule by which equal keys become one. Without it all records are returned.
    duplicates: Option<Duplicates>,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<S: RecordSource> Merger<S> {
    /// Creates a merger, and steps each source to its first record.
    pub(crate) fn new(
        sources: Vec<S>,
        duplicates: Option<Duplicates>,
    ) -> Result<Self, FrozenError> {
        let tree = LoserTree::new(sources)?;
        Ok(Merger { tree, duplicates, key: Vec::new(), value: Vec::new() })
    }

    /// Creates a merger of sources that are not at a record yet.
    pub(super) fn unset(sources: Vec<S>, duplicates: Option<Duplicates>) -> Self {
        let tree = LoserTree::unset(sources);
        Merger { tree, duplicates, key: Vec::new(), value: Vec::new() }
    }

    /// Steps each source to another record, given a function that returns whether there is one.
    pub(super) fn set(
        &mut self,
        step: impl FnMut(&mut S) -> Result<bool, FrozenError>,
    ) -> Result<(), FrozenError> {
        self.tree.set(step)
    }

    /// Returns the number of records taken from the sources so far.
    pub(crate) fn taken(&self) -> u64 {
        self.tree.taken()
    }

    /// Returns the next key, and the value that the rule makes of all its values.
    #[expect(clippy::type_complexity, reason = "a pair of slices")]
    pub(crate) fn next(&mut self) -> Result<Option<(&[u8], &[u8])>, FrozenError> {
        let Some(source) = self.tree.least() else { return Ok(None) };
        let (key, value) = source.record();
        self.key.clear();
        self.key.extend_from_slice(key);
        self.value.clear();
        self.value.extend_from_slice(value);
        self.tree.step()?;
        if let Some(duplicates) = self.duplicates {
            while let Some(source) = self.tree.least() {
                let (key, later) = source.record();
                if *key != *self.key {
                    break;
                }
                duplicates.combine(&self.key, &mut self.value, later)?;
                self.tree.step()?;
            }
        }
        Ok(Some((&self.key, &self.value)))
    }
}

/// Merges sources by a rule. Passes each key to `then` with what is stored of its value, and the
/// number of records taken before.
pub(crate) fn read<S: RecordSource>(
    sources: Vec<S>,
    duplicates: Duplicates,
    mut then: impl FnMut(&[u8], Stored<'_>, u64) -> Result<(), FrozenError>,
) -> Result<(), FrozenError> {
    let mut merger = Merger::new(sources, Some(duplicates))?;
    loop {
        let taken = merger.taken();
        let Some((key, value)) = merger.next()? else { return Ok(()) };
        then(key, duplicates.stored(key, value)?, taken)?;
    }
}

#[cfg(test)]
mod tests {
    use super::{LoserTree, Merger, RecordSource, Source};
    use crate::frozen::error::FrozenError;
    use crate::frozen::external::duplicate::{Duplicates, OnDuplicate};
    use crate::value::ValueKind;
    use std::collections::BTreeMap;

    struct Listed(Vec<(Vec<u8>, [u8; 2])>, usize);

    impl Source for Listed {
        fn advance(&mut self) -> Result<bool, FrozenError> {
            self.1 += 1;
            Ok(self.1 <= self.0.len())
        }
        fn key(&self) -> &[u8] {
            &self.0[self.1 - 1].0
        }
    }

    impl RecordSource for Listed {
        fn record(&self) -> (&[u8], &[u8]) {
            let (key, value) = &self.0[self.1 - 1];
            (key, value)
        }
    }

    #[test]
    fn merges_any_number_of_sources_in_their_order() {
        let mut seed = 3u64;
        let mut below = |bound: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % bound
        };
        for count in 0..20u8 {
            let mut sources = Vec::new();
            let (mut first, mut last) = (BTreeMap::new(), BTreeMap::new());
            for source in 0..count {
                let mut records: Vec<(Vec<u8>, [u8; 2])> = Vec::new();
                for place in 0..below(40) as u8 {
                    records.push((below(60).to_string().into_bytes(), [source, place]));
                }
                records.sort_by(|a, b| a.0.cmp(&b.0));
                for (key, value) in &records {
                    first.entry(key.clone()).or_insert(*value);
                    last.insert(key.clone(), *value);
                }
                sources.push(records);
            }
            for (rule, expected) in [(OnDuplicate::First, first), (OnDuplicate::Last, last)] {
                let listed = sources.iter().map(|records| Listed(records.clone(), 0)).collect();
                let rule = Duplicates::new(rule, ValueKind::U64).unwrap();
                let mut merger = Merger::new(listed, Some(rule)).unwrap();
                let mut merged = Vec::new();
                while let Some((key, value)) = merger.next().unwrap() {
                    merged.push((key.to_vec(), value.try_into().unwrap()));
                }
                assert!(merged.into_iter().eq(expected), "{count} sources, {rule:?}");
                assert_eq!(merger.taken() as usize, sources.iter().map(Vec::len).sum::<usize>());
            }
            // Sources with each key once, whose ties are told before they are stepped over.
            sources.iter_mut().for_each(|records| records.dedup_by(|a, b| a.0 == b.0));
            let mut keys: Vec<&[u8]> = sources.iter().flatten().map(|(key, _)| &key[..]).collect();
            keys.sort();
            let listed = sources.iter().map(|records| Listed(records.clone(), 0)).collect();
            let mut tree = LoserTree::new(listed).unwrap();
            for (i, &key) in keys.iter().enumerate() {
                assert_eq!(tree.least().unwrap().key(), key);
                assert_eq!(tree.is_tied(), keys.get(i + 1) == Some(&key));
                tree.step().unwrap();
            }
            assert!(tree.least().is_none() && !tree.is_tied());
        }
    }
}
