//! Tests of the tree that look inside: which paths were taken, and what is left when memory runs out.

use super::RawTree;

#[test]
fn a_tree_with_an_open_tail_may_move() {
    let mut tree = RawTree::<u64>::new();
    for i in 0..20u8 {
        tree.insert(&[i, 1], i.into()).unwrap();
    }
    assert!(tree.tail.is_open());
    let mut moved = Box::new(tree);
    moved.insert(&[0], 100).unwrap();
    moved.check().unwrap();
    assert_eq!(moved.get(&[0]), Some(100));
    assert_eq!(moved.get(&[19, 1]), Some(19));
}

/// Single cuts off the front of a long leaf, eight times: the leaf that is opened is over the limit.
#[test]
fn a_tail_opens_with_room_for_the_keys_of_a_long_leaf() {
    let long = vec![b'p'; 250];
    let mut keys: Vec<Vec<u8>> = (0..8).map(|i| [&long[..4 * i], b"a"].concat()).collect();
    keys.extend((0..133u8).map(|i| [&long[..], &[i]].concat()));
    keys.sort();
    let mut builder = super::Builder::<u64>::new();
    for key in &keys {
        let shared = super::common_prefix(builder.last(), key);
        builder.push(key, shared, 7).unwrap();
    }
    let mut tree = builder.finish().unwrap();
    for i in 200..=255u8 {
        tree.insert(&[&long[..], &[i]].concat(), 8).unwrap();
        tree.check().unwrap();
    }
    assert_eq!(tree.len(), keys.len() + 56);
}
