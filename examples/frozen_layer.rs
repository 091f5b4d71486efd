//! An immutable layer: built from sorted keys, saved to a file, and searched.
//!
//! `cargo run --example frozen_layer`

use memkv::{FrozenLayer, FrozenLayerBuilder};

const SITES: u64 = 200;
const PAGES: u64 = 500;

fn url(site: u64, page: u64) -> String {
    format!("https://www.site{site:03}.example/archive/{page:04}")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Keys must ascend. Other threads encode the chunks.
    let mut builder = FrozenLayerBuilder::new()?;
    for site in 0..SITES {
        for page in 0..PAGES {
            builder.insert(url(site, page), site * PAGES + page)?;
        }
    }
    // A key that is not greater than the one before is an error, and the builder can go on.
    println!("refused: {}", builder.insert("https://www.site000", 0).unwrap_err());
    let layer = builder.finish()?;
    let text: usize = (0..SITES).map(|site| url(site, 0).len() * PAGES as usize).sum();
    println!(
        "{} keys of {text} bytes in {} bytes, values included",
        layer.len(),
        layer.memory_usage().total()
    );

    let file = std::env::temp_dir().join(format!("memkv-example-{}.frozen", std::process::id()));
    layer.save(&file)?;
    let layer = FrozenLayer::open(&file)?;
    std::fs::remove_file(&file)?;

    assert_eq!(layer.get(url(7, 9)), Some(7 * PAGES + 9));
    assert_eq!(layer.get("https://www.site007"), None);
    assert_eq!(layer.rank(url(7, 9)), 7 * PAGES as usize + 9);
    assert_eq!(layer.prefix("https://www.site123.").count(), PAGES as usize);
    assert_eq!(
        layer.prefix("https://www.site123.").next_back(),
        Some((url(123, PAGES - 1).into_bytes(), 124 * PAGES - 1))
    );
    println!("the file is read and searched");
    Ok(())
}
