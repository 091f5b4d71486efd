//! Endings of keys of several kinds: those that symbols code well, and those that they cannot.

/// Kinds of endings.
pub(crate) const KINDS: u16 = 8;

const WORDS: [&str; 16] = [
    "account",
    "archive",
    "article",
    "assets",
    "catalogue",
    "category",
    "detail",
    "document",
    "image",
    "index",
    "message",
    "product",
    "profile",
    "release",
    "search",
    "thread",
];

/// Returns a number that looks random.
pub(crate) fn mix(i: u64) -> u64 {
    let i = (i ^ i >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let i = (i ^ i >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    i ^ i >> 31
}

fn word(r: u64) -> &'static str {
    WORDS[r as usize % WORDS.len()]
}

fn path(r: u64) -> String {
    format!("usr/share/{}/{}-{}/{}.conf", word(r), word(r >> 8), r >> 16 & 0xFF, r >> 24 & 0xFFF)
}

/// Returns `len` bytes of any value.
pub(crate) fn random_bytes(r: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| mix(r.wrapping_add(i << 40)) as u8).collect()
}

/// Returns the `i`-th ending of a kind, in an order that is not that of the endings.
pub(crate) fn ending(kind: u16, i: u64) -> Vec<u8> {
    let r = mix(i + 1);
    match kind % KINDS {
        0 => format!("{:05}", i * 7919 % 99_991).into_bytes(),
        1 => format!(
            "https://www.{}{}.example/{}/{}/page-{}.html",
            word(r >> 8),
            r % 97,
            word(r >> 16),
            word(r >> 24),
            r >> 32 & 0xFFFF
        )
        .into_bytes(),
        2 => path(r).into_bytes(),
        3 => (0..5).map(|at| word(r >> (8 * at))).collect::<String>().into_bytes(),
        4 => random_bytes(r, 1 + r as usize % 24),
        5 => {
            (0..r % 12).map(|at| [0, 0xFF, 0xFE, b'a'][(r >> (8 + 2 * at)) as usize & 3]).collect()
        }
        // Long, so that there are more than 127, and more than 255, bytes or codes.
        6 => {
            let mut long = path(r).repeat(3 + r as usize % 12).into_bytes();
            long.extend(random_bytes(r, r as usize >> 8 & 0xFF));
            long
        }
        _ => vec![r as u8 & 3; 1 + i as usize % 700],
    }
}
