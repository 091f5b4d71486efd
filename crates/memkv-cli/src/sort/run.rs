//! Sorted runs in files.
//!
//! A record has the number of bytes that its key shares with the key before, the number of bytes
//! that follow, the value, and these bytes. Numbers have seven bits a byte, the least significant
//! first, and the high bit set if more follow.

use super::merge::{Merger, Source};
use anyhow::{Context, Result, bail};
use std::{
    fs::File,
    io::{BufReader, BufWriter, Read, Seek, Write},
    path::Path,
};

/// A sorted run in a file without a name.
pub(super) struct Run {
    file: File,
    pub(super) records: u64,
}

impl Run {
    /// Writes the records of a merger to a file in `folder`.
    pub(super) fn write(folder: &Path, merger: &mut Merger<'_>) -> Result<Self> {
        let failed = || format!("cannot write a temporary file in {}", folder.display());
        let mut out =
            BufWriter::with_capacity(1 << 18, tempfile::tempfile_in(folder).with_context(failed)?);
        let (mut before, mut head, mut records) = (Vec::new(), Vec::new(), 0);
        while let Some((key, value)) = merger.next()? {
            let shared = key.iter().zip(&before).take_while(|(a, b)| a == b).count();
            head.clear();
            for number in [shared as u64, (key.len() - shared) as u64, value] {
                put_varint(&mut head, number);
            }
            out.write_all(&head)
                .and_then(|()| out.write_all(&key[shared..]))
                .with_context(failed)?;
            before.truncate(shared);
            before.extend_from_slice(&key[shared..]);
            records += 1;
        }
        let mut file = out.into_inner().map_err(|error| error.into_error()).with_context(failed)?;
        file.rewind().with_context(failed)?;
        Ok(Self { file, records })
    }
}

/// A reader of a run.
pub(super) struct RunReader {
    input: BufReader<File>,
    left: u64,
    key: Vec<u8>,
    value: u64,
}

impl RunReader {
    pub(super) fn new(run: Run, buffer: usize) -> Self {
        let input = BufReader::with_capacity(buffer, run.file);
        Self { input, left: run.records, key: Vec::new(), value: 0 }
    }

    fn read(&mut self) -> Result<()> {
        let mut numbers = [0; 3];
        for number in &mut numbers {
            *number = read_varint(&mut self.input)?;
        }
        let [shared, rest, value] = numbers;
        if shared > self.key.len() as u64 {
            bail!("it was altered");
        }
        self.key.truncate(shared as usize);
        if (&mut self.input).take(rest).read_to_end(&mut self.key)? as u64 != rest {
            bail!("it ends early");
        }
        self.value = value;
        Ok(())
    }
}

impl Source for RunReader {
    fn advance(&mut self) -> Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        self.read().context("cannot read a temporary file")?;
        Ok(true)
    }

    fn record(&self) -> (&[u8], u64) {
        (&self.key, self.value)
    }
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a number that [`put_varint`] wrote.
pub(super) fn read_varint(input: &mut impl Read) -> Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        input.read_exact(&mut byte)?;
        number |= u64::from(byte[0] & 0x7F) << shift;
        if byte[0] < 0x80 {
            return Ok(number);
        }
    }
    bail!("it was altered")
}

#[cfg(test)]
mod tests {
    use super::{Run, RunReader, Source, put_varint, read_varint};
    use std::io::{Seek, Write};

    #[test]
    fn numbers_come_back() {
        for number in (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, u64::MAX >> bit]) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            bytes.push(7);
            let mut input = &bytes[..];
            assert_eq!(read_varint(&mut input).unwrap(), number);
            assert_eq!(input, [7]);
        }
        assert!(read_varint(&mut &[0x80; 3][..]).is_err());
        assert!(read_varint(&mut &[0xFF; 11][..]).is_err());
    }

    #[test]
    fn what_is_not_a_run_is_an_error() {
        // The second of two records is missing, ends early, or shares more than there is.
        for bytes in
            [&[0, 1, 7, b'a'][..], &[0, 1, 7, b'a', 1, 5, 7, b'b'], &[0, 1, 7, b'a', 2, 1, 7, b'b']]
        {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            file.rewind().unwrap();
            let mut reader = RunReader::new(Run { file, records: 2 }, 4096);
            assert!(reader.advance().unwrap());
            assert_eq!(reader.record(), (&b"a"[..], 7));
            assert!(reader.advance().is_err());
        }
    }
}
