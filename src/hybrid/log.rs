//! The log of a delta's changes: a file that grows.
//!
//! ```text
//!   file    ┌ header, 24 bytes ┬ frame 0 ┬ frame 1 ┬ … ┬ end frame ┐
//!   frame   ┌ "mkvF" ┬ bytes of the notes ┬ number of the frame ┬ CRC-32 of all else in the frame ┬ notes ┐      words of 4 bytes
//!   note    ┌ 1: stored ┬ bytes of the key, 4 bytes ┬ key ┬ value, 8 bytes ┐     ┌ 0: removed ┬ bytes of the key ┬ key ┐    ┌ 2: end ┐
//! ```
//! All numbers are little-endian. Notes gather in memory. Whoever has to wait for the disk writes all that is there as one frame, and
//! waits for all who came meanwhile. A frame is on the disk before the next one is written, so only the last can be torn.
//!
//! Each delta has a log of its own, and the next one is created before the delta is sealed. Before anything is written to a log, its
//! predecessor gets its end frame. So what is on the disk is at all times what was there at one moment, of each key. Where the predecessor
//! has failed, nothing can follow it: its successor takes no notes, until the predecessor's are in the base.

#![forbid(unsafe_code)]

use super::delta::Change;
use super::error::HybridError;
use super::journal::Journal;
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
const HEADER: usize = 24;
const FRAME: [u8; 4] = *b"mkvF";
const FRAME_HEADER: usize = 16;
const REMOVED: u8 = 0;
const STORED: u8 = 1;
const END: u8 = 2;
/// Bytes of notes that may wait in memory.
const MOST_WAITING: u64 = 4 << 20;

/// Notes in memory.
struct Waiting {
    /// Room for the header of their frame, and the notes.
    frame: Vec<u8>,
    /// Bytes of all notes there ever were, and of those that are on the disk.
    end: u64,
    synced: u64,
    /// Whether somebody is writing.
    busy: bool,
    /// The log that has to end before anything is written to this one.
    previous: Option<Arc<Log>>,
    ended: bool,
    failed: Option<Failure>,
}

struct Tail {
    file: File,
    frames: u32,
}

/// A log that is written.
pub(super) struct Log {
    number: u64,
    /// Whether who makes a change waits for it to be on the disk.
    synced: bool,
    waiting: Mutex<Waiting>,
    written: Condvar,
    tail: Mutex<Tail>,
}

fn header(number: u64) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&number.to_le_bytes());
    header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
    header
}

/// Fills in the header before some notes.
fn complete(frame: &mut [u8], number: u32) -> io::Result<()> {
    let len = u32::try_from(frame.len() - FRAME_HEADER)
        .map_err(|_| io::Error::other("over 4 GiB of changes at a time"))?;
    frame[..4].copy_from_slice(&FRAME);
    frame[4..8].copy_from_slice(&len.to_le_bytes());
    frame[8..12].copy_from_slice(&number.to_le_bytes());
    let checksum = checksum(frame);
    frame[12..16].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..12]);
    hasher.update(&frame[FRAME_HEADER..]);
    hasher.finalize()
}

impl Log {
    /// Creates a log's file. What `previous` waits with is written before anything is written here.
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

    /// Goes on with a log that has no frame yet.
    pub(super) fn append_to(
        path: &Path,
        number: u64,
        synced: bool,
        previous: Option<Arc<Log>>,
    ) -> io::Result<Self> {
        let file = File::options().append(true).open(path)?;
        file.set_len(HEADER as u64)?;
        let waiting = Waiting {
            frame: no_notes(),
            end: 0,
            synced: 0,
            busy: false,
            previous,
            ended: false,
            failed: None,
        };
        let tail = Mutex::new(Tail { file, frames: 0 });
        Ok(Log { number, synced, waiting: Mutex::new(waiting), written: Condvar::new(), tail })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Writes the notes up to a place, with all others that wait; with `end`, also that nothing follows.
    fn write_to(&self, place: u64, end: bool) -> io::Result<()> {
        let mut waiting = self.waiting.lock();
        loop {
            if waiting.synced >= place && (waiting.ended || !end) {
                return Ok(());
            }
            waiting.check()?;
            if waiting.busy {
                self.written.wait(&mut waiting);
                continue;
            }
            waiting.busy = true;
            if let Some(previous) = waiting.previous.clone() {
                drop(waiting);
                let ended = previous.end();
                waiting = self.waiting.lock();
                waiting.busy = false;
                self.written.notify_all();
                // The notes wait on: if they come to the base meanwhile that the log before has lost, nothing is amiss with those.
                if waiting.previous.is_some() {
                    ended?;
                    waiting.previous = None;
                }
                continue;
            }
            let (mut frame, place) =
                (std::mem::replace(&mut waiting.frame, no_notes()), waiting.end);
            drop(waiting);
            if end {
                frame.push(END);
            }
            let written = self.tail.lock().write(&mut frame);
            waiting = self.waiting.lock();
            waiting.busy = false;
            match written {
                Ok(()) => (waiting.synced, waiting.ended) = (place, end),
                // What a disk has of a write that failed cannot be known, so nothing may follow it.
                Err(error) => waiting.failed = Some(Failure::new(&error)),
            }
            self.written.notify_all();
        }
    }

    /// The changes before this log are in the base.
    pub(super) fn forget_previous(&self) {
        self.waiting.lock().previous = None;
    }

    /// Writes what waits, and that nothing follows. Nobody takes notes any more.
    fn end(&self) -> io::Result<()> {
        self.write_to(0, true)
    }
}

/// A frame to be.
fn no_notes() -> Vec<u8> {
    vec![0; FRAME_HEADER]
}

impl Waiting {
    fn check(&self) -> io::Result<()> {
        Failure::check(self.failed.as_ref())
    }
}

impl Tail {
    fn write(&mut self, frame: &mut [u8]) -> io::Result<()> {
        complete(frame, self.frames)?;
        self.frames += 1;
        failpoint::write(&self.file, frame)?;
        failpoint::point();
        self.file.sync_data()
    }
}

impl Journal for Log {
    fn ready(&self) -> io::Result<()> {
        let waiting = self.waiting.lock();
        waiting.check()?;
        waiting.previous.as_ref().map_or(Ok(()), |previous| previous.ready())
    }

    fn append(&self, key: &[u8], change: Change) -> u64 {
        let mut waiting = self.waiting.lock();
        let before = waiting.frame.len();
        waiting.frame.push(if change.is_some() { STORED } else { REMOVED });
        waiting.frame.extend_from_slice(&(key.len() as u32).to_le_bytes());
        waiting.frame.extend_from_slice(key);
        if let Some(value) = change {
            waiting.frame.extend_from_slice(&value.to_le_bytes());
        }
        waiting.end += (waiting.frame.len() - before) as u64;
        waiting.end
    }

    fn settle(&self, place: u64) -> io::Result<()> {
        let now = self.synced || place.saturating_sub(self.waiting.lock().synced) > MOST_WAITING;
        if now { self.write_to(place, false) } else { Ok(()) }
    }

    fn bytes(&self) -> u64 {
        self.waiting.lock().end
    }

    fn sync(&self) -> io::Result<()> {
        let end = self.waiting.lock().end;
        self.write_to(end, false)
    }
}

/// What is in a log's file.
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Bytes up to the end of the last whole frame.
    pub(super) len: u64,
    pub(super) frames: u32,
    pub(super) ended: bool,
    pub(super) notes: u64,
}

/// Hands on the notes of a log. What a crash left of its last frame is passed over.
pub(super) fn replay(
    path: &Path,
    number: u64,
    mut then: impl FnMut(&[u8], Change) -> Result<(), HybridError>,
) -> Result<Found, HybridError> {
    let damaged = |part| HybridError::Damaged { file: path.to_owned(), part };
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(HybridError::Missing { file: path.to_owned() });
        }
        read => read?,
    };
    if bytes.get(..8) != Some(&MAGIC[..]) || bytes.len() < HEADER {
        return Err(damaged("header"));
    }
    let version = word(&bytes[8..]);
    if version != VERSION {
        return Err(HybridError::Version { file: path.to_owned(), found: version });
    }
    if bytes[..HEADER] != header(number) {
        return Err(damaged("header"));
    }
    let mut found =
        Found { path: path.to_owned(), len: HEADER as u64, frames: 0, ended: false, notes: 0 };
    let mut rest = &bytes[HEADER..];
    while !found.ended {
        let Some(notes) = frame(rest, |number| number == found.frames) else { break };
        rest = &rest[FRAME_HEADER + notes.len()..];
        found.frames += 1;
        found.len = (bytes.len() - rest.len()) as u64;
        let mut notes = notes;
        while let Some((&kind, after)) = notes.split_first() {
            if kind == END {
                (found.ended, notes) = (true, after);
                continue;
            }
            let parts = after
                .split_at_checked(4)
                .and_then(|(len, after)| after.split_at_checked(word(len) as usize));
            let (key, after) = parts.ok_or_else(|| damaged("note"))?;
            let change = match (kind, after.split_first_chunk()) {
                (STORED, Some((value, after))) => {
                    notes = after;
                    Some(u64::from_le_bytes(*value))
                }
                (REMOVED, _) => {
                    notes = after;
                    None
                }
                _ => return Err(damaged("note")),
            };
            found.notes += 1;
            then(key, change)?;
        }
    }
    // Whoever wrote a frame had the one before on the disk: behind a torn one there is none, and behind the end nothing.
    let follows = |at: usize| frame(&rest[at..], |number| number > found.frames).is_some();
    if found.ended && !rest.is_empty()
        || (1..rest.len()).any(|at| rest[at..].starts_with(&FRAME) && follows(at))
    {
        return Err(damaged("frame"));
    }
    Ok(found)
}

/// The notes of the frame that the bytes begin with, if it is whole and has such a number.
fn frame(bytes: &[u8], is: impl Fn(u32) -> bool) -> Option<&[u8]> {
    let len = bytes.get(4..FRAME_HEADER).map(word)? as usize;
    let frame = bytes.get(..FRAME_HEADER.checked_add(len)?)?;
    let whole =
        frame.starts_with(&FRAME) && is(word(&frame[8..])) && checksum(frame) == word(&frame[12..]);
    whole.then(|| &frame[FRAME_HEADER..])
}

fn word(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

impl Found {
    /// Cuts off what a crash left of the last frame, and writes that nothing follows.
    pub(super) fn end(&self) -> io::Result<()> {
        let file = File::options().append(true).open(&self.path)?;
        failpoint::point();
        file.set_len(self.len)?;
        Tail { file, frames: self.frames }.write(&mut [&no_notes()[..], &[END]].concat())
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    #[test]
    fn a_frame_over_4_gib_is_refused() {
        // Nothing of it is read, so it takes no memory.
        let mut frame = vec![0; FRAME_HEADER + (1 << 32)];
        assert!(complete(&mut frame, 0).unwrap_err().to_string().contains("4 GiB"));
        assert!(frame[..FRAME_HEADER].iter().all(|&byte| byte == 0));
        let mut short = vec![0; FRAME_HEADER + 1];
        complete(&mut short, 0).unwrap();
        assert_eq!(super::frame(&short, |number| number == 0), Some(&[0][..]));
    }
}
