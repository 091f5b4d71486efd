//! The write-ahead log of a delta: a file that grows.
//!
//! ```text
//!   file     ┌ header, 24 bytes ┬ frame 0 ┬ frame 1 ┬ … ┬ end frame ┐
//!   frame    ┌ "mkvF" ┬ bytes of the changes ┬ frame number ┬ CRC-32 of the rest ┬ changes ┐
//!   change   ┌ 1: stored ┬ key length, 4 bytes ┬ key ┬ value, 8 bytes ┐
//!            ┌ 0: removed ┬ key length ┬ key ┐
//!            ┌ 2: end ┐
//! ```
//! All numbers are little-endian. Those of a frame's header have 4 bytes. Changes are buffered in
//! memory. A thread that has to wait for the disk writes the whole buffer as one frame, for all
//! threads that recorded a change in it. A frame is on disk before the next one is written, so only
//! the last frame can be torn.
//!
//! Each delta has its own log, which is created before the delta before it is frozen. Before
//! anything is written to a log, its predecessor gets an end frame. So for each key the disk always
//! has the state of one moment. If the predecessor has failed, nothing may follow it: its successor
//! takes no changes until those of the predecessor are in the base.

#![forbid(unsafe_code)]

use super::change::{Change, ChangeLog};
use super::error::HybridError;
use crate::error::Failure;
use crate::io::new_file::NewFile;
use crate::testing::failpoint;
use parking_lot::{Condvar, Mutex};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"memkvLOG";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 24;
const FRAME_MAGIC: [u8; 4] = *b"mkvF";
const FRAME_HEADER_BYTES: usize = 16;
const REMOVED: u8 = 0;
const STORED: u8 = 1;
const END: u8 = 2;
/// Bytes of changes that may be in memory only.
const MAX_UNSYNCED_BYTES: u64 = 4 << 20;

/// The changes in memory, and how far the log is written.
struct Buffer {
    /// Space for a frame's header, then the changes.
    frame: Vec<u8>,
    /// Bytes of all changes recorded, and of those on disk.
    end: u64,
    synced: u64,
    /// Whether a thread is writing.
    busy: bool,
    /// The log that has to end before anything is written to this one.
    previous: Option<Arc<Log>>,
    ended: bool,
    failed: Option<Failure>,
}

/// Appends frames to the log's file.
struct FrameWriter {
    file: File,
    frames: u32,
}

/// A log that takes changes.
pub(super) struct Log {
    number: u64,
    /// Whether a writer waits until its change is on disk.
    synced: bool,
    buffer: Mutex<Buffer>,
    written: Condvar,
    writer: Mutex<FrameWriter>,
}

fn header(number: u64) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&number.to_le_bytes());
    header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
    header
}

/// Fills in the header of a frame.
fn fill_header(frame: &mut [u8], number: u32) -> io::Result<()> {
    let len = u32::try_from(frame.len() - FRAME_HEADER_BYTES)
        .map_err(|_| io::Error::other("a log frame would exceed 4 GiB"))?;
    frame[..4].copy_from_slice(&FRAME_MAGIC);
    frame[4..8].copy_from_slice(&len.to_le_bytes());
    frame[8..12].copy_from_slice(&number.to_le_bytes());
    let checksum = checksum(frame);
    frame[12..16].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..12]);
    hasher.update(&frame[FRAME_HEADER_BYTES..]);
    hasher.finalize()
}

impl Log {
    /// Creates a log's file. What `previous` has in memory is written before anything is written
    /// here.
    pub(super) fn create(
        path: &Path,
        number: u64,
        synced: bool,
        previous: Option<Arc<Log>>,
    ) -> io::Result<Self> {
        let mut file = NewFile::create(path)?;
        file.write(&header(number))?;
        file.commit()?;
        Self::append_to(path, number, synced, previous)
    }

    /// Opens a log that has no frame yet.
    pub(super) fn append_to(
        path: &Path,
        number: u64,
        synced: bool,
        previous: Option<Arc<Log>>,
    ) -> io::Result<Self> {
        let file = File::options().append(true).open(path)?;
        file.set_len(HEADER_BYTES as u64)?;
        let buffer = Buffer {
            frame: empty_frame(),
            end: 0,
            synced: 0,
            busy: false,
            previous,
            ended: false,
            failed: None,
        };
        let writer = Mutex::new(FrameWriter { file, frames: 0 });
        Ok(Log { number, synced, buffer: Mutex::new(buffer), written: Condvar::new(), writer })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Writes the changes up to `position`, with all others in memory; with `end`, also the end
    /// mark.
    fn write_to(&self, position: u64, end: bool) -> io::Result<()> {
        let mut buffer = self.buffer.lock();
        loop {
            if buffer.synced >= position && (buffer.ended || !end) {
                return Ok(());
            }
            buffer.check()?;
            if buffer.busy {
                self.written.wait(&mut buffer);
                continue;
            }
            buffer.busy = true;
            if let Some(previous) = buffer.previous.clone() {
                drop(buffer);
                let ended = previous.end();
                buffer = self.buffer.lock();
                buffer.busy = false;
                self.written.notify_all();
                // The changes stay in memory. If a compaction has merged those of the previous log
                // by now, its failure does not matter.
                if buffer.previous.is_some() {
                    ended?;
                    buffer.previous = None;
                }
                continue;
            }
            let (mut frame, position) =
                (std::mem::replace(&mut buffer.frame, empty_frame()), buffer.end);
            drop(buffer);
            if end {
                frame.push(END);
            }
            let written = self.writer.lock().write(&mut frame);
            buffer = self.buffer.lock();
            buffer.busy = false;
            match written {
                Ok(()) => (buffer.synced, buffer.ended) = (position, end),
                // After a failed write it is unknown what the disk has, so nothing may follow.
                Err(error) => buffer.failed = Some(Failure::new(&error)),
            }
            self.written.notify_all();
        }
    }

    /// Drops the previous log, whose changes are in the base.
    pub(super) fn forget_previous(&self) {
        self.buffer.lock().previous = None;
    }

    /// Writes what is in memory, and the end mark. No change is recorded afterwards.
    fn end(&self) -> io::Result<()> {
        self.write_to(0, true)
    }
}

/// Creates a frame without changes.
fn empty_frame() -> Vec<u8> {
    vec![0; FRAME_HEADER_BYTES]
}

impl Buffer {
    fn check(&self) -> io::Result<()> {
        Failure::check(self.failed.as_ref())
    }
}

impl FrameWriter {
    fn write(&mut self, frame: &mut [u8]) -> io::Result<()> {
        fill_header(frame, self.frames)?;
        self.frames += 1;
        failpoint::write(&self.file, frame)?;
        failpoint::point();
        self.file.sync_data()
    }
}

impl ChangeLog for Log {
    fn check(&self) -> io::Result<()> {
        let buffer = self.buffer.lock();
        buffer.check()?;
        buffer.previous.as_ref().map_or(Ok(()), |previous| previous.check())
    }

    fn append(&self, key: &[u8], change: Change) -> u64 {
        let mut buffer = self.buffer.lock();
        let before = buffer.frame.len();
        buffer.frame.push(match change {
            Change::Stored(_) => STORED,
            Change::Removed => REMOVED,
        });
        buffer.frame.extend_from_slice(&(key.len() as u32).to_le_bytes());
        buffer.frame.extend_from_slice(key);
        if let Change::Stored(value) = change {
            buffer.frame.extend_from_slice(&value.to_le_bytes());
        }
        buffer.end += (buffer.frame.len() - before) as u64;
        buffer.end
    }

    fn await_durable(&self, position: u64) -> io::Result<()> {
        let must_sync =
            self.synced || position.saturating_sub(self.buffer.lock().synced) > MAX_UNSYNCED_BYTES;
        if must_sync { self.write_to(position, false) } else { Ok(()) }
    }

    fn bytes(&self) -> u64 {
        self.buffer.lock().end
    }

    fn sync(&self) -> io::Result<()> {
        let end = self.buffer.lock().end;
        self.write_to(end, false)
    }
}

/// What a log's file holds.
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Bytes up to the end of the last complete frame.
    pub(super) len: u64,
    pub(super) frames: u32,
    pub(super) ended: bool,
    pub(super) changes: u64,
}

/// Passes the changes of a log to `apply`. Skips what a crash left of the last frame.
pub(super) fn replay(
    path: &Path,
    number: u64,
    mut apply: impl FnMut(&[u8], Change) -> Result<(), HybridError>,
) -> Result<Found, HybridError> {
    let damaged = |part| HybridError::Damaged { file: path.to_owned(), part };
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(HybridError::Missing { file: path.to_owned() });
        }
        read => read?,
    };
    if bytes.get(..8) != Some(&MAGIC[..]) || bytes.len() < HEADER_BYTES {
        return Err(damaged("header"));
    }
    let version = word(&bytes[8..]);
    if version != VERSION {
        return Err(HybridError::Version { file: path.to_owned(), found: version });
    }
    if bytes[..HEADER_BYTES] != header(number) {
        return Err(damaged("header"));
    }
    let mut found = Found {
        path: path.to_owned(),
        len: HEADER_BYTES as u64,
        frames: 0,
        ended: false,
        changes: 0,
    };
    let mut rest = &bytes[HEADER_BYTES..];
    while !found.ended {
        let Some(changes) = frame(rest, |number| number == found.frames) else { break };
        rest = &rest[FRAME_HEADER_BYTES + changes.len()..];
        found.frames += 1;
        found.len = (bytes.len() - rest.len()) as u64;
        let mut changes = changes;
        while let Some((&kind, after)) = changes.split_first() {
            if kind == END {
                (found.ended, changes) = (true, after);
                continue;
            }
            let key_and_rest = after
                .split_at_checked(4)
                .and_then(|(len, after)| after.split_at_checked(word(len) as usize));
            let (key, after) = key_and_rest.ok_or_else(|| damaged("change"))?;
            let change = match (kind, after.split_first_chunk()) {
                (STORED, Some((value, after))) => {
                    changes = after;
                    Change::Stored(u64::from_le_bytes(*value))
                }
                (REMOVED, _) => {
                    changes = after;
                    Change::Removed
                }
                _ => return Err(damaged("change")),
            };
            found.changes += 1;
            apply(key, change)?;
        }
    }
    // A frame is on disk before the next one is written: no frame follows a torn one, and nothing
    // follows the end mark.
    let follows = |at: usize| frame(&rest[at..], |number| number > found.frames).is_some();
    if found.ended && !rest.is_empty()
        || (1..rest.len()).any(|at| rest[at..].starts_with(&FRAME_MAGIC) && follows(at))
    {
        return Err(damaged("frame"));
    }
    Ok(found)
}

/// Returns the changes of the frame at the start of `bytes`, if it is complete and `is` accepts its
/// number.
fn frame(bytes: &[u8], is: impl Fn(u32) -> bool) -> Option<&[u8]> {
    let len = bytes.get(4..FRAME_HEADER_BYTES).map(word)? as usize;
    let frame = bytes.get(..FRAME_HEADER_BYTES.checked_add(len)?)?;
    let is_complete = frame.starts_with(&FRAME_MAGIC)
        && is(word(&frame[8..]))
        && checksum(frame) == word(&frame[12..]);
    is_complete.then(|| &frame[FRAME_HEADER_BYTES..])
}

fn word(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

impl Found {
    /// Cuts off what a crash left of the last frame, and writes the end mark.
    pub(super) fn end(&self) -> io::Result<()> {
        let file = File::options().append(true).open(&self.path)?;
        failpoint::point();
        file.set_len(self.len)?;
        FrameWriter { file, frames: self.frames }.write(&mut [&empty_frame()[..], &[END]].concat())
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    #[test]
    fn a_frame_over_4_gib_is_refused() {
        // The pages are never touched, so they take no memory.
        let mut frame = vec![0; FRAME_HEADER_BYTES + (1 << 32)];
        assert!(fill_header(&mut frame, 0).unwrap_err().to_string().contains("4 GiB"));
        assert!(frame[..FRAME_HEADER_BYTES].iter().all(|&byte| byte == 0));
        let mut short = vec![0; FRAME_HEADER_BYTES + 1];
        fill_header(&mut short, 0).unwrap();
        assert_eq!(super::frame(&short, |number| number == 0), Some(&[0][..]));
    }
}
