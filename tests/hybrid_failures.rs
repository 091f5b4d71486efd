//! Compactions that fail: in the background, and in any sync.
//!
//! Failpoints are process-wide, so each test holds a [`LoneFolder`].

mod common {
    pub(crate) mod files;
    pub(crate) mod hybrid_options;
    pub(crate) mod lone_folder;
    pub(crate) mod put_files;
    pub(crate) mod test_path;
}

use common::files::files;
use common::hybrid_options::options;
use common::lone_folder::LoneFolder;
use common::put_files::put;
use memkv::{HybridError, HybridOptions, HybridStore, Wal};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Time after which what is awaited will not happen.
const PATIENCE: Duration = Duration::from_secs(60);

type Model = BTreeMap<Vec<u8>, u64>;

/// A folder of the only test that runs. No failpoint is set at first, nor afterwards.
struct Folder(LoneFolder);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = Folder(LoneFolder::new(name));
        folder.end_failures();
        folder
    }

    fn end_failures(&self) {
        memkv::fail_writes(false);
        memkv::fail_sync_after(0);
    }

    fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// Copies the store's files to another folder, as a crash would leave them.
    fn copy(&self) -> PathBuf {
        let copy = self.0.join("copy");
        put(&copy, &files(&self.store()));
        copy
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.end_failures();
    }
}

/// Options with which each check finds that a compaction is due.
fn in_background(wal: Wal) -> HybridOptions {
    options(wal).background(true).compact_bytes(0).compact_percent(0)
}

fn content(store: &HybridStore) -> Model {
    store.iter().collect()
}

/// Writes to a store until `is_done` with the results so far, and returns the failures that the
/// writes returned. The others are in the model.
fn write_until(
    store: &HybridStore,
    model: &mut Model,
    mut is_done: impl FnMut(&[String]) -> bool,
) -> Vec<String> {
    let (begin, mut failures) = (Instant::now(), Vec::new());
    while !is_done(&failures) {
        assert!(begin.elapsed() < PATIENCE, "{failures:?} {:?}", store.stats());
        let key = format!("key {:03}", model.len() % 500);
        match store.insert(&key, model.len() as u64) {
            Ok(_) => _ = model.insert(key.into_bytes(), model.len() as u64),
            Err(HybridError::Background { failure }) => failures.push(failure),
            Err(error) => panic!("{error}"),
        }
    }
    failures
}

/// Returns whether the last compaction succeeded.
fn has_compacted(store: &HybridStore) -> bool {
    let stats = store.stats();
    stats.compactions > 0 && stats.last_failure.is_none()
}

/// Each failure is returned by one write. A success afterwards is the end of it.
#[test]
fn writes_return_failures_in_the_background() {
    let folder = Folder::new("background");
    let store = HybridStore::open_with(folder.store(), in_background(Wal::Off)).unwrap();
    let mut model = Model::new();
    memkv::fail_writes(true);
    let failures = write_until(&store, &mut model, |failures| failures.len() == 2);
    assert!(failures.iter().all(|failure| failure.contains("failpoint")), "{failures:?}");
    // Every try that failed was returned once.
    let stats = store.stats();
    assert!((2..=3).contains(&stats.failures) && stats.compactions == 0, "{stats:?}");
    memkv::fail_writes(false);
    write_until(&store, &mut model, |_| has_compacted(&store));
    assert_eq!(content(&store), model);
    store.compact().unwrap();
    store.close().unwrap();
    let store = HybridStore::open_with(folder.store(), options(Wal::Off)).unwrap();
    assert_eq!(content(&store), model);
}

/// A failure that no write has returned is returned by `close`.
#[test]
fn close_returns_a_failure_in_the_background() {
    let folder = Folder::new("close");
    let store = HybridStore::open_with(folder.store(), options(Wal::Written)).unwrap();
    (0..300u64).for_each(|i| _ = store.insert(i.to_be_bytes(), i).unwrap());
    store.compact().unwrap();
    store.insert("new", 1).unwrap();
    store.close().unwrap();
    // A compaction that begins with the opening. Neither that nor the closing writes.
    memkv::fail_writes(true);
    let options = options(Wal::Written).background(true).compact_log(1);
    let store = HybridStore::open_with(folder.store(), options).unwrap();
    let error = store.close().unwrap_err();
    assert!(matches!(&error, HybridError::Background { .. }), "{error}");
    memkv::fail_writes(false);
    let store = HybridStore::open(folder.store()).unwrap();
    assert!(store.len() == 301 && store.recovery().was_closed);
    store.compact().unwrap();
    store.close().unwrap();
}

/// With a hook no write returns a failure, nor does `close`.
#[test]
fn a_hook_gets_failures_in_the_background() {
    let folder = Folder::new("hook");
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let options = in_background(Wal::Off).on_failure(move |error| {
        assert!(error.to_string().contains("failpoint"), "{error}");
        count.fetch_add(1, SeqCst);
    });
    let store = HybridStore::open_with(folder.store(), options).unwrap();
    let mut model = Model::new();
    memkv::fail_writes(true);
    let failures = write_until(&store, &mut model, |_| calls.load(SeqCst) == 2);
    assert_eq!(failures, [""; 0]);
    assert_eq!(store.stats().failures, 2);
    memkv::fail_writes(false);
    write_until(&store, &mut model, |_| has_compacted(&store));
    assert_eq!(calls.load(SeqCst), 2);
    assert_eq!(content(&store), model);
    store.close().unwrap();
}

/// A hook that panics ends its compaction, which is a failure that a write returns.
#[test]
fn a_panic_in_the_background_is_returned() {
    let folder = Folder::new("panic");
    let options = in_background(Wal::Off).on_failure(|_| std::panic::resume_unwind(Box::new(())));
    let store = HybridStore::open_with(folder.store(), options).unwrap();
    let mut model = Model::new();
    memkv::fail_writes(true);
    let failures = write_until(&store, &mut model, |failures| failures.len() == 1);
    assert!(failures[0].contains("panicked"), "{failures:?}");
    memkv::fail_writes(false);
    write_until(&store, &mut model, |_| has_compacted(&store));
    store.close().unwrap();
}

/// With a full disk writes fail first. With room again, all that returned is present.
#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    for wal in [Wal::Written, Wal::Synced, Wal::Buffered] {
        let folder = Folder::new("full");
        let store = HybridStore::open_with(folder.store(), in_background(wal)).unwrap();
        let (mut least, mut refused) = (Model::new(), 0);
        for i in 0..1500u64 {
            memkv::fail_writes(i % 400 >= 300);
            let key = format!("key {i:04}").into_bytes();
            match store.insert(&key, i) {
                Ok(_) => _ = least.insert(key, i),
                Err(HybridError::Log(_) | HybridError::Background { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        memkv::fail_writes(false);
        assert!(refused > 0 || wal == Wal::Buffered);
        while let Err(error) = store.insert("last", 1) {
            assert!(matches!(error, HybridError::Log(_) | HybridError::Background { .. }));
        }
        let now = content(&store);
        store.close().unwrap();
        let found = content(&HybridStore::open_with(folder.store(), options(wal)).unwrap());
        assert!(found == now);
        assert!(least.iter().all(|(key, value)| found.get(key) == Some(value)));
        // What was refused may be present if it was in memory already, at most one at a time.
        assert!(found.len() <= least.len() + 1 + refused);
    }
}

/// Returns the layers of a folder by name.
fn layers(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = files(folder);
    files.retain(|name, _| name.contains("layer"));
    files
}

/// The `n`-th sync of a compaction fails, and one of those of the next, for each pair. The folder
/// always opens to the same, whatever of the renames since the last sync is on disk.
#[test]
fn a_sync_that_fails_leaves_a_folder_that_opens() {
    for wal in [Wal::Written, Wal::Synced, Wal::Off] {
        let mut failed = 0;
        for (first, second) in (1..=9).flat_map(|first| (0..=9).map(move |second| (first, second)))
        {
            let folder = Folder::new("sync");
            let store = HybridStore::open_with(folder.store(), options(wal)).unwrap();
            let mut model = Model::new();
            let mut make = |store: &HybridStore, round: u64| {
                for i in 0..12u64 {
                    let key = format!("key {}", i * (round + 1) % 17).into_bytes();
                    match i % 4 == 3 {
                        true => _ = (store.remove(&key).unwrap(), model.remove(&key)),
                        false => _ = (store.insert(&key, i).unwrap(), model.insert(key, i)),
                    }
                }
                model.clone()
            };
            make(&store, 0);
            store.compact().unwrap();
            let before = make(&store, 1);
            // Without a log the folder has the state of a compaction.
            let compacted = content(&HybridStore::open_read_only(folder.store()).unwrap());
            // The last state is the present one.
            let check = |states: &[Model], what: &str| {
                let copy = folder.copy();
                let found = content(&HybridStore::open_read_only(&copy).unwrap());
                let may = if wal == Wal::Off { states } else { &states[states.len() - 1..] };
                assert!(may.contains(&found), "{wal:?}, {first}, {second}, {what}: {found:?}");
                let store = HybridStore::open_with(&copy, options(wal)).unwrap();
                assert_eq!(content(&store), found);
                store.compact().unwrap();
                store.close().unwrap();
                assert_eq!(content(&HybridStore::open_with(copy, options(wal)).unwrap()), found);
            };
            // The manifests that may be on the disk: since the last sync that succeeded.
            let manifest = || fs::read(folder.store().join("MANIFEST")).unwrap();
            let mut on_disk = vec![manifest()];
            let check = |states: &[Model], on_disk: &[Vec<u8>], what: &str| {
                let last = manifest();
                for manifest in on_disk {
                    fs::write(folder.store().join("MANIFEST"), manifest).unwrap();
                    check(states, what);
                }
                fs::write(folder.store().join("MANIFEST"), last).unwrap();
            };
            let mut states = vec![compacted, before];
            for (round, sync) in [(2, first), (3, second)] {
                let compactions = store.stats().compactions;
                let layers_before = layers(&folder.store());
                memkv::fail_sync_after(sync);
                let result = store.compact();
                memkv::fail_sync_after(0);
                failed += usize::from(result.is_err());
                if store.stats().compactions > compactions {
                    on_disk.clear();
                } else {
                    // No layer that the disk's manifest may name was written.
                    let layers = layers(&folder.store());
                    assert!(layers_before.iter().all(|(name, is)| layers.get(name) == Some(is)));
                }
                on_disk.push(manifest());
                check(&states, &on_disk, "after a compaction");
                // The log may have failed: then a compaction mends it.
                if store.insert("probe", 1).is_err() {
                    store.compact().unwrap();
                    on_disk = vec![manifest()];
                    check(&states, &on_disk, "after the log was mended");
                } else {
                    store.remove("probe").unwrap();
                }
                states.push(make(&store, round));
                check(&states, &on_disk, "after later writes");
            }
            store.compact().unwrap();
            assert_eq!(layers(&folder.store()).len(), 1);
            check(&states, &[manifest()], "after a compaction that succeeds");
            store.close().unwrap();
            let store = HybridStore::open_with(folder.store(), options(wal)).unwrap();
            assert!(content(&store) == states[states.len() - 1] && store.recovery().was_closed);
        }
        println!("{wal:?}: {failed} compactions failed");
        assert!(failed > 30, "{failed}");
    }
}

/// A process may crash after the manifest is renamed, and before that is on disk. The next one
/// removes nothing that the manifest on disk may name.
#[test]
fn a_manifest_that_is_not_on_disk_keeps_the_files_of_the_one_before() {
    let folder = Folder::new("replaced");
    let store = HybridStore::open_with(folder.store(), options(Wal::Written)).unwrap();
    (0..20u64).for_each(|i| _ = store.insert(i.to_be_bytes(), i).unwrap());
    store.compact().unwrap();
    let layer = fs::read(folder.store().join("layer-1")).unwrap();
    (20..40u64).for_each(|i| _ = store.insert(i.to_be_bytes(), i).unwrap());
    store.compact().unwrap();
    store.close().unwrap();
    fs::write(folder.store().join("layer-1"), layer).unwrap();
    fs::write(folder.store().join("log-1"), "").unwrap();
    let before = layers(&folder.store());
    memkv::fail_sync_after(1);
    let error = HybridStore::open(folder.store()).unwrap_err();
    assert!(matches!(&error, HybridError::File(file) if file.operation() == "sync"), "{error}");
    assert!(layers(&folder.store()) == before && folder.store().join("log-1").exists());
    let store = HybridStore::open(folder.store()).unwrap();
    assert_eq!(store.len(), 40);
    assert_eq!(layers(&folder.store()).len(), 1);
    assert!(!folder.store().join("log-1").exists());
}
