//! Merging sorted sources with a loser tree.
//!
//! Each inner node has the source that lost there, so a step replays only the matches on the path
//! from one leaf to the root. Knuth, volume 3, 5.4.1.

use super::duplicate::Duplicates;
use crate::frozen::error::FrozenError;
use crate::frozen::front_coded::Stored;

/// A source of records in the order of their keys.
pub(crate) trait Source {
    /// Steps to the next record, at first to the first one. Returns `false` if there is none.
    fn advance(&mut self) -> Result<bool, FrozenError>;

    /// Returns the key and the value of the current record.
    fn record(&self) -> (&[u8], &[u8]);
}

/// The merged records of several sources. Of equal keys, those of an earlier source come first.
pub(crate) struct Merger<S> {
    sources: Vec<S>,
    ended: Vec<bool>,
    /// The losers of the inner nodes, from index 1 on.
    losers: Vec<usize>,
    winner: usize,
    /// The rule by which equal keys become one. Without it all records are returned.
    duplicates: Option<Duplicates>,
    key: Vec<u8>,
    value: Vec<u8>,
    taken: u64,
}

/// The loser of a node that no source has reached yet.
const NONE: usize = usize::MAX;

impl<S: Source> Merger<S> {
    /// Creates a merger, and steps each source to its first record.
    pub(crate) fn new(
        sources: Vec<S>,
        duplicates: Option<Duplicates>,
    ) -> Result<Self, FrozenError> {
        let mut merger = Self::unset(sources, duplicates);
        merger.set(Source::advance)?;
        Ok(merger)
    }

    /// Creates a merger of sources that are not at a record yet.
    pub(super) fn unset(sources: Vec<S>, duplicates: Option<Duplicates>) -> Self {
        let (ended, losers) = (vec![true; sources.len()], vec![NONE; sources.len()]);
        let (key, value) = (Vec::new(), Vec::new());
        Merger { sources, ended, losers, winner: 0, duplicates, key, value, taken: 0 }
    }

    /// Steps each source to another record, given a function that returns whether there is one.
    pub(super) fn set(
        &mut self,
        mut step: impl FnMut(&mut S) -> Result<bool, FrozenError>,
    ) -> Result<(), FrozenError> {
        for (source, ended) in self.sources.iter_mut().zip(&mut self.ended) {
            *ended = !step(source)?;
        }
        self.losers.fill(NONE);
        (0..self.sources.len()).for_each(|source| self.play(source));
        Ok(())
    }

    /// Returns the number of records taken from the sources so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Returns the next key, and the value that the rule makes of all its values.
    #[expect(clippy::type_complexity, reason = "a pair of slices")]
    pub(crate) fn next(&mut self) -> Result<Option<(&[u8], &[u8])>, FrozenError> {
        if self.ended.get(self.winner).is_none_or(|&ended| ended) {
            return Ok(None);
        }
        let (key, value) = self.sources[self.winner].record();
        self.key.clear();
        self.key.extend_from_slice(key);
        self.value.clear();
        self.value.extend_from_slice(value);
        self.step()?;
        if let Some(duplicates) = self.duplicates {
            while !self.ended[self.winner] {
                let (key, later) = self.sources[self.winner].record();
                if *key != *self.key {
                    break;
                }
                duplicates.combine(&self.key, &mut self.value, later)?;
                self.step()?;
            }
        }
        Ok(Some((&self.key, &self.value)))
    }

    #[inline]
    fn step(&mut self) -> Result<(), FrozenError> {
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

/// Merges sources by a rule. Passes each key to `then` with what is stored of its value, and the
/// number of records taken before.
pub(crate) fn read<S: Source>(
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
    use super::{Merger, Source};
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
        }
    }
}
