//! The folder of a `HybridStore`: crashes at any file operation, and damaged or missing files.

mod common {
    pub(crate) mod child;
    pub(crate) mod files;
    pub(crate) mod hybrid_options;
    pub(crate) mod put_files;
    pub(crate) mod test_path;
}

use common::child::{job, run};
use common::hybrid_options::options;
use common::put_files::put;
use common::test_path::TestPath;
use memkv::{HybridError, HybridOptions, HybridStore, Loss, Wal};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

type Model = BTreeMap<Vec<u8>, u64>;

fn content(store: &HybridStore) -> Model {
    let content: Model = store.iter().collect();
    assert_eq!(store.len(), content.len());
    content
}

/// Returns the `i`-th change of a writer, which has its own keys: a value, or `None` for a removal.
fn change(writer: usize, i: usize) -> (Vec<u8>, Option<u64>) {
    let key = format!("writer {writer}, key {:02}", i * 7 % 23).into_bytes();
    (
        key,
        (i % 5 != 3).then_some(if i.is_multiple_of(4) {
            u64::MAX - (i % 2) as u64
        } else {
            i as u64
        }),
    )
}

/// Returns a writer's entries after its first `changes` changes.
fn after(writer: usize, changes: usize) -> Model {
    let mut model = Model::new();
    for (key, value) in (0..changes).map(|i| change(writer, i)) {
        match value {
            Some(value) => _ = model.insert(key, value),
            None => _ = model.remove(&key),
        }
    }
    model
}

fn make(store: &HybridStore, writer: usize, i: usize) {
    let (key, value) = change(writer, i);
    match value {
        Some(value) => store.insert(key, value).unwrap(),
        None => store.remove(key).unwrap(),
    };
}

/// Changes that each writer of a process makes.
const CHANGES: usize = 24;
/// Changes between two compactions.
const CHANGES_PER_COMPACTION: usize = 7;

/// Writes until the process crashes, and prints the changes acknowledged so far. Its job is
/// `folder;mode;operations;changes of writer 0 so far,of writer 1`.
#[test]
fn child() {
    let Some(job) = job("child") else { return };
    let parts: Vec<&str> = job.split(';').collect();
    let (mode, from): (&str, Vec<usize>) =
        (parts[1], parts[3].split(',').map(|n| n.parse().unwrap()).collect());
    memkv::crash_after(parts[2].parse().unwrap());
    let wal = match mode {
        "off" => Wal::Off,
        "buffered" => Wal::Buffered,
        "written" => Wal::Written,
        _ => Wal::Synced,
    };
    let store = HybridStore::open_with(parts[0], options(wal)).unwrap();
    let out = Mutex::new(());
    let say = |writer: usize, done: usize| {
        let _alone = out.lock().unwrap();
        println!("\nhas {writer} {done}");
    };
    std::thread::scope(|scope| {
        for (writer, from) in from.iter().copied().enumerate() {
            let (store, say) = (&store, &say);
            scope.spawn(move || {
                for i in from..from + CHANGES {
                    make(store, writer, i);
                    let compact = i % CHANGES_PER_COMPACTION == 6 && writer == 0;
                    if compact {
                        store.compact().unwrap();
                    } else if wal == Wal::Buffered && i % 3 == 0 {
                        store.sync().unwrap();
                    }
                    let is_kept = matches!(wal, Wal::Synced | Wal::Written);
                    if is_kept || compact || wal == Wal::Buffered && i % 3 == 0 {
                        say(writer, i + 1);
                    }
                }
            });
        }
    });
}

/// Runs processes that crash after 1, 2, … file operations, each in the folder that the one before
/// left. Checks the content of the folder after each crash.
fn crash(mode: &str, writers: usize, most: u64) {
    let folder = TestPath::new(&format!("crash-{mode}-{writers}"));
    let mut done = vec![0; writers];
    let (mut crashes, mut ended) = (0, 0);
    for operations in 1..=most {
        let numbers: Vec<String> = done.iter().map(usize::to_string).collect();
        let job = format!("{};{mode};{operations};{}", folder.display(), numbers.join(","));
        let (output, has_ended) = run("child", &job);
        let lines = || output.lines();
        match has_ended {
            true => ended += 1,
            false => crashes += 1,
        }
        // A reader changes nothing, and finds the same.
        let before = files(&folder);
        let read = HybridStore::open_read_only(&folder).map(|reader| content(&reader));
        assert!(files(&folder) == before);
        let store = HybridStore::open_with(&folder, options(Wal::Off)).unwrap();
        let found = content(&store);
        match read {
            Ok(read) => assert!(read == found, "operation {operations}"),
            // The crash was before the first manifest.
            Err(error) => assert!(
                matches!(error, HybridError::NotAStore { .. }) && found.is_empty(),
                "{error}"
            ),
        }
        for (writer, done) in done.iter_mut().enumerate() {
            let start = format!("has {writer} ");
            let acknowledged = lines()
                .filter_map(|line| line.strip_prefix(&start)?.parse().ok())
                .max()
                .unwrap_or(*done);
            let prefix = format!("writer {writer},").into_bytes();
            let mine: Model = found
                .iter()
                .filter(|(key, _)| key.starts_with(&prefix))
                .map(|(key, value)| (key.clone(), *value))
                .collect();
            // All acknowledged changes are present, and perhaps later ones that the writer had
            // begun, in the order in which they were made.
            let may = acknowledged..=match mode {
                "synced" | "written" => acknowledged + 1,
                _ => *done + CHANGES,
            };
            let at = may.clone().find(|&changes| after(writer, changes) == mine);
            *done = at.unwrap_or_else(|| {
                panic!("operation {operations}: {writer} has {mine:?}, no state of {may:?}")
            });
        }
        // Without a log the folder has the state of its last compaction. No stray file is left.
        drop(store);
        assert!(
            files(&folder).keys().all(|name| !name.ends_with(".tmp")),
            "after operation {operations}"
        );
    }
    assert!(crashes >= most / 2, "{crashes} crashes, {ended} ended");
}

#[test]
fn crashes_without_a_log() {
    crash("off", 1, 60);
}

#[test]
fn crashes_with_a_log() {
    crash("synced", 1, 110);
}

#[test]
fn crashes_by_default() {
    crash("written", 1, 110);
}

#[test]
fn crashes_by_default_of_two_writers() {
    crash("written", 2, 110);
}

#[test]
fn crashes_with_a_log_that_is_synced_now_and_then() {
    crash("buffered", 1, 80);
}

#[test]
fn crashes_with_a_log_of_two_writers() {
    crash("synced", 2, 110);
}

/// Saves a store to a folder, and crashes during the save. Its job is `folder;operations`.
#[test]
fn saving_child() {
    let Some(job) = job("saving_child") else { return };
    let (folder, operations) = job.split_once(';').unwrap();
    let store = HybridStore::with_options(options(Wal::Off)).unwrap();
    (0..20).for_each(|i| make(&store, 1, i));
    memkv::crash_after(operations.parse().unwrap());
    store.save(folder).unwrap();
}

/// Saves to a folder that `before` fills, with a crash before each file operation in turn.
fn crash_saves(name: &str, before: impl Fn(&Path) -> Model) {
    let folder = TestPath::new(name);
    let path = folder.join("in/folders/that are made");
    let (mut old, mut new) = (0, 0);
    for operations in 1.. {
        let _ = fs::remove_dir_all(&folder);
        let model = before(&path);
        let (_, has_ended) = run("saving_child", format!("{};{operations}", path.display()));
        let found = content(&HybridStore::open_with(&path, options(Wal::Off)).unwrap());
        match found == after(1, 20) {
            true => new += 1,
            false => old += usize::from(found == model),
        }
        assert_eq!(old + new, operations, "operation {operations}: neither old nor new: {found:?}");
        let names = files(&path);
        assert!(
            names.keys().all(|name| name == "MANIFEST"
                || name.starts_with("layer-")
                || name.starts_with("log-")),
            "{names:?}"
        );
        assert!(names.keys().filter(|name| name.starts_with("layer-")).count() <= 1);
        if has_ended {
            break;
        }
    }
    assert!(old > 5 && new >= 2, "{old} {new}");
}

#[test]
fn crashes_of_a_save_to_a_new_folder() {
    crash_saves("save-new", |_| Model::new());
}

#[test]
fn crashes_of_a_save_over_a_store() {
    crash_saves("save-over", folder_during_a_compaction);
}

/// A process whose log fails: first its syncs, then its writes. Its job is the folder.
#[test]
fn failing_child() {
    let Some(folder) = job("failing_child") else { return };
    let store = HybridStore::open_with(&folder, options(Wal::Synced)).unwrap();
    (0..10).for_each(|i| make(&store, 0, i));
    memkv::fail_sync_after(1);
    assert!(matches!(store.insert("unsure", 1), Err(HybridError::Log(_))));
    // All further writes fail, since it is unknown what the disk has.
    for _ in 0..2 {
        assert!(matches!(store.insert("refused", 1), Err(HybridError::Log(_))));
        assert!(matches!(store.remove(change(0, 0).0), Err(HybridError::Log(_))));
        assert!(matches!(store.sync(), Err(HybridError::Log(_))));
    }
    assert_eq!(store.get("refused"), None);
    // All acknowledged changes are present when the folder is opened again.
    let copy = TestPath::new("failing-copy");
    put(&copy, &files(Path::new(&folder)));
    let mut found = content(&HybridStore::open_with(&copy, options(Wal::Off)).unwrap());
    found.remove(&b"unsure"[..]);
    assert_eq!(found, after(0, 10));
    store.compact().unwrap();
    (10..20).for_each(|i| make(&store, 0, i));
    // A full disk, and room again.
    memkv::fail_writes(true);
    let error = store.insert("unsure too", 1).unwrap_err();
    assert!(matches!(&error, HybridError::Log(cause) if cause.operation() == "write"), "{error}");
    for _ in 0..2 {
        assert!(matches!(store.insert("refused", 1), Err(HybridError::Log(_))));
        assert!(matches!(store.sync(), Err(HybridError::Log(_))));
    }
    memkv::fail_writes(false);
    (20..30).for_each(|i| make(&store, 0, i));
    let all = content(&store);
    store.close().unwrap();
    let mut found = content(&HybridStore::open_with(&folder, options(Wal::Off)).unwrap());
    assert_eq!(found, all);
    assert!(found.remove(&b"unsure"[..]).is_some() && found.remove(&b"unsure too"[..]).is_some());
    assert_eq!(found, after(0, 30));
}

#[test]
fn a_log_that_fails_is_reported_until_it_can_be_written() {
    let folder = TestPath::new("failing");
    assert!(run("failing_child", folder.to_str().unwrap()).1);
}

/// A process whose log fails while another thread continues to write. Its job is the folder.
#[test]
fn failing_child_of_two_threads() {
    let Some(folder) = job("failing_child_of_two_threads") else { return };
    let store = HybridStore::open_with(&folder, options(Wal::Synced)).unwrap();
    let mut kept = Model::new();
    for round in 0..8 {
        memkv::fail_sync_after(1);
        assert!(matches!(store.insert(format!("unsure {round}"), 1), Err(HybridError::Log(_))));
        let done = AtomicBool::new(false);
        let written: Vec<(Vec<u8>, bool)> = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let keys = (0..)
                    .map(|i| format!("round {round}, key {i}"))
                    .take_while(|_| !done.load(Relaxed));
                keys.map(|key| (store.insert(&key, round).is_ok(), key))
                    .map(|(ok, key)| (key.into_bytes(), ok))
                    .collect()
            });
            store.compact().unwrap();
            // A write that begins after a compaction has succeeded must succeed.
            let now = store.insert(format!("after {round}"), round);
            done.store(true, Relaxed);
            now.unwrap();
            writer.join().unwrap()
        });
        assert!(written.iter().any(|(_, ok)| !ok));
        for (key, ok) in written {
            // A refused change is absent.
            assert_eq!(store.get(&key).is_some(), ok, "{}", key.escape_ascii());
            if ok {
                kept.insert(key, round);
            }
        }
        kept.insert(format!("after {round}").into_bytes(), round);
    }
    drop(store);
    let mut found = content(&HybridStore::open_with(&folder, options(Wal::Off)).unwrap());
    found.retain(|key, _| !key.starts_with(b"unsure"));
    assert_eq!(found, kept);
}

#[test]
fn a_log_that_fails_is_mended_by_a_compaction_during_writes() {
    let folder = TestPath::new("failing-two");
    assert!(run("failing_child_of_two_threads", folder.to_str().unwrap()).1);
}

/// A log whose predecessor has failed takes no changes, and is not damaged.
#[test]
fn failing_child_during_a_compaction() {
    let Some(folder) = job("failing_child_during_a_compaction") else { return };
    let folder = Path::new(&folder);
    let store = HybridStore::open_with(folder, options(Wal::Synced)).unwrap();
    (0..10).for_each(|i| make(&store, 0, i));
    memkv::fail_sync_after(1);
    assert!(matches!(store.insert("unsure", 1), Err(HybridError::Log(_))));
    fs::create_dir(folder.join("layer-1")).unwrap();
    store.compact().unwrap_err();
    for _ in 0..3 {
        assert!(matches!(store.insert("refused", 1), Err(HybridError::Log(_))));
        assert_eq!(
            (store.get("refused"), store.stats().delta_keys, store.stats().log_bytes),
            (None, 0, 0)
        );
    }
    fs::remove_dir(folder.join("layer-1")).unwrap();
    store.compact().unwrap();
    // One compaction was enough, since no change had been recorded since.
    assert_eq!(store.stats().compactions, 1);
    (10..20).for_each(|i| make(&store, 0, i));
    drop(store);
    let mut found = content(&HybridStore::open_with(folder, options(Wal::Off)).unwrap());
    found.remove(&b"unsure"[..]);
    assert_eq!(found, after(0, 20));
}

#[test]
fn a_log_whose_predecessor_failed_takes_nothing() {
    let folder = TestPath::new("failing-during");
    assert!(run("failing_child_during_a_compaction", folder.to_str().unwrap()).1);
}

/// Returns the files of a store by name, without that which is locked.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = common::files::files(folder);
    files.remove("LOCK");
    files
}

/// Leaves the folder as a crash between `freeze_delta` and the new layer does: with a layer and two
/// logs.
fn folder_during_a_compaction(folder: &Path) -> Model {
    let store = HybridStore::open_with(folder, options(Wal::Synced)).unwrap();
    (0..30).for_each(|i| make(&store, 0, i));
    store.compact().unwrap();
    (30..36).for_each(|i| make(&store, 0, i));
    // A folder blocks the name of the next layer.
    fs::create_dir(folder.join("layer-2")).unwrap();
    let error = store.compact().unwrap_err();
    assert!(matches!(error, HybridError::File(_)), "{error}");
    (36..40).for_each(|i| make(&store, 0, i));
    assert_eq!(content(&store), after(0, 40));
    let stats = store.stats();
    assert_eq!((stats.failures, stats.compactions, stats.delta_keys), (1, 1, 4));
    assert!(stats.last_failure.is_some() && stats.frozen_delta_bytes > 0);
    let kept = files(folder);
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["MANIFEST", "layer-1", "log-2", "log-3"]);
    // The next compaction merges the frozen delta, then the rest.
    fs::remove_dir(folder.join("layer-2")).unwrap();
    store.compact().unwrap();
    assert_eq!(
        (store.stats().frozen_delta_bytes, store.stats().delta_keys, store.stats().last_failure),
        (0, 0, None)
    );
    assert_eq!(content(&store), after(0, 40));
    drop(store);
    assert_eq!(files(folder).keys().collect::<Vec<_>>(), ["MANIFEST", "layer-4", "log-4"]);
    put(folder, &kept);
    after(0, 40)
}

#[test]
fn a_later_compaction_merges_what_a_failed_one_left() {
    let folder = TestPath::new("failed");
    let model = folder_during_a_compaction(&folder);
    for wal in [Wal::Off, Wal::Synced, Wal::Buffered] {
        let store = HybridStore::open_with(&folder, options(wal)).unwrap();
        assert_eq!(store.stats().replayed, 10);
        assert_eq!(content(&store), model);
    }
    let store = HybridStore::open_with(&folder, options(Wal::Off)).unwrap();
    store.compact().unwrap();
    drop(store);
    assert_eq!(files(&folder).keys().collect::<Vec<_>>(), ["MANIFEST", "layer-2"]);
    assert_eq!(content(&HybridStore::open(&folder).unwrap()), model);
}

fn open_damaged(folder: &Path, what: &str) -> HybridError {
    let before = files(folder);
    match HybridStore::open_with(folder, options(Wal::Synced)) {
        Ok(_) => panic!("{what} is not detected"),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(files(folder) == before, "{what}: the folder was changed");
            error
        }
    }
}

/// Opens every folder that differs from `whole` in one file: missing, cut, longer, or with a byte
/// flipped. Only in the file `torn` may it open with less, and then it says so.
fn alter_every_byte(
    folder: &Path,
    whole: &BTreeMap<String, Vec<u8>>,
    torn: &str,
    may_be: impl Fn(&Model) -> bool,
) {
    for (name, bytes) in whole {
        let open_other = |other: Vec<u8>, what: String| {
            // A byte of a close record may be one of the record that a crash left incomplete.
            let is_close_record = name.starts_with("log-")
                && other.len() == bytes.len()
                && (0..40).chain(56..bytes.len()).all(|at| other[at] == bytes[at]);
            let mut files = whole.clone();
            files.insert(name.clone(), other);
            put(folder, &files);
            let read = HybridStore::open_read_only(folder).map(|reader| content(&reader));
            match HybridStore::open_with(folder, options(Wal::Off)) {
                Ok(store) => {
                    let found = content(&store);
                    assert!(may_be(&found), "{name}, {what}: {found:?}");
                    if is_close_record {
                        return;
                    }
                    assert!(name == torn, "{name}, {what}");
                    let recovery = store.recovery();
                    assert!(!recovery.was_closed, "{name}, {what}");
                    for end in &recovery.cut {
                        assert!(end.file.ends_with(name) && end.bytes > 0 && end.frames > 0);
                    }
                    assert_eq!(read.unwrap(), found);
                }
                Err(_) => {
                    assert!(read.is_err(), "{name}, {what}");
                    open_damaged(folder, &format!("{name}, {what}"));
                }
            }
        };
        let mut others = whole.clone();
        others.remove(name);
        put(folder, &others);
        let error = open_damaged(folder, name);
        // If the last log is missing, the end frame of the one before it shows that it existed.
        assert!(
            matches!(&error, HybridError::Missing { file } if file.ends_with(name)),
            "{name}: {error}"
        );
        for len in (0..bytes.len()).step_by(if bytes.len() > 1000 { 37 } else { 1 }) {
            open_other(bytes[..len].to_vec(), format!("{len} bytes"));
        }
        for at in (0..bytes.len()).step_by(if bytes.len() > 1000 { 11 } else { 1 }) {
            let mut other = bytes.clone();
            other[at] ^= 1 << (at % 8);
            open_other(other, format!("byte {at}"));
        }
        open_other([&bytes[..], b"?"].concat(), "longer".to_owned());
    }
}

#[test]
fn damage_is_detected_and_named() {
    let folder = TestPath::new("damage");
    folder_during_a_compaction(&folder);
    let whole = files(&folder);
    // A crash may leave the last log incomplete.
    let may_be = |found: &Model| (36..=40).any(|changes| after(0, changes) == *found);
    alter_every_byte(&folder, &whole, "log-3", may_be);
    let other = TestPath::new("damage-other");
    HybridStore::from(memkv::FrozenLayer::from_sorted(&[("a", 1)]).unwrap()).save(&other).unwrap();
    put(&folder, &whole);
    fs::copy(other.join("layer-1"), folder.join("layer-1")).unwrap();
    assert!(matches!(open_damaged(&folder, "another layer"), HybridError::Damaged { .. }));
}

#[test]
fn damage_of_a_closed_store_is_always_detected() {
    let folder = TestPath::new("damage-closed");
    folder_during_a_compaction(&folder);
    let store = HybridStore::open(&folder).unwrap();
    assert!(!store.recovery().was_closed);
    make(&store, 0, 40);
    store.close().unwrap();
    let whole = files(&folder);
    assert!(HybridStore::open_read_only(&folder).unwrap().recovery().was_closed);
    // A byte of the close record alone may look like the record that a crash left incomplete.
    let is_whole = |found: &Model| *found == after(0, 41);
    alter_every_byte(&folder, &whole, "log-3", is_whole);
    // Also of the log before the last, if that is empty.
    put(&folder, &whole);
    let store = HybridStore::open(&folder).unwrap();
    assert!(store.recovery().was_closed && store.recovery().cut.is_empty());
    assert_eq!(content(&store), after(0, 41));
    fs::create_dir(folder.join("layer-2")).unwrap();
    store.compact().unwrap_err();
    fs::remove_dir(folder.join("layer-2")).unwrap();
    store.close().unwrap();
    let whole = files(&folder);
    assert_eq!(
        whole.keys().collect::<Vec<_>>(),
        ["MANIFEST", "layer-1", "log-2", "log-3", "log-4"]
    );
    alter_every_byte(&folder, &whole, "log-4", is_whole);
}

/// A crash of the machine may lose any part of what was not synced.
#[test]
fn unsynced_frames_may_be_lost_and_synced_ones_may_not() {
    let folder = TestPath::new("unsynced");
    let store = HybridStore::open(&folder).unwrap();
    (0..10).for_each(|i| make(&store, 0, i));
    store.sync().unwrap();
    (10..20).for_each(|i| make(&store, 0, i));
    let whole = files(&folder);
    drop(store);
    let log = &whole["log-1"];
    let mut states = std::collections::BTreeSet::new();
    for at in 64..log.len() {
        let mut files = whole.clone();
        // The page of the system that has these bytes was not written.
        files.get_mut("log-1").unwrap()[at..log.len().min(at + 40)].fill(0);
        if files == whole {
            continue;
        }
        put(&folder, &files);
        match HybridStore::open_read_only(&folder) {
            Err(error) => {
                assert!(matches!(error, HybridError::Damaged { .. }) && states.is_empty())
            }
            Ok(store) => {
                let found = content(&store);
                let changes = (10..20).find(|&changes| after(0, changes) == found).unwrap();
                assert!(!store.recovery().cut.is_empty());
                states.insert(changes);
            }
        }
    }
    // Each of them can be the last.
    let all: std::collections::BTreeSet<Model> = (10..20).map(|n| after(0, n)).collect();
    assert_eq!(states.len(), all.len());
}

/// What follows a damaged frame is cut off a log that was not closed, but kept beside it.
#[test]
fn frames_after_a_damaged_one_are_kept_and_recovered() {
    let folder = TestPath::new("kept");
    let store = HybridStore::open_with(&folder, options(Wal::Written)).unwrap();
    let key = |i: u64| format!("key {i:02}");
    (0..20).for_each(|i| _ = store.insert(key(i), i).unwrap());
    let mut files = files(&folder);
    drop(store);
    // A byte of the eleventh of twenty frames of the same length.
    let log = files.get_mut("log-1").unwrap();
    let frame = (log.len() - 64) / 20;
    log[64 + 10 * frame + frame - 1] ^= 1;
    put(&folder, &files);
    let cut = HybridStore::open_read_only(&folder).unwrap().recovery().cut.clone();
    assert!(cut[0].frames == 10 && cut[0].kept.is_none(), "{cut:?}");

    let kept = std::path::absolute(folder.join("log-1.cut-10-1")).unwrap();
    let store = HybridStore::open_with(&folder, options(Wal::Written)).unwrap();
    assert_eq!(store.len(), 10);
    assert_eq!(store.recovery().cut[0].kept.as_ref(), Some(&kept));
    // Later than what was cut off, and in frames of the same numbers.
    store.insert(key(15), 100).unwrap();
    store.insert("new", 7).unwrap();
    store.close().unwrap();

    let check = |folder: &Path, expected: &[(u64, Option<u64>)]| {
        let (store, lost) = HybridStore::recover(folder).unwrap();
        for &(i, value) in expected {
            assert_eq!(store.get(key(i)), value, "{i}");
        }
        assert_eq!(store.get("new"), Some(7));
        lost
    };
    let expected = [(9, Some(9)), (10, None), (11, Some(11)), (15, Some(100)), (19, Some(19))];
    let lost = check(&folder, &expected);
    assert!(matches!(&lost[..], [Loss::Changes { file, .. }] if *file == kept), "{lost:?}");

    // It opens again, and a second end is kept too.
    let mut files = self::files(&folder);
    let log = files.get_mut("log-1").unwrap();
    // No close record, and a byte of the frame before the last, whose key is shorter by three.
    log[40..56].fill(0);
    let at = log.len() - (frame - 3) - 1;
    log[at] ^= 1;
    put(&folder, &files);
    let store = HybridStore::open_with(&folder, options(Wal::Written)).unwrap();
    assert_eq!((store.len(), store.recovery().cut.len()), (10, 1));
    drop(store);
    let expected = [(9, Some(9)), (11, Some(11)), (15, Some(15)), (19, Some(19))];
    assert_eq!(check(&folder, &expected).len(), 2);

    // Once the log is merged, nothing tells what is older.
    let store = HybridStore::open_with(&folder, options(Wal::Written)).unwrap();
    store.insert("new", 7).unwrap();
    store.compact().unwrap();
    store.close().unwrap();
    assert!(kept.exists());
    let lost = check(&folder, &[(9, Some(9)), (11, None), (15, None)]);
    assert!(lost.len() == 2 && lost.iter().all(|lost| matches!(lost, Loss::Changes { .. })));
}

/// The content of a torn frame is the user's, and looks like frames.
#[test]
fn a_key_does_not_keep_a_store_from_opening() {
    let forged = *b"mkvF\0\0\0\0\xff\xff\xff\xff\x44\x15\xb9\x36";
    for (big, repeats) in [(false, 1), (true, (8 << 20) / forged.len())] {
        let folder = TestPath::new(&format!("forged-{big}"));
        let store = HybridStore::open_with(&folder, options(Wal::Synced)).unwrap();
        store.insert("a", 1).unwrap();
        store.insert(forged.repeat(repeats), 2).unwrap();
        let mut files = files(&folder);
        drop(store);
        // A frame of this very log, too.
        let own = files["log-1"][64..][..20 + 1 + 4 + 1 + 8].to_vec();
        let log = files.get_mut("log-1").unwrap();
        log.pop();
        put(&folder, &files);
        let store = HybridStore::open(&folder).unwrap();
        assert_eq!((store.get("a"), store.len()), (Some(1), 1));
        store.insert(own.repeat(repeats), 2).unwrap();
        let mut files = self::files(&folder);
        drop(store);
        files.get_mut("log-1").unwrap().pop();
        put(&folder, &files);
        assert_eq!(HybridStore::open(&folder).unwrap().len(), 1);
    }
}

/// Each file in turn is missing, cut, or altered in one byte: `recover` returns all that is not in
/// the altered part, says that something is lost, and changes nothing.
#[test]
fn what_is_whole_is_recovered() {
    let folder = TestPath::new("recover");
    folder_during_a_compaction(&folder);
    let whole = files(&folder);
    let recover = |files: &BTreeMap<String, Vec<u8>>| {
        put(&folder, files);
        let (store, lost) = HybridStore::recover(&folder).unwrap();
        assert!(self::files(&folder) == *files);
        (content(&store), lost, store)
    };
    let (found, lost, _) = recover(&whole);
    assert!(found == after(0, 40) && lost.is_empty(), "{lost:?}");
    // Every value was once that of its key.
    let ever: Vec<Model> = (0..=40).map(|changes| after(0, changes)).collect();
    let was_once = |found: &Model| {
        found.iter().all(|(key, value)| ever.iter().any(|model| model.get(key) == Some(value)))
    };
    for (name, bytes) in &whole {
        let check = |other: Option<Vec<u8>>, what: String| {
            let mut files = whole.clone();
            match other {
                Some(other) => _ = files.insert(name.clone(), other),
                None => _ = files.remove(name),
            }
            let (found, lost, store) = recover(&files);
            assert!(!lost.is_empty() && was_once(&found), "{name}, {what}: {found:?}");
            assert!(lost.iter().all(|loss| !loss.to_string().is_empty()));
            if name == "MANIFEST" {
                assert_eq!(found, after(0, 40), "{what}");
            }
            // What is saved opens.
            store.save(&folder).unwrap();
            let again = HybridStore::open(&folder).unwrap();
            assert!(content(&again) == found && again.recovery().was_closed);
        };
        check(None, "missing".to_owned());
        for at in (0..bytes.len()).step_by(if bytes.len() > 300 { 23 } else { 1 }) {
            // A cut between two frames of the last log cannot be told from a crash.
            if name != "log-3" {
                check(Some(bytes[..at].to_vec()), format!("{at} bytes"));
            }
            let mut other = bytes.clone();
            other[at] ^= 1 << (at % 8);
            // The close record is not needed.
            if !(name.starts_with("log-") && (40..64).contains(&at)) {
                check(Some(other), format!("byte {at}"));
            }
        }
    }
    // A damaged chunk is lost alone.
    let mut files = whole.clone();
    files.get_mut("layer-1").unwrap()[20] ^= 1;
    let (found, lost, _) = recover(&files);
    let [memkv::Loss::Keys { count, after: None, before: Some(_), .. }] = &lost[..] else {
        panic!("{lost:?}")
    };
    assert!((1..=8).contains(count) && found.len() + 8 >= after(0, 40).len(), "{lost:?}");
}

/// Returns the content of the folders in `tests/golden`.
fn golden_model() -> Model {
    let mut model = Model::new();
    for i in 0..60u64 {
        let key = format!("https://example.org/{:03}", i * 7 % 101).into_bytes();
        model.insert(key, if i % 10 == 9 { u64::MAX - i % 2 } else { i });
        match i {
            49 => _ = model.remove(&b"https://example.org/007"[..]),
            59 => _ = model.remove(&b"https://example.org/014"[..]),
            _ => {}
        }
    }
    model
}

/// The folder was made by version 2, and closed: base, an ended log and one that is continued.
#[test]
fn folders_of_version_2_open() {
    let golden = files(Path::new("tests/golden/hybrid-v2"));
    let folder = TestPath::new("golden-2");
    put(&folder, &golden);
    let reader = HybridStore::open_read_only(&folder).unwrap();
    assert_eq!(content(&reader), golden_model());
    let store = HybridStore::open(&folder).unwrap();
    assert_eq!(content(&store), golden_model());
    let recovery = store.recovery();
    assert!(recovery.was_closed && recovery.replayed == 22 && recovery.cut.is_empty());
    store.insert("a", 1).unwrap();
    drop(store);
    assert_eq!(HybridStore::open(&folder).unwrap().len(), golden_model().len() + 1);
}

/// The folder was made by version 1: base, an ended log and an open one.
#[test]
fn folders_of_version_1_open_and_become_durable() {
    let golden = files(Path::new("tests/golden/hybrid-v1"));
    let mut model = golden_model();
    let folder = TestPath::new("golden");
    put(&folder, &golden);
    assert_eq!(content(&HybridStore::open_read_only(&folder).unwrap()), model);
    assert!(files(&folder) == golden);
    for round in 0..3 {
        let store = HybridStore::open(&folder).unwrap();
        assert_eq!(content(&store), model);
        store.insert("new", round).unwrap();
        model.insert(b"new".to_vec(), round);
        if round == 1 {
            store.compact().unwrap();
        }
    }
    // What a crash leaves of the last frame, and damage.
    for len in (24..golden["log-3"].len()).step_by(7) {
        let mut files = golden.clone();
        files.get_mut("log-3").unwrap().truncate(len);
        put(&folder, &files);
        let store = HybridStore::open(&folder).unwrap();
        assert!(
            (49..=59).contains(&store.len()) && store.get("https://example.org/000") == Some(0)
        );
    }
    let mut files = golden.clone();
    files.get_mut("log-3").unwrap()[60] ^= 1;
    put(&folder, &files);
    assert!(matches!(HybridStore::open(&folder), Err(HybridError::Damaged { .. })));
}

#[test]
fn a_log_does_not_grow_for_ever() {
    let folder = TestPath::new("grow");
    let store = HybridStore::open_with(
        &folder,
        options(Wal::Buffered).background(true).compact_log(20_000),
    )
    .unwrap();
    let begin = std::time::Instant::now();
    while store.stats().compactions < 2 {
        // The store stays empty, and only the log grows.
        store.insert("comes and goes", 1).unwrap();
        store.remove("comes and goes").unwrap();
        assert!(begin.elapsed().as_secs() < 60, "{:?}", store.stats());
    }
    store.compact().unwrap();
    assert_eq!((store.len(), store.stats().log_bytes), (0, 0));
    let before = files(&folder);
    store.compact().unwrap();
    assert!(files(&folder) == before, "there was nothing to compact");
    drop(store);
    assert!(files(&folder).values().map(Vec::len).sum::<usize>() < 1000);
}

/// Also if the store is opened again and again, with few writes each time.
#[test]
fn a_log_does_not_grow_for_ever_across_processes() {
    let folder = TestPath::new("grow-across");
    let options = || options(Wal::Buffered).background(true).compact_log(2000);
    let mut most = 0;
    for i in 0..200 {
        let store = HybridStore::open_with(&folder, options()).unwrap();
        store.insert("key", i).unwrap();
        drop(store);
        most = most.max(
            files(&folder)
                .iter()
                .filter(|(name, _)| name.starts_with("log-"))
                .map(|(_, bytes)| bytes.len())
                .sum(),
        );
    }
    assert!((1000..4000).contains(&most), "{most}");
    assert_eq!(HybridStore::open(&folder).unwrap().get("key"), Some(199));
}

/// The background thread merges what a failed compaction left, even below the limits.
#[test]
fn a_later_compaction_merges_what_a_failed_one_left_in_the_background() {
    let folder = TestPath::new("failed-background");
    let store = HybridStore::open_with(&folder, options(Wal::Off).background(true)).unwrap();
    (0..30).for_each(|i| make(&store, 0, i));
    fs::create_dir(folder.join("layer-1")).unwrap();
    store.compact().unwrap_err();
    assert!(store.stats().frozen_delta_bytes > 0);
    fs::remove_dir(folder.join("layer-1")).unwrap();
    let begin = std::time::Instant::now();
    while store.stats().last_failure.is_some() {
        store.insert("one key", 1).unwrap();
        assert!(begin.elapsed().as_secs() < 60, "{:?}", store.stats());
    }
    assert!(store.stats().compactions > 0);
    let found = content(&store);
    drop(store);
    let kept = content(&HybridStore::open(&folder).unwrap());
    assert!(found.iter().all(|(key, value)| kept.get(key) == Some(value) || key == b"one key"));
}

#[test]
fn a_base_that_has_grown_gets_new_symbols() {
    let options = || HybridOptions::new().background(false);
    let folder = TestPath::new("symbols");
    // The first keys are numbers, later ones are words.
    let words = [
        "apple",
        "banana",
        "cherry",
        "damson",
        "elderberry",
        "fig",
        "grape",
        "hawthorn",
        "juniper",
        "lemon",
        "mulberry",
    ];
    let url = |i: usize| match i {
        0..2000 => format!("{i:06}"),
        _ => {
            [7, 5, 3, 2].map(|by| words[i.wrapping_mul(0x9E37_79B9) / by % words.len()]).join("-")
                + &i.to_string()
        }
    };
    let mut store = HybridStore::open_with(&folder, options()).unwrap();
    let mut keys = 0;
    for step in 0..10 {
        let more = if keys == 0 { 2000 } else { keys / 3 };
        (keys..keys + more).for_each(|i| _ = store.insert(url(i), i as u64).unwrap());
        keys += more;
        store.compact().unwrap();
        if step % 4 == 1 {
            drop(store);
            store = HybridStore::open_with(&folder, options()).unwrap();
        }
    }
    let fresh = {
        let mut pairs: Vec<(String, u64)> = (0..keys).map(|i| (url(i), i as u64)).collect();
        pairs.sort();
        memkv::FrozenLayer::from_sorted(&pairs).unwrap()
    };
    let (mine, best) = (store.stats().base_bytes, fresh.memory_usage().total());
    assert!(mine * 100 < best * 125, "{mine} bytes, which could be {best}");
    assert_eq!(store.len(), keys);
}

#[test]
fn later_versions_are_refused_by_name() {
    let folder = TestPath::new("version");
    folder_during_a_compaction(&folder);
    let whole = files(&folder);
    for name in ["MANIFEST", "log-2"] {
        let mut files = whole.clone();
        let file = files.get_mut(name).unwrap();
        // With another checksum: that of this version would show that only the version is altered.
        (file[8], file[33]) = (9, !file[33]);
        put(&folder, &files);
        let error = open_damaged(&folder, name);
        assert!(
            matches!(&error, HybridError::Version { file, found: 9 } if file.ends_with(name)),
            "{error}"
        );
    }
}

#[test]
fn saving_replaces_whatever_store_was_there() {
    let folder = TestPath::new("replace");
    folder_during_a_compaction(&folder);
    let store = HybridStore::new();
    store.insert("a", u64::MAX).unwrap();
    store.save(&folder).unwrap();
    assert_eq!(content(&HybridStore::open(&folder).unwrap()), [(b"a".to_vec(), u64::MAX)].into());
    assert_eq!(files(&folder).keys().collect::<Vec<_>>(), ["MANIFEST", "layer-2", "log-4"]);
    // A log is begun, ended and begun again.
    for wal in [Wal::Synced, Wal::Off, Wal::Buffered] {
        let store = HybridStore::open_with(&folder, options(wal)).unwrap();
        store.insert("b", 1).unwrap();
        drop(store);
        let found = content(&HybridStore::open(&folder).unwrap());
        assert_eq!(found.len(), 2);
    }
}

#[test]
fn a_folder_is_open_in_one_place_at_a_time() {
    let folder: &Path = &TestPath::new("lock");
    let store = HybridStore::open(folder).unwrap();
    store.insert("a", 1).unwrap();
    let in_use = |error| matches!(error, HybridError::InUse { folder: named } if named == *folder);
    assert!(in_use(HybridStore::open(folder).unwrap_err()));
    assert!(in_use(HybridStore::new().save(folder).unwrap_err()));
    store.save(folder).unwrap();
    drop(store);
    assert_eq!(HybridStore::open(folder).unwrap().get("a"), Some(1));
}

#[test]
fn values_that_would_be_lost_are_refused() {
    let options =
        HybridOptions::new().frozen(memkv::FrozenOptions::new().values(memkv::ValueWidth::None));
    assert!(matches!(HybridStore::with_options(options), Err(HybridError::Option(_))));
}
