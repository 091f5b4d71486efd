//! The source of keys: the generator, a file of one key a line, or the standard input.
//!
//! Lines end in `\n`. Every other byte is part of the key, also a carriage return.

use crate::{
    generate::{Kind, generate},
    input::{self, Lines, STDIN},
    keys::KeyList,
    progress::{Progress, Total},
    rng::Rng,
};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead};

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
        let mut progress = Progress::new("counting", Total::Unknown);
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
                let input = input::open(path, false)?;
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

#[cfg(test)]
mod tests {
    use super::{Origin, Source};
    use crate::{generate::Kind, keys::KeyList};

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
