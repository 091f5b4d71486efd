//! `ConcurrentArt` against `BTreeMap` by one thread: random operations over keys that are hard on a
//! tree, with checks of the structure.

use memkv::{ConcurrentArt, FastArt};
use proptest::prelude::*;

use crate::common;
use crate::steps;
use common::{cases, coding, inside};
use steps::{Model, Op, computed, op, set, steps};

steps!(ConcurrentArt);

/// Converts the map to a `FastArt` and back, or builds it anew.
fn own(map: &mut ConcurrentArt, model: &mut Model, k: &[u8], n: u8) {
    if n.is_multiple_of(2) {
        let mut fast = std::mem::take(map).into_fast();
        fast.check().unwrap();
        // Appends, so that the last leaf is open when the map is shared again.
        for i in 0..20u8 {
            let k = [&[0xFE; 9][..], k, &[i]].concat();
            assert_eq!(fast.insert(&k, 1), model.insert(k, 1));
        }
        *map = fast.into();
    } else {
        let built = ConcurrentArt::from_sorted(model.iter().map(|(k, v)| (k, *v))).unwrap();
        assert!(
            std::mem::replace(map, built)
                .into_iter()
                .eq(model.iter().map(|(k, v)| (k.clone(), *v)))
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(192), ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_a_btreemap(
        coding in coding(),
        ops in proptest::collection::vec(op(), 1..60),
    ) {
        let (mut map, mut model) = (ConcurrentArt::with_coding(coding), Model::new());
        for (i, op) in ops.into_iter().enumerate() {
            step(&mut map, &mut model, op);
            // A check visits every key, so large maps are not checked after every step.
            if model.len() < 500 || i % 8 == 0 {
                map.check().unwrap();
            }
        }
        map.check().unwrap();
        assert_eq!(map.len(), model.len());
        assert!(map.iter().eq(model.iter().map(|(k, v)| (k.clone(), *v))));
        assert!(map.iter().rev().eq(model.iter().rev().map(|(k, v)| (k.clone(), *v))));
        let keys: Vec<_> = model.keys().collect();
        assert!(map.get_many(&keys).into_iter().eq(model.values().map(|v| Some(*v))));
        let fast: FastArt = map.into_fast();
        assert!(fast.iter().eq(model));
    }
}
