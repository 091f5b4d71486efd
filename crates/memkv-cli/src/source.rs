//! The source of keys: the generator, a file of one key a line, or the standard input.
//!
//! A file may be compressed by gzip or Zstandard, which the end of its name tells. Lines end in
//! `\n`. Every other byte is part of the key, also a carriage return.

use crate::{
    generate::{Kind, generate},
    keys::KeyList,
    progress::Progress,
    rng::Rng,
};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

/// The file name that means the standard input.
pub(crate) const STDIN: &str = "-";

/// The description of a benchmark's keys, from which any process can make them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) origin: Origin,
    /// The number of keys to insert.
    pub(crate) n: u64,
    /// The number of further keys, to be looked up in vain.
    pub(crate) held_out: u64,
    pub(crate) seed: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Origin {
    Generated {
        kind: Kind,
    },
    /// A file whose lines and bytes have been counted.
    File {
        path: String,
        lines: u64,
        bytes: u64,
    },
}

impl Source {
    pub(crate) fn generated(kind: Kind, n: u64, seed: u64) -> Self {
        let n = n.min(kind.most() * 50 / 51);
        Self { origin: Origin::Generated { kind }, n, held_out: n.div_ceil(50), seed }
    }

    /// Describes a uniform sample of `n` lines of a file, or all lines except those held out.
    /// Counts the lines in `input`.
    pub(crate) fn file(path: &str, input: impl BufRead, n: Option<u64>, seed: u64) -> Result<Self> {
        let (mut lines, mut bytes) = (0, 0);
        let mut progress = Progress::new("counting", None);
        let mut input = Lines::new(input);
        while let Some(line) = input.next().with_context(|| format!("cannot read {path}"))? {
            lines += 1;
            bytes += line.len() as u64;
            progress.at(lines);
        }
        ensure!(lines > 0, "there are no keys in {path}");
        let n = n.unwrap_or(lines).min(lines);
        let held_out = n.div_ceil(50).min(lines - n).max(lines / 51);
        let n = n.min(lines - held_out);
        Ok(Self { origin: Origin::File { path: path.to_owned(), lines, bytes }, n, held_out, seed })
    }

    /// Returns a description of the keys, for a heading.
    pub(crate) fn name(&self) -> &str {
        match &self.origin {
            Origin::Generated { kind } => kind.name(),
            Origin::File { path, .. } => path,
        }
    }

    /// Returns the keys to insert and those held out, in the order of the source. Keys of a file
    /// may have duplicates.
    pub(crate) fn load(&self) -> Result<(KeyList, KeyList)> {
        match &self.origin {
            &Origin::Generated { kind } => {
                let keys = |range| generate(kind, self.seed, range);
                Ok((keys(0..self.n), keys(self.n..self.n + self.held_out)))
            }
            Origin::File { path, lines, bytes } => {
                let input = open(path)?;
                self.sample(input, *lines, *bytes).with_context(|| format!("cannot read {path}"))
            }
        }
    }

    /// Returns the keys like [`load`](Self::load), given the input that was read before.
    pub(crate) fn load_from(&self, stdin: &[u8]) -> Result<(KeyList, KeyList)> {
        match &self.origin {
            Origin::File { path, lines, bytes } if path == STDIN => {
                Ok(self.sample(stdin, *lines, *bytes)?)
            }
            _ => self.load(),
        }
    }

    /// Samples lines by selection sampling (Knuth's algorithm S): each set of lines is equally
    /// likely, and the order is kept.
    fn sample(
        &self,
        input: impl BufRead,
        lines: u64,
        bytes: u64,
    ) -> io::Result<(KeyList, KeyList)> {
        // Reserved at once, since untouched memory costs nothing. Memory that growth freed would be
        // reused by the measured structure, and be missing in its RSS.
        let (mut keys, mut held) =
            (KeyList::with_capacity(self.n as usize, bytes as usize), KeyList::default());
        let (mut rng, mut left) = (Rng::new(self.seed), lines);
        let (mut need, mut need_held) = (self.n, self.held_out);
        let mut input = Lines::new(input);
        while let Some(line) = input.next()? {
            let draw = if left == 0 { u64::MAX } else { rng.below(left) };
            left = left.saturating_sub(1);
            if draw < need {
                keys.push(line);
                need -= 1;
            } else if draw < need + need_held {
                held.push(line);
                need_held -= 1;
            }
        }
        Ok((keys, held))
    }
}

/// Opens a file of keys, or the standard input, to read its lines.
pub(crate) fn open(path: &str) -> Result<Box<dyn BufRead>> {
    if path == STDIN {
        return Ok(Box::new(io::stdin().lock()));
    }
    let open = || -> io::Result<Box<dyn BufRead>> {
        let file = BufReader::with_capacity(1 << 16, File::open(path)?);
        Ok(match Path::new(path).extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file))),
            Some("zst") => Box::new(BufReader::new(zstd::Decoder::with_buffer(file)?)),
            _ => Box::new(file),
        })
    };
    open().with_context(|| format!("cannot open {path}"))
}

/// The lines of an input, one of which is in memory at a time.
pub(crate) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// The most bytes of a line.
    longest: usize,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self::of_at_most(input, usize::MAX)
    }

    /// Reads lines of at most `longest` bytes; a longer one is an error.
    pub(crate) fn of_at_most(input: R, longest: usize) -> Self {
        Self { input, line: Vec::new(), longest }
    }

    /// Returns the next line, borrowed until the next call.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let most = (self.longest as u64).saturating_add(1);
        if (&mut self.input).take(most).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        match self.line.strip_suffix(b"\n").unwrap_or(&self.line) {
            line if line.len() <= self.longest => Ok(Some(line)),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a line has more than {} bytes", self.longest),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, Origin, Source, open};
    use crate::{generate::Kind, keys::KeyList};
    use std::io::Write;

    const TEXT: &[u8] = b"plain\nwith\rreturns\r\n\n\xff\0 bytes\nno line end";

    fn read(path: &str) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        let mut input = Lines::new(open(path).unwrap());
        while let Some(line) = input.next().unwrap() {
            lines.push(line.to_vec());
        }
        lines
    }

    #[test]
    fn long_lines_are_errors() {
        let mut lines = Lines::of_at_most(&b"12345\n\n1234\n123456\n"[..], 5);
        for line in [&b"12345"[..], b"", b"1234"] {
            assert_eq!(lines.next().unwrap(), Some(line));
        }
        assert!(lines.next().is_err());
        assert_eq!(Lines::of_at_most(&b"12345"[..], 5).next().unwrap(), Some(&b"12345"[..]));
    }

    #[test]
    fn reads_plain_and_compressed_files_byte_for_byte() {
        let dir = std::env::temp_dir().join(format!("memkv-source-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        std::fs::write(path("keys"), TEXT).unwrap();
        std::fs::write(path("keys.zst"), zstd::encode_all(TEXT, 0).unwrap()).unwrap();
        // Two members, as made by `cat a.gz b.gz`.
        let mut gz = Vec::new();
        for part in [&TEXT[..9], &TEXT[9..]] {
            let mut encoder =
                flate2::write::GzEncoder::new(&mut gz, flate2::Compression::default());
            encoder.write_all(part).unwrap();
            encoder.finish().unwrap();
        }
        std::fs::write(path("keys.gz"), gz).unwrap();
        let expected = [&b"plain"[..], b"with\rreturns\r", b"", b"\xff\0 bytes", b"no line end"];
        for name in ["keys", "keys.gz", "keys.zst"] {
            assert_eq!(read(&path(name)), expected, "{name}");
        }
        let source =
            Source::file(&path("keys.gz"), open(&path("keys.gz")).unwrap(), Some(3), 1).unwrap();
        assert_eq!(source.load().unwrap().0.len(), 3);
        assert!(open(&path("none")).is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    fn sample(lines: u64, n: Option<u64>, seed: u64) -> (Source, KeyList, KeyList) {
        let text: String = (0..lines).map(|i| format!("{i}\n")).collect();
        let source = Source::file("test", text.as_bytes(), n, seed).unwrap();
        let Origin::File { lines: counted, bytes, .. } = source.origin else { unreachable!() };
        assert_eq!((counted, bytes), (lines, text.len() as u64 - lines));
        let (keys, held) = source.sample(text.as_bytes(), lines, bytes).unwrap();
        (source, keys, held)
    }

    #[test]
    fn samples_uniformly_in_order_and_without_overlap() {
        let number = |key: &[u8]| std::str::from_utf8(key).unwrap().parse::<usize>().unwrap();
        let mut seen = [0; 100];
        for seed in 0..1000 {
            let (_, keys, held) = sample(100, Some(20), seed);
            assert_eq!((keys.len(), held.len()), (20, 1));
            assert!((1..20).all(|i| number(keys.get(i - 1)) < number(keys.get(i))));
            assert!(!keys.iter().any(|key| key == held.get(0)));
            keys.iter().for_each(|key| seen[number(key)] += 1);
        }
        assert!(seen.iter().all(|&n| (140..260).contains(&n)), "{seen:?}");
    }

    #[test]
    fn holds_keys_out_of_whole_files_too() {
        let (source, keys, held) = sample(1000, None, 1);
        assert_eq!((source.n, source.held_out), (981, 19));
        assert_eq!((keys.len(), held.len()), (981, 19));
        let (source, ..) = sample(1, Some(5), 1);
        assert_eq!((source.n, source.held_out), (1, 0));
        assert!(Source::file("test", &b""[..], None, 1).is_err());
    }

    #[test]
    fn generated_keys_stay_within_the_kind() {
        let source = Source::generated(Kind::Nested, 1 << 40, 1);
        assert!(source.n + source.held_out <= Kind::Nested.most());
        let (keys, held) = Source::generated(Kind::Urls, 1000, 1).load().unwrap();
        assert_eq!((keys.len(), held.len()), (1000, 20));
    }
}
