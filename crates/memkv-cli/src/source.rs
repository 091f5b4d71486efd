//! Where keys come from: the generator, or a file of one key a line, plain or compressed by gzip or
//! Zstandard (told by how its name ends), or the standard input.
//!
//! Lines end in `\n`, which is the one byte that is not part of a key; a carriage return is.

use crate::{
    generate::{Kind, generate},
    keys::Keys,
    rng::Rng,
};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

/// The one name of a file that means the standard input.
pub(crate) const STDIN: &str = "-";

/// What it takes to make a benchmark's keys, here or in another process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) origin: Origin,
    /// Keys to insert.
    pub(crate) n: u64,
    /// Further keys, to be looked up in vain.
    pub(crate) held_out: u64,
    pub(crate) seed: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Origin {
    Generated {
        kind: String,
    },
    /// A file of which is known how many lines it has, and bytes in them.
    File {
        path: String,
        lines: u64,
        bytes: u64,
    },
}

impl Source {
    pub(crate) fn generated(kind: Kind, n: u64, seed: u64) -> Self {
        let n = n.min(kind.most() * 50 / 51);
        Self {
            origin: Origin::Generated { kind: kind.to_string() },
            n,
            held_out: n.div_ceil(50),
            seed,
        }
    }

    /// A uniform sample of `n` lines of a file, or all but those held out, having counted its lines in `input`.
    pub(crate) fn file(path: &str, input: impl BufRead, n: Option<u64>, seed: u64) -> Result<Self> {
        let (mut lines, mut bytes) = (0, 0);
        let mut input = Lines::new(input);
        while let Some(line) = input.next().with_context(|| format!("cannot read {path}"))? {
            lines += 1;
            bytes += line.len() as u64;
        }
        ensure!(lines > 0, "there are no keys in {path}");
        let n = n.unwrap_or(lines).min(lines);
        let held_out = n.div_ceil(50).min(lines - n).max(lines / 51);
        let n = n.min(lines - held_out);
        Ok(Self { origin: Origin::File { path: path.to_owned(), lines, bytes }, n, held_out, seed })
    }

    /// What the keys are, for a heading.
    pub(crate) fn name(&self) -> &str {
        match &self.origin {
            Origin::Generated { kind } => kind,
            Origin::File { path, .. } => path,
        }
    }

    /// The keys to insert and those held out, in the order of the source; a file's may hold duplicates.
    pub(crate) fn load(&self) -> Result<(Keys, Keys)> {
        match &self.origin {
            Origin::Generated { kind } => {
                let kind = kind.parse().map_err(anyhow::Error::msg)?;
                let keys = |range| generate(kind, self.seed, range);
                Ok((keys(0..self.n), keys(self.n..self.n + self.held_out)))
            }
            Origin::File { path, lines, bytes } => {
                let input = open(path)?;
                self.sample(input, *lines, *bytes).with_context(|| format!("cannot read {path}"))
            }
        }
    }

    /// As [`load`](Self::load), but what comes from the standard input was read before.
    pub(crate) fn load_from(&self, stdin: &[u8]) -> Result<(Keys, Keys)> {
        match &self.origin {
            Origin::File { path, lines, bytes } if path == STDIN => {
                Ok(self.sample(stdin, *lines, *bytes)?)
            }
            _ => self.load(),
        }
    }

    /// Selection sampling (Knuth's algorithm S): each set of lines is as likely as any other, and order is kept.
    fn sample(&self, input: impl BufRead, lines: u64, bytes: u64) -> io::Result<(Keys, Keys)> {
        // Room for all bytes, of which the untouched cost nothing, since what growing frees would be reused by what is
        // measured later, and missing in its RSS.
        let (mut keys, mut held) =
            (Keys::with_capacity(self.n as usize, bytes as usize), Keys::default());
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

/// Opens a file of keys, or the standard input, for reading its lines.
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

/// The lines of an input, of which one is in memory at a time.
pub(crate) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// Bytes of the longest line.
    longest: usize,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self::of_at_most(input, usize::MAX)
    }

    /// Lines of at most `longest` bytes; a longer one is an error.
    pub(crate) fn of_at_most(input: R, longest: usize) -> Self {
        Self { input, line: Vec::new(), longest }
    }

    /// The next line, lent until the next call.
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
    use crate::{generate::Kind, keys::Keys};
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
        // Two members, as `cat a.gz b.gz` makes them.
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

    fn sample(lines: u64, n: Option<u64>, seed: u64) -> (Source, Keys, Keys) {
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
