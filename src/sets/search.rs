//! Search of a set by an automaton.
//!
//! Matches are read ahead, a group at a time, while the part is borrowed. Between two groups only
//! the last key is kept, after which the next group begins.

use super::error::SetError;
use super::layer_set::LayerSet;
use super::parts::Parts;
use crate::frozen::{Automaton, FrozenLayer, LayerValue};
use crate::tree::common_prefix;
use std::fmt;
use std::iter::FusedIterator;
use std::vec;

/// Matches of the first group. Each group has twice as many as the one before it.
const FIRST_GROUP_KEYS: usize = 16;
const MAX_GROUP_KEYS: usize = 1024;

/// An iterator over the keys of a [`LayerSet`](crate::LayerSet) that an automaton matches, in
/// ascending order, as copies, and their values. Returned by
/// [`LayerSet::search`](crate::LayerSet::search).
///
/// If a part cannot be opened, the item is the error, and there are no others after it.
pub struct SetSearch<'s, A, V: LayerValue + ?Sized + 'static = u64> {
    parts: &'s Parts<V>,
    automaton: A,
    /// The number of the current part.
    part: usize,
    /// The current part, and the last match in it that was read.
    open: Option<(FrozenLayer<V>, Option<Vec<u8>>)>,
    group: vec::IntoIter<(Vec<u8>, V::Owned)>,
    group_keys: usize,
}

impl<V: LayerValue + ?Sized + 'static> LayerSet<V> {
    /// Returns an iterator over the keys that an automaton matches, in ascending order, with their
    /// values.
    ///
    /// A part is not opened if the automaton excludes what its keys have in common.
    ///
    /// ```
    /// use fst::automaton::{Automaton, Str};
    /// use memkv::{LayerSet, LayerSetBuilder, SetOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-set-find-{}", std::process::id()));
    /// let mut builder = LayerSetBuilder::create(&folder, SetOptions::new().keys_per_part(2))?;
    /// for (key, value) in [("ab", 1), ("ac", 2), ("ad", 3), ("b", 4)] {
    ///     builder.insert(key, value)?;
    /// }
    /// builder.finish()?;
    /// let set = LayerSet::open(&folder)?;
    /// let found = set.search(Str::new("a").starts_with()).map(|pair| Ok(pair?.1));
    /// assert_eq!(found.collect::<Result<Vec<_>, memkv::SetError>>()?, [1, 2, 3]);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn search<A: Automaton>(&self, automaton: A) -> SetSearch<'_, A, V> {
        SetSearch {
            parts: &self.parts,
            automaton,
            part: 0,
            open: None,
            group: Vec::new().into_iter(),
            group_keys: FIRST_GROUP_KEYS,
        }
    }
}

impl<A: Automaton, V: LayerValue + ?Sized + 'static> SetSearch<'_, A, V> {
    /// Returns whether the automaton may match a key of the part.
    fn may_match(&self, part: usize) -> bool {
        let part = &self.parts.manifest.parts[part];
        let shared = &part.first[..common_prefix(&part.first, &part.last)];
        let automaton = &self.automaton;
        let state = shared.iter().try_fold(automaton.start(), |state, &byte| {
            automaton.can_match(&state).then(|| automaton.accept(&state, byte))
        });
        state.is_some_and(|state| automaton.can_match(&state))
    }

    /// Reads the next group. It is empty if no part is left.
    fn fill(&mut self) -> Result<(), SetError> {
        while self.part < self.parts.count() {
            if self.open.is_none() && self.may_match(self.part) {
                self.open = Some((self.parts.layer(self.part)?, None));
            }
            let Some((layer, last)) = &mut self.open else {
                self.part += 1;
                continue;
            };
            let group: Vec<_> = match last.as_deref() {
                None => layer.search(&self.automaton).take(self.group_keys).collect(),
                Some(key) => {
                    let automaton = After { automaton: &self.automaton, key };
                    let rank = layer.rank(key);
                    layer.search_from(automaton, rank).take(self.group_keys).collect()
                }
            };
            if group.len() < self.group_keys {
                (self.open, self.part) = (None, self.part + 1);
            } else {
                *last = group.last().map(|(key, _)| key.clone());
            }
            if !group.is_empty() {
                self.group_keys = (2 * self.group_keys).min(MAX_GROUP_KEYS);
                self.group = group.into_iter();
                return Ok(());
            }
        }
        Ok(())
    }
}

impl<A: Automaton, V: LayerValue + ?Sized + 'static> Iterator for SetSearch<'_, A, V> {
    type Item = Result<(Vec<u8>, V::Owned), SetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.group.len() == 0
            && let Err(error) = self.fill()
        {
            (self.part, self.open) = (self.parts.count(), None);
            return Some(Err(error));
        }
        self.group.next().map(Ok)
    }
}

impl<A: Automaton, V: LayerValue + ?Sized + 'static> FusedIterator for SetSearch<'_, A, V> {}

impl<A, V: LayerValue + ?Sized + 'static> fmt::Debug for SetSearch<'_, A, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetSearch").field("part", &self.part).finish_non_exhaustive()
    }
}

/// Matches what an automaton matches and is greater than a key.
struct After<'k, A> {
    automaton: &'k A,
    key: &'k [u8],
}

/// How a string compares with the beginning of the key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Less,
    /// It is the first bytes of the key, of this number.
    Equal(usize),
    Greater,
}

impl<A: Automaton> Automaton for After<'_, A> {
    type State = (A::State, Order);

    fn start(&self) -> Self::State {
        (self.automaton.start(), Order::Equal(0))
    }

    fn is_match(&self, (state, order): &Self::State) -> bool {
        *order == Order::Greater && self.automaton.is_match(state)
    }

    fn can_match(&self, (state, order): &Self::State) -> bool {
        *order != Order::Less && self.automaton.can_match(state)
    }

    fn will_always_match(&self, (state, order): &Self::State) -> bool {
        *order == Order::Greater && self.automaton.will_always_match(state)
    }

    fn accept(&self, (state, order): &Self::State, byte: u8) -> Self::State {
        let order = match *order {
            Order::Equal(at) => match self.key.get(at) {
                None => Order::Greater,
                Some(own) => match byte.cmp(own) {
                    std::cmp::Ordering::Less => Order::Less,
                    std::cmp::Ordering::Equal => Order::Equal(at + 1),
                    std::cmp::Ordering::Greater => Order::Greater,
                },
            },
            order => order,
        };
        (self.automaton.accept(state, byte), order)
    }
}
