//! Loads of the lines of readers and files, by functions that skip lines and fail.

use memkv::{LoadError, ShardedArt};
use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Some blocks of text: keys in no order, many of them several times, with empty lines.
fn text() -> (Vec<u8>, u64) {
    let lines = 700_000u64;
    let mut text: Vec<u8> = Vec::new();
    for i in 0..lines {
        if i % 7 != 0 {
            let key = i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 45;
            text.extend_from_slice(format!("key/of/this/line/{key:06}").as_bytes());
        }
        text.push(b'\n');
    }
    (text, lines)
}

/// The key and number of each line that is not empty.
fn number(line: &[u8], number: u64) -> Result<Option<(&[u8], u64)>, String> {
    Ok((!line.is_empty()).then_some((line, number)))
}

fn model(text: &[u8]) -> BTreeMap<Vec<u8>, u64> {
    let lines = text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).zip(1..);
    lines.filter(|(line, _)| !line.is_empty()).collect()
}

#[test]
fn all_lines_are_loaded_with_their_numbers_and_the_last_of_equal_keys() {
    let (text, _) = text();
    let want = model(&text);
    for threads in [1, 3] {
        let pool = rayon_pool(threads);
        for shards in [1, 8] {
            let map = ShardedArt::new(shards);
            map.insert("before", 0u64);
            let calls = AtomicUsize::new(0);
            pool.install(|| {
                map.load_reader(&text[..], |line, at| {
                    calls.fetch_add(1, Relaxed);
                    number(line, at)
                })
            })
            .unwrap();
            assert_eq!(calls.into_inner(), text.iter().filter(|&&byte| byte == b'\n').count());
            assert_eq!(map.remove("before"), Some(0));
            assert!(map.iter().eq(want.iter().map(|(key, value)| (key.clone(), *value))));
        }
    }
}

fn rayon_pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

#[test]
fn ends_of_lines_are_those_of_texts() {
    for text in [&b""[..], b"\n", b"a", b"a\n", b"a\n\nb\r\n", b"\nb", b"\0\n\xff"] {
        let map = ShardedArt::default();
        map.load_reader(text, |line, at| Ok::<_, ()>(Some((line, at)))).unwrap();
        let same = ShardedArt::default();
        same.load_text(text, |line, at| {
            (line, 1 + text[..at as usize].iter().filter(|&&byte| byte == b'\n').count() as u64)
        })
        .unwrap();
        assert!(map.iter().eq(same.iter()), "{text:?}");
    }
}

#[test]
fn the_first_line_that_fails_is_the_error_and_the_map_is_unchanged() {
    let (text, lines) = text();
    let map = ShardedArt::new(4);
    map.insert("before", 7u64);
    for first in [1, 2, 199_999, lines] {
        let result = map.load_reader(&text[..], |line, at| {
            if at >= first { Err(format!("no {at}")) } else { number(line, at) }
        });
        let error = result.unwrap_err();
        assert!(matches!(&error, LoadError::Parse { line, error } if *line == first
                && *error == format!("no {first}")));
        assert!(map.iter().eq([(b"before".to_vec(), 7)]));
    }
}

/// A reader that fails at its end.
struct Failing<'t>(&'t [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "gone")),
            len => Ok(len),
        }
    }
}

#[test]
fn an_error_of_the_reader_leaves_the_map_unchanged() {
    let (text, _) = text();
    let map = ShardedArt::new(4);
    for text in [&text[..], b"a\nb", b""] {
        let error = map.load_reader(BufReader::new(Failing(text)), number).unwrap_err();
        assert!(matches!(&error, LoadError::Io(error)
            if error.kind() == std::io::ErrorKind::ConnectionReset));
        assert_eq!(error.to_string(), "gone");
        assert!(map.is_empty());
    }
    // A line before the error counts first.
    let error = map
        .load_reader(BufReader::new(Failing(&text)), |_, _| Err::<Option<(&[u8], u64)>, _>("bad"))
        .unwrap_err();
    assert!(matches!(error, LoadError::Parse { line: 1, error: "bad" }));
}

#[test]
fn a_panic_of_the_function_leaves_the_map_unchanged() {
    let (text, _) = text();
    let map = ShardedArt::<u64>::new(4);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        map.load_reader(&text[..], |line, at| {
            assert!(at != 300_000, "the function's own panic");
            number(line, at)
        })
    }));
    assert!(result.is_err() && map.is_empty());
}

#[test]
fn files_are_loaded_by_path() {
    let path = std::env::temp_dir().join(format!("memkv-load-path-{}", std::process::id()));
    let map = ShardedArt::new(4);
    let error = map.load_path(&path, number).unwrap_err();
    assert!(matches!(&error, LoadError::Io(error)
        if error.kind() == std::io::ErrorKind::NotFound));
    std::fs::write(&path, "b\n\na\nb").unwrap();
    map.load_path(&path, number).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(map.iter().eq([(b"a".to_vec(), 3), (b"b".to_vec(), 4)]));
}
