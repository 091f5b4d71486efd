//! Sorted runs in spill files.
//!
//! A record has the number of bytes that its key shares with the key before, the number of bytes
//! that follow, the length of the value, the value, and these bytes. A run keeps some of its keys
//! in memory, with their offsets, so that a reader need not begin with the first one.

use super::merge::{Merger, RecordSource, Source};
use super::sample::Seek;
use super::varint;
use crate::frozen::error::FrozenError;
use crate::io::dir::Dir;
use crate::io::spill_file::SpillFile;
use crate::tree::common_prefix;
use std::sync::Arc;

/// Bytes of a run that are written at once.
const BYTES_PER_WRITE: usize = 1 << 18;
/// Bytes of a run between two marks, at first.
const BYTES_PER_MARK: u64 = 1 << 14;
/// Most bytes of the numbers before a record's value.
const MAX_HEAD_BYTES: usize = 3 * varint::MAX_VARINT_BYTES;

/// The error of a file that is not as it was written.
pub(super) const DAMAGED: FrozenError =
    FrozenError::Damaged { part: "temporary file", chunk: None };

/// A sorted run in a file without a name.
#[derive(Debug)]
pub(super) struct Run {
    file: SpillFile,
    bytes: u64,
    records: u64,
    checksum: u32,
    marks: Vec<Mark>,
}

/// A key of a run, from which a reader can begin.
#[derive(Debug)]
struct Mark {
    key: Box<[u8]>,
    /// The end of its record.
    end: u64,
    /// The number of records up to this one.
    records: u64,
}

/// A run that is being written.
struct RunWriter {
    run: Run,
    buffer: Vec<u8>,
    checksum: crc32fast::Hasher,
    before: Vec<u8>,
    next_mark: u64,
    bytes_per_mark: u64,
    mark_bytes: usize,
}

impl RunWriter {
    fn push(
        &mut self,
        key: &[u8],
        value: &[u8],
        most_mark_bytes: usize,
    ) -> Result<(), FrozenError> {
        let shared = common_prefix(&self.before, key);
        for number in [shared, key.len() - shared, value.len()] {
            varint::put(&mut self.buffer, number as u64);
        }
        self.buffer.extend_from_slice(value);
        self.buffer.extend_from_slice(&key[shared..]);
        self.before.truncate(shared);
        self.before.extend_from_slice(&key[shared..]);
        self.run.records += 1;
        let end = self.run.bytes + self.buffer.len() as u64;
        if end >= self.next_mark {
            self.run.marks.push(Mark { key: key.into(), end, records: self.run.records });
            self.mark_bytes += key.len() + size_of::<Mark>();
            if self.mark_bytes > most_mark_bytes {
                self.run.drop_marks();
                self.mark_bytes = self.run.mark_bytes();
                self.bytes_per_mark *= 2;
            }
            self.next_mark = end + self.bytes_per_mark;
        }
        if self.buffer.len() >= BYTES_PER_WRITE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), FrozenError> {
        self.checksum.update(&self.buffer);
        self.run.file.write(&self.buffer)?;
        self.run.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Run {
    /// Writes the records of a merger to a file in `dir`, with marks of about `mark_bytes` bytes.
    /// Passes each key to `see`.
    pub(super) fn write<S: RecordSource>(
        dir: &Arc<Dir>,
        merger: &mut Merger<S>,
        mark_bytes: usize,
        mut see: impl FnMut(&[u8]),
    ) -> Result<Self, FrozenError> {
        let file = SpillFile::create(dir)?;
        let mut writer = RunWriter {
            run: Run { file, bytes: 0, records: 0, checksum: 0, marks: Vec::new() },
            buffer: Vec::with_capacity(BYTES_PER_WRITE + (BYTES_PER_WRITE >> 4)),
            checksum: crc32fast::Hasher::new(),
            before: Vec::new(),
            next_mark: 0,
            bytes_per_mark: BYTES_PER_MARK,
            mark_bytes: 0,
        };
        while let Some((key, value)) = merger.next()? {
            see(key);
            writer.push(key, value, mark_bytes)?;
        }
        writer.flush()?;
        writer.run.checksum = writer.checksum.finalize();
        Ok(writer.run)
    }

    /// Returns the number of records.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Returns the bytes of memory that the marks take.
    pub(super) fn mark_bytes(&self) -> usize {
        self.marks.iter().map(|mark| mark.key.len() + size_of::<Mark>()).sum()
    }

    /// Drops every second mark.
    pub(super) fn drop_marks(&mut self) {
        let mut number = 0;
        self.marks.retain(|_| {
            number += 1;
            number % 2 == 0
        });
    }

    /// Returns a reader with a buffer of some bytes.
    pub(super) fn reader(&self, buffer: usize) -> RunReader<'_> {
        RunReader {
            run: self,
            buffer: vec![0; buffer.max(MAX_HEAD_BYTES)],
            start: 0,
            end: 0,
            offset: 0,
            checksum: Some(crc32fast::Hasher::new()),
            passed: 0,
            key: Vec::new(),
            value: Vec::new(),
        }
    }
}

/// A reader of a run.
pub(super) struct RunReader<'a> {
    run: &'a Run,
    buffer: Vec<u8>,
    /// The part of the buffer that is left to read.
    start: usize,
    end: usize,
    /// The offset in the file of what follows in the buffer.
    offset: u64,
    /// The checksum of what was read. `None` from the first jump on.
    checksum: Option<crc32fast::Hasher>,
    /// The number of records up to the current one.
    passed: u64,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl RunReader<'_> {
    /// Reads more bytes. Returns whether there are any.
    #[cold]
    fn fill(&mut self) -> Result<bool, FrozenError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let count = self.run.file.read_at(&mut self.buffer[self.end..], self.offset)?;
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&self.buffer[self.end..self.end + count]);
        }
        self.end += count;
        self.offset += count as u64;
        Ok(count > 0)
    }

    fn read(&mut self) -> Result<(), FrozenError> {
        if self.end - self.start < MAX_HEAD_BYTES {
            self.fill()?;
        }
        let mut head = &self.buffer[self.start..self.end];
        let mut number = || varint::take(&mut head).ok_or(DAMAGED);
        let (shared, rest, value) = (number()?, number()?, number()?);
        self.start = self.end - head.len();
        if shared > self.key.len() as u64 {
            return Err(DAMAGED);
        }
        self.key.truncate(shared as usize);
        self.value.clear();
        // One piece as a rule.
        if value.saturating_add(rest) <= (self.end - self.start) as u64 {
            let bytes = &self.buffer[self.start..self.start + (value + rest) as usize];
            let (value, suffix) = bytes.split_at(value as usize);
            self.value.extend_from_slice(value);
            self.key.extend_from_slice(suffix);
            self.start += bytes.len();
            return Ok(());
        }
        self.take(value, |reader| &mut reader.value)?;
        self.take(rest, |reader| &mut reader.key)
    }

    /// Appends the next bytes to a part of this reader.
    fn take(
        &mut self,
        mut left: u64,
        out: fn(&mut Self) -> &mut Vec<u8>,
    ) -> Result<(), FrozenError> {
        while left > 0 {
            if self.start == self.end && !self.fill()? {
                return Err(DAMAGED);
            }
            let count = left.min((self.end - self.start) as u64) as usize;
            let (buffer, part) = (std::mem::take(&mut self.buffer), self.start..self.start + count);
            out(self).extend_from_slice(&buffer[part]);
            self.buffer = buffer;
            self.start += count;
            left -= count as u64;
        }
        Ok(())
    }

    /// Checks the whole file, at its end.
    fn check(&mut self) -> Result<(), FrozenError> {
        let Some(checksum) = self.checksum.take() else { return Ok(()) };
        if self.start < self.end || self.fill()? || checksum.finalize() != self.run.checksum {
            return Err(DAMAGED);
        }
        Ok(())
    }
}

impl Source for RunReader<'_> {
    #[inline]
    fn advance(&mut self) -> Result<bool, FrozenError> {
        if self.passed == self.run.records {
            self.check()?;
            return Ok(false);
        }
        self.passed += 1;
        self.read()?;
        Ok(true)
    }

    #[inline]
    fn key(&self) -> &[u8] {
        &self.key
    }
}

impl RecordSource for RunReader<'_> {
    #[inline]
    fn record(&self) -> (&[u8], &[u8]) {
        (&self.key, &self.value)
    }
}

impl Seek for RunReader<'_> {
    fn seek(&mut self, target: &[u8]) -> Result<bool, FrozenError> {
        let marks = &self.run.marks;
        // A key may have several records: the first one counts.
        let mark = marks.partition_point(|mark| *mark.key < *target).checked_sub(1);
        if let Some(mark) = mark.map(|mark| &marks[mark])
            && mark.records > self.passed
        {
            self.checksum = None;
            (self.start, self.end, self.offset, self.passed) = (0, 0, mark.end, mark.records);
            self.key.clear();
            self.key.extend_from_slice(&mark.key);
        }
        while self.passed == 0 || *self.key < *target {
            if !self.advance()? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::{DAMAGED, Run, Seek, SpillFile};
    use crate::frozen::error::FrozenError;
    use crate::frozen::external::arena::Arena;
    use crate::frozen::external::merge::{Merger, RecordSource, Source};
    use crate::io::dir::Dir;
    use std::sync::Arc;

    fn dir() -> Arc<Dir> {
        Arc::new(Dir::open(&std::env::temp_dir()).unwrap())
    }

    fn run(keys: &[Vec<u8>], mark_bytes: usize) -> Run {
        let mut arena = Arena::with_room(keys.iter().map(|key| key.len() + 64).sum()).unwrap();
        keys.iter().for_each(|key| assert!(arena.push(key, &key[..key.len().min(9)])));
        arena.sort();
        let mut seen = 0;
        let mut merger = Merger::new(vec![arena.reader()], None).unwrap();
        let run = Run::write(&dir(), &mut merger, mark_bytes, |_| seen += 1).unwrap();
        assert_eq!((seen, run.records()), (keys.len(), keys.len() as u64));
        run
    }

    fn is_damaged<T>(result: Result<T, FrozenError>) -> bool {
        matches!(result, Err(FrozenError::Damaged { part: "temporary file", chunk: None }))
    }

    #[test]
    fn what_is_written_is_read_from_any_key_on() {
        let mut keys: Vec<Vec<u8>> = (0..5000)
            .map(|i| format!("key/{}/{}", i % 50, "x".repeat(i % 90)).into_bytes())
            .collect();
        keys.push(vec![7; 100_000]);
        keys.sort();
        for mark_bytes in [usize::MAX, 500, 0] {
            let run = run(&keys, mark_bytes);
            assert!(run.mark_bytes() <= mark_bytes.max(100_100));
            for buffer in [0, 100, 1 << 16] {
                let mut reader = run.reader(buffer);
                for key in &keys {
                    assert!(reader.advance().unwrap());
                    assert_eq!(reader.record(), (&key[..], &key[..key.len().min(9)]));
                }
                assert!(!reader.advance().unwrap());
                let mut reader = run.reader(buffer);
                for target in keys.iter().step_by(97) {
                    assert!(reader.seek(target).unwrap());
                    assert_eq!(reader.record().0, target);
                    let left = keys.len() as u64 - reader.passed + 1;
                    let from = keys.partition_point(|key| key < target);
                    assert!(left <= (keys.len() - from) as u64);
                }
                assert!(!reader.seek(b"kez").unwrap());
            }
        }
    }

    #[test]
    fn what_is_not_a_run_is_an_error() {
        // The second of two records is missing, ends early, or shares more than there is.
        for bytes in [
            &[0, 1, 1, 7, b'a'][..],
            &[0, 1, 1, 7, b'a', 1, 5, 1, 7, b'b'],
            &[0, 1, 1, 7, b'a', 1, 5, 9, 7, b'b'],
            &[0, 1, 1, 7, b'a', 2, 1, 1, 7, b'b'],
            &[0, 1, 1, 7, b'a', 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0],
        ] {
            let mut file = SpillFile::create(&dir()).unwrap();
            file.write(bytes).unwrap();
            let run =
                Run { file, bytes: bytes.len() as u64, records: 2, checksum: 0, marks: vec![] };
            let mut reader = run.reader(4096);
            assert!(reader.advance().unwrap());
            assert_eq!(reader.record(), (&b"a"[..], &[7][..]));
            assert!(is_damaged(reader.advance()));
        }
    }

    #[test]
    fn a_run_of_another_content_is_an_error() {
        let mut other = run(&[b"a".to_vec(), b"b".to_vec()], 99);
        other.checksum ^= 1;
        let mut reader = other.reader(4096);
        assert!(reader.advance().unwrap() && reader.advance().unwrap());
        assert!(is_damaged(reader.advance()));
        assert!(is_damaged(Err::<(), _>(DAMAGED)));
    }
}
