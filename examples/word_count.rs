//! Counts the words of the standard input, or of a short text if it is a terminal, and prints
//! them in order.
//!
//! `cargo run --release --example word_count < README.md`

use memkv::FastArt;
use std::io::{self, IsTerminal, Read, Write};

const TEXT: &str = "the quick brown fox jumps over the lazy dog and the quick cat";

fn main() -> io::Result<()> {
    let mut text = Vec::new();
    if io::stdin().is_terminal() {
        text.extend_from_slice(TEXT.as_bytes());
    } else {
        io::stdin().read_to_end(&mut text)?;
    }

    let mut counts = FastArt::<u32>::new();
    for word in text.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        *counts.entry(word.to_ascii_lowercase()).or_default() += 1;
    }

    // Words that occur once are left out of a long list.
    let least = if counts.len() > 50 { 2 } else { 1 };
    counts.retain(|_, count| *count >= least);

    let mut out = io::stdout().lock();
    let mut cursor = counts.cursor();
    while let Some((word, count)) = cursor.next() {
        writeln!(out, "{count:6} {}", word.escape_ascii())?;
    }
    Ok(())
}
