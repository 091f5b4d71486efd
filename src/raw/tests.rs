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
