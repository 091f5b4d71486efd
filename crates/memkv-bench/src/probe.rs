//! Compares a map of byte strings with `BTreeMap`, on the kinds of keys that radix trees get wrong.

use anyhow::{Context, Result};
use memkv_cli::bench::{
    child::{answer, call},
    index::Index,
    row::Row,
};
use std::{collections::BTreeMap, panic, time::Duration};

/// The hidden subcommand that runs one check in a process of its own.
pub const CHILD: &str = "probe-child";
const TIMEOUT: Duration = Duration::from_secs(20);

/// Runs the check of that name. It panics, crashes or hangs if the map is wrong.
pub type Probe = fn(&str);

const CHECKS: [&str; 7] = [
    "keys that are prefixes of others",
    "NUL bytes",
    "empty key",
    "keys of 300 bytes",
    "keys of 70,000 bytes",
    "overwriting returns the old value",
    "random keys in order",
];

/// Returns "yes" if a structure is correct, or the failed checks.
///
/// # Errors
///
/// Never at present: a check that cannot run is reported as failed.
pub fn verdict(row: &Row) -> Result<String> {
    let mut wrong = Vec::new();
    for check in CHECKS {
        let what = match call::<Option<String>>(CHILD, &(row.name, check), &[], TIMEOUT) {
            Ok(None) => continue,
            Ok(Some(panic)) => panic,
            Err(crash) => format!("{crash:#}"),
        };
        wrong.push(format!("\n    {check}: {what}"));
    }
    Ok(if wrong.is_empty() { "yes".to_owned() } else { format!("no{}", wrong.concat()) })
}

/// Runs in the child: answers with the message of the check's panic, if it panics.
///
/// # Errors
///
/// If the structure or the input is unknown.
pub fn run_child(rows: &[Row], probes: &[Probe]) -> Result<()> {
    panic::set_hook(Box::new(|_| {}));
    answer(|(name, check): (String, String)| {
        let at = rows.iter().position(|row| row.name == name).context("no such structure")?;
        let payload = panic::catch_unwind(|| probes[at](&check)).err();
        Ok(payload.map(|payload| {
            let text = payload
                .downcast_ref::<String>()
                .map(String::as_str)
                .or(payload.downcast_ref().copied());
            text.and_then(|text| text.lines().next()).unwrap_or("a panic").to_owned()
        }))
    })
}

/// Compares all operations of `I` with those of a `BTreeMap`, on the keys of a check.
///
/// # Panics
///
/// If a result differs.
pub fn probe<I: Index + Default>(check: &str) {
    let keys = keys(check);
    let value = |i: usize| if I::VALUES { i as u64 * 3 + 1 } else { 0 };
    let (mut index, mut model) = (I::default(), BTreeMap::new());
    for (i, key) in keys.iter().enumerate() {
        assert_eq!(index.insert(key, value(i)), model.insert(key.clone(), value(i)), "insert");
        assert_eq!(index.get(key), Some(value(i)), "get after insert");
    }
    if check.starts_with("overwriting") {
        for (i, key) in keys.iter().enumerate() {
            assert_eq!(
                index.insert(key, value(i + 7)),
                model.insert(key.clone(), value(i + 7)),
                "overwrite"
            );
        }
    }
    compare(&index, &model, &keys);
    for half in [0, 1] {
        for key in keys.iter().skip(half).step_by(2) {
            assert_eq!(index.remove(key), model.remove(key), "remove");
            assert_eq!(index.get(key), None, "get after remove");
        }
        compare(&index, &model, &keys);
    }
    assert_eq!(index.insert(&keys[0], value(5)), None, "insert into an emptied map");
    assert_eq!(index.get(&keys[0]), Some(value(5)), "get from an emptied map");
}

fn compare(index: &impl Index, model: &BTreeMap<Vec<u8>, u64>, keys: &[Vec<u8>]) {
    for key in keys {
        assert_eq!(index.get(key), model.get(key).copied(), "get");
        // Mostly absent keys. Keys with NUL and the empty key have checks of their own.
        let longer = [key, &b"x"[..]].concat();
        assert_eq!(index.get(&longer), model.get(&longer).copied(), "get of a longer key");
        if key.len() > 1 {
            let shorter = key[..key.len() - 1].to_vec();
            assert_eq!(index.get(&shorter), model.get(&shorter).copied(), "get of a shorter key");
        }
        let (mut scanned, expected) = (Vec::new(), model.range(key.clone()..).take(50));
        index.scan(key, 50, |key, value| scanned.push((key.to_vec(), value)));
        assert!(
            scanned.iter().map(|(key, value)| (key, value)).eq(expected),
            "a scan's pairs are wrong"
        );
    }
}

fn keys(check: &str) -> Vec<Vec<u8>> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    // Long keys that differ at the start, in the middle, at the end, or in length.
    let long = |length: usize| {
        let key = |at: usize, byte: u8| {
            let mut key = vec![b'k'; length];
            key[at] = byte;
            key
        };
        let mut keys = vec![vec![b'k'; length], vec![b'k'; length - 1], vec![b'k'; length + 1]];
        for at in [0, 1, length / 2, length - 2, length - 1] {
            keys.extend([key(at, b'a'), key(at, b'z')]);
        }
        keys
    };
    match check {
        "keys that are prefixes of others" => {
            texts(&["abcd", "a", "abc", "b", "ab", "abd", "abcdefghijklmnop", "abcdefghij"])
        }
        "NUL bytes" => texts(&["a", "a\0", "\0", "a\0b", "\0\0", "a\0\0", "ab", "b\0c"]),
        "empty key" => texts(&["b", "", "a", "ab"]),
        "keys of 300 bytes" => long(300),
        "keys of 70,000 bytes" => long(70_000),
        "overwriting returns the old value" => texts(&["one", "two", "three", "four"]),
        _ => {
            let mut rng = memkv_cli::rng::Rng::new(9);
            let mut key = || (0..1 + rng.below(6)).map(|_| 1 + rng.below(255) as u8).collect();
            (0..2000).map(|_| key()).collect()
        }
    }
}
