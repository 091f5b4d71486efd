//! The check of a tree's invariants, node by node.

use crate::tree::edit::Fences;
use crate::tree::node::{Child, NodeRef, Usage, heads};
use crate::tree::{MAX_INNER_SEPARATORS, MAX_LEAF_KEYS, RawTree};
use crate::value::Bits;

macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err(format!($($message)*));
        }
    };
}

impl<B: Bits> RawTree<B> {
    /// Checks the order and the coding of every node, fence keys and strips, that a lookup finds
    /// every key, counts, and sizes.
    ///
    /// # Errors
    /// A description of the first violation.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.check_counted(self.len, self.usage)
    }

    /// Checks as [`check`](Self::check) does, with counts that are kept elsewhere.
    ///
    /// # Errors
    /// A description of the first violation.
    pub(crate) fn check_counted(&self, len: usize, counted: Usage) -> Result<(), String> {
        let mut todo = vec![(self.root.load(), Fences::default(), 0)];
        let (mut total, mut usage, mut depth) = (0, Usage::default(), None);
        while let Some((child, fences, level)) = todo.pop() {
            let (Child::Leaf(node) | Child::Inner(node)) = child else {
                ensure!(level == 0 && len == 0, "empty child at level {level}");
                continue;
            };
            // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed.
            let keys = unsafe { NodeRef::new(node) };
            let all = Self::check_keys(&keys, &fences)?;
            ensure!(keys.info.is_leaf() == matches!(child, Child::Leaf(_)), "wrong tag");
            if let Child::Leaf(_) = child {
                ensure!(*depth.get_or_insert(level) == level, "a leaf at level {level}");
                total += keys.count();
                usage.leaves += keys.info.size::<B>();
                for (i, key) in all.iter().enumerate() {
                    let found = self.find(key).map(|pos| (pos.node, pos.index));
                    ensure!(found == Some((node, i)), "{key:?} is not found where it is");
                }
            } else {
                usage.inner += keys.info.size::<B>();
                for i in 0..=all.len() {
                    let low =
                        i.checked_sub(1).map(|i| all[i].clone()).or_else(|| fences.low.clone());
                    let high = all.get(i).cloned().or_else(|| fences.high.clone());
                    todo.push((keys.slot(i).load(), Fences { low, high }, level + 1));
                }
            }
        }
        ensure!(total == len, "{total} keys, len {len}");
        let filled = (counted.leaves - counted.slack_leaves, counted.inner - counted.slack_inner);
        ensure!((usage.leaves, usage.inner) == filled, "{usage:?} found, {counted:?} counted");
        Ok(())
    }

    /// Checks one node, and returns its whole keys.
    ///
    /// # Errors
    /// A description of the first violation.
    fn check_keys(keys: &NodeRef<'_>, fences: &Fences) -> Result<Vec<Vec<u8>>, String> {
        let (n, strip) = (keys.count(), keys.strip());
        ensure!(n > 0, "node without keys");
        ensure!(
            n <= if keys.info.is_leaf() { MAX_LEAF_KEYS } else { MAX_INNER_SEPARATORS },
            "node of {n} keys"
        );
        ensure!(strip <= fences.strip(), "strips {strip} bytes of {}", fences.strip());
        let stripped = fences.low().unwrap_or_default()[..strip].to_vec();
        let (mut offset, mut key, mut all) = (0, Vec::new(), Vec::<Vec<u8>>::new());
        for i in 0..n {
            let entry = keys.entry(i, offset);
            offset += entry.rest.len();
            ensure!(i > 0 || entry.lcp == 0, "first lcp {}", entry.lcp);
            ensure!(entry.lcp <= key.len(), "lcp {} of {} bytes", entry.lcp, key.len());
            let before = std::mem::take(&mut key);
            key.extend_from_slice(&before[..entry.lcp]);
            key.extend(entry.first);
            entry.append_rest(&mut key);
            if i > 0 {
                ensure!(before < key, "{before:?} then {key:?}");
                ensure!(
                    before.get(entry.lcp) != entry.first.as_ref(),
                    "lcp {} too short",
                    entry.lcp
                );
            }
            let full = [&stripped[..], &key[..]].concat();
            ensure!(
                keys.search(&full) == Ok(i),
                "search of {full:?} returns {:?}, not {i}",
                keys.search(&full)
            );
            ensure!(
                fences.low().is_none_or(|low| low <= &full[..]),
                "{full:?} below {:?}",
                fences.low()
            );
            ensure!(
                fences.high().is_none_or(|high| &full[..] < high),
                "{full:?} not below {:?}",
                fences.high()
            );
            all.push(full);
        }
        if !keys.info.is_leaf() {
            let words = keys.info.head_words();
            for (i, word) in keys.heads().iter().enumerate() {
                let want = heads::word(&all[i / words][strip..], i % words);
                ensure!(*word == want, "word {i} of the heads is {word:x}, not {want:x}");
            }
        }
        ensure!(offset <= keys.info.rest(), "{offset} bytes in {}", keys.info.rest());
        Ok(all)
    }
}
