//! Split points: keys that divide a tree into ranges of about equally many entries. They are
//! separators of inner nodes.

use crate::reclaim;
use crate::tree::node::{Child, NodeRef};
use crate::tree::{RawTree, SharedTree};
use crate::value::Bits;

impl<B: Bits> RawTree<B> {
    /// Returns fewer than `ranges` ascending keys that divide the tree into ranges of about equally
    /// many entries, as nearly as the tree's levels allow.
    ///
    /// # Complexity
    /// Reads O(`ranges`) nodes.
    pub(crate) fn split_points(&self, ranges: usize) -> Vec<Vec<u8>> {
        // The nodes of a level, each with the separator before it.
        let mut level = vec![(self.root.load(), Vec::new())];
        while level.len() < ranges
            && level.iter().any(|(child, _)| matches!(child, Child::Inner(_)))
        {
            let mut below = Vec::new();
            for (child, low) in level {
                let Child::Inner(node) = child else {
                    below.push((child, low));
                    continue;
                };
                // SAFETY: (N1, N5) a node reached from the root is live while the tree is borrowed,
                // or while the thread is pinned (R1).
                let keys = unsafe { NodeRef::new(node) };
                // `low` is the node's lower fence key, so it begins with the bytes that the node
                // strips.
                let separator = |i: usize| {
                    let mut key = low[..keys.strip()].to_vec();
                    if keys.decode(i, &mut key).is_err() {
                        std::alloc::handle_alloc_error(std::alloc::Layout::new::<u64>());
                    }
                    key
                };
                let lows = (0..keys.count()).map(separator).collect::<Vec<_>>();
                below.extend(
                    std::iter::once(low)
                        .chain(lows)
                        .enumerate()
                        .map(|(i, low)| (keys.slot(i).load(), low)),
                );
            }
            level = below;
        }
        let (count, ranges) = (level.len(), ranges.clamp(1, level.len()));
        (1..ranges).map(|i| std::mem::take(&mut level[i * count / ranges].1)).collect()
    }
}

impl<B: Bits> SharedTree<B> {
    /// Returns what [`RawTree::split_points`] does. Threads may edit the tree at the same time.
    pub(crate) fn split_points(&self, ranges: usize) -> Vec<Vec<u8>> {
        self.read(&reclaim::pin()).split_points(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::RawCursor;
    use crate::tree::tests::{long, middling, short};

    #[test]
    fn split_points_divide_into_ranges_of_about_equal_length() {
        for (key, n) in [
            (short as fn(usize) -> Vec<u8>, 20_000),
            (middling, 3000),
            (long, 700),
            (|i| i.to_be_bytes().to_vec(), 50_000),
        ] {
            let mut tree = RawTree::<u64>::new();
            assert!(tree.split_points(0).is_empty() && tree.split_points(9).is_empty());
            let n = if cfg!(miri) { n / 20 } else { n };
            (0..n).for_each(|i| _ = tree.insert(&key(i), i as u64).unwrap());
            let shared = SharedTree::new(tree.try_clone().unwrap());
            let len = tree.len();
            for ranges in [0, 1, 2, 3, 10, 100, usize::MAX] {
                let points = tree.split_points(ranges);
                assert!(points.is_sorted_by(|a, b| a < b));
                assert!(points.len() < ranges.max(1));
                assert_eq!(points, shared.split_points(ranges));
                assert!(cfg!(miri) || ranges > 10 || points.len() + 1 == ranges.max(1));
                let (mut counts, mut cursor) = (vec![0; points.len() + 1], RawCursor::new(&tree));
                while let Some((key, _)) = cursor.next() {
                    counts[points.partition_point(|point| &point[..] <= key)] += 1;
                }
                assert!(
                    cfg!(miri)
                        || ranges > 10
                        || counts.iter().all(|&count| count <= 4 * len / ranges.max(1)),
                    "{ranges}: {counts:?}"
                );
            }
        }
    }
}
