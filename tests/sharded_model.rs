//! `ShardedArt` against `BTreeMap`, on one thread: random operations over difficult keys, with
//! splits and joins at random keys.

use memkv::{ConcurrentArt, FrozenLayer, ShardedArt};
use proptest::prelude::*;
use rayon::prelude::*;

use crate::common;
use crate::steps;
use common::{cases, coding, inside, key};
use steps::{Model, Op, computed, op, set, steps};

steps!(ShardedArt);

/// Splits, joins, bulk loads, and operations on all shards in parallel.
fn own(map: &mut ShardedArt, model: &mut Model, k: &[u8], n: u8) {
    match n % 10 {
        8 => {
            let is_first = map.shards().iter().rfind(|s| s.start[..] <= *k).unwrap().start == b"";
            assert_eq!(map.join(k), Ok(!is_first));
        }
        9 => _ = map.add_shard(k),
        0..3 => {
            let known = k.is_empty() || map.shards().iter().any(|shard| shard.start == k);
            assert_eq!(map.split(k), Ok(!known));
        }
        // At a key that is present.
        3 => {
            _ = model
                .keys()
                .nth(usize::from(n) * 7 % model.len().max(1))
                .map(|k| map.split(k).unwrap())
        }
        4 => {
            // Some keys occur twice: the last value stays.
            let pairs: Vec<(Vec<u8>, u64)> = (0..u64::from(n) * 3)
                .map(|i| ([k, &[(i * 89) as u8, i as u8 & 3]].concat(), i))
                .collect();
            model.extend(pairs.iter().cloned());
            if n < 128 { map.load(&pairs).unwrap() } else { map.par_extend(pairs) }
        }
        5 => {
            let keep =
                |key: &[u8], value: u64| !key.len().is_multiple_of(3) || value.is_multiple_of(2);
            map.par_retain(keep);
            model.retain(|key, value| keep(key, *value));
        }
        6 => {
            let keys: Vec<Vec<u8>> = model.keys().step_by(2).cloned().chain([k.to_vec()]).collect();
            let removed = keys.iter().filter(|key| model.remove(*key).is_some()).count();
            assert_eq!(map.par_remove(keys), removed);
        }
        _ => {
            let content = std::mem::take(map);
            let frozen = FrozenLayer::from(&content);
            assert!(frozen.iter().eq(model.iter().map(|(k, v)| (k.clone(), *v))));
            assert_eq!(
                content.par_iter().map(|(_, value)| value).reduce(|| 0, u64::wrapping_add),
                model.values().fold(0u64, |sum, v| sum.wrapping_add(*v))
            );
            *map = match n >> 5 {
                0..3 => content.into_fast().into(),
                3..6 => ShardedArt::from_sorted(content).unwrap(),
                _ => ConcurrentArt::from_iter(content).into(),
            };
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(160), ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_a_btreemap(
        bounds in proptest::collection::vec(key(), 0..6),
        kind in 0..4u8,
        coding in coding(),
        ops in proptest::collection::vec(op(), 1..60),
    ) {
        let mut map = match kind {
            0 => ShardedArt::with_sample(bounds.len().max(1), bounds),
            1 => ShardedArt::with_boundaries(bounds),
            _ => ShardedArt::with_coding(bounds.len().max(1), coding),
        };
        let mut model = Model::new();
        for (i, op) in ops.into_iter().enumerate() {
            step(&mut map, &mut model, op);
            // A check visits every key, so large maps are not checked after every step.
            if model.len() < 500 || i % 8 == 0 {
                map.check().unwrap();
            }
        }
        map.check().unwrap();
        assert_eq!(map.len(), model.len());
        assert_eq!(map.shards().iter().map(|shard| shard.len).sum::<usize>(), model.len());
        assert!(map.iter().eq(model.iter().map(|(k, v)| (k.clone(), *v))));
        assert!(map.iter().rev().eq(model.iter().rev().map(|(k, v)| (k.clone(), *v))));
        let keys: Vec<_> = model.keys().collect();
        assert!(map.get_many(&keys).into_iter().eq(model.values().map(|v| Some(*v))));
        assert!(map.pin().get_many(&keys).into_iter().eq(model.values().map(|v| Some(*v))));
        assert!(map.into_iter().eq(model));
    }
}
