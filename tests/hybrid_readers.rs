//! Stores that are open for reading only: beside a writer that compacts, after a crash, and without
//! the permission to write.

#![cfg(unix)]

mod common {
    pub(crate) mod child;
    pub(crate) mod hybrid_options;
    pub(crate) mod test_path;
}

use common::child::{job, run};
use common::hybrid_options::options;
use common::test_path::TestPath;
use memkv::{HybridError, HybridStore, Wal};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

/// Compactions of a writer beside a reader.
const COMPACTIONS: u64 = 60;
/// Changes between two compactions.
const CHANGES: u64 = 10;
/// Keys that the changes cycle through.
const KEYS: u64 = 37;
/// A user that has no rights.
const NOBODY: u32 = 65_534;

fn key(i: u64) -> String {
    format!("key {:02}", i % KEYS)
}

/// Makes the `i`-th change. Some keys are absent for a while.
fn change(store: &HybridStore, i: u64) -> Result<(), HybridError> {
    if i % 5 == 4 { store.remove(key(i)) } else { store.insert(key(i), i) }.map(drop)
}

/// Returns the content after some changes.
fn after(changes: u64) -> BTreeMap<Vec<u8>, u64> {
    let last_of_each = changes.saturating_sub(KEYS)..changes;
    last_of_each.filter(|i| i % 5 != 4).map(|i| (key(i).into_bytes(), i)).collect()
}

/// Returns how many changes a store has, between two limits. It must have the first ones.
fn changes(store: &HybridStore, least: u64, most: u64) -> u64 {
    let found: BTreeMap<Vec<u8>, u64> = store.iter().collect();
    (least..=most)
        .find(|&changes| after(changes) == found)
        .unwrap_or_else(|| panic!("no state from {least} to {most}: {found:?}"))
}

/// Returns all that shows that a folder or a file in it was changed.
fn state(folder: &Path) -> Vec<(PathBuf, [i64; 6], Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = entries.chain([folder.to_owned()]).collect();
    paths.sort();
    let state = |path: PathBuf| {
        let found = fs::metadata(&path).unwrap();
        let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
        let bytes = fs::read(&path).unwrap_or_default();
        (
            path,
            [times[0], times[1], times[2], times[3], found.ino() as i64, found.size() as i64],
            bytes,
        )
    };
    paths.into_iter().map(state).collect()
}

/// A writer and two readers in threads: one that is refreshed, one that is opened anew each time.
/// In the modes that write each change it is seen at once, in the others after a sync.
fn beside_a_writer(wal: Wal) {
    let folder = TestPath::new(&format!("beside-{wal:?}"));
    let store = HybridStore::open_with(&folder, options(wal)).unwrap();
    let (written, kept) = (AtomicU64::new(0), AtomicU64::new(0));
    let has_ended = AtomicBool::new(false);
    let begin = Barrier::new(3);
    let read = |opens: bool| {
        let mut store = HybridStore::open_read_only(&folder).unwrap();
        let (mut seen, mut rounds) = (0, 0);
        begin.wait();
        loop {
            let is_last = has_ended.load(SeqCst);
            let least = kept.load(SeqCst).max(seen);
            if opens {
                store = HybridStore::open_read_only(&folder).unwrap();
            } else {
                store.refresh().unwrap();
            }
            // The change that is being made may be seen.
            seen = changes(&store, least, written.load(SeqCst) + 1);
            rounds += 1;
            if is_last {
                return (seen, rounds);
            }
        }
    };
    thread::scope(|scope| {
        let readers = [false, true].map(|opens| {
            let read = &read;
            scope.spawn(move || read(opens))
        });
        begin.wait();
        for i in 0..COMPACTIONS * CHANGES {
            change(&store, i).unwrap();
            written.store(i + 1, SeqCst);
            if matches!(wal, Wal::Written | Wal::Synced) {
                kept.store(i + 1, SeqCst);
            } else if i % 4 == 3 {
                store.sync().unwrap();
                kept.store(i + 1, SeqCst);
            }
            if i % CHANGES == CHANGES - 1 {
                store.compact().unwrap();
                kept.store(i + 1, SeqCst);
            }
        }
        has_ended.store(true, SeqCst);
        for reader in readers {
            let (seen, rounds) = reader.join().unwrap();
            assert!(seen == COMPACTIONS * CHANGES && rounds > 1, "{seen} {rounds}");
        }
    });
    assert!(store.stats().compactions >= COMPACTIONS);
}

#[test]
fn a_reader_sees_every_change_beside_a_writer_that_compacts() {
    beside_a_writer(Wal::Written);
}

#[test]
fn a_reader_sees_every_synced_change_beside_a_writer_that_compacts() {
    beside_a_writer(Wal::Synced);
}

#[test]
fn a_reader_sees_what_was_synced_beside_a_writer_that_compacts() {
    beside_a_writer(Wal::Buffered);
}

#[test]
fn a_reader_sees_what_was_compacted_without_a_log() {
    beside_a_writer(Wal::Off);
}

/// A writer beside a reader in one thread: the reader sees all after each step.
#[test]
fn refresh_sees_each_step() {
    let folder = TestPath::new("steps");
    let store = HybridStore::open_with(&folder, options(Wal::Written)).unwrap();
    let reader = HybridStore::open_read_only(&folder).unwrap();
    let mut made = 0;
    for round in 0..60u64 {
        for _ in 0..round % 4 {
            change(&store, made).unwrap();
            made += 1;
        }
        if round % 3 == 2 {
            store.compact().unwrap();
        }
        if round % 5 == 4 {
            store.sync().unwrap();
        }
        // More than one compaction between two readings, too.
        if round % 7 != 6 {
            reader.refresh().unwrap();
            changes(&reader, made, made);
        }
    }
    store.close().unwrap();
    reader.refresh().unwrap();
    changes(&reader, made, made);
    // A later writer continues the log, or replaces it.
    for _ in 0..3 {
        let store = HybridStore::open(&folder).unwrap();
        change(&store, made).unwrap();
        made += 1;
        reader.refresh().unwrap();
        changes(&reader, made, made);
        drop(store);
        reader.refresh().unwrap();
        changes(&reader, made, made);
    }
}

#[test]
fn a_reader_refuses_what_writes() {
    let folder = TestPath::new("refuses");
    let store = HybridStore::open_with(&folder, options(Wal::Written)).unwrap();
    (0..20).for_each(|i| change(&store, i).unwrap());
    let reader = HybridStore::open_read_only(&folder).unwrap();
    let before = state(&folder);
    let is_refused = |result: Result<(), HybridError>| {
        assert!(matches!(result, Err(HybridError::ReadOnly)), "{result:?}");
    };
    is_refused(reader.insert("a", 1).map(drop));
    is_refused(reader.remove(key(1)).map(drop));
    is_refused(reader.compute("a", |_| Some(1)).map(drop));
    let refused = reader.compare_exchange("a", None, Some(1));
    is_refused(refused.map(drop).or_else(|error| error.into_current().map(drop)));
    is_refused(reader.compact());
    is_refused(reader.sync());
    assert_eq!(reader.to_layer().unwrap().len(), reader.len());
    changes(&reader, 20, 20);
    let copy = TestPath::new("refuses-copy");
    reader.save(&copy).unwrap();
    assert_eq!(HybridStore::open_read_only(&copy).unwrap().len(), store.len());
    reader.refresh().unwrap();
    reader.close().unwrap();
    drop(HybridStore::open_read_only(&folder).unwrap());
    assert!(state(&folder) == before);
    // The writer still has the folder for itself.
    assert!(matches!(HybridStore::open(&folder), Err(HybridError::InUse { .. })));
    assert!(matches!(store.refresh(), Err(HybridError::NotReadOnly)));
    (20..25).for_each(|i| change(&store, i).unwrap());
}

/// Gives up its rights if it has any, and reads. Its job is `folder;changes`.
#[test]
fn reading_child() {
    let Some(job) = job("reading_child") else { return };
    let (folder, made) = job.split_once(';').unwrap();
    // SAFETY: calls without memory, in a process that has nothing else to do.
    if unsafe { libc::geteuid() == 0 && (libc::setgid(NOBODY) != 0 || libc::setuid(NOBODY) != 0) } {
        println!("skipped: the user cannot be changed");
    }
    let made = made.parse().unwrap();
    let writer = HybridStore::open(folder);
    assert!(matches!(&writer, Err(HybridError::File(_))), "{writer:?}");
    let reader = HybridStore::open_read_only(folder).unwrap();
    changes(&reader, made, made);
    reader.refresh().unwrap();
    changes(&reader, made, made);
    reader.close().unwrap();
}

/// A folder that its owner can change again after the test, so that it can be removed.
struct Protected<'a>(&'a Path);

impl Drop for Protected<'_> {
    fn drop(&mut self) {
        let _ = fs::set_permissions(self.0, fs::Permissions::from_mode(0o700));
    }
}

#[test]
fn a_reader_needs_no_permission_to_write() {
    let folder = TestPath::new("permission");
    let _protected = Protected(&folder);
    let store = HybridStore::open_with(&folder, options(Wal::Written)).unwrap();
    (0..30).for_each(|i| change(&store, i).unwrap());
    store.compact().unwrap();
    (30..42).for_each(|i| change(&store, i).unwrap());
    let read = || {
        let before = state(&folder);
        assert!(run("reading_child", format!("{};42", folder.display())).1);
        changes(&HybridStore::open_read_only(&folder).unwrap(), 42, 42);
        assert!(state(&folder) == before);
    };
    let allow = |folder_mode, file_mode| {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            fs::set_permissions(path, fs::Permissions::from_mode(file_mode)).unwrap();
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(folder_mode)).unwrap();
    };
    // Beside a writer, and after it.
    allow(0o555, 0o444);
    read();
    drop(store);
    allow(0o555, 0o444);
    read();
    // Nor the permission to read the file that is locked.
    fs::set_permissions(folder.join("LOCK"), fs::Permissions::from_mode(0o000)).unwrap();
    let before = fs::read_dir(&folder).unwrap().count();
    assert!(run("reading_child", format!("{};42", folder.display())).1);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), before);
}

/// Writes, and crashes in the `operations`-th file operation. Its job is `folder;operations`.
#[test]
fn crashing_child() {
    let Some(job) = job("crashing_child") else { return };
    let (folder, operations) = job.split_once(';').unwrap();
    let store = HybridStore::open_with(folder, options(Wal::Buffered)).unwrap();
    (0..20).for_each(|i| change(&store, i).unwrap());
    store.sync().unwrap();
    memkv::crash_after(operations.parse().unwrap());
    for i in 20..40 {
        change(&store, i).unwrap();
        if i == 30 {
            store.compact().unwrap();
        }
    }
    store.sync().unwrap();
}

#[test]
fn a_reader_opens_what_a_crash_left_and_changes_nothing() {
    let folder = TestPath::new("crash");
    let (mut torn, mut operations) = (0, 0);
    loop {
        operations += 1;
        let _ = fs::remove_dir_all(&folder);
        let (_, has_ended) = run("crashing_child", format!("{};{operations}", folder.display()));
        let before = state(&folder);
        let reader = HybridStore::open_read_only(&folder).unwrap();
        // At least all that was synced.
        let found = changes(&reader, 20, 40);
        reader.refresh().unwrap();
        changes(&reader, found, found);
        torn += usize::from(!reader.recovery().cut.is_empty());
        // The crash may be after the close record is written, and before it is synced.
        assert!(reader.recovery().was_closed || !has_ended);
        assert!(state(&folder) == before, "operation {operations}");
        // A writer that cuts the torn end off, and continues.
        let store = HybridStore::open(&folder).unwrap();
        changes(&store, found, found);
        reader.refresh().unwrap();
        changes(&reader, found, found);
        (found..found + 5).for_each(|i| change(&store, i).unwrap());
        store.sync().unwrap();
        reader.refresh().unwrap();
        changes(&reader, found + 5, found + 5);
        if has_ended {
            break;
        }
    }
    assert!(torn >= 2 && operations > 12, "{torn} {operations}");
}

/// Bytes of a log's header that are its close record.
const CLOSE_RECORD: std::ops::Range<usize> = 40..56;

/// A crash may leave any part of a close record. What is written afterwards is kept.
#[test]
fn a_part_of_a_close_record_is_no_damage_to_later_writes() {
    let folder = TestPath::new("close");
    let store = HybridStore::open_with(&folder, options(Wal::Synced)).unwrap();
    (0..20).for_each(|i| change(&store, i).unwrap());
    store.close().unwrap();
    let log = folder.join("log-1");
    let whole = fs::read(&log).unwrap();
    for start in CLOSE_RECORD {
        for end in start..CLOSE_RECORD.end {
            let mut torn = whole.clone();
            torn[CLOSE_RECORD.start..start].fill(0);
            torn[end..CLOSE_RECORD.end].fill(0);
            fs::write(&log, torn).unwrap();
            let store = HybridStore::open(&folder).unwrap();
            changes(&store, 20, 20);
            (20..23).for_each(|i| change(&store, i).unwrap());
            // As another crash leaves it.
            let reader = HybridStore::open_read_only(&folder).unwrap();
            changes(&reader, 23, 23);
            assert!(!reader.recovery().was_closed);
            store.close().unwrap();
            reader.refresh().unwrap();
            let store = HybridStore::open(&folder).unwrap();
            changes(&store, 23, 23);
            assert!(store.recovery().was_closed);
        }
    }
}
