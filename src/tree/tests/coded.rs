//! Edits of coded leaves in a tree of few keys, so that an interpreter reaches them, too.

use super::{Tree, takes};
use crate::coding::KeyCoding;
use crate::symbols::Sample;
use crate::testing::coverage::Event::*;
use crate::tree::{LeafCoder, RawCursor, SharedTree};

/// Keys of a tree, a number that 37 does not divide.
const KEYS: usize = 130;

fn insert(tree: &mut Tree, key: &[u8], value: usize) {
    assert_eq!(tree.insert(key, value as u64), Ok(None));
}

fn remove(tree: &mut Tree, key: &[u8]) {
    assert!(tree.remove(key).unwrap().is_some());
}

/// A key with a long rest that symbols code well.
fn key(i: usize) -> Vec<u8> {
    format!("{:03}/usr/share/doc/examples/of/words/{:02}/usr/share/doc.html", i * 37 % KEYS, i % 7)
        .into_bytes()
}

/// A tree that has a table, and a few coded leaves.
fn coded() -> Tree {
    let mut tree = Tree::with_coder(LeafCoder::asked(KeyCoding::Symbols));
    (0..KEYS).for_each(|i| insert(&mut tree, &key(i), i));
    tree.check().unwrap();
    tree
}

#[test]
fn coded_leaves_are_edited() {
    takes(&[TablePublished, LeafCoded, LeafSplit, Merge], || {
        let mut tree = coded();
        assert!(tree.coder().unwrap().newest().is_some());
        // Between two keys, with bytes without a symbol, and longer than what is coded at once.
        let ends = [&b"!"[..], &[0xFF; 3], &[0; 9], &[b'x'; 130], &[0xFE; 300], b"/usr/share/doc"];
        let extended = |i: usize| [&key(i)[..], ends[i % ends.len()]].concat();
        for i in (0..KEYS).step_by(9) {
            insert(&mut tree, &extended(i), i);
            tree.check().unwrap();
        }
        for i in (0..KEYS).step_by(9) {
            remove(&mut tree, &key(i));
            tree.check().unwrap();
        }
        for i in (0..KEYS).step_by(9) {
            assert_eq!(tree.get(&extended(i)), Some(i as u64));
            remove(&mut tree, &extended(i));
        }
        tree.check().unwrap();
        (0..KEYS).filter(|i| i % 9 != 0).for_each(|i| {
            assert_eq!(tree.get(&key(i)), Some(i as u64));
            remove(&mut tree, &key(i));
        });
        assert_eq!(tree.len(), 0);
    });
}

#[test]
fn cursors_pass_coded_leaves_both_ways() {
    let tree = coded();
    let mut want: Vec<Vec<u8>> = (0..KEYS).map(key).collect();
    want.sort();
    let mut cursor = RawCursor::new(&tree);
    for key in &want {
        assert_eq!(cursor.next().map(|(key, _)| key), Some(&key[..]));
    }
    assert!(cursor.next().is_none());
    for key in want.iter().rev() {
        assert_eq!(cursor.previous().map(|(key, _)| key), Some(&key[..]));
    }
}

/// A shared tree trains tables, too, and goes back to its owner with them.
#[cfg(not(memkv_loom))]
#[test]
fn a_shared_tree_has_the_tables_of_its_owner() {
    let tree = coded();
    let table = std::ptr::from_ref(tree.coder().unwrap().newest().unwrap());
    let tree = SharedTree::new(tree).into_raw();
    assert!(std::ptr::eq(tree.coder().unwrap().newest().unwrap(), table));
    tree.check().unwrap();
}

/// Trains tables in vain on keys that do not change, until others follow.
#[test]
fn tries_in_vain_do_not_put_off_the_next_for_long() {
    const SPLITS: usize = 20_000;
    let coder = LeafCoder::asked(KeyCoding::Symbols).unwrap();
    let split = |rest: &[u8]| {
        let mut leaf = Sample::default();
        (0..8).for_each(|_| leaf.push(rest));
        coder.split(rest, coder.is_sampling().then_some(&leaf));
    };
    let newest = || coder.newest().map(std::ptr::from_ref);
    (0..SPLITS).for_each(|_| split(b"/the/same/end/of/all/keys.html"));
    let before = newest();
    assert!(before.is_some());
    (0..SPLITS / 3).for_each(|_| split(b"QUITE-ANOTHER-END-01234-56789"));
    assert_ne!(newest(), before, "no table for the keys that followed");
}
