//! Counts of the paths taken, so that tests can show that they took every one.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// A path worth a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    LeafSplit,
    LopsidedSplit,
    InnerSplit,
    RootSplit,
    Merge,
    Compact,
    LeafDropped,
    InnerMerge,
    InnerBorrow,
    RootCollapse,
    Wide,
    WideInner,
    TailOpened,
    Appended,
    TailClosed,
    PageDrained,
    SlabFreed,
}

thread_local! {
    static COUNTS: RefCell<BTreeMap<Event, u64>> = const { RefCell::new(BTreeMap::new()) };
}

pub(crate) fn hit(event: Event) {
    COUNTS.with_borrow_mut(|counts| *counts.entry(event).or_default() += 1);
}

/// The counts of this thread so far.
pub(crate) fn taken() -> BTreeMap<Event, u64> {
    COUNTS.with_borrow(Clone::clone)
}

mod tests {
    use super::{Event, taken};
    use crate::raw::RawTree;

    #[test]
    fn every_path_is_taken() {
        let mut tree = RawTree::<u64>::new();
        let key = |i: u32| format!("https://www.example.org/{:08x}", i.wrapping_mul(0x9E37_79B1)).into_bytes();
        let mut keys: Vec<_> = (0..20_000).map(key).collect();
        for _ in 0..2 {
            for key in &keys {
                tree.insert(key, 0).unwrap();
            }
            for (i, key) in keys.iter().enumerate() {
                assert_eq!(tree.remove(key).unwrap(), Some(0));
                if i % 5000 == 0 {
                    tree.check().unwrap();
                }
            }
            // In ascending order a small node's neighbour is a large one.
            keys.sort_unstable();
        }
        for i in 0..20 {
            tree.insert(&[0, i], 0).unwrap();
        }
        tree.insert(&[b'x'; 300], 0).unwrap();
        tree.check().unwrap();
        let taken = taken();
        for event in [
            Event::LeafSplit,
            Event::InnerSplit,
            Event::RootSplit,
            Event::Merge,
            Event::InnerMerge,
            Event::InnerBorrow,
            Event::RootCollapse,
            Event::Wide,
            Event::TailOpened,
        ] {
            assert!(taken.contains_key(&event), "{event:?} not among {taken:?}");
        }
    }
}
