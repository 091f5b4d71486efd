//! An index of generated URLs: lookups, a prefix scan, the longest prefix, and the memory it takes.
//!
//! `cargo run --release --example fast_index`

use memkv::FastArt;

fn main() {
    let sites = ["news", "shop", "wiki", "mail"];
    let mut index = FastArt::new();
    let mut raw = 0;
    for i in 0..200_000u32 {
        let site = sites[i as usize % sites.len()];
        // An odd multiplier scatters the numbers, so that keys arrive in random order.
        let url =
            format!("https://{site}.example.org/articles/{:08x}", i.wrapping_mul(0x9E37_79B1));
        raw += url.len();
        index.insert(url, i);
    }
    let root = "https://wiki.example.org/";
    raw += root.len();
    index.insert(root, u32::MAX);

    println!("{} URLs of {raw} bytes in all", index.len());
    println!("one: {:?}", index.get("https://shop.example.org/articles/9e3779b1"));
    let batch = [
        "https://news.example.org/articles/00000000",
        "https://news.example.org/",
        "https://wiki.example.org/",
    ];
    println!("many: {:?}", index.get_many(&batch));

    let prefix = "https://wiki.example.org/articles/000";
    println!("{} begin with {prefix}, the first of them:", index.count_prefix(prefix));
    let mut found = index.prefix(prefix);
    for _ in 0..3 {
        if let Some((url, id)) = found.next_ref() {
            println!("  {} {id}", url.escape_ascii());
        }
    }

    let path = "https://wiki.example.org/about";
    if let Some((url, _)) = index.get_longest_prefix(path) {
        println!("{path} is below {}", url.escape_ascii());
    }

    let usage = index.memory_usage();
    println!("leaves {} B, inner nodes {} B, slack {} B", usage.leaves, usage.inner, usage.slack);
    let per_key = usage.total() as f64 / index.len() as f64;
    println!(
        "{per_key:.1} bytes a key, values included; the keys alone have {:.1}",
        raw as f64 / index.len() as f64
    );
}
