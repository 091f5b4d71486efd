//! The Rust side of `bench/figures.py`: reads commands, and answers each with seconds.
//!
//! The argument is the folder that the script has made. It has `sorted`, `given` and `asked`, each
//! as `.ends` (64-bit ends of the keys), `.bytes` and `.values`; `layer`; and `set`. A command is a
//! line such as `get_many 2`. Its answer is a line: the seconds of the clock, those that the main
//! thread had a processor, and a number that depends on all results, which the script compares.

use memkv::{ConcurrentArt, FrozenLayer, FrozenLayerBuilder, FrozenOptions, LayerSet};
use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Keys and their values, as slices of what was read.
struct Pairs {
    keys: Vec<&'static [u8]>,
    values: Vec<u64>,
}

fn words(path: PathBuf) -> Result<Vec<u64>> {
    let bytes = std::fs::read(path)?;
    Ok(bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect())
}

impl Pairs {
    fn read(folder: &Path, name: &str) -> Result<Self> {
        // It lives as long as the process.
        let bytes: &[u8] = std::fs::read(folder.join(format!("{name}.bytes")))?.leak();
        let ends = words(folder.join(format!("{name}.ends")))?;
        let values = words(folder.join(format!("{name}.values")))?;
        let keys = ends.windows(2).map(|ends| &bytes[ends[0] as usize..ends[1] as usize]).collect();
        Ok(Pairs { keys, values })
    }
}

/// Asks for all keys at once, on some threads, each of which has a part of them.
fn ask_many(
    keys: &[&[u8]],
    threads: usize,
    ask: impl Fn(&[&[u8]]) -> Vec<Option<u64>> + Sync,
) -> u64 {
    let parts: Vec<_> = keys.chunks(keys.len().div_ceil(threads)).collect();
    let answers: Vec<Vec<Option<u64>>> = if let [part] = parts[..] {
        vec![ask(part)]
    } else {
        std::thread::scope(|scope| {
            let ask = &ask;
            let threads: Vec<_> =
                parts.into_iter().map(|part| scope.spawn(move || ask(part))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        })
    };
    black_box(&answers).iter().map(Vec::len).sum::<usize>() as u64
}

/// Returns the seconds that this thread, the main one, has had a processor. Linux alone says so.
fn cpu_seconds() -> Option<f64> {
    // Linux counts up to this moment when the thread yields.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: bench FOLDER")?);
    let (sorted, given) = (Pairs::read(&folder, "sorted")?, Pairs::read(&folder, "given")?);
    let asked = Pairs::read(&folder, "asked")?;
    // SAFETY: the script changes none of these files.
    let layer = unsafe { FrozenLayer::open_mapped(folder.join("layer"))? };
    // SAFETY: as above.
    let set = unsafe { LayerSet::open_mapped(folder.join("set"))? };
    let mut map = None;
    let built = folder.join("built-rust");
    let options = |threads| FrozenOptions::new().memory(1 << 30).threads(threads);
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (command, number) = line.split_once(' ').ok_or("a command and a number")?;
        let threads: usize = number.parse()?;
        let (cpu, start) = (cpu_seconds(), Instant::now());
        let result = match command {
            "get_many" => ask_many(&asked.keys, threads, |keys| layer.get_many(keys)),
            "get" => asked.keys.iter().filter_map(|key| layer.get(key)).fold(0, u64::wrapping_add),
            "contains" => asked.keys.iter().filter(|key| layer.contains_key(key)).count() as u64,
            "scan" => {
                let (mut keys, mut bytes) = (layer.iter(), 0);
                while let Some((key, value)) = keys.next_ref() {
                    bytes += black_box(key).len() as u64;
                    black_box(value);
                }
                bytes
            }
            "set_get" => {
                let values = asked.keys.iter().map(|key| set.get(key));
                values.filter_map(|value| value.transpose()).sum::<std::result::Result<_, _>>()?
            }
            "set_get_many" => {
                // 4,096 at a time, so that the set does not use several threads.
                let groups = asked.keys.chunks(4096);
                let mut len = 0;
                for group in groups {
                    len += black_box(set.get_many(group)?).len();
                }
                len as u64
            }
            "set_scan" => {
                let (mut keys, mut bytes) = (set.iter(), 0);
                while let Some(record) = keys.next_ref() {
                    let (key, value) = record?;
                    bytes += black_box(key).len() as u64;
                    black_box(value);
                }
                bytes
            }
            "build_sorted" => {
                let mut builder = FrozenLayerBuilder::<u64>::create(&built, options(threads))?;
                for (key, value) in sorted.keys.iter().zip(&sorted.values) {
                    builder.insert(key, *value)?;
                }
                builder.finish_file()?
            }
            "build_unsorted" => {
                let pairs = given.keys.iter().zip(given.values.iter().copied());
                options(threads).build_external(&built, pairs)?
            }
            "map" => {
                let new = ConcurrentArt::new();
                for (key, value) in given.keys.iter().zip(&given.values) {
                    new.insert(key, *value);
                }
                let len = new.len();
                map = Some(new);
                len as u64
            }
            "map_get_many" => {
                let map = map.as_ref().ok_or("there is no map yet")?;
                ask_many(&asked.keys, threads, |keys| map.get_many(keys))
            }
            _ => return Err(format!("an unknown command: {line}").into()),
        };
        let seconds = start.elapsed().as_secs_f64();
        let cpu = cpu_seconds().zip(cpu).map_or(seconds, |(end, start)| end - start);
        let mut out = std::io::stdout().lock();
        writeln!(out, "{seconds} {cpu} {result}")?;
        out.flush()?;
    }
    Ok(())
}
