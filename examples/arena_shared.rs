//! Titles of pages, shared by threads that replace and read them.
//!
//! `cargo run --release --example arena_shared`

use memkv::ConcurrentArenaArt;
use std::thread;

const PAGES: u32 = 50_000;

fn url(page: u32) -> String {
    // An odd multiplier scatters the numbers, so that keys arrive in random order.
    format!("https://wiki.example.org/page/{:08x}", page.wrapping_mul(0x9E37_79B1))
}

fn main() {
    let titles: ConcurrentArenaArt<String> =
        (0..PAGES).map(|page| (url(page), format!("Page no. {page}"))).collect();

    thread::scope(|scope| {
        for editor in 0..2 {
            let titles = &titles;
            scope.spawn(move || {
                for page in (editor..PAGES).step_by(2) {
                    // The closure runs again if another thread changed the value first.
                    titles.update(url(page), |title| format!("{title}, revised"));
                }
            });
        }
        let reader = scope.spawn(|| {
            let mut revised = 0;
            // One pin for several lookups, which return plain references to values.
            for from in (0..PAGES).step_by(100) {
                let pinned = titles.pin();
                let pages: Vec<&String> =
                    (from..from + 100).filter_map(|page| pinned.get(url(page))).collect();
                revised += pages.iter().filter(|title| title.ends_with("revised")).count();
            }
            revised
        });
        println!("the reader met {} revised titles", reader.join().expect("the reader ends well"));
    });

    // A borrowed value stays valid and unchanged, even after it was replaced.
    if let Some(title) = titles.get(url(7)) {
        titles.insert(url(7), "Main page".to_string());
        println!("{title}; now {}", titles.get(url(7)).as_deref().map_or("", String::as_str));
    }

    // In order, without copying keys or values.
    let mut range = titles.prefix("https://wiki.example.org/page/0000");
    while let Some((url, title)) = range.next_ref() {
        println!("{}: {title}", url.escape_ascii());
    }
    // While a range is kept, no replaced or removed value can be freed.
    drop(range);

    titles.retain(|_, title| !title.starts_with("Page no. 1"));
    titles.reclaim();
    let (usage, keys) = (titles.memory_usage(), titles.len());
    let per_key = |bytes: usize| bytes as f64 / keys as f64;
    println!(
        "{keys} keys, bytes a key: index {:.1}, values {:.1}, spare {:.1}",
        per_key(usage.index.total()),
        per_key(usage.values),
        per_key(usage.slack)
    );

    // One owner may change values in place.
    let mut titles = titles.into_arena();
    if let Some(title) = titles.get_mut(url(0)) {
        title.push('!');
    }
    println!("{}", titles[&url(0)]);
}
