//! The format of a log: header, frames, changes. FORMAT.md describes it.

#![forbid(unsafe_code)]

use super::change::Change;
use crate::io::new_file::random;
use crate::words::{u32_at, u64_at};
use std::io;

pub(super) const MAGIC: &[u8; 8] = b"memkvLOG";
/// Version 1 has no salt and no close record, and is only read.
pub(super) const VERSION_1: u32 = 1;
pub(super) const VERSION: u32 = 2;

const HEADER_BYTES_1: usize = 24;
/// Magic number, version, zeros, number, salt, checksum, zeros, then the close record.
pub(super) const HEADER_BYTES: usize = 64;
/// Offset of the close record, and its bytes: length, frames, checksum. Zeros while the log is
/// open.
pub(super) const CLOSE_AT: usize = 40;
pub(super) const CLOSE_BYTES: usize = 16;

const FRAME_MAGIC_1: [u8; 4] = *b"mkvF";
const FRAME_HEADER_BYTES_1: usize = 16;
/// Bytes of the changes, frame number, durable frames, checksum of the changes, checksum of all
/// these.
pub(super) const FRAME_HEADER_BYTES: usize = 20;

const REMOVED: u8 = 0;
const STORED: u8 = 1;
/// The last change of a log that is followed by another log.
pub(super) const END: u8 = 2;

/// The version of a log, and what its checksums begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    V1,
    V2 {
        salt: u64,
        /// The checksum of the salt, with which other checksums begin.
        seed: u32,
    },
}

/// The state of a close record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseRecord {
    /// The log is open.
    Absent,
    /// A crash left part of it, while it was written or cleared. The log is open.
    Torn,
    /// The log is closed.
    Whole,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameHeader {
    /// Bytes of the changes.
    pub(super) len: usize,
    pub(super) number: u32,
    /// The frames that were on disk before this one was written: those with lower numbers.
    pub(super) durable: u32,
}

/// Returns the header of a new log, and its format.
pub(super) fn new_header(number: u64) -> (Vec<u8>, Format) {
    let format = Format::with_salt(random());
    (header(number, format), format)
}

fn header(number: u64, format: Format) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    match format {
        Format::V1 => {
            header.extend_from_slice(&VERSION_1.to_le_bytes());
            header.extend_from_slice(&number.to_le_bytes());
            header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
        }
        Format::V2 { salt, .. } => {
            header.extend_from_slice(&VERSION.to_le_bytes());
            header.extend_from_slice(&[0; 4]);
            header.extend_from_slice(&number.to_le_bytes());
            header.extend_from_slice(&salt.to_le_bytes());
            header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
            header.resize(HEADER_BYTES, 0);
        }
    }
    header
}

/// Returns the format of a log by its first bytes, or `Err` with an unknown version, or with `None`
/// if they are damaged.
pub(super) fn read_header(bytes: &[u8], number: u64) -> Result<Format, Option<u32>> {
    if !bytes.starts_with(MAGIC) {
        return Err(None);
    }
    let format = match u32_at(bytes, 8).ok_or(None)? {
        VERSION_1 => Format::V1,
        VERSION => Format::with_salt(u64_at(bytes, 24).ok_or(None)?),
        version => return Err(Some(version)),
    };
    let expected = header(number, format);
    let end = if format == Format::V1 { HEADER_BYTES_1 } else { CLOSE_AT };
    if bytes.len() < format.header_bytes() || bytes[..end] != expected[..end] {
        return Err(None);
    }
    Ok(format)
}

impl Format {
    /// Returns the bytes of a log's header.
    pub(super) fn header_bytes(self) -> usize {
        if self == Format::V1 { HEADER_BYTES_1 } else { HEADER_BYTES }
    }

    /// Returns the bytes of a frame's header.
    pub(super) fn frame_header_bytes(self) -> usize {
        if self == Format::V1 { FRAME_HEADER_BYTES_1 } else { FRAME_HEADER_BYTES }
    }

    fn with_salt(salt: u64) -> Self {
        Format::V2 { salt, seed: crc32fast::hash(&salt.to_le_bytes()) }
    }

    /// Begins a checksum that the content of a log cannot foresee.
    fn hasher(self) -> crc32fast::Hasher {
        match self {
            Format::V1 => crc32fast::Hasher::new(),
            Format::V2 { seed, .. } => crc32fast::Hasher::new_with_initial(seed),
        }
    }

    fn checksum(self, parts: &[&[u8]]) -> u32 {
        let mut hasher = self.hasher();
        parts.iter().for_each(|part| hasher.update(part));
        hasher.finalize()
    }

    /// Fills in the header of a frame that has its changes.
    pub(super) fn fill_header(self, frame: &mut [u8], number: u32, durable: u32) -> io::Result<()> {
        let len = u32::try_from(frame.len() - self.frame_header_bytes())
            .map_err(|_| io::Error::other("a log frame would exceed 4 GiB"))?;
        match self {
            Format::V1 => {
                frame[..4].copy_from_slice(&FRAME_MAGIC_1);
                frame[4..8].copy_from_slice(&len.to_le_bytes());
                frame[8..12].copy_from_slice(&number.to_le_bytes());
                let checksum = self.checksum(&[&frame[..12], &frame[FRAME_HEADER_BYTES_1..]]);
                frame[12..16].copy_from_slice(&checksum.to_le_bytes());
            }
            Format::V2 { .. } => {
                let changes = crc32fast::hash(&frame[FRAME_HEADER_BYTES..]);
                for (at, word) in [len, number, durable, changes].into_iter().enumerate() {
                    frame[4 * at..][..4].copy_from_slice(&word.to_le_bytes());
                }
                let checksum = self.checksum(&[&frame[..16]]);
                frame[16..20].copy_from_slice(&checksum.to_le_bytes());
            }
        }
        Ok(())
    }

    /// Reads the header of the frame at the start of `bytes`, or returns `None` if there is none.
    pub(super) fn frame_header(self, bytes: &[u8]) -> Option<FrameHeader> {
        match self {
            Format::V1 => {
                let number = u32_at(bytes, 8)?;
                let header =
                    FrameHeader { len: u32_at(bytes, 4)? as usize, number, durable: number };
                (bytes.starts_with(&FRAME_MAGIC_1) && bytes.len() >= FRAME_HEADER_BYTES_1)
                    .then_some(header)
            }
            Format::V2 { .. } => {
                let checksum = u32_at(bytes, 16)?;
                let header = FrameHeader {
                    len: u32_at(bytes, 0)? as usize,
                    number: u32_at(bytes, 4)?,
                    durable: u32_at(bytes, 8)?,
                };
                (self.checksum(&[&bytes[..16]]) == checksum).then_some(header)
            }
        }
    }

    /// Returns the changes of the frame at the start of `bytes`, if it is whole and has this
    /// number.
    pub(super) fn frame(self, bytes: &[u8], number: u32) -> Option<&[u8]> {
        let header = self.frame_header(bytes).filter(|header| header.number == number)?;
        let start = self.frame_header_bytes();
        let changes = bytes.get(start..start.checked_add(header.len)?)?;
        let is_whole = match self {
            Format::V1 => Some(self.checksum(&[&bytes[..12], changes])) == u32_at(bytes, 12),
            Format::V2 { .. } => Some(crc32fast::hash(changes)) == u32_at(bytes, 12),
        };
        is_whole.then_some(changes)
    }

    /// Returns the close record of a log of `len` bytes and `frames` frames.
    pub(super) fn close_record(self, len: u64, frames: u32) -> [u8; CLOSE_BYTES] {
        let mut record = [0; CLOSE_BYTES];
        record[..8].copy_from_slice(&len.to_le_bytes());
        record[8..12].copy_from_slice(&frames.to_le_bytes());
        let checksum = self.checksum(&[&record[..12]]);
        record[12..].copy_from_slice(&checksum.to_le_bytes());
        record
    }

    /// Returns the state of the close record in the header of a log of this length, or `Err` if it
    /// is the record of another length, or damaged.
    pub(super) fn read_close(
        self,
        header: &[u8],
        len: u64,
        frames: u32,
    ) -> Result<CloseRecord, ()> {
        let Format::V2 { .. } = self else { return Ok(CloseRecord::Absent) };
        let found = header.get(CLOSE_AT..HEADER_BYTES).ok_or(())?;
        let mut whole = [0; HEADER_BYTES - CLOSE_AT];
        whole[..CLOSE_BYTES].copy_from_slice(&self.close_record(len, frames));
        if found == whole {
            Ok(CloseRecord::Whole)
        } else if found.iter().all(|&byte| byte == 0) {
            Ok(CloseRecord::Absent)
        } else if whole.iter().zip(found).all(|(byte, &found)| found == 0 || found == *byte) {
            Ok(CloseRecord::Torn)
        } else {
            Err(())
        }
    }

    /// Returns the number of frames in bytes that begin with a torn one: it, and those whose
    /// headers follow where they should.
    pub(super) fn frames_claimed(self, rest: &[u8], frames: u32) -> u64 {
        let (mut at, mut count) = (0usize, 0);
        while let Some(header) = rest.get(at..).and_then(|rest| self.frame_header(rest))
            && u64::from(header.number) == u64::from(frames) + count
        {
            count += 1;
            at = at.saturating_add(self.frame_header_bytes()).saturating_add(header.len);
        }
        count.max(1)
    }

    /// Returns whether what follows the whole frames of a log, of which there are `frames`, cannot
    /// have been left by a crash: a later frame proves that the first of these bytes were on disk.
    ///
    /// A frame that claims bytes is not searched: its content is the user's. Takes time in
    /// O(bytes).
    pub(super) fn is_damage(self, mut rest: &[u8], frames: u32) -> bool {
        let mut expected = frames;
        loop {
            match self.frame_header(rest) {
                // Version 1 has no checksum of the header alone.
                Some(header)
                    if header.number == expected
                        && (self != Format::V1
                            || expected == frames
                            || self.frame(rest, expected).is_some()) =>
                {
                    if header.durable > frames {
                        return true;
                    }
                    let bytes = self.frame_header_bytes().saturating_add(header.len);
                    match rest.get(bytes..) {
                        Some(after) => rest = after,
                        None => return false,
                    }
                    expected = expected.wrapping_add(1);
                }
                Some(_) if self != Format::V1 => return true,
                _ => return self.has_proof(rest, frames, expected),
            }
        }
    }

    /// Returns whether bytes, of frames from number `expected` on after one whose header cannot be
    /// read, have a proof that more than `frames` were on disk.
    fn has_proof(self, rest: &[u8], frames: u32, expected: u32) -> bool {
        let header_bytes = self.frame_header_bytes();
        if self == Format::V1 {
            // Its content can look like frames. A crash leaves no header, or zeros.
            return expected == frames
                && rest.get(..header_bytes).is_some_and(|h| h.iter().any(|&byte| byte != 0));
        }
        // There is no room for more.
        let most = u64::from(expected) + (rest.len() / header_bytes) as u64;
        rest.windows(header_bytes).any(|at| {
            let word = |offset| u32_at(at, offset).unwrap_or_default();
            let (number, durable) = (word(4), word(8));
            number > frames
                && u64::from(number) <= most
                && (frames + 1..=number).contains(&durable)
                && self.frame_header(at).is_some()
        })
    }
}

/// Appends a change to a frame.
pub(super) fn push_change(frame: &mut Vec<u8>, key: &[u8], change: Change) {
    frame.push(match change {
        Change::Stored(_) => STORED,
        Change::Removed => REMOVED,
    });
    frame.extend_from_slice(&(key.len() as u32).to_le_bytes());
    frame.extend_from_slice(key);
    if let Change::Stored(value) = change {
        frame.extend_from_slice(&value.to_le_bytes());
    }
}

/// A part of a frame's changes.
pub(super) enum Entry<'b> {
    Change(&'b [u8], Change),
    End,
}

/// Splits the first change off a frame's changes, or returns `None` if they are damaged.
pub(super) fn split_change(changes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (&kind, rest) = changes.split_first()?;
    if kind == END {
        return Some((Entry::End, rest));
    }
    let (&len, rest) = rest.split_first_chunk()?;
    let (key, rest) = rest.split_at_checked(u32::from_le_bytes(len) as usize)?;
    match kind {
        STORED => {
            let (&value, rest) = rest.split_first_chunk()?;
            Some((Entry::Change(key, Change::Stored(u64::from_le_bytes(value))), rest))
        }
        REMOVED => Some((Entry::Change(key, Change::Removed), rest)),
        _ => None,
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    #[test]
    fn a_frame_over_4_gib_is_refused() {
        let (_, format) = new_header(1);
        // The pages are never touched, so they take no memory.
        let mut frame = vec![0; FRAME_HEADER_BYTES + (1 << 32)];
        assert!(format.fill_header(&mut frame, 0, 0).unwrap_err().to_string().contains("4 GiB"));
        assert!(frame[..FRAME_HEADER_BYTES].iter().all(|&byte| byte == 0));
        let mut short = vec![0; FRAME_HEADER_BYTES + 1];
        format.fill_header(&mut short, 0, 0).unwrap();
        assert_eq!(format.frame(&short, 0), Some(&[0][..]));
    }
}
