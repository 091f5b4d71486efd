//! The invariants of a tree, checked node by node.

use super::inner::{Children, Inner};
use super::leaf::Leaf;
use super::node::{Child, Usage};
use super::{LEAF_COUNT, LEAF_SIZE, RawTree};
use crate::value::Bits;

macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err(format!($($message)*));
        }
    };
}

impl<B: Bits> RawTree<B> {
    /// Says what is wrong with the tree, if anything is: order and coding of every leaf, separators, shape, counts, sizes.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut todo = vec![(self.root.load(), Vec::new(), None::<(u8, Option<u8>)>)];
        let (mut keys, mut usage, mut previous) = (0, Usage::default(), None::<Vec<u8>>);
        while let Some((child, path, range)) = todo.pop() {
            match child {
                Child::Empty => ensure!(path.is_empty() && self.len == 0, "empty child below {path:?}"),
                Child::Leaf(node) => {
                    // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed.
                    let leaf = unsafe { Leaf::new(node) };
                    keys += leaf.count();
                    usage.leaves += leaf.info.size::<B>();
                    Self::check_leaf(&leaf, &path, range, &mut previous)?;
                }
                Child::Inner(node) => {
                    // SAFETY: (N1, N5) as above.
                    let inner = unsafe { Inner::new(node) };
                    usage.inner += inner.info.size::<B>();
                    let end = inner.end_slot().load();
                    let children = inner.children();
                    ensure!(children.len() == inner.count(), "count {} of {}", inner.count(), children.len());
                    ensure!(children.len() + usize::from(!end.is_empty()) >= 2, "inner node with one child");
                    Self::check_children(&inner, &children)?;
                    let mut path = path;
                    path.extend_from_slice(inner.prefix());
                    for i in (0..children.len()).rev() {
                        let (separator, child) = children.get(i);
                        let mut path = path.clone();
                        if child.is_leaf() {
                            let below = (i + 1 < children.len()).then(|| children.get(i + 1).0);
                            todo.push((child, path, Some((separator, below))));
                        } else {
                            path.push(separator);
                            todo.push((child, path, None));
                        }
                    }
                    if let Child::Leaf(leaf) = end {
                        // SAFETY: (N1, N5) as above.
                        let leaf = unsafe { Leaf::new(leaf) };
                        ensure!(leaf.count() == 1 && leaf.info.empty_first(), "end child below {path:?}");
                        todo.push((end, path, None));
                    } else {
                        ensure!(end.is_empty(), "inner node as an end child");
                    }
                }
            }
        }
        ensure!(keys == self.len, "{keys} keys, len {}", self.len);
        let counted = (self.usage.leaves - self.usage.slack_leaves, self.usage.inner - self.usage.slack_inner);
        ensure!((usage.leaves, usage.inner) == counted, "{usage:?} found, {:?} counted", self.usage);
        Ok(())
    }

    fn check_leaf(
        leaf: &Leaf<'_>,
        path: &[u8],
        range: Option<(u8, Option<u8>)>,
        previous: &mut Option<Vec<u8>>,
    ) -> Result<(), String> {
        let n = leaf.count();
        ensure!(n > 0, "empty leaf");
        ensure!(n <= LEAF_COUNT, "leaf of {n} entries");
        ensure!(n == 1 || leaf.info.size::<B>() <= LEAF_SIZE * 2, "leaf of {} bytes", leaf.info.size::<B>());
        let (mut offset, mut key) = (0, Vec::new());
        for i in 0..n {
            let entry = leaf.entry(i, offset);
            offset += entry.rest.len();
            ensure!(i > 0 || entry.lcp == 0, "first lcp {}", entry.lcp);
            ensure!(entry.lcp <= key.len(), "lcp {} of {} bytes", entry.lcp, key.len());
            let before = std::mem::take(&mut key);
            key.extend_from_slice(&before[..entry.lcp]);
            key.extend(entry.first);
            key.extend_from_slice(entry.rest);
            if i > 0 {
                ensure!(before < key, "{before:?} then {key:?}");
                ensure!(before.get(entry.lcp) != entry.first.as_ref(), "lcp {} too short", entry.lcp);
            }
            match (range, key.first()) {
                (None, _) => {}
                (Some((from, to)), Some(&b)) => {
                    ensure!(from <= b && to.is_none_or(|to| b < to), "byte {b} in {from}..{to:?}");
                }
                (Some(_), None) => return Err("empty suffix below a separator".into()),
            }
            ensure!(leaf.search(&key) == Ok(i), "search of {key:?} gives {:?}, not {i}", leaf.search(&key));
            let full = [path, &key[..]].concat();
            ensure!(previous.as_ref().is_none_or(|p| *p < full), "{previous:?} then {full:?}");
            *previous = Some(full);
        }
        ensure!(leaf.info.is_wide() || offset <= leaf.info.rest(), "{offset} bytes in {}", leaf.info.rest());
        Ok(())
    }

    fn check_children(inner: &Inner<'_>, children: &Children) -> Result<(), String> {
        let mut settled = Children::new();
        for i in 0..children.len() {
            let (separator, child) = children.get(i);
            ensure!(!child.is_empty(), "empty child at {i}");
            ensure!(i == 0 || children.get(i - 1).0 < separator, "separators out of order");
            ensure!(inner.separator(i) == separator, "separator {i}");
            settled.push(separator, child);
        }
        settled.settle();
        for i in 0..children.len() {
            ensure!(settled.get(i).0 == children.get(i).0, "separator {i} could be lower");
        }
        for b in 0..=255 {
            use super::inner::Found;
            let at = (0..children.len()).take_while(|&i| children.get(i).0 <= b).count();
            let want = match at.checked_sub(1).map(|i| (i, children.get(i))) {
                Some((i, (separator, child))) if child.is_leaf() || separator == b => Ok(i),
                _ => Err(at),
            };
            let got = match inner.find(b) {
                Found::Child(i, child) => {
                    ensure!(child == children.get(i).1, "child {i}");
                    Ok(i)
                }
                Found::Gap(i) => Err(i),
            };
            ensure!(got == want, "find({b}) gives {got:?}, not {want:?}");
        }
        Ok(())
    }
}
