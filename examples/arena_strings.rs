//! Strings as values: a map from URLs to page titles, which it owns.
//!
//! `cargo run --release --example arena_strings`

use memkv::ArenaArt;

fn main() {
    let mut titles: ArenaArt<Box<[u8]>> = ArenaArt::new();
    for i in 0..100_000u32 {
        // An odd multiplier scatters the numbers, so that keys arrive in random order.
        let id = i.wrapping_mul(0x9E37_79B1);
        titles.insert(
            format!("https://wiki.example.org/page/{id:08x}"),
            format!("Page no. {i}").into_bytes().into(),
        );
    }

    // Values are borrowed, not copied.
    let first = "https://wiki.example.org/page/00000000";
    if let Some(title) = titles.get(first) {
        println!("{first}: {}", title.escape_ascii());
    }

    // They may be changed in place.
    titles.entry(first).and_modify(|title| *title = b"Main page".as_slice().into()).or_default();
    println!("{first}: {}", titles[first].escape_ascii());

    // In order, by a cursor that returns borrowed keys and values.
    let mut cursor = titles.cursor();
    cursor.seek("https://wiki.example.org/page/8");
    for _ in 0..3 {
        if let Some((url, title)) = cursor.next() {
            println!("{}: {}", url.escape_ascii(), title.escape_ascii());
        }
    }

    // A removed value is returned, or dropped.
    let last = titles.pop_last().map(|(_, title)| title).unwrap_or_default();
    let short = titles.len();
    titles.retain(|_, title| title.len() >= 13);
    println!("the last: {}; {} of the others are short", last.escape_ascii(), short - titles.len());

    let per_key = |bytes: usize| bytes as f64 / titles.len() as f64;
    let usage = titles.memory_usage();
    let text: usize = titles.values().map(|title| title.len()).sum();
    println!(
        "bytes a key: index {:.1}, values {:.1}",
        per_key(usage.index.total()),
        per_key(usage.values)
    );
    println!("and the titles themselves {:.1}, spare {:.1}", per_key(text), per_key(usage.slack));
}
