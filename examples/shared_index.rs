//! One index, shared by threads that fill it, readers and a scan: `cargo run --release --example shared_index`.

use memkv::ConcurrentArt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

const WRITERS: u32 = 2;
const PAGES: u32 = 100_000;

fn url(page: u32) -> String {
    let site = page.wrapping_mul(0x9E37_79B1) % 500;
    format!("https://www.site{site}.example/articles/{page:06}.html")
}

fn main() {
    let index = Arc::new(ConcurrentArt::<u32>::new());
    let done = Arc::new(AtomicBool::new(false));

    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let index = Arc::clone(&index);
            thread::spawn(move || {
                // One handle for many calls.
                let index = index.pin();
                for page in (writer..PAGES).step_by(WRITERS as usize) {
                    index.insert(url(page), page);
                    // All threads count in one place.
                    index.compute(format!("count/{}", page % 4), |count| {
                        Some(count.unwrap_or(0) + 1)
                    });
                }
            })
        })
        .collect();

    let reader = {
        let (index, done) = (Arc::clone(&index), Arc::clone(&done));
        thread::spawn(move || {
            let (mut found, mut looked) = (0, 0);
            while !done.load(Relaxed) {
                let page = looked % PAGES;
                found += u64::from(index.get(url(page)) == Some(page));
                looked += 1;
            }
            (found, looked)
        })
    };

    // A scan while others write: in order, and each key at most once.
    let mut seen = 0;
    let mut last = Vec::new();
    for (key, _) in index.prefix("https://www.site7.") {
        assert!(last < key);
        last = key;
        seen += 1;
    }

    for writer in writers {
        writer.join().expect("a writer ends well");
    }
    done.store(true, Relaxed);
    let (found, looked) = reader.join().expect("the reader ends well");
    println!(
        "{seen} pages of one site at first, {} in the end",
        index.prefix("https://www.site7.").count()
    );
    println!("the reader found {found} of {looked} pages while they were written");

    let counted: u32 = (0..4).filter_map(|i| index.get(format!("count/{i}"))).sum();
    assert_eq!(counted, PAGES);

    // For one owner again, without a copy.
    let index = Arc::into_inner(index).expect("all threads are gone");
    index.reclaim();
    let memory = index.memory_usage();
    println!(
        "{} keys in {} bytes, {} of them retired",
        index.len(),
        memory.total(),
        memory.retired
    );
    let index = index.into_fast();
    assert_eq!(index.len() as u32, PAGES + 4);
}
