//! Measures what an index of a file's lines takes, and how long a lookup in it takes, in memkv and
//! beside it. `docs/sizes.md` has the results.
//!
//! `cargo run --release --manifest-path crates/memkv-sizes/Cargo.toml -- FILE`
//!
//! FILE has a key a line, in bytewise order (`LC_ALL=C sort -u`), in UTF-8.

use fst::{Map, MapBuilder, Set};
use heed::types::Bytes;
use heed::{Database, EnvFlags, EnvOpenOptions, PutFlags};
use lexindex::DictIndex;
use memkv::{Codec, FastArt, FrozenLayer, FrozenOptions, LayerValue, SymbolTable, Value};
use rusqlite::{Connection, OptionalExtension};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Lookups of each structure, in random order.
const LOOKUPS: usize = 1_000_000;
/// The longest key that LMDB has as it is built by default. Longer ones are left out there.
const LMDB_KEY_BYTES: usize = 511;
/// An odd multiplier that scatters numbers.
const SCATTER: u64 = 0x9E37_79B9_7F4A_7C15;

/// The keys, and which of them are looked up.
struct Input<'a> {
    text: &'a str,
    keys: Vec<&'a str>,
    queries: Vec<&'a str>,
}

impl<'a> Input<'a> {
    fn of(text: &'a str) -> Self {
        let keys: Vec<&str> = text.lines().collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "the lines are not sorted, or one is repeated");
        let any = |i: u64| keys[((i * SCATTER) >> 32) as usize % keys.len()];
        let queries = (0..LOOKUPS as u64).map(any).collect();
        Input { text, keys, queries }
    }

    /// Returns the value of a key: a number below the count of keys, in no order of the keys, as a
    /// counter has that was drawn when each key was first seen.
    fn value(&self, rank: usize) -> u64 {
        (rank as u64).wrapping_mul(SCATTER) % self.keys.len() as u64
    }

    fn pairs(&self) -> impl Iterator<Item = (&'a str, u64)> + '_ {
        self.keys.iter().enumerate().map(|(rank, key)| (*key, self.value(rank)))
    }

    /// Prints bytes a key and the mean time of a lookup. Each has to find its key.
    fn report(&self, what: &str, bytes: u64, mut find: impl FnMut(&str) -> bool) {
        let mut best = f64::MAX;
        for _ in 0..3 {
            let begin = Instant::now();
            let found = self.queries.iter().filter(|query| find(query)).count();
            assert_eq!(found, self.queries.len(), "{what}");
            best = best.min(begin.elapsed().as_nanos() as f64 / self.queries.len() as f64);
        }
        println!("{what:<48}{:>8.2} B/key{best:>8.0} ns", bytes as f64 / self.keys.len() as f64);
    }
}

/// Returns whether a line is in a sorted text, by bisecting its bytes, as `look` does.
fn is_line(text: &[u8], line: &[u8]) -> bool {
    let (mut low, mut high) = (0, text.len());
    while low < high {
        let middle = (low + high) / 2;
        let begin =
            text[low..middle].iter().rposition(|&b| b == b'\n').map_or(low, |i| low + i + 1);
        let len = text[begin..].iter().position(|&b| b == b'\n').unwrap_or(text.len() - begin);
        match text[begin..begin + len].cmp(line) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = begin + len + 1,
            std::cmp::Ordering::Greater => high = begin,
        }
    }
    false
}

fn frozen<V: for<'a> LayerValue<Lent<'a> = V> + Value + Send + Sync>(
    input: &Input<'_>,
    what: &str,
    options: FrozenOptions,
    value: impl Fn(u64) -> V,
    folder: &Path,
) -> Result<()> {
    let pairs: Vec<(&str, V)> = input.pairs().map(|(key, v)| (key, value(v))).collect();
    let path = folder.join("layer");
    options.from_sorted_as(&pairs)?.save(&path)?;
    let layer = FrozenLayer::<V>::open_as(&path)?;
    let bytes = path.metadata()?.len();
    input.report(what, bytes, |key| layer.get(key).is_some());
    Ok(())
}

fn memkv(input: &Input<'_>, folder: &Path) -> Result<()> {
    let default = FrozenOptions::new;
    let fsst = || default().symbols(SymbolTable::Fsst);
    let large = || default().symbols(SymbolTable::OnPair).chunk_keys(1 << 20);
    let fst = || default().codec(Codec::Fst);
    frozen(input, "memkv FrozenLayer<()>, defaults", default(), |_| (), folder)?;
    frozen(input, "memkv FrozenLayer<()>, FSST", fsst(), |_| (), folder)?;
    frozen(input, "memkv FrozenLayer<()>, OnPair, 2^20 keys a chunk", large(), |_| (), folder)?;
    frozen(input, "memkv FrozenLayer<()>, codec fst", fst(), |_| (), folder)?;
    frozen(input, "memkv FrozenLayer<u64>, defaults", default(), |v| v, folder)?;
    frozen(input, "memkv FrozenLayer<u64>, OnPair, 2^20", large(), |v| v, folder)?;

    let mut order: Vec<u32> = (0..input.keys.len() as u32).collect();
    order.sort_unstable_by_key(|&rank| u64::from(rank).wrapping_mul(SCATTER));
    fast(input, "memkv FastArt<()>, inserted at random", &order, |_| ());
    fast(input, "memkv FastArt<u64>, inserted at random", &order, |v| v);
    order.sort_unstable();
    fast(input, "memkv FastArt<()>, inserted in order", &order, |_| ());
    fast(input, "memkv FastArt<u64>, inserted in order", &order, |v| v);
    Ok(())
}

fn fast<V: Value>(input: &Input<'_>, what: &str, order: &[u32], value: impl Fn(u64) -> V) {
    let mut map = FastArt::new();
    for &rank in order {
        map.insert(input.keys[rank as usize], value(input.value(rank as usize)));
    }
    input.report(what, map.memory_usage().total() as u64, |key| map.get(key).is_some());
}

fn fst(input: &Input<'_>) -> Result<()> {
    let set = Set::from_iter(&input.keys)?;
    input.report("fst::Set", set.as_fst().size() as u64, |key| set.contains(key));
    let mut builder = MapBuilder::memory();
    builder.extend_iter(input.pairs())?;
    let map = Map::new(builder.into_inner()?)?;
    input.report("fst::Map", map.as_fst().size() as u64, |key| map.get(key).is_some());
    Ok(())
}

fn lexindex(input: &Input<'_>) -> Result<()> {
    let index = DictIndex::build_sorted(&input.keys)?;
    let bytes = index.serialized_len() as u64;
    input.report("lexindex DictIndex", bytes, |key| index.id(key).is_some());
    let routed = bytes + index.route_microblocks() as u64;
    input.report("lexindex DictIndex, routed", routed, |key| index.id(key).is_some());
    Ok(())
}

fn sqlite(input: &Input<'_>, folder: &Path) -> Result<()> {
    for (what, column) in [("without", ""), ("with", ", value INTEGER")] {
        let path = folder.join(format!("sqlite-{what}"));
        let mut db = Connection::open(&path)?;
        // The whole file fits in the cache.
        db.execute_batch(&format!(
            "PRAGMA cache_size = -2000000; PRAGMA synchronous = off;
             CREATE TABLE keys(key BLOB PRIMARY KEY{column}) WITHOUT ROWID;"
        ))?;
        let change = db.transaction()?;
        if column.is_empty() {
            let mut insert = change.prepare("INSERT INTO keys VALUES (?1)")?;
            for key in &input.keys {
                insert.execute([key.as_bytes()])?;
            }
        } else {
            let mut insert = change.prepare("INSERT INTO keys VALUES (?1, ?2)")?;
            for (key, value) in input.pairs() {
                insert.execute((key.as_bytes(), value as i64))?;
            }
        }
        change.commit()?;
        db.execute_batch("VACUUM")?;
        let bytes = path.metadata()?.len();
        let mut select = db.prepare("SELECT 1 FROM keys WHERE key = ?1")?;
        input.report(&format!("sqlite3 WITHOUT ROWID, {what} values"), bytes, |key| {
            let found = select.query_row([key.as_bytes()], |row| row.get::<_, i64>(0)).optional();
            found.is_ok_and(|found| found.is_some())
        });
    }
    Ok(())
}

fn lmdb(input: &Input<'_>, folder: &Path) -> Result<()> {
    for what in ["without", "with"] {
        let path = folder.join(format!("lmdb-{what}"));
        let mut options = EnvOpenOptions::new();
        options.map_size(8 << 30);
        // SAFETY: no other process has the file.
        let env = unsafe { options.flags(EnvFlags::NO_SUB_DIR | EnvFlags::NO_SYNC).open(&path)? };
        let mut change = env.write_txn()?;
        let db: Database<Bytes, Bytes> = env.create_database(&mut change, None)?;
        for (key, value) in input.pairs().filter(|(key, _)| key.len() <= LMDB_KEY_BYTES) {
            let value = value.to_le_bytes();
            let value: &[u8] = if what == "with" { &value } else { &[] };
            db.put_with_flags(&mut change, PutFlags::APPEND, key.as_bytes(), value)?;
        }
        change.commit()?;
        let bytes = path.metadata()?.len();
        let read = env.read_txn()?;
        input.report(&format!("LMDB, appended, {what} values"), bytes, |key| {
            key.len() > LMDB_KEY_BYTES
                || db.get(&read, key.as_bytes()).is_ok_and(|value| value.is_some())
        });
    }
    Ok(())
}

fn main() -> Result<()> {
    let path = std::env::args_os().nth(1).ok_or("usage: memkv-sizes FILE")?;
    let text = std::fs::read_to_string(path)?;
    let input = Input::of(&text);
    let folder = tempfile::tempdir()?;
    println!("{} keys, {LOOKUPS} lookups of keys that are there, one thread", input.keys.len());
    let bytes = input.text.as_bytes();
    input.report("the sorted text, bisected", bytes.len() as u64, |key| {
        is_line(bytes, key.as_bytes())
    });
    memkv(&input, folder.path())?;
    fst(&input)?;
    lexindex(&input)?;
    sqlite(&input, folder.path())?;
    lmdb(&input, folder.path())
}
