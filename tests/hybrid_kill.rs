//! Processes that write to a store and are killed at random times, beside a reader.
//!
//! Every change is counted: one that was acknowledged and is missing is lost, one that is present
//! and was not yet begun is invented. `scripts/kills` runs more of them.

#![cfg(unix)]

mod common {
    pub(crate) mod files;
    pub(crate) mod put_files;
    pub(crate) mod test_path;
}

use common::files::files;
use common::put_files::put;
use common::test_path::TestPath;
use memkv::{FrozenOptions, HybridError, HybridOptions, HybridStore, SymbolTable, Wal};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// The environment variable that has the number of kills, and their number without it.
const KILLS: &str = "MEMKV_KILLS";
const DEFAULT_KILLS: u64 = 100;
/// The environment variable that tells a child process what to do.
const JOB: &str = "MEMKV_CHILD_JOB";
/// Threads that write in a child.
const WRITERS: usize = 3;
/// Keys of a writer. A change of each is among as many changes in a row.
const KEYS: u64 = 97;
/// Milliseconds after which a child is killed, from its start or its first write.
const KILLED_AFTER: std::ops::Range<u64> = 5..60;
/// Time between two looks at whether a child has begun.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// A child that nobody kills ends after this time.
const CHILD_TIME: Duration = Duration::from_secs(20);
/// Bytes of a log at which the store compacts in the background.
const COMPACT_LOG: u64 = 30_000;

type Model = BTreeMap<Vec<u8>, u64>;

/// Returns a writer's `i`-th change: a value that no other change has, or `None` for a removal of a
/// key that is present.
fn change(writer: usize, i: u64) -> (Vec<u8>, Option<u64>) {
    let key = format!("writer {writer}, key {:02}", i * 7 % KEYS).into_bytes();
    (key, (i < KEYS || i % 5 != 3).then_some(i))
}

/// Returns a writer's entries after its first `changes` changes.
fn after(writer: usize, changes: u64) -> Model {
    let last_of_each = changes.saturating_sub(KEYS)..changes;
    last_of_each.map(|i| change(writer, i)).filter_map(|(key, value)| Some((key, value?))).collect()
}

/// Returns how many changes each writer has made in a store, which must have them in order.
fn changes(store: &HybridStore) -> [u64; WRITERS] {
    let mut models = [const { Model::new() }; WRITERS];
    for (key, value) in store.iter() {
        models[usize::from(key[b"writer ".len()] - b'0')].insert(key, value);
    }
    let count = |writer: usize| {
        let mine = &models[writer];
        // The last change may be a removal.
        let stored = mine.values().max().map_or(0, |last| last + 1);
        (stored..=stored + 1)
            .find(|&changes| after(writer, changes) == *mine)
            .unwrap_or_else(|| panic!("writer {writer} was never in the state {mine:?}"))
    };
    std::array::from_fn(count)
}

fn options() -> HybridOptions {
    let frozen = FrozenOptions::new().chunk_keys(8).symbols(SymbolTable::None);
    HybridOptions::new().frozen(frozen).background(false).threads(1)
}

/// The acknowledged changes of each writer, in a file that outlives the process that writes it.
struct Acknowledged(File);

impl Acknowledged {
    fn open(path: &Path) -> Self {
        let mut options = File::options();
        Acknowledged(
            options.read(true).write(true).create(true).truncate(false).open(path).unwrap(),
        )
    }

    fn set(&self, writer: usize, changes: u64) {
        self.0.write_all_at(&changes.to_le_bytes(), 8 * writer as u64).unwrap();
    }

    fn get(&self) -> [u64; WRITERS] {
        std::array::from_fn(|writer| {
            let mut bytes = [0; 8];
            self.0.read_exact_at(&mut bytes, 8 * writer as u64).unwrap();
            u64::from_le_bytes(bytes)
        })
    }
}

/// A folder for one mode: a store, a copy of it and the acknowledged changes.
struct Place(TestPath);

impl Place {
    fn new(name: &str) -> Self {
        let path = TestPath::new(name);
        fs::create_dir(&path).unwrap();
        Place(path)
    }

    fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// Copies the store's files to another folder, as they are.
    fn copy(&self) -> PathBuf {
        let copy = self.0.join("copy");
        put(&copy, &files(&self.store()));
        copy
    }

    fn acknowledged(&self) -> Acknowledged {
        Acknowledged::open(&self.0.join("acknowledged"))
    }
}

/// Writes until it is killed. Its job is `folder;mode;whether it compacts in the background`.
#[test]
fn child() {
    let Ok(job) = std::env::var(JOB) else { return };
    let parts: Vec<&str> = job.split(';').collect();
    let folder = Path::new(parts[0]);
    let acknowledged = Acknowledged::open(&folder.join("acknowledged"));
    let in_background = parts[2] == "true";
    let mut options = options().background(in_background).compact_log(COMPACT_LOG);
    // The mode `Written` is what a folder has without being asked.
    if parts[1] == "synced" {
        options = options.wal(Wal::Synced);
    }
    let changes_per_compaction = if parts[1] == "synced" { 16 } else { 1024 };
    let store = HybridStore::open_with(folder.join("store"), options).unwrap();
    let begin = Instant::now();
    thread::scope(|scope| {
        for (writer, from) in acknowledged.get().into_iter().enumerate() {
            let (store, acknowledged) = (&store, &acknowledged);
            scope.spawn(move || {
                for i in (from..).take_while(|_| begin.elapsed() < CHILD_TIME) {
                    let (key, value) = change(writer, i);
                    match value {
                        Some(value) => store.insert(key, value).unwrap(),
                        None => store.remove(key).unwrap(),
                    };
                    acknowledged.set(writer, i + 1);
                    if !in_background && writer == 0 && i % changes_per_compaction == 9 {
                        store.compact().unwrap();
                    }
                }
            });
        }
    });
}

/// A child process, which is killed on drop.
struct Killed(Child);

impl Killed {
    fn start(place: &Place, mode: &str, in_background: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["child", "--exact", "--nocapture", "--test-threads=1"])
            .env(JOB, format!("{};{mode};{in_background}", place.0.display()))
            .stdout(Stdio::null());
        Killed(command.spawn().unwrap())
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        let status = self.0.wait().unwrap();
        assert!(thread::panicking() || status.code().is_none(), "the child failed: {status}");
    }
}

/// Refreshes, and opens again now and then, while others write. Sees each time what was
/// acknowledged, and never less than before. Returns how often it has read.
fn read(place: &Place, has_ended: &AtomicBool) -> u64 {
    let acknowledged = place.acknowledged();
    let mut store = None;
    let (mut reads, mut seen) = (0, [0; WRITERS]);
    while !has_ended.load(SeqCst) {
        let least = acknowledged.get();
        let found = match store.take_if(|_| reads % 16 != 0) {
            Some(store) => HybridStore::refresh(&store).map(|()| store),
            None => HybridStore::open_read_only(place.store()),
        };
        let reader = match found {
            // The first child has not made the store yet.
            Err(HybridError::NotAStore { .. }) if reads == 0 => {
                thread::yield_now();
                continue;
            }
            found => found.unwrap_or_else(|error| panic!("read {reads}: {error}")),
        };
        let found = changes(&reader);
        let most = acknowledged.get().map(|changes| changes + 1);
        for writer in 0..WRITERS {
            let (found, seen) = (found[writer], &mut seen[writer]);
            let may = least[writer].max(*seen)..=most[writer];
            assert!(may.contains(&found), "read {reads}, writer {writer}: {found}, not {may:?}");
            *seen = found;
        }
        store = Some(reader);
        reads += 1;
    }
    reads
}

/// What was counted.
#[derive(Default)]
struct Totals {
    kills: u64,
    acknowledged: u64,
    lost: u64,
    invented: u64,
    reads: u64,
}

impl Totals {
    /// Compares the changes that a store has with those that were acknowledged.
    fn count(&mut self, found: [u64; WRITERS], acknowledged: [u64; WRITERS]) {
        for (found, acknowledged) in found.into_iter().zip(acknowledged) {
            self.lost += acknowledged.saturating_sub(found);
            // The change that a writer was making may be present.
            self.invented += found.saturating_sub(acknowledged + 1);
        }
    }

    fn kill(&mut self, place: &Place, mode: &str, kills: u64) {
        let acknowledged = place.acknowledged();
        let random = || RandomState::new().build_hasher().finish();
        for kill in 0..kills {
            let before = acknowledged.get();
            let child = Killed::start(place, mode, kill % 2 == 1);
            // Every third may be killed before it has begun.
            let begin = Instant::now();
            while kill % 3 != 0 && acknowledged.get() == before && begin.elapsed() < CHILD_TIME {
                thread::sleep(POLL_INTERVAL);
            }
            let milliseconds = random() % (KILLED_AFTER.end - KILLED_AFTER.start);
            thread::sleep(Duration::from_millis(KILLED_AFTER.start + milliseconds));
            drop(child);
            self.kills += 1;
            let now = acknowledged.get();
            self.acknowledged += now.iter().sum::<u64>() - before.iter().sum::<u64>();
            let found = match HybridStore::open_read_only(place.store()) {
                Err(HybridError::NotAStore { .. }) if now == [0; WRITERS] => continue,
                reader => changes(&reader.unwrap()),
            };
            self.count(found, now);
            // The next child finds what the kill has left, or a closed store.
            let folder = if kill % 4 == 3 { place.copy() } else { place.store() };
            let store = HybridStore::open_with(folder, options()).unwrap();
            assert_eq!(changes(&store), found);
            store.close().unwrap();
            (0..WRITERS).for_each(|writer| acknowledged.set(writer, found[writer]));
        }
    }
}

/// Kills in both modes that keep every acknowledged change.
#[test]
fn killed_writers_lose_and_invent_nothing() {
    if std::env::var_os(JOB).is_some() {
        return;
    }
    let kills = std::env::var(KILLS).map_or(DEFAULT_KILLS, |kills| kills.parse().unwrap());
    let mut totals = Totals::default();
    for (mode, kills) in [("written", kills.div_ceil(2)), ("synced", kills / 2)] {
        let place = Place::new(mode);
        (0..WRITERS).for_each(|writer| place.acknowledged().set(writer, 0));
        let has_ended = AtomicBool::new(false);
        totals.reads += thread::scope(|scope| {
            let reader = scope.spawn(|| read(&place, &has_ended));
            let killer = scope.spawn(|| totals.kill(&place, mode, kills)).join();
            has_ended.store(true, SeqCst);
            let reads = reader.join();
            killer.unwrap();
            reads.unwrap()
        });
    }
    let Totals { kills, acknowledged, lost, invented, reads } = totals;
    println!(
        "{kills} kills, {acknowledged} acknowledged writes, {lost} lost, {invented} invented; \
         {reads} reads beside the writers"
    );
    assert_eq!((lost, invented), (0, 0));
}
