//! Files of `FrozenLayer`: every kind of damage gives an error that names it, or, where nothing was
//! verified, at worst a wrong answer.

mod common {
    pub(crate) mod child;
    pub(crate) mod forge;
    pub(crate) mod frozen_kinds;
    pub(crate) mod mapped;
    pub(crate) mod names;
    pub(crate) mod test_path;
}
mod forged_numbers;

use common::child::{job, run};
use common::forge::{FOOTER_BYTES, mend, word};
use common::frozen_kinds::kinds;
use common::mapped::mapped;
use common::names::names;
use common::test_path::TestPath;
use memkv::{
    BytesLayerBuilder, Codec, ExternalBuilder, FrozenError, FrozenLayer, FrozenLayerBuilder,
    FrozenOptions, LayerValue, SymbolTable,
};
use std::path::PathBuf;

/// The folder of one test, and a path in it.
fn folder_and_path(name: &str) -> (TestPath, PathBuf) {
    let folder = TestPath::new(name);
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("layer");
    (folder, path)
}

fn pairs(n: u64) -> Vec<(Vec<u8>, u64)> {
    let mut pairs: Vec<(Vec<u8>, u64)> = (0..n)
        .map(|i| {
            (format!("https://example.org/{:03}/{}", i / 20, i * 7919 % 1000).into_bytes(), i * i)
        })
        .collect();
    pairs.push((vec![b'x'; 300], 1));
    pairs.push(([vec![b'x'; 300], vec![0xFF]].concat(), 2));
    pairs.sort();
    pairs
}

/// Reads everything in every way. For damaged layers the answers do not matter, but each call must
/// return.
fn read_all(layer: &FrozenLayer, pairs: &[(Vec<u8>, u64)]) {
    let most = 10 * pairs.len() + 100;
    let _ = layer.iter().take(most).count();
    assert!(layer.iter().map(|_| 1).take(most).sum::<usize>() <= layer.len());
    let _ = layer.iter().rev().take(most).map(|(key, _)| key.len()).sum::<usize>();
    for (key, _) in pairs {
        let _ = layer.get(key);
        let _ = layer.rank(&key[..key.len().saturating_sub(1)]);
        let _ = layer.get_longest_prefix(key);
    }
    let keys: Vec<&Vec<u8>> = pairs.iter().map(|(key, _)| key).collect();
    let _ = layer.get_many(&keys);
    let _ = layer.search(fst::automaton::Subsequence::new("e/7")).take(most).count();
    for rank in [0, 15, 16, 17, 1000, usize::MAX] {
        let _ = layer.select(rank);
    }
    let _ = layer.memory_usage();
}

/// A file with one altered byte is rejected when it is opened into memory. Mapped, it may open but
/// not verify, and reads do no harm.
#[test]
fn every_altered_byte_is_noticed() {
    let pairs = pairs(60);
    for options in kinds() {
        let layer = options.chunk_keys(40).from_sorted(&pairs).unwrap();
        assert_eq!(layer.chunks(), 2);
        let bytes = layer.to_bytes();
        for at in 0..bytes.len() {
            // Every byte of the small file by one bit, and some of the large one.
            for flip in [1, 0x80, 0xFF] {
                let mut altered = bytes.clone();
                altered[at] ^= flip;
                let error = FrozenLayer::from_bytes(altered.clone()).expect_err("altered");
                match error {
                    FrozenError::NotALayer => assert!(at < 8),
                    FrozenError::Version { .. } => assert!((8..12).contains(&at)),
                    FrozenError::Truncated => assert!(at >= bytes.len() - 88),
                    FrozenError::Damaged { .. } => {}
                    other => panic!("{other}"),
                }
                assert!(!error.to_string().is_empty());
                if (flip == 0xFF || at % 7 == 0)
                    && let Ok(mapped) = mapped(&altered)
                {
                    assert!(matches!(
                        mapped.verify(),
                        Err(FrozenError::Damaged { part: "content", chunk: Some(_) })
                    ));
                    read_all(&mapped, &pairs);
                }
            }
        }
    }
}

#[test]
fn every_truncation_is_noticed() {
    for options in kinds() {
        let bytes = options.chunk_keys(40).from_sorted(&pairs(60)).unwrap().to_bytes();
        for len in 0..bytes.len() {
            let error = FrozenLayer::from_bytes(bytes[..len].to_vec()).expect_err("truncated");
            assert!(matches!(error, FrozenError::Truncated), "{len}: {error}");
            if len % 50 == 0 {
                assert!(matches!(mapped(&bytes[..len]), Err(FrozenError::Truncated)));
            }
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(FrozenLayer::from_bytes(longer).is_err());
        // The footer of a shorter file at the end of a longer one.
        let mut twice = bytes.clone();
        twice.extend_from_slice(&bytes);
        assert!(FrozenLayer::from_bytes(twice).is_err());
    }
}

/// Returns a generator of pseudo-random numbers.
fn random() -> impl FnMut() -> u64 {
    let mut seed = 0x9E37_79B9_7F4A_7C15u64;
    move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    }
}

/// Damage of several bytes at once, in the chunks, read without verification.
#[test]
fn random_damage_does_no_harm() {
    let pairs = pairs(500);
    let mut random = random();
    for options in kinds() {
        let bytes = options.chunk_keys(200).from_sorted(&pairs).unwrap().to_bytes();
        for _ in 0..300 {
            let mut altered = bytes.clone();
            for _ in 0..1 + random() % 20 {
                let at = 16 + (random() % (bytes.len() as u64 / 2)) as usize;
                altered[at] = [0, 0xFF, random() as u8][(random() % 3) as usize];
            }
            if let Ok(mapped) = mapped(&altered) {
                read_all(&mapped, &pairs);
            }
        }
    }
}

/// Damage with valid checksums is rejected or does no harm: single bits, and several bytes at once.
#[test]
fn forged_files_do_no_harm() {
    let mut pairs = pairs(60);
    // More transitions than need an index, all 256 transitions, and a key that is a prefix of
    // others.
    pairs.extend((0..=255).map(|byte| (vec![b'y', byte], u64::from(byte))));
    pairs.extend((0..50).map(|byte| (vec![b'z', byte, 1], u64::from(byte))));
    pairs.push((b"z".to_vec(), 7));
    pairs.push((Vec::new(), 8));
    pairs.sort();
    let some: Vec<_> = pairs.iter().step_by(7).cloned().collect();
    let mut random = random();
    for options in kinds() {
        for chunk in [300, 40] {
            let bytes = options.clone().chunk_keys(chunk).from_sorted(&pairs).unwrap().to_bytes();
            let chunks_end = word(&bytes, bytes.len() - FOOTER_BYTES).unwrap();
            let mut forged = bytes.clone();
            mend(&mut forged).unwrap();
            assert!(forged == bytes);
            let is_fst = FrozenLayer::from_bytes(forged).unwrap().codec() == Codec::Fst;
            let check = |mut altered: Vec<u8>| {
                mend(&mut altered).unwrap();
                let opened = FrozenLayer::from_bytes(altered.clone());
                let mapped = mapped(&altered);
                for layer in opened.iter().chain(&mapped) {
                    read_all(layer, &some);
                }
                // Transducers are checked: one that is accepted has the right number of keys, in
                // order, at their positions.
                if let Ok(layer) = opened
                    && is_fst
                {
                    let keys: Vec<Vec<u8>> = layer.iter().map(|(key, _)| key).collect();
                    assert_eq!(keys.len(), pairs.len());
                    if layer.chunks() == 1 {
                        assert!(keys.is_sorted_by(|a, b| a < b));
                        assert!(
                            keys.iter()
                                .enumerate()
                                .all(|(i, key)| layer.rank(key) == i && layer.contains_key(key))
                        );
                    }
                }
            };
            for at in (16..chunks_end).step_by(if chunk == 300 && is_fst { 1 } else { 7 }) {
                let mut altered = bytes.clone();
                altered[at] ^= 1 << (random() % 8);
                check(altered);
            }
            for _ in 0..100 {
                let mut altered = bytes.clone();
                for _ in 0..1 + random() % 6 {
                    let at = 16 + (random() % (chunks_end - 16) as u64) as usize;
                    altered[at] = [0, 0xFF, random() as u8, altered[at].wrapping_add(1)]
                        [(random() % 4) as usize];
                }
                check(altered);
            }
        }
    }
}

#[test]
fn other_files_and_later_versions_are_named() {
    assert!(matches!(FrozenLayer::from_bytes(Vec::new()), Err(FrozenError::Truncated)));
    assert!(matches!(FrozenLayer::from_bytes(b"hello".to_vec()), Err(FrozenError::NotALayer)));
    assert!(matches!(FrozenLayer::from_bytes(vec![0; 1000]), Err(FrozenError::NotALayer)));
    let mut later = FrozenLayer::from_sorted(&[("a", 1)]).unwrap().to_bytes();
    later[8] = 9;
    assert!(matches!(FrozenLayer::from_bytes(later), Err(FrozenError::Version { found: 9 })));
    let missing = std::env::temp_dir().join("memkv-there-is-no-such-file");
    assert!(matches!(
        FrozenLayer::open(&missing),
        Err(FrozenError::File(error)) if error.kind() == std::io::ErrorKind::NotFound
    ));
}

#[test]
fn saved_layers_open() {
    let (folder, path) = folder_and_path("saved");
    let pairs = pairs(2000);
    for options in kinds() {
        let options = options.chunk_keys(300);
        let layer = options.from_sorted(&pairs).unwrap();
        layer.save(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), layer.to_bytes());
        let opened = FrozenLayer::open(&path).unwrap();
        // SAFETY: the file is replaced below, not written to.
        let mapped = unsafe { FrozenLayer::open_mapped(&path).unwrap() };
        mapped.verify().unwrap();
        for copy in [&opened, &mapped] {
            assert!(copy.iter().eq(pairs.iter().cloned()));
            assert_eq!((copy.codec(), copy.symbols()), (layer.codec(), layer.symbols()));
            assert_eq!(copy.to_bytes(), layer.to_bytes());
        }
        assert_eq!(
            mapped.memory_usage().mapped,
            mapped.memory_usage().keys + mapped.memory_usage().values
        );
        // Replaced by another layer, which the mapping does not see.
        FrozenLayer::from_sorted(&[("other", 1)]).unwrap().save(&path).unwrap();
        assert!(mapped.iter().eq(pairs.iter().cloned()));
        // By a builder, chunk by chunk.
        let mut builder = FrozenLayerBuilder::create(&path, options.clone()).unwrap();
        for (key, value) in &pairs {
            builder.insert(key, *value).unwrap();
        }
        assert_eq!(FrozenLayer::open(&path).unwrap().len(), 1);
        assert_eq!(builder.finish_file().unwrap(), pairs.len() as u64);
        assert_eq!(std::fs::read(&path).unwrap(), layer.to_bytes());
        assert_eq!(names(&folder), ["layer"]);
    }
}

#[test]
fn what_fails_leaves_the_old_file_and_nothing_else() {
    let (folder, path) = folder_and_path("failed");
    let layer = FrozenLayer::from_sorted(&[("a", 1)]).unwrap();
    layer.save(&path).unwrap();
    let mut builder = FrozenLayerBuilder::create(&path, FrozenOptions::new()).unwrap();
    builder.insert("b", 1).unwrap();
    assert_eq!(names(&folder).len(), 2);
    drop(builder);
    assert_eq!(names(&folder), ["layer"]);
    assert_eq!(FrozenLayer::open(&path).unwrap().get("a"), Some(1));
    // A folder cannot be replaced by a file.
    std::fs::create_dir(folder.join("folder")).unwrap();
    assert!(matches!(layer.save(folder.join("folder")), Err(FrozenError::File(_))));
    assert!(matches!(layer.save(folder.join("none").join("layer")), Err(FrozenError::File(_))));
    assert_eq!(names(&folder), ["folder", "layer"]);
}

/// Bytes that a process replaces a file by, in some number of file operations, each of which may be
/// the last. The test `name` runs itself as that process.
fn check_kills(name: &str, old: Option<Vec<u8>>, new: &[u8], least_kept: usize) {
    let (folder, path) = folder_and_path(name);
    let (mut kept, mut replaced) = (0, 0);
    for operations in 1.. {
        names(&folder).iter().for_each(|name| std::fs::remove_file(folder.join(name)).unwrap());
        if let Some(old) = &old {
            std::fs::write(&path, old).unwrap();
        }
        let (_, to_its_end) = run(name, format!("{};{operations}", path.display()));
        let found = std::fs::read(&path).ok();
        kept += usize::from(found == old);
        replaced += usize::from(found.as_deref() == Some(new));
        assert_eq!(kept + replaced, operations, "operation {operations}");
        if to_its_end {
            break;
        }
    }
    assert!(kept >= least_kept && replaced >= 2, "{kept} {replaced}");
    assert_eq!(names(&folder), ["layer"]);
}

/// Runs `write` with the path if this process is to be killed. Returns whether it is.
fn is_killed(name: &str, write: impl FnOnce(&str)) -> bool {
    let Some(job) = job(name) else { return false };
    let (path, operations) = job.split_once(';').unwrap();
    memkv::crash_after(operations.parse().unwrap());
    write(path);
    true
}

/// A save that is killed before any file operation leaves the whole old file, the whole new one, or
/// none if there was none.
#[test]
fn a_killed_save_leaves_a_whole_file() {
    let name = "a_killed_save_leaves_a_whole_file";
    let layer = |x: u64| {
        let pairs: Vec<_> = (0..2000u64).map(|i| (i.to_be_bytes(), (i + 1) * x)).collect();
        FrozenOptions::new().chunk_keys(500).from_sorted(&pairs).unwrap()
    };
    if is_killed(name, |path| layer(2).save(path).unwrap()) {
        return;
    }
    for old in [Some(layer(1).to_bytes()), None] {
        // Header, four chunks, trailer, sync, rename; and the folder.
        check_kills(name, old, &layer(2).to_bytes(), 8);
    }
}

/// So does a builder of byte strings that writes chunk by chunk.
#[test]
fn a_killed_builder_leaves_a_whole_file() {
    let name = "a_killed_builder_leaves_a_whole_file";
    let options = FrozenOptions::new().chunk_keys(40).symbols(SymbolTable::None);
    let insert_all = |mut builder: BytesLayerBuilder, word: &str| {
        for (key, value) in pairs(198) {
            builder.insert(key, word.repeat(value as usize % 9).as_bytes()).unwrap();
        }
        builder
    };
    if is_killed(name, |path| {
        let builder = BytesLayerBuilder::create_as(path, options.clone()).unwrap();
        assert_eq!(insert_all(builder, "new ").finish_file().unwrap(), 200);
    }) {
        return;
    }
    let bytes =
        |word: &str| insert_all(options.builder_as().unwrap(), word).finish().unwrap().to_bytes();
    for old in [Some(bytes("old ")), None] {
        // Header, five chunks, trailer, sync, rename; and the folder.
        check_kills(name, old, &bytes("new "), 9);
    }
}

/// Whichever write fails and whatever is called afterwards, a builder that could not write its file
/// creates none.
#[test]
fn a_builder_that_cannot_write_cannot_be_finished() {
    check_failing_writes::<u64>("a_builder_that_cannot_write_cannot_be_finished", |value| value);
}

#[test]
fn a_builder_of_byte_strings_that_cannot_write_cannot_be_finished() {
    check_failing_writes::<[u8]>(
        "a_builder_of_byte_strings_that_cannot_write_cannot_be_finished",
        |value| b"0123456789".get(..value as usize % 10).unwrap(),
    );
}

/// Lets each write of a builder fail. The test `name` runs itself as the process where they do.
fn check_failing_writes<V: LayerValue + ?Sized>(
    name: &str,
    value_of: impl Fn(u64) -> V::Lent<'static>,
) {
    let Some(job) = job(name) else {
        let (folder, path) = folder_and_path(name);
        for writes in 1.. {
            for by in ["finish", "finish_file"] {
                run(name, format!("{};{writes};{by}", path.display()));
            }
            if path.exists() {
                assert!(writes > 10, "{writes}");
                return;
            }
            assert_eq!(names(&folder), [""; 0], "write {writes}");
        }
        return;
    };
    let parts: Vec<&str> = job.split(';').collect();
    let options = FrozenOptions::new().chunk_keys(40).symbols(SymbolTable::None);
    let mut builder = FrozenLayerBuilder::<V>::create_as(parts[0], options).unwrap();
    memkv::fail_after(parts[1].parse().unwrap());
    let is_the_failure = |error: FrozenError| match error {
        FrozenError::File(error) => error.cause().to_string() == "failpoint",
        _ => false,
    };
    let mut failed = false;
    for (key, value) in pairs(500) {
        match builder.insert(key, value_of(value)) {
            Ok(()) => {}
            Err(error) => {
                assert!(is_the_failure(error));
                failed = true;
            }
        }
    }
    let finished = if parts[2] == "finish" {
        builder.finish().map(|layer| layer.len() as u64)
    } else {
        builder.finish_file()
    };
    match finished {
        Ok(len) => assert!(!failed && len == 502),
        Err(error) => assert!(is_the_failure(error)),
    }
}

/// Builds a file from some keys, with spill files in another folder.
fn build_external(path: &str) -> Result<u64, FrozenError> {
    let temp = std::path::Path::new(path).with_file_name("temp");
    let options = FrozenOptions::new().memory(1 << 20).symbols(SymbolTable::None);
    let mut builder = ExternalBuilder::create(path, options.temp_folder(temp))?;
    let inserted: Vec<Result<(), FrozenError>> =
        (0..20_000u64).map(|i| builder.insert(format!("{:050}", i * 7 % 20_000), i)).collect();
    let first = inserted.iter().position(Result::is_err).unwrap_or(inserted.len());
    assert!(inserted[first..].iter().all(Result::is_err), "the error stays");
    let finished = builder.finish_file();
    assert!(first == inserted.len() || finished.is_err());
    finished
}

/// An external build that is killed before any file operation leaves the old file or the new one,
/// and no spill file.
#[test]
fn a_killed_external_build_leaves_a_whole_file() {
    if let Some(job) = job("a_killed_external_build_leaves_a_whole_file") {
        let (path, operations) = job.split_once(';').unwrap();
        memkv::crash_after(operations.parse().unwrap());
        assert_eq!(build_external(path).unwrap(), 20_000);
        return;
    }
    let (folder, path) = folder_and_path("killed-external");
    std::fs::create_dir(folder.join("temp")).unwrap();
    FrozenLayer::from_sorted(&[("old", 1)]).unwrap().save(&path).unwrap();
    let mut lens = Vec::new();
    for operations in 1.. {
        let job = format!("{};{operations}", path.display());
        let (_, to_its_end) = run("a_killed_external_build_leaves_a_whole_file", job);
        lens.push(FrozenLayer::open(&path).unwrap().len());
        assert_eq!(names(&folder.join("temp")), [""; 0], "operation {operations}");
        if to_its_end {
            break;
        }
    }
    assert!(lens.is_sorted() && lens[0] == 1 && lens.len() > 12, "{lens:?}");
    assert_eq!(lens.last(), Some(&20_000));
    assert_eq!(names(&folder), ["layer", "temp"]);
}

/// Whichever write fails, an external build returns the error and leaves the old file.
#[test]
fn an_external_build_that_cannot_write_leaves_the_old_file() {
    let Some(job) = job("an_external_build_that_cannot_write_leaves_the_old_file") else {
        let (folder, path) = folder_and_path("fails-external");
        std::fs::create_dir(folder.join("temp")).unwrap();
        FrozenLayer::from_sorted(&[("old", 1)]).unwrap().save(&path).unwrap();
        for writes in 1.. {
            let job = format!("{};{writes}", path.display());
            run("an_external_build_that_cannot_write_leaves_the_old_file", job);
            assert_eq!(names(&folder), ["layer", "temp"]);
            assert_eq!(names(&folder.join("temp")), [""; 0]);
            if FrozenLayer::open(&path).unwrap().len() != 1 {
                assert!(writes > 6, "{writes}");
                return;
            }
        }
        return;
    };
    let (path, writes) = job.split_once(';').unwrap();
    memkv::fail_after(writes.parse().unwrap());
    match build_external(path) {
        Ok(keys) => assert_eq!(keys, 20_000),
        Err(FrozenError::File(error)) => assert_eq!(error.cause().to_string(), "failpoint"),
        Err(other) => panic!("{other}"),
    }
}

/// Files of this version always open. The same keys give the same bytes until the version of the
/// format changes.
#[test]
fn golden_files_open() {
    let pairs = pairs(60);
    for (name, options) in ["plain", "fsst", "onpair", "fst"].iter().zip(kinds()) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/golden/v1-{name}.frozen"));
        if std::env::var_os("MEMKV_WRITE_GOLDEN").is_some() {
            options.clone().chunk_keys(40).from_sorted(&pairs).unwrap().save(&path).unwrap();
        }
        let layer = FrozenLayer::open(&path).unwrap();
        let built = options.chunk_keys(40).from_sorted(&pairs).unwrap();
        assert!(
            built.to_bytes() == std::fs::read(&path).unwrap(),
            "{name} is built in another way"
        );
        assert!(layer.iter().eq(pairs.iter().cloned()), "{name}");
        assert!(pairs.iter().all(|(key, value)| layer.get(key) == Some(*value)), "{name}");
    }
}
