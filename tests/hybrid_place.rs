//! Where a store writes: always to the folder that it opened, whatever becomes of its path.
//!
//! The tests change the working directory of the process, so each holds a [`LoneFolder`].

#![cfg(unix)]

mod common {
    pub(crate) mod lone_folder;
    pub(crate) mod names;
    pub(crate) mod test_path;
}

use common::lone_folder::LoneFolder;
use common::names::names;
use memkv::{HybridError, HybridOptions, HybridStore, Wal};
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

/// Time after which a store must have noticed that its folder is gone.
const NOTICED_AFTER: Duration = Duration::from_millis(10);

/// The modes that have a log.
const LOGGED: [Wal; 3] = [Wal::Written, Wal::Synced, Wal::Buffered];

/// The folder of the only test that runs, in which it works.
struct Folder(LoneFolder);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = Folder(LoneFolder::new(name));
        env::set_current_dir(&*folder.0).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        env::set_current_dir("/").unwrap();
    }
}

fn options(wal: Wal) -> HybridOptions {
    HybridOptions::new().wal(wal).background(false).threads(1)
}

/// Returns the files of a folder by name, with all that shows that one was written: its number,
/// times and bytes.
fn files(folder: &Path) -> BTreeMap<String, (u64, i64, i64, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let (name, found) = (entry.file_name(), entry.metadata().unwrap());
            let bytes = fs::read(entry.path()).unwrap_or_default();
            (name.into_string().unwrap(), (found.ino(), found.mtime(), found.mtime_nsec(), bytes))
        })
        .collect()
}

/// Makes a store with one key, and returns its files.
fn other_store(folder: &Path) -> BTreeMap<String, (u64, i64, i64, Vec<u8>)> {
    let store = HybridStore::open(folder).unwrap();
    store.insert("other", 1).unwrap();
    store.close().unwrap();
    files(folder)
}

/// Uses an open store in every way that writes. It has 6 keys more afterwards.
fn write(store: &HybridStore, round: u64) {
    for i in 0..3 {
        store.insert(format!("{round}, {i}"), i).unwrap();
        store.insert(format!("{round}, {i}, removed"), i).unwrap();
        store.sync().unwrap();
        store.remove(format!("{round}, {i}, removed")).unwrap();
        store.compact().unwrap();
        store.insert(format!("{round}, {i}, after"), i).unwrap();
    }
}

/// Returns whether a store has what [`write`] wrote in some rounds, and nothing else.
fn has(folder: &Path, rounds: u64) -> bool {
    let store = HybridStore::open_existing(folder, HybridOptions::new()).unwrap();
    let keys = (0..rounds).flat_map(|round| (0..3).map(move |i| (round, i)));
    let mut all = keys
        .flat_map(|(round, i)| [(format!("{round}, {i}"), i), (format!("{round}, {i}, after"), i)]);
    store.len() as u64 == 6 * rounds && all.all(|(key, value)| store.get(key) == Some(value))
}

#[test]
fn a_change_of_the_working_directory_leads_nowhere_else() {
    for wal in LOGGED.into_iter().chain([Wal::Off]) {
        let folder = Folder::new("chdir");
        fs::create_dir(folder.path("elsewhere")).unwrap();
        let other = other_store(&folder.path("elsewhere/db"));
        let store = HybridStore::open_with("db", options(wal)).unwrap();
        write(&store, 0);
        env::set_current_dir("elsewhere").unwrap();
        write(&store, 1);
        env::set_current_dir("/").unwrap();
        write(&store, 2);
        assert!(matches!(HybridStore::open(folder.path("db")), Err(HybridError::InUse { .. })));
        store.compact().unwrap();
        // To its own folder by another path, which must not be taken for another store's.
        env::set_current_dir(folder.path("db")).unwrap();
        store.save(".").unwrap();
        store.save("").unwrap();
        env::set_current_dir(folder.path("elsewhere")).unwrap();
        store.close().unwrap();
        assert!(files(&folder.path("elsewhere/db")) == other);
        assert!(has(&folder.path("db"), 3));
    }
}

#[test]
fn a_renamed_folder_works_under_its_new_name() {
    for wal in LOGGED {
        let folder = Folder::new("renamed");
        let store = HybridStore::open_with("db", options(wal)).unwrap();
        let reader = HybridStore::open_read_only("db").unwrap();
        write(&store, 0);
        fs::rename("db", "new name").unwrap();
        write(&store, 1);
        store.sync().unwrap();
        reader.refresh().unwrap();
        assert_eq!(reader.len(), 12);
        // Another store takes the old path.
        let other = other_store(Path::new("db"));
        write(&store, 2);
        reader.refresh().unwrap();
        let error = HybridStore::open("new name").unwrap_err();
        assert!(matches!(error, HybridError::InUse { .. }), "{error}");
        store.save("new name").unwrap();
        store.close().unwrap();
        assert!(files(Path::new("db")) == other);
        assert!(has(Path::new("new name"), 3));
        drop(folder);
    }
}

#[test]
fn a_link_that_is_switched_leads_nowhere_else() {
    let _folder = Folder::new("link");
    for name in ["v1", "v2"] {
        fs::create_dir(name).unwrap();
    }
    let other = other_store(Path::new("v2/db"));
    symlink("v1", "current").unwrap();
    symlink("v1/db", "db").unwrap();
    let store = HybridStore::open("current/db").unwrap();
    // The same folder by other paths.
    for path in ["v1/db", "db", "./current/../v1/db"] {
        assert!(matches!(HybridStore::open(path), Err(HybridError::InUse { .. })));
    }
    write(&store, 0);
    fs::remove_file("current").unwrap();
    symlink("v2", "current").unwrap();
    write(&store, 1);
    store.save("v1/db").unwrap();
    store.close().unwrap();
    assert!(files(Path::new("v2/db")) == other);
    assert!(has(Path::new("v1/db"), 2));
}

/// Writes until the store notices that its folder is gone. It must do so in time.
fn notices(store: &HybridStore, begin: Instant) {
    loop {
        let now = Instant::now();
        match store.insert("late", 1) {
            Ok(_) => {
                // What was written before is what a thread that was slow wrote.
                assert!(now - begin < NOTICED_AFTER, "{:?}", now - begin);
            }
            Err(error) => {
                assert!(matches!(error, HybridError::Gone { .. }), "{error}");
                return;
            }
        }
    }
}

/// Checks that a store whose folder is gone refuses whatever writes, and still reads.
fn refuses(store: HybridStore) {
    let is_gone = |result: Result<(), HybridError>| {
        assert!(matches!(result, Err(HybridError::Gone { .. })), "{result:?}");
    };
    let keys = store.len();
    for _ in 0..2 {
        is_gone(store.insert("refused", 1).map(drop));
        is_gone(store.remove("0, 0").map(drop));
        is_gone(store.compute("0, 0", |_| Some(9)).map(drop));
        is_gone(
            store
                .compare_exchange("0, 0", Some(0), Some(9))
                .or_else(|e| e.into_current())
                .map(drop),
        );
        is_gone(store.sync());
        is_gone(store.compact());
    }
    assert_eq!((store.get("refused"), store.get("0, 0"), store.len()), (None, Some(0), keys));
    is_gone(store.close());
}

/// Opens a store in `db`, makes its folder go, and checks that it notices.
fn goes(name: &str, go: impl Fn()) {
    for wal in LOGGED.into_iter().chain([Wal::Off]) {
        let _folder = Folder::new(name);
        let open = || {
            let store = HybridStore::open_with("db", options(wal)).unwrap();
            write(&store, 0);
            store
        };
        // The other modes write nothing until they are asked to.
        if matches!(wal, Wal::Written | Wal::Synced) {
            let store = open();
            go();
            notices(&store, Instant::now());
            refuses(store);
        }
        // What asks for the disk notices at once.
        let at_once: [fn(HybridStore) -> Result<(), HybridError>; 3] =
            [|store| store.sync(), |store| store.compact(), HybridStore::close];
        // With a change that is to be written, and without.
        for (call, changes) in at_once.iter().flat_map(|call| [(call, true), (call, false)]) {
            let _ = fs::remove_dir_all("db");
            let store = open();
            store.compact().unwrap();
            if changes {
                store.insert("late", 1).unwrap();
            }
            go();
            let before = fs::exists("db").unwrap().then(|| files(Path::new("db")));
            let result = call(store);
            assert!(matches!(result, Err(HybridError::Gone { .. })), "{wal:?} {result:?}");
            assert!(fs::exists("db").unwrap().then(|| files(Path::new("db"))) == before);
        }
    }
}

#[test]
fn a_removed_folder_takes_no_writes() {
    goes("removed", || fs::remove_dir_all("db").unwrap());
}

#[test]
fn a_removed_folder_takes_no_writes_although_another_has_its_path() {
    goes("removed-replaced", || {
        fs::remove_dir_all("db").unwrap();
        other_store(Path::new("db"));
    });
}

#[test]
fn a_folder_without_its_lock_takes_no_writes() {
    goes("lock-removed", || fs::remove_file("db/LOCK").unwrap());
}

#[test]
fn a_folder_with_another_lock_takes_no_writes() {
    goes("lock-replaced", || {
        fs::write("db/LOCK 2", "").unwrap();
        fs::rename("db/LOCK 2", "db/LOCK").unwrap();
    });
    goes("lock-linked", || {
        fs::rename("db/LOCK", "LOCK 2").unwrap();
        symlink("../LOCK 2", "db/LOCK").unwrap();
        // It leads to the file, and may lead elsewhere the next moment.
    });
}

#[test]
fn a_folder_that_comes_back_takes_writes_again() {
    let _folder = Folder::new("back");
    let store = HybridStore::open("db").unwrap();
    write(&store, 0);
    fs::rename("db/LOCK", "db/LOCK 2").unwrap();
    notices(&store, Instant::now());
    fs::rename("db/LOCK 2", "db/LOCK").unwrap();
    store.remove("late").unwrap();
    write(&store, 1);
    store.close().unwrap();
    assert!(has(Path::new("db"), 2));
}

/// A second store may take a folder whose `LOCK` was removed. The first never writes to it again.
#[test]
fn a_store_that_lost_its_lock_leaves_its_folder_to_another() {
    let _folder = Folder::new("lost");
    let first = HybridStore::open_with("db", options(Wal::Written)).unwrap();
    write(&first, 0);
    fs::remove_file("db/LOCK").unwrap();
    notices(&first, Instant::now());
    let second = HybridStore::open_with("db", options(Wal::Written)).unwrap();
    second.remove("late").unwrap();
    write(&second, 1);
    let before = files(Path::new("db"));
    refuses(first);
    assert!(files(Path::new("db")) == before);
    second.close().unwrap();
    assert!(has(Path::new("db"), 2));
}

fn is_not_a_store(result: Result<HybridStore, HybridError>) {
    assert!(matches!(result, Err(HybridError::NotAStore { .. })), "{result:?}");
}

#[test]
fn a_folder_of_other_files_is_no_store() {
    let _folder = Folder::new("other-files");
    for name in ["notes.txt", "LOCK.bak", "log", "layer", "MANIFEST.bak", ".hidden", "log-1.txt"] {
        let _ = fs::remove_dir_all("db");
        fs::create_dir("db").unwrap();
        fs::write(Path::new("db").join(name), "mine").unwrap();
        let before = files(Path::new("db"));
        is_not_a_store(HybridStore::open("db"));
        is_not_a_store(HybridStore::open_existing("db", HybridOptions::new()));
        is_not_a_store(HybridStore::open_read_only("db"));
        let saved = HybridStore::new().save("db");
        assert!(matches!(saved, Err(HybridError::NotAStore { .. })), "{saved:?}");
        assert!(files(Path::new("db")) == before, "{name}");
    }
    fs::create_dir_all("only/a/folder").unwrap();
    is_not_a_store(HybridStore::open("only"));
    assert_eq!(names(Path::new("only")), ["a"]);
    // A file is no folder.
    fs::write("file", "mine").unwrap();
    for path in ["file", "file/db"] {
        let error = HybridStore::open(path).unwrap_err();
        assert!(matches!(&error, HybridError::File(_)), "{error}");
    }
    assert_eq!(fs::read("file").unwrap(), b"mine");
}

#[test]
fn open_existing_creates_nothing() {
    let _folder = Folder::new("existing");
    let open = |path: &str| HybridStore::open_existing(path, HybridOptions::new());
    is_not_a_store(open("none"));
    is_not_a_store(open("none/below"));
    is_not_a_store(HybridStore::open_read_only("none"));
    fs::create_dir("empty").unwrap();
    is_not_a_store(open("empty"));
    is_not_a_store(HybridStore::open_read_only("empty"));
    assert_eq!(names(Path::new(".")), ["empty"]);
    assert_eq!(names(Path::new("empty")), [""; 0]);
    // What a crash leaves before the first manifest is not a store yet.
    fs::write("empty/LOCK", "").unwrap();
    is_not_a_store(open("empty"));
    assert_eq!(names(Path::new("empty")), ["LOCK"]);
}

#[test]
fn open_creates_a_store_where_nothing_is() {
    let _folder = Folder::new("creates");
    let fill = |files: &[&str]| {
        let _ = fs::remove_dir_all("db");
        fs::create_dir("db").unwrap();
        files.iter().for_each(|name| fs::write(Path::new("db").join(name), "torn").unwrap());
    };
    let leftovers: [&[&str]; 4] = [
        &[],
        &["LOCK"],
        &["LOCK", ".memkv-0123456789ab.tmp"],
        // Of version 1.
        &["LOCK", "MANIFEST.12-3.tmp", "layer-1.12-4.tmp", "log-1.12-5.tmp"],
    ];
    for files in leftovers {
        fill(files);
        let store = HybridStore::open("db").unwrap();
        write(&store, 0);
        store.close().unwrap();
        assert!(has(Path::new("db"), 1), "{files:?}");
        let kept = names(Path::new("db"));
        assert!(kept.iter().all(|name| !name.ends_with(".tmp")), "{kept:?}");
    }
    fill(&[]);
    env::set_current_dir("db").unwrap();
    let store = HybridStore::open("").unwrap();
    write(&store, 0);
    store.close().unwrap();
    assert!(has(Path::new("."), 1));
    let store = HybridStore::open("in/folders/that are made/").unwrap();
    write(&store, 0);
    store.close().unwrap();
    assert!(has(Path::new("in/folders/that are made"), 1));
}

/// Files of other programs that have the names of a store's, and no store's content.
#[test]
fn a_folder_of_other_files_with_names_of_a_store_is_no_store() {
    let _folder = Folder::new("other-names");
    let all: [&[&str]; 4] = [&["log-1"], &["layer-3"], &["log-1", "log-2", "notes"], &["log-+1"]];
    for names in all {
        let _ = fs::remove_dir_all("db");
        fs::create_dir("db").unwrap();
        names.iter().for_each(|name| fs::write(Path::new("db").join(name), "mine").unwrap());
        let before = files(Path::new("db"));
        is_not_a_store(HybridStore::open("db"));
        is_not_a_store(HybridStore::open_existing("db", HybridOptions::new()));
        is_not_a_store(HybridStore::open_read_only("db"));
        let saved = HybridStore::new().save("db");
        assert!(matches!(saved, Err(HybridError::NotAStore { .. })), "{saved:?}");
        assert!(files(Path::new("db")) == before, "{names:?}");
    }
}
