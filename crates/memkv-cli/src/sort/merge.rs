//! Merging sorted sources with a loser tree.
//!
//! Each inner node has the source that lost there, so a step replays only the matches on the path
//! from one leaf to the root. Knuth, volume 3, 5.4.1.

use super::duplicate::OnDuplicate;
use anyhow::Result;

/// A source of records in the order of their keys.
pub(crate) trait Source {
    /// Steps to the next record, at first to the first one. Returns `false` if there is none.
    fn advance(&mut self) -> Result<bool>;

    /// Returns the current record.
    fn record(&self) -> (&[u8], u64);
}

/// The merged records of several sources, each key once. Of equal keys, those of an earlier source
/// come first.
pub(crate) struct Merger<'a> {
    sources: Vec<Box<dyn Source + 'a>>,
    ended: Vec<bool>,
    /// The losers of the inner nodes, from index 1 on.
    losers: Vec<usize>,
    winner: usize,
    on_duplicate: OnDuplicate,
    key: Vec<u8>,
    taken: u64,
}

/// The loser of a node that no source has reached yet.
const NONE: usize = usize::MAX;

impl<'a> Merger<'a> {
    pub(crate) fn new(
        sources: Vec<Box<dyn Source + 'a>>,
        on_duplicate: OnDuplicate,
    ) -> Result<Self> {
        let count = sources.len();
        let (losers, winner) = (vec![NONE; count], 0);
        let mut merger = Self {
            sources,
            ended: vec![false; count],
            losers,
            winner,
            on_duplicate,
            key: Vec::new(),
            taken: 0,
        };
        for source in 0..count {
            merger.ended[source] = !merger.sources[source].advance()?;
        }
        for source in 0..count {
            merger.play(source);
        }
        Ok(merger)
    }

    /// Returns the number of records taken from the sources so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Returns the next key, and the value that the rule makes of all its values.
    pub(crate) fn next(&mut self) -> Result<Option<(&[u8], u64)>> {
        let mut next = std::mem::take(&mut self.key);
        next.clear();
        let Some((key, mut value)) = self.least() else { return Ok(None) };
        next.extend_from_slice(key);
        self.step()?;
        while let Some((key, later)) = self.least().filter(|(key, _)| *key == next) {
            value = self.on_duplicate.combine(key, value, later)?;
            self.step()?;
        }
        self.key = next;
        Ok(Some((&self.key, value)))
    }

    fn least(&self) -> Option<(&[u8], u64)> {
        if *self.ended.get(self.winner)? { None } else { Some(self.sources[self.winner].record()) }
    }

    fn step(&mut self) -> Result<()> {
        self.taken += 1;
        self.ended[self.winner] = !self.sources[self.winner].advance()?;
        self.play(self.winner);
        Ok(())
    }

    /// Plays the matches of a source, from its leaf up.
    fn play(&mut self, mut source: usize) {
        let mut node = (source + self.sources.len()) / 2;
        while node > 0 {
            if self.losers[node] == NONE {
                self.losers[node] = source;
                return;
            }
            if self.before(self.losers[node], source) {
                std::mem::swap(&mut self.losers[node], &mut source);
            }
            node /= 2;
        }
        self.winner = source;
    }

    fn before(&self, a: usize, b: usize) -> bool {
        if self.ended[a] || self.ended[b] {
            return self.ended[b] && !self.ended[a];
        }
        let order = self.sources[a].record().0.cmp(self.sources[b].record().0);
        order.then(a.cmp(&b)).is_lt()
    }
}

#[cfg(test)]
mod tests {
    use super::{Merger, Source};
    use crate::{rng::Rng, sort::OnDuplicate};
    use std::collections::BTreeMap;

    struct Listed(Vec<(Vec<u8>, u64)>, usize);

    impl Source for Listed {
        fn advance(&mut self) -> anyhow::Result<bool> {
            self.1 += 1;
            Ok(self.1 <= self.0.len())
        }
        fn record(&self) -> (&[u8], u64) {
            let (key, value) = &self.0[self.1 - 1];
            (key, *value)
        }
    }

    #[test]
    fn merges_any_number_of_sources_in_their_order() {
        let mut rng = Rng::new(3);
        for count in 0..20 {
            let mut sources = Vec::new();
            let (mut first, mut last) = (BTreeMap::new(), BTreeMap::new());
            for source in 0..count {
                let mut records: Vec<(Vec<u8>, u64)> = Vec::new();
                for place in 0..rng.below(40) {
                    let key = rng.below(60).to_string().into_bytes();
                    records.push((key, source * 1000 + place));
                }
                records.sort_by(|a, b| a.0.cmp(&b.0));
                for (key, value) in &records {
                    first.entry(key.clone()).or_insert(*value);
                    last.insert(key.clone(), *value);
                }
                sources.push(records);
            }
            for (rule, expected) in [(OnDuplicate::First, first), (OnDuplicate::Last, last)] {
                let boxed = sources
                    .iter()
                    .map(|records| Box::new(Listed(records.clone(), 0)) as Box<dyn Source>)
                    .collect();
                let mut merger = Merger::new(boxed, rule).unwrap();
                let mut merged = Vec::new();
                while let Some((key, value)) = merger.next().unwrap() {
                    merged.push((key.to_vec(), value));
                }
                assert!(merged.into_iter().eq(expected), "{count} sources, {rule:?}");
                assert_eq!(merger.taken() as usize, sources.iter().map(Vec::len).sum::<usize>());
            }
        }
    }
}
