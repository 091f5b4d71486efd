//! What maps and sets with one owner share with `BTreeMap` and `BTreeSet`: operations on two sets,
//! orders and hashes, entries of the ends, removal while iterating, stored prefixes.

use crate::common;

use common::{bound, cases, key};
use memkv::{ArenaArt, FastArt, FastSet};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::ops::RangeBounds;

fn keys() -> impl Strategy<Value = BTreeSet<Vec<u8>>> {
    prop_oneof![
        3 => proptest::collection::btree_set(key(), 0..60),
        1 => (0u32..3000, 1usize..40).prop_map(|(n, step)| {
            (0..n).step_by(step).map(|i| format!("key/{i:05}").into_bytes()).collect()
        }),
    ]
}

fn hash_of(value: &impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(48), ..ProptestConfig::default() })]

    #[test]
    fn two_sets_combine_like_btreesets(a in keys(), b in keys(), shared in keys()) {
        let a: BTreeSet<_> = a.union(&shared).cloned().collect();
        let b: BTreeSet<_> = b.union(&shared).cloned().collect();
        let (left, right) = (FastSet::from(a.clone()), b.iter().collect::<FastSet>());
        assert!(left.union(&right).eq(a.union(&b).cloned()));
        assert!(left.intersection(&right).eq(a.intersection(&b).cloned()));
        assert!(left.difference(&right).eq(a.difference(&b).cloned()));
        assert!(right.difference(&left).eq(b.difference(&a).cloned()));
        assert!(left.symmetric_difference(&right).eq(a.symmetric_difference(&b).cloned()));
        assert!((&left | &right).iter().eq(&a | &b));
        assert!((&left & &right).iter().eq(&a & &b));
        assert!((&left - &right).iter().eq(&a - &b));
        assert!((&left ^ &right).iter().eq(&a ^ &b));
        assert_eq!(left.is_subset(&right), a.is_subset(&b));
        assert_eq!(left.is_superset(&right), a.is_superset(&b));
        assert_eq!(left.is_disjoint(&right), a.is_disjoint(&b));
        let both = &left & &right;
        assert!(both.is_subset(&left) && right.is_superset(&both));
        assert!((&left - &right).is_disjoint(&right));
        assert_eq!(left.cmp(&right), a.cmp(&b));
        assert_eq!(hash_of(&left), hash_of(&a.iter().collect::<FastSet>()));
        let mut ended = left.symmetric_difference(&right);
        ended.by_ref().for_each(drop);
        assert_eq!(ended.next(), None);
    }

    #[test]
    fn parts_of_a_set_go_like_those_of_a_btreeset(
        keys in keys(),
        others in keys(),
        at in key(),
        range in (bound(), bound()),
    ) {
        let (mut set, mut model) = (FastSet::from(keys.clone()), keys);
        let asked: Vec<_> = others.iter().chain(&model).collect();
        let found: Vec<_> = asked.iter().map(|key| model.contains(*key)).collect();
        assert_eq!(set.contains_many(&asked), found);
        assert_eq!(set.count_prefix(&at), model.iter().filter(|key| key.starts_with(&at)).count());

        let (mut tail, mut model_tail) = (set.split_off(&at), model.split_off(&at));
        assert!(set.iter().eq(model.iter().cloned()) && tail.iter().eq(model_tail.iter().cloned()));
        let mut other = FastSet::from(others.clone());
        tail.append(&mut other);
        model_tail.extend(others);
        assert!(other.is_empty() && tail.iter().eq(model_tail.iter().cloned()));
        tail.append(&mut set);
        model_tail.append(&mut model);

        let before = model_tail.len();
        model_tail.retain(|key| !range.contains(key));
        assert_eq!(tail.remove_range(range), before - model_tail.len());
        let before = model_tail.len();
        model_tail.retain(|key| !key.starts_with(&at));
        assert_eq!(tail.remove_prefix(&at), before - model_tail.len());
        tail.as_map().check().unwrap();
        assert!(tail.into_iter().eq(model_tail));
    }

    #[test]
    fn maps_have_the_order_of_btreemaps(
        a in proptest::collection::btree_map(key(), 0u8..3, 0..4),
        b in proptest::collection::btree_map(key(), 0u8..3, 0..4),
    ) {
        let (left, right) = (FastArt::from(a.clone()), FastArt::from(b.clone()));
        assert!(left.iter().eq(a.clone()));
        assert_eq!(left.cmp(&right), a.cmp(&b));
        assert_eq!((left == right, hash_of(&left) == hash_of(&right)), (a == b, a == b));
        let texts = |model: &BTreeMap<Vec<u8>, u8>| -> BTreeMap<Vec<u8>, String> {
            model.iter().map(|(key, value)| (key.clone(), value.to_string())).collect()
        };
        let (a, b) = (texts(&a), texts(&b));
        let (left, right) = (ArenaArt::from(a.clone()), ArenaArt::from(b.clone()));
        assert!(left.clone().into_iter().eq(a.clone()));
        assert_eq!(left.cmp(&right), a.cmp(&b));
        assert_eq!((left == right, hash_of(&left) == hash_of(&right)), (a == b, a == b));
    }
}

#[test]
fn maps_of_floats_may_have_no_order() {
    let of = |value: f64| FastArt::from([("a", value), ("b", 0.0)]);
    assert_eq!(of(1.0).partial_cmp(&of(f64::NAN)), None);
    assert!(of(1.0) < of(2.0));
    let of = |value: f64| ArenaArt::from([("a", value)]);
    assert_eq!(of(1.0).partial_cmp(&of(f64::NAN)), None);
    assert!(of(1.0) > of(0.5));
}

#[test]
fn a_sorted_map_whose_order_is_not_that_of_bytes_is_converted() {
    /// Compares in descending order.
    #[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
    struct Down(std::cmp::Reverse<String>);
    impl AsRef<[u8]> for Down {
        fn as_ref(&self) -> &[u8] {
            self.0.0.as_bytes()
        }
    }
    let down = |key: &str| Down(std::cmp::Reverse(key.to_string()));
    let pairs = BTreeMap::from([(down("a"), 1u8), (down("b"), 2), (down("c"), 3)]);
    assert!(FastArt::from(pairs.clone()).values().eq([1, 2, 3]));
    assert!(ArenaArt::from(pairs.clone()).values().eq(&[1, 2, 3]));
    assert!(
        FastSet::from(pairs.into_keys().collect::<BTreeSet<_>>()).iter().eq([b"a", b"b", b"c"])
    );
}
