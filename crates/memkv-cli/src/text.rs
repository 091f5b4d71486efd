//! Keys, sizes and errors in messages, and what a path is.

use crate::input;
use indicatif::{DecimalBytes, HumanCount};
use memkv::{FrozenError, SetError};
use std::path::Path;

/// The most characters of a key in a message. With its label it fits a line of 100 columns.
const MAX_SHOWN_CHARS: usize = 80;

/// Returns a key for a message: escaped where it is not printable, and cut where it is long.
pub(crate) fn shown(key: &[u8]) -> String {
    escaped(key, MAX_SHOWN_CHARS)
}

/// Returns a key of at most `most` characters, escaped where it is not printable.
pub(crate) fn escaped(key: &[u8], most: usize) -> String {
    let (mut text, mut chars) = (String::new(), 0);
    // A piece is what one character, or one byte outside UTF-8, becomes. It is not cut.
    let mut push = |piece: &str| {
        chars += piece.chars().count();
        if chars <= most {
            text.push_str(piece);
        }
        chars <= most
    };
    let is_whole = key.utf8_chunks().all(|chunk| {
        chunk.valid().chars().all(|c| match c {
            '"' | '\'' => push(c.encode_utf8(&mut [0; 4])),
            c => push(&c.escape_debug().to_string()),
        }) && chunk.invalid().iter().all(|byte| push(&format!("\\x{byte:02x}")))
    });
    if !is_whole {
        text.push('…');
    }
    text
}

/// Returns a number of bytes for people: `31.54 MB (31,541,903 bytes)`.
pub(crate) fn size(bytes: u64) -> String {
    let rounded = rounded_size(bytes);
    if bytes < 1000 { rounded } else { format!("{rounded} ({} bytes)", HumanCount(bytes)) }
}

/// Returns a number of bytes for people, rounded: `31.54 MB`.
pub(crate) fn rounded_size(bytes: u64) -> String {
    if bytes < 1000 { format!("{bytes} bytes") } else { DecimalBytes(bytes).to_string() }
}

/// Returns an error and its causes in one line, with keys as [`shown`] returns them.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let of_layer = |cause: &FrozenError| match cause {
        FrozenError::Repeated { key } => {
            format!("the key \"{}\" is there more than once", shown(key))
        }
        FrozenError::SumOverflow { key, .. } => {
            format!("the sum of the values of \"{}\" is not within 0 to {}", shown(key), u64::MAX)
        }
        cause => cause.to_string(),
    };
    let of_set = |cause: &SetError| match cause {
        SetError::NotBeyond { key, last } => {
            let (key, last) = (shown(key), shown(last));
            format!("the key \"{key}\" is not greater than the last one of the set, \"{last}\"")
        }
        cause => cause.to_string(),
    };
    let part = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref() {
        Some(cause) => of_layer(cause),
        None => cause.downcast_ref().map_or_else(|| cause.to_string(), of_set),
    };
    error.chain().map(part).collect::<Vec<_>>().join(": ")
}

/// Returns what a path is that exists and is not a regular file.
pub(crate) fn special(path: &Path) -> Option<&'static str> {
    let kind = path.metadata().ok()?.file_type();
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return Some("a pipe");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
        if kind.is_char_device() || kind.is_block_device() {
            return Some("a device");
        }
    }
    match (kind.is_file(), kind.is_dir()) {
        (true, _) => None,
        (_, true) => Some("a folder"),
        _ => Some("not a regular file"),
    }
}

/// Returns what a regular file is, by its first bytes, for a message that it is no layer.
pub(crate) fn content(path: &Path) -> Option<&'static str> {
    input::describe(path).ok()
}

/// Returns what a layer was made of.
pub(crate) fn layers(layers: usize, keys: u64) -> String {
    let (s, keys) = (if layers == 1 { "" } else { "s" }, HumanCount(keys));
    format!("{layers} layer{s} with {keys}")
}

/// Returns a number of parts of a set.
pub(crate) fn parts(parts: usize) -> String {
    format!("{} part{}", HumanCount(parts as u64), if parts == 1 { "" } else { "s" })
}

/// Returns a number of files.
pub(crate) fn files(files: usize) -> String {
    format!("{} file{}", HumanCount(files as u64), if files == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::{MAX_SHOWN_CHARS, shown, size};

    #[test]
    fn keys_are_escaped_and_cut() {
        for (key, text) in [
            (&b"a/b c'\"d"[..], "a/b c'\"d"),
            ("\u{e4}\u{65e5}".as_bytes(), "\u{e4}\u{65e5}"),
            (b"a\tb\n\0\x1b", "a\\tb\\n\\0\\u{1b}"),
            (b"\\", "\\\\"),
            (b"a\xff\xc3", "a\\xff\\xc3"),
            (b"", ""),
        ] {
            assert_eq!(shown(key), text);
        }
        let whole = "x".repeat(MAX_SHOWN_CHARS);
        assert_eq!(shown(whole.as_bytes()), whole);
        assert_eq!(shown((whole.clone() + "y").as_bytes()), whole.clone() + "…");
        let ends_in_escape = whole[1..].to_owned() + "\t";
        assert_eq!(shown(ends_in_escape.as_bytes()), whole[1..].to_owned() + "…");
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(size(0), "0 bytes");
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(31_541_903), "31.54 MB (31,541,903 bytes)");
    }
}
