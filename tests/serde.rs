//! Maps and sets through formats of `serde`: JSON, which is human-readable, and CBOR, a binary one.

use ciborium::Value as Cbor;
use memkv::{ArenaArt, ConcurrentArenaArt, ConcurrentArt, FastArt, FastSet, ShardedArt};
use serde::{Serialize, de::DeserializeOwned};

/// Keys of all sorts, in order: empty, with NUL bytes, prefixes of one another, not ASCII.
const TEXT: [&str; 6] = ["", "\0", "\0\0a", "a", "a\"\\", "\u{ff}"];
/// Also keys that are not UTF-8.
const BYTES: [&[u8]; 6] = [b"", b"\0", b"a", b"a\xff", b"\xc3", b"\xff\0"];

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap()
}

fn of_json<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap()
}

fn cbor<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

fn of_cbor<T: DeserializeOwned>(bytes: &[u8]) -> T {
    ciborium::from_reader(bytes).unwrap()
}

/// A map comes back from both formats, and from its content in the other form.
fn comes_back<M: Serialize + DeserializeOwned>(
    make: impl Fn(&[(&[u8], u32)]) -> M,
    content: impl Fn(&M) -> Vec<(Vec<u8>, u32)>,
) {
    let texts: Vec<&[u8]> = TEXT.iter().map(|text| text.as_bytes()).collect();
    for (keys, is_text) in [(&[][..], true), (&texts[..], true), (&BYTES[..], false)] {
        let pairs: Vec<(&[u8], u32)> = keys.iter().copied().zip(0..).collect();
        let want: Vec<(Vec<u8>, u32)> =
            pairs.iter().map(|(key, value)| (key.to_vec(), *value)).collect();
        let map = make(&pairs);

        let text = json(&map);
        assert_eq!(text.starts_with('{'), is_text, "{text}");
        assert_eq!(content(&of_json(&text)), want);
        // From a tree of JSON values, and from the sequence of pairs that was once written.
        assert_eq!(
            content(&serde_json::from_value(serde_json::to_value(&map).unwrap()).unwrap()),
            want
        );
        assert_eq!(content(&of_json(&json(&pairs))), want);

        let bytes = cbor(&map);
        let form: Cbor = of_cbor(&bytes);
        let same = pairs.iter().map(|(key, value)| {
            Cbor::Array(vec![Cbor::Bytes(key.to_vec()), Cbor::Integer((*value).into())])
        });
        assert_eq!(form, Cbor::Array(same.collect()));
        assert_eq!(content(&of_cbor(&bytes)), want);
    }
}

#[test]
fn every_map_comes_back() {
    comes_back(|pairs| pairs.iter().copied().collect::<FastArt<u32>>(), |map| map.iter().collect());
    comes_back(
        |pairs| pairs.iter().copied().collect::<ConcurrentArt<u32>>(),
        |map| map.iter().collect(),
    );
    comes_back(
        |pairs| pairs.iter().copied().collect::<ShardedArt<u32>>(),
        |map| map.iter().collect(),
    );
    comes_back(
        |pairs| pairs.iter().copied().collect::<ArenaArt<u32>>(),
        |map| map.iter().map(|(key, value)| (key, *value)).collect(),
    );
    comes_back(
        |pairs| pairs.iter().copied().collect::<ConcurrentArenaArt<u32>>(),
        |map| map.iter().collect(),
    );
}

#[test]
fn forms_are_those_of_the_documentation() {
    assert_eq!(json(&FastArt::from([("b", 2u8), ("a", 1)])), r#"{"a":1,"b":2}"#);
    assert_eq!(json(&FastArt::from([(b"\xff", 1u8)])), "[[[255],1]]");
    assert_eq!(json(&ArenaArt::from([("a", "x")])), r#"{"a":"x"}"#);
    assert_eq!(json(&ConcurrentArenaArt::from([("a", "x".to_string())])), r#"{"a":"x"}"#);
    assert_eq!(json(&ShardedArt::from([("", -1i8)])), r#"{"":-1}"#);
    assert_eq!(json(&FastArt::<u8>::new()), "{}");
    let set: FastSet = [&b"\xff"[..], b"a", b""].into_iter().collect();
    assert_eq!(json(&set), r#"["","a",[255]]"#);
}

#[test]
fn sets_come_back() {
    let set: FastSet = BYTES.iter().chain(&[&b"\xc3\xbf"[..]]).collect();
    assert_eq!(of_json::<FastSet>(&json(&set)), set);
    assert_eq!(of_cbor::<FastSet>(&cbor(&set)), set);
    assert_eq!(of_json::<FastSet>("[]"), FastSet::new());
    assert!(serde_json::from_str::<FastSet>("[1]").is_err());
    assert!(serde_json::from_str::<FastSet>(r#"{"a":1}"#).is_err());
}

#[test]
fn values_of_any_type_come_back() {
    let map: ArenaArt<Vec<i32>> =
        (0..500).map(|i| (format!("\0{i}\u{ff}"), vec![i; i as usize % 5])).collect();
    assert_eq!(of_json::<ArenaArt<Vec<i32>>>(&json(&map)), map);
    assert_eq!(of_cbor::<ArenaArt<Vec<i32>>>(&cbor(&map)), map);
    let pairs = FastArt::from([("a", (1u32, 2u32))]);
    assert_eq!(of_json::<FastArt<(u32, u32)>>(&json(&pairs)), pairs);
}

/// A key as text, any order, equal keys, and what is no map.
#[test]
fn what_is_read_need_not_be_what_is_written() {
    let want = FastArt::from([("a", 1), ("b", 3)]);
    assert_eq!(of_json::<FastArt<u8>>(r#"[["b", 2], [[97], 1], ["b", 3]]"#), want);
    assert_eq!(of_json::<FastArt<u8>>(r#"{"b": 2, "\u0061": 1, "b": 3}"#), want);
    for text in ["[1]", "1", "null", r#"[[[300], 1]]"#, r#"[[null, 1]]"#, r#"{"a": 300}"#] {
        assert!(serde_json::from_str::<FastArt<u8>>(text).is_err(), "{text}");
        assert!(serde_json::from_str::<ArenaArt<u8>>(text).is_err(), "{text}");
    }
}
