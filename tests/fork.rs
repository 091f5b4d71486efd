//! The library in a forked process, which has none of its parent's other threads.
//!
//! A test holds [`alone`] from beginning to end: another test's thread may hold a lock of the
//! library's at a fork.

#![cfg(unix)]

mod common {
    pub(crate) mod files;
    pub(crate) mod test_path;
}

use common::files::files;
use common::test_path::TestPath;
use memkv::{
    Codec, ConcurrentArt, ExternalBuilder, FastArt, FrozenError, FrozenLayer, FrozenLayerBuilder,
    FrozenOptions, HybridError, HybridOptions, HybridStore, KeyCoding, ShardedArt, SymbolTable,
    Wal,
};
use rayon::prelude::*;
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Seconds after which a child has hung.
const CHILD_SECONDS: u32 = 20;

/// Steps of a thread between two moments of a compaction at which it forks.
const SPINS: u32 = 5_000;

/// Keys of a test: more than a builder of [`options`] has in work at once.
const KEYS: u64 = 20_000;

/// Waits until no other test runs, and uses rayon's pool, as a parent does before it forks.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    check(&built(&options()));
    alone
}

/// Runs `work` in a forked child. Fails if it panics there, or hangs.
fn in_child(what: &str, work: impl FnOnce()) {
    Forked::start(what, work).end(what);
}

/// A forked child.
struct Forked(libc::pid_t);

impl Forked {
    fn start(what: &str, work: impl FnOnce()) -> Self {
        // SAFETY: the child runs `work` and ends. It neither returns into the test harness nor
        // takes a lock that a thread of it holds.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: a call without memory.
            unsafe { libc::alarm(CHILD_SECONDS) };
            // The harness would keep the message in the child's memory.
            set_hook(Box::new(|panic| _ = writeln!(std::io::stderr(), "in a child: {panic}")));
            let code = i32::from(catch_unwind(AssertUnwindSafe(work)).is_err());
            // SAFETY: the process ends here, without the destructors of the parent's threads.
            unsafe { libc::_exit(code) };
        }
        assert!(child > 0, "{what}: {}", std::io::Error::last_os_error());
        Forked(child)
    }

    /// Waits until the child ends. Fails if it has panicked or hung.
    fn end(self, what: &str) {
        let mut status = 0;
        // SAFETY: `status` is an integer that the call may write.
        assert_eq!(unsafe { libc::waitpid(self.0, &raw mut status, 0) }, self.0, "{what}");
        let hung = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGALRM;
        assert!(!hung, "{what}: hung in the child");
        assert_eq!(status, 0, "{what}: failed in the child");
    }
}

fn key(i: u64) -> String {
    format!("https://example.org/{i:08}")
}

fn pairs() -> Vec<(String, u64)> {
    (0..KEYS).map(|i| (key(i), i)).collect()
}

fn shuffled() -> Vec<(String, u64)> {
    (0..KEYS).map(|i| i * 7919 % KEYS).map(|i| (key(i), i)).collect()
}

fn par_pairs() -> impl IndexedParallelIterator<Item = (String, u64)> {
    (0..KEYS as usize).into_par_iter().map(|i| (key(i as u64), i as u64))
}

/// Options with which [`KEYS`] keys take many chunks.
fn options() -> FrozenOptions {
    FrozenOptions::new().chunk_keys(256)
}

fn insert(builder: &mut FrozenLayerBuilder, keys: u64) -> Result<(), FrozenError> {
    let first = builder.len();
    (first..first + keys).try_for_each(|i| builder.insert(key(i), i))
}

fn built(options: &FrozenOptions) -> FrozenLayer {
    let mut builder = options.builder().unwrap();
    insert(&mut builder, KEYS).unwrap();
    builder.finish().unwrap()
}

fn check(layer: &FrozenLayer) {
    assert_eq!(layer.len() as u64, KEYS);
    assert!((0..KEYS).step_by(997).all(|i| layer.get(key(i)) == Some(i)));
}

fn sharded() -> ShardedArt<u64> {
    let map = ShardedArt::new(8);
    map.load(&pairs()).unwrap();
    map
}

/// Runs each of some functions in a child of its own, so that each is the first to need a pool.
fn each_in_child(functions: &[(&str, &dyn Fn())]) {
    functions.iter().for_each(|(what, work)| in_child(what, work));
}

#[test]
fn layers_are_built() {
    let _alone = alone();
    let (sorted, mixed, layer) = (pairs(), shuffled(), built(&options()));
    let symbols = [SymbolTable::Auto, SymbolTable::Fsst, SymbolTable::OnPair, SymbolTable::None];
    for symbols in symbols {
        in_child("builder", || check(&built(&options().symbols(symbols))));
    }
    each_in_child(&[
        ("builder, fst", &|| check(&built(&options().codec(Codec::Fst)))),
        ("from_sorted", &|| check(&options().from_sorted(&sorted).unwrap())),
        ("from_par_sorted", &|| check(&options().from_par_sorted(par_pairs()).unwrap())),
        ("from_unsorted", &|| check(&options().from_unsorted(mixed.clone()).unwrap())),
        ("merge", &|| check(&FrozenLayer::merge([&layer], options()).unwrap())),
        ("create", &|| {
            let path = TestPath::new("created");
            let mut builder = FrozenLayerBuilder::create(&path, options()).unwrap();
            insert(&mut builder, KEYS).unwrap();
            assert_eq!(builder.finish_file().unwrap(), KEYS);
            check(&FrozenLayer::open(&path).unwrap());
        }),
        ("dropped builder", &|| {
            let mut builder = options().builder().unwrap();
            insert(&mut builder, KEYS).unwrap();
        }),
    ]);
}

/// Builds a layer of [`KEYS`] keys, with spill files.
fn built_externally() -> FrozenLayer {
    let mut builder = ExternalBuilder::new(options().memory(1 << 20)).unwrap();
    shuffled().into_iter().for_each(|(key, i)| builder.insert(key, i).unwrap());
    builder.finish().unwrap()
}

#[test]
fn external_builds_are_those_of_one_process() {
    let _alone = alone();
    let path = TestPath::new("external");
    let begun = |count| {
        let mut builder = ExternalBuilder::create(&path, options().memory(1 << 20)).unwrap();
        shuffled()[..count].iter().for_each(|(key, i)| builder.insert(key, *i).unwrap());
        builder
    };
    in_child("a new one", || check(&built_externally()));
    // With nothing in work, and with an arena in work or written.
    for count in [0, 9_000, 11_000, 15_000, KEYS as usize] {
        let mut builder = begun(count);
        in_child("insert", || {
            for _ in 0..2 {
                assert!(matches!(builder.insert("key", 1), Err(FrozenError::Forked)));
            }
            check(&built_externally());
        });
        let builder = Mutex::new(Some(builder));
        let taken = || builder.lock().unwrap().take().unwrap();
        in_child("drop", || drop(taken()));
        in_child("finish", || assert!(matches!(taken().finish_file(), Err(FrozenError::Forked))));
        assert_eq!(taken().finish_file().unwrap() as usize, count);
    }
    check(&FrozenLayer::open(&path).unwrap());
}

#[test]
fn layers_are_read() {
    let _alone = alone();
    let layer = built(&options());
    let (bytes, path) = (layer.to_bytes(), TestPath::new("read"));
    layer.save(&path).unwrap();
    let sum = (0..KEYS).sum::<u64>();
    each_in_child(&[
        ("get", &|| check(&layer)),
        ("verify", &|| layer.verify().unwrap()),
        ("from_bytes", &|| check(&FrozenLayer::from_bytes(bytes.clone()).unwrap())),
        ("open", &|| check(&FrozenLayer::open(&path).unwrap())),
        ("open_mapped", &|| {
            // SAFETY: no one else uses the file.
            let layer = unsafe { FrozenLayer::open_mapped(&path) }.unwrap();
            layer.verify().unwrap();
        }),
        ("header_bytes", &|| assert!(layer.header_bytes() > 0)),
        ("thaw", &|| assert_eq!(layer.thaw().unwrap().len() as u64, KEYS)),
        ("par_iter", &|| assert_eq!(layer.par_iter().map(|(_, value)| value).sum::<u64>(), sum)),
        ("FastArt::par_iter", &|| {
            let map = layer.thaw().unwrap();
            assert_eq!(map.par_iter().map(|(_, value)| value).sum::<u64>(), sum);
        }),
        ("par_iter, collected", &|| {
            let values: Vec<u64> = layer.par_iter().map(|(_, value)| value).collect();
            assert!(values.into_iter().eq(0..KEYS));
        }),
        ("par_chunks", &|| {
            let lens: Vec<usize> = layer.par_chunks().map(Iterator::count).collect();
            assert_eq!(lens.len(), layer.chunks());
        }),
        ("par_chunks, enumerated", &|| {
            let last = layer.par_chunks().enumerate().map(|(i, _)| i).max();
            assert_eq!(last, Some(layer.chunks() - 1));
        }),
        ("par_chunks, zipped", &|| {
            let both = layer.par_chunks().rev().zip(layer.par_chunks());
            assert_eq!(both.map(|(a, b)| a.count() + b.count()).sum::<usize>(), 2 * layer.len());
        }),
    ]);
}

#[test]
fn maps_are_loaded() {
    let _alone = alone();
    let mixed = shuffled();
    let path = TestPath::new("lines");
    let text: String = mixed.iter().map(|(key, _)| format!("{key}\n")).collect();
    std::fs::write(&path, &text).unwrap();
    let fast = FastArt::from_sorted(pairs()).unwrap();
    let concurrent = ConcurrentArt::from(fast.clone());
    let is_whole = |len: usize| assert_eq!(len as u64, KEYS);
    each_in_child(&[
        ("FastArt::from_unsorted", &|| is_whole(FastArt::from_unsorted(&mixed).unwrap().len())),
        ("FastArt::from_par_iter", &|| is_whole(par_pairs().collect::<FastArt<u64>>().len())),
        ("ConcurrentArt::from_unsorted", &|| {
            is_whole(ConcurrentArt::from_unsorted(&mixed).unwrap().len());
        }),
        ("ConcurrentArt::from_par_iter", &|| {
            is_whole(par_pairs().collect::<ConcurrentArt<u64>>().len());
        }),
        ("ShardedArt::load", &|| is_whole(sharded().len())),
        ("ShardedArt::from_par_iter", &|| is_whole(par_pairs().collect::<ShardedArt<u64>>().len())),
        ("ShardedArt::par_extend", &|| {
            let map = ShardedArt::new(8);
            map.par_extend(par_pairs());
            is_whole(map.len());
        }),
        ("ShardedArt::load_text", &|| {
            let map = ShardedArt::new(8);
            map.load_text(text.as_bytes(), |line, at| (line, at)).unwrap();
            is_whole(map.len());
        }),
        ("ShardedArt::load_file", &|| {
            let map = ShardedArt::new(8);
            // SAFETY: no one else uses the file.
            unsafe { map.load_file(&path, |line, at| (line, at)) }.unwrap();
            is_whole(map.len());
        }),
        ("freeze FastArt", &|| check(&FrozenLayer::from(&fast))),
        ("freeze ConcurrentArt", &|| check(&FrozenLayer::from(&concurrent))),
        ("freeze ShardedArt", &|| check(&FrozenLayer::from(&sharded()))),
    ]);
}

/// An insert that trains a table waits for no other thread.
#[test]
fn maps_train_tables() {
    let _alone = alone();
    let key = |i: u64| format!("https://www.example.org/{}/{}", key(i % 97), key(i * 7919));
    in_child("insert", || {
        let mut map = FastArt::with_coding(KeyCoding::Symbols);
        let plain = map.memory_usage().own;
        (0..10 * KEYS).for_each(|i| _ = map.insert(key(i), i));
        assert!(map.memory_usage().own > plain + 2000, "no table");
    });
}

#[test]
fn maps_of_the_parent_are_used() {
    let _alone = alone();
    let map = sharded();
    let sum = (0..KEYS).sum::<u64>();
    let fast = FastArt::from_sorted(pairs()).unwrap();
    each_in_child(&[
        ("point operations", &|| {
            let mut fast = fast.clone();
            (0..KEYS).for_each(|i| {
                let (new, old) = (format!("{}/new", key(i)), key(i));
                fast.insert(&new, i);
                assert_eq!((map.insert(&new, i), map.remove(&old)), (None, Some(i)));
            });
            assert_eq!((fast.len() as u64, map.len() as u64), (2 * KEYS, KEYS));
        }),
        ("load", &|| {
            map.load(&shuffled()).unwrap();
            assert_eq!(map.len() as u64, KEYS);
        }),
        ("par_remove", &|| {
            let removed = map.par_remove((0..KEYS).into_par_iter().map(key));
            assert_eq!((removed as u64, map.len()), (KEYS, 0));
        }),
        ("par_retain", &|| {
            map.par_retain(|_, value| value % 2 == 0);
            assert_eq!(map.len() as u64, KEYS / 2);
        }),
        ("par_iter", &|| assert_eq!(map.par_iter().map(|(_, value)| value).sum::<u64>(), sum)),
        ("par_shards", &|| {
            let lens: Vec<usize> = map.par_shards().map(Iterator::count).collect();
            assert_eq!(lens.into_iter().sum::<usize>() as u64, KEYS);
        }),
        ("par_shards, enumerated", &|| {
            let last = map.par_shards().enumerate().map(|(i, _)| i).max();
            assert_eq!(last, Some(map.shards().len() - 1));
        }),
    ]);
}

#[test]
fn stores_are_made_and_opened() {
    let _alone = alone();
    let (layer, path) = (built(&options()), TestPath::new("store"));
    HybridStore::from(layer.clone()).save(&path).unwrap();
    let compact = |store: HybridStore| {
        store.insert("a", 1).unwrap();
        store.compact().unwrap();
        assert_eq!((store.get("a"), store.get(key(7))), (Some(1), Some(7)));
    };
    each_in_child(&[
        ("new", &|| assert!(HybridStore::new().is_empty())),
        ("compact", &|| compact(HybridStore::from(layer.clone()))),
        ("open", &|| compact(HybridStore::open(&path).unwrap())),
    ]);
}

/// Chunks in work at the fork never arrive in the child. The parent and its file do not notice.
#[test]
fn a_builder_belongs_to_the_process_that_made_it() {
    let _alone = alone();
    let is_forked = |result: Result<(), FrozenError>| {
        assert!(matches!(result, Err(FrozenError::Forked)), "{result:?}");
    };
    let path = TestPath::new("builder");
    for (keys, to_file) in (0..20).map(|i| (i * 500, i % 2 == 0)) {
        let mut builder = match to_file {
            true => FrozenLayerBuilder::create(&path, options().symbols(SymbolTable::None)),
            false => options().symbols(SymbolTable::None).builder(),
        }
        .unwrap();
        insert(&mut builder, keys).unwrap();
        let mut builder = Some(builder);
        in_child("insert", || is_forked(insert(builder.as_mut().unwrap(), KEYS)));
        in_child("finish", || is_forked(builder.take().unwrap().finish().map(drop)));
        in_child("finish_file", || is_forked(builder.take().unwrap().finish_file().map(drop)));
        in_child("drop", || drop(builder.take()));
        let mut builder = builder.unwrap();
        insert(&mut builder, KEYS - keys).unwrap();
        check(&builder.finish().unwrap());
    }
    assert!(path.is_file());
}

#[test]
fn children_of_children_have_pools_of_their_own() {
    let _alone = alone();
    let layer = built(&options());
    in_child("child", || {
        layer.verify().unwrap();
        in_child("child of a child that used its pool", || {
            check(&built(&options()));
            layer.verify().unwrap();
        });
        layer.verify().unwrap();
    });
    in_child("child", || in_child("child of a child that did not", || layer.verify().unwrap()));
}

#[test]
fn threads_of_a_child_share_its_pool() {
    let _alone = alone();
    let layer = built(&options());
    let workers = |_| {
        let pairs = (0..100u32).into_par_iter().map(|i| {
            let worker = rayon::current_thread_index().unwrap();
            assert!(worker < rayon::current_num_threads());
            (i.to_be_bytes(), rayon::current_num_threads() as u64)
        });
        options().from_par_sorted(pairs).unwrap().iter().map(|(_, threads)| threads).max()
    };
    let threads = rayon::current_num_threads() as u64;
    in_child("threads", || {
        thread::scope(|scope| {
            (0..8).for_each(|_| _ = scope.spawn(|| assert_eq!(workers(()), Some(threads))));
            check(&built(&options()));
        });
        // A pool of the caller's is used in its place.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(pool.install(|| workers(())), Some(3));
        pool.install(|| {
            check(&built(&options()));
            layer.verify().unwrap();
        });
    });
}

/// A thread of a pool that forks does the work of the pool alone.
#[test]
fn a_thread_of_a_pool_may_fork() {
    let _alone = alone();
    let (layer, map) = (built(&options()), sharded());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    pool.install(|| {
        layer.verify().unwrap();
        each_in_child(&[
            ("builder", &|| check(&built(&options()))),
            ("verify", &|| layer.verify().unwrap()),
            ("thaw", &|| assert_eq!(layer.thaw().unwrap().len() as u64, KEYS)),
            ("from_unsorted", &|| check(&options().from_unsorted(shuffled()).unwrap())),
            ("par_retain", &|| map.par_retain(|_, _| false)),
            ("par_chunks", &|| {
                let lens: Vec<_> = layer.par_chunks().skip(1).map(Iterator::count).collect();
                assert_eq!(lens.len(), layer.chunks() - 1);
            }),
            ("freeze", &|| check(&FrozenLayer::from(&map))),
            ("compact", &|| {
                let store = HybridStore::from(layer.clone());
                store.insert("a", 1).unwrap();
                store.compact().unwrap();
            }),
        ]);
    });
}

/// Opens a store of a test, which has [`KEYS`] keys in its base and one in its log.
fn opened(path: &Path, wal: Wal) -> HybridStore {
    let _ = std::fs::remove_dir_all(path);
    HybridStore::from(built(&options())).save(path).unwrap();
    let options = HybridOptions::new().wal(wal).background(false).frozen(options());
    let store = HybridStore::open_with(path, options).unwrap();
    store.insert("mine", 1).unwrap();
    store
}

fn is_in_use(path: &Path) -> bool {
    matches!(HybridStore::open(path), Err(HybridError::InUse { .. }))
}

fn is_forked<T: std::fmt::Debug>(result: Result<T, HybridError>) {
    assert!(matches!(result, Err(HybridError::Forked)), "{result:?}");
}

/// Reads a store in every way.
fn check_store(store: &HybridStore) {
    assert_eq!((store.get("mine"), store.get(key(7)), store.get("none")), (Some(1), Some(7), None));
    assert_eq!(store.get_many(&["none".to_owned(), key(8)]), [None, Some(8)]);
    assert_eq!((store.len() as u64, store.iter().count() as u64), (KEYS + 1, KEYS + 1));
    assert_eq!(store.prefix("mi").next(), Some((b"mine".to_vec(), 1)));
    assert_eq!(store.range(key(3)..key(9)).rev().count(), 6);
    assert!(store.last_key_value().is_some() && store.stats().base_keys as u64 == KEYS);
    assert!(store.memory_usage().total() > 0 && store.recovery().cut.is_empty());
}

#[test]
fn a_store_belongs_to_the_process_that_opened_it() {
    let _alone = alone();
    let (path, copy) = (TestPath::new("own"), TestPath::new("own-copy"));
    for wal in [Wal::Written, Wal::Synced, Wal::Buffered, Wal::Off] {
        let mut store = Some(opened(&path, wal));
        let before = files(&path);
        each_in_child(&[
            ("read", &|| check_store(store.as_ref().unwrap())),
            ("write", &|| {
                let store = store.as_ref().unwrap();
                for _ in 0..2 {
                    is_forked(store.insert("a", 1));
                    is_forked(store.remove("mine"));
                    is_forked(store.compute("a", |_| Some(1)));
                    let refused = store.compare_exchange("a", None, Some(1));
                    is_forked(refused.or_else(|error| error.into_current()));
                    is_forked(store.sync());
                    is_forked(store.compact());
                    is_forked(store.to_layer());
                    is_forked(store.save(&copy));
                    is_forked(store.save(&path));
                }
                check_store(store);
                store.reclaim();
            }),
            ("open", &|| {
                assert!(is_in_use(&path));
                let reader = HybridStore::open_read_only(&path).unwrap();
                assert_eq!(reader.get(key(9)), Some(9));
            }),
        ]);
        in_child("close", || is_forked(store.take().unwrap().close()));
        in_child("drop", || drop(store.take()));
        in_child("drop after writes", || {
            let store = store.take().unwrap();
            is_forked(store.insert("a", 1));
            drop(store);
            // By another process.
            in_child("open after drop", || assert!(is_in_use(&path)));
            assert!(is_in_use(&path));
        });
        // The parent's lock holds, and nothing was written.
        assert!(is_in_use(&path) && !copy.exists());
        assert!(files(&path) == before);
        let store = store.unwrap();
        check_store(&store);
        store.insert("later", 1).unwrap();
        store.sync().unwrap();
        store.compact().unwrap();
        store.close().unwrap();
        assert_eq!(HybridStore::open(&path).unwrap().len() as u64, KEYS + 2);
    }
}

/// The C library knows of no such child, so its handlers of forks do not run.
#[test]
#[cfg(target_os = "linux")]
fn a_child_of_a_raw_system_call_is_a_fork() {
    let _alone = alone();
    let path = TestPath::new("raw");
    let store = opened(&path, Wal::Written);
    store.insert("a", 1).unwrap();
    // SAFETY: without a stack or a flag but the signal, the call is a fork.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    if child == 0 {
        let is_refused = matches!(store.insert("a", 2), Err(HybridError::Forked));
        // SAFETY: the process ends here, without the destructors of the parent's threads.
        unsafe { libc::_exit(i32::from(!is_refused)) };
    }
    assert!(child > 0, "{}", std::io::Error::last_os_error());
    Forked(child as libc::pid_t).end("a raw child");
    store.insert("a", 3).unwrap();
    drop(store);
}

/// In memory, and read-only, a store of the parent's can be used in a child.
#[test]
fn stores_without_a_folder_to_write_to_are_used() {
    let _alone = alone();
    let path = TestPath::new("in-memory");
    let writer = opened(&path, Wal::Written);
    let mut stores =
        [HybridStore::from(built(&options())), HybridStore::open_read_only(&path).unwrap()]
            .map(Some);
    in_child("in memory", || {
        let store = stores[0].take().unwrap();
        store.insert("mine", 1).unwrap();
        check_store(&store);
        store.compact().unwrap();
        store.close().unwrap();
    });
    writer.insert("later", 1).unwrap();
    in_child("read-only", || {
        let store = stores[1].take().unwrap();
        check_store(&store);
        store.refresh().unwrap();
        assert_eq!(store.get("later"), Some(1));
        store.close().unwrap();
    });
    let reader = stores[1].take().unwrap();
    reader.refresh().unwrap();
    assert_eq!(reader.get("later"), Some(1));
    drop(writer);
}

/// A drop in the parent unlocks at once, also while a child has the same files open.
#[test]
fn a_drop_in_the_parent_unlocks_while_a_child_lives() {
    let _alone = alone();
    let path = TestPath::new("unlocks");
    for closes in [true, false] {
        let store = opened(&path, Wal::Written);
        let (mut ended, end) = std::io::pipe().unwrap();
        let mut end = Some(end);
        let child = Forked::start("child", || {
            end.take();
            // Lives until the parent closes its end.
            assert_eq!(ended.read(&mut [0]).unwrap(), 0);
            check_store(&store);
            is_forked(store.insert("a", 1));
        });
        match closes {
            true => store.close().unwrap(),
            false => drop(store),
        }
        for round in 0..3 {
            let store = HybridStore::open(&path).unwrap();
            store.insert("mine", round).unwrap();
            store.compact().unwrap();
        }
        let store = HybridStore::open(&path).unwrap();
        assert!(store.recovery().was_closed && store.get("mine") == Some(2));
        end.take();
        child.end("child");
        // The child's end unlocks nothing.
        assert!(is_in_use(&path));
        drop(store);
    }
}

/// A hook that holds the parent's compaction until it is told to end.
#[derive(Default)]
struct Held {
    began: AtomicBool,
    may_end: AtomicBool,
}

/// While the parent compacts in the background, a drop in a child waits for nothing.
#[test]
fn a_child_does_not_wait_for_the_compaction_of_its_parent() {
    let _alone = alone();
    let path = TestPath::new("compacts");
    drop(opened(&path, Wal::Written));
    let held = Arc::new(Held::default());
    let hook = Arc::clone(&held);
    let options = HybridOptions::new().compact_log(1).frozen(options()).on_failure(move |_| {
        hook.began.store(true, SeqCst);
        while !hook.may_end.load(SeqCst) {
            thread::yield_now();
        }
    });
    // The compaction that the opening begins fails, and its thread waits in the hook.
    memkv::fail_writes(true);
    let mut store = Some(HybridStore::open_with(&path, options).unwrap());
    while !held.began.load(SeqCst) {
        thread::yield_now();
    }
    memkv::fail_writes(false);
    let before = files(&path);
    in_child("read", || check_store(store.as_ref().unwrap()));
    in_child("write", || {
        is_forked(store.as_ref().unwrap().insert("a", 1));
        is_forked(store.as_ref().unwrap().compact());
        is_forked(store.as_ref().unwrap().sync());
        is_forked(store.as_ref().unwrap().save(&path));
    });
    in_child("drop", || drop(store.take()));
    in_child("close", || is_forked(store.take().unwrap().close()));
    assert!(is_in_use(&path) && files(&path) == before);
    held.may_end.store(true, SeqCst);
    store.take().unwrap().close().unwrap();
    assert!(HybridStore::open(&path).unwrap().recovery().was_closed);
}

/// As above, at any moment of a compaction that works.
#[test]
fn a_child_may_be_forked_at_any_moment_of_a_compaction() {
    let _alone = alone();
    let path = TestPath::new("any-moment");
    let store = opened(&path, Wal::Written);
    for round in 0..40 {
        let has_begun = AtomicBool::new(false);
        thread::scope(|scope| {
            let compacting = scope.spawn(|| {
                store.insert("mine", 1).unwrap();
                has_begun.store(true, SeqCst);
                store.compact().unwrap();
            });
            while !has_begun.load(SeqCst) {
                thread::yield_now();
            }
            (0..round * SPINS).for_each(|_| std::hint::spin_loop());
            in_child("writes and reads", || {
                is_forked(store.insert("a", 1));
                is_forked(store.compact());
                is_forked(store.sync());
                is_forked(store.to_layer());
                assert!(matches!(store.refresh(), Err(HybridError::NotReadOnly)));
                assert_eq!((store.get("mine"), store.get(key(7))), (Some(1), Some(7)));
                assert_eq!(store.iter().count() as u64, KEYS + 1);
                // SAFETY: the child ends, and does not use the store again.
                drop(unsafe { std::ptr::read(&raw const store) });
            });
            assert!(is_in_use(&path));
            compacting.join().unwrap();
        });
    }
    store.close().unwrap();
    assert_eq!(HybridStore::open(&path).unwrap().len() as u64, KEYS + 1);
}
