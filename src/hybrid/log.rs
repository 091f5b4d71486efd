//! The write-ahead log of a delta: a file that grows by frames of changes.
//!
//! Changes are buffered in memory. A thread that has to wait for the file writes the whole buffer
//! as one frame, for all threads that recorded a change in it. In the mode `Synced` a frame is on
//! disk before the next one is written.
//!
//! Each delta has its own log, which is created before the delta before it is frozen. Before
//! anything is written to a log, its predecessor gets an end mark, on disk. So for each key the
//! disk always has the state of one moment. If the predecessor has failed, nothing may follow it:
//! its successor takes no changes until those of the predecessor are in the base.
//!
//! | failure | what follows |
//! |---|---|
//! | a write: no room | the frame stays in memory; the next change tries again |
//! | a sync | it is unknown what the disk has: the log takes no changes, and a compaction replaces it |

#![forbid(unsafe_code)]

use super::change::{Change, ChangeLog};
use super::error::HybridError;
use super::frame::{self, CLOSE_AT, CLOSE_BYTES, CloseRecord, END, FRAME_HEADER_BYTES, Format};
use super::home::{Home, log_name};
use super::log_reader::LogReader;
use super::options::Wal;
use crate::error::FileError;
use crate::io::dir::Access;
use crate::io::new_file::NewFile;
use crate::sync::pause;
use crate::testing::failpoint;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of changes that may be in memory only, in the mode `Buffered`.
const MAX_UNSYNCED_BYTES: u64 = 4 << 20;
/// The folder is checked before a write if it was not for this time.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);
/// Rounds of a thread that waits for another's write before it sleeps.
const MAX_SPINS: u32 = 96;

/// How far a log has to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Goal {
    /// In the file, which the system keeps if the process crashes.
    Written,
    /// On disk.
    Synced,
    /// On disk, with the end mark.
    Ended,
}

/// Why a log takes no changes.
enum Failure {
    /// The next change tries again.
    Write(FileError),
    Gone,
    Sync(FileError),
}

/// The changes in memory, and how far the log is written.
struct Buffer {
    /// Space for a frame's header, then the changes.
    frame: Vec<u8>,
    /// An empty buffer, for the next frame.
    spare: Vec<u8>,
    /// Bytes of all changes recorded, of those in the file, and of those on disk.
    end: u64,
    written: u64,
    synced: u64,
    /// Frames in the file, and on disk.
    frames: u32,
    durable: u32,
    /// Whether a thread is writing, and whether one is syncing.
    is_writing: bool,
    is_syncing: bool,
    /// The log that has to end before anything is written to this one.
    previous: Option<Arc<Log>>,
    is_ended: bool,
    failed: Option<Failure>,
}

/// Appends frames to the log's file.
struct FrameWriter {
    /// Shared with a thread that syncs it, while others write.
    file: Arc<File>,
    /// Bytes up to the end of the last whole frame.
    len: u64,
    /// Whether the file may have bytes after `len`.
    has_torn_end: bool,
    close: CloseRecord,
    checked: Option<Instant>,
}

/// Where a log's file is continued.
struct End {
    number: u64,
    format: Format,
    len: u64,
    frames: u32,
    close: CloseRecord,
}

/// A log that takes changes.
pub(super) struct Log {
    home: Arc<Home>,
    number: u64,
    wal: Wal,
    format: Format,
    buffer: Mutex<Buffer>,
    /// Notified when a write or a sync has ended.
    progress: Condvar,
    writer: Mutex<FrameWriter>,
}

impl Log {
    /// Creates a log's file. What `previous` has in memory is written before anything is written
    /// here.
    pub(super) fn create(
        home: &Arc<Home>,
        number: u64,
        wal: Wal,
        previous: Option<Arc<Log>>,
    ) -> Result<Self, FileError> {
        let (header, format) = frame::new_header(number);
        let mut file = NewFile::create_in(home.dir(), &log_name(number))?;
        file.write(&header)?;
        file.commit()?;
        let end =
            End { number, format, len: header.len() as u64, frames: 0, close: CloseRecord::Absent };
        Self::append_at(home, wal, end, previous)
    }

    /// Opens a log of the current version to append to it. Cuts off what a crash left, and syncs
    /// what it has.
    pub(super) fn resume(home: &Arc<Home>, found: &LogReader, wal: Wal) -> Result<Self, FileError> {
        let log = Self::append_at(home, wal, End::of(found), None)?;
        let mut writer = log.writer.lock();
        if !found.is_closed() {
            let cut = if found.cut.is_some() { writer.cut() } else { Ok(()) };
            cut.and_then(|()| failpoint::sync())
                .and_then(|()| writer.file.sync_all())
                .map_err(|error| log.error("sync", error))?;
        }
        drop(writer);
        Ok(log)
    }

    fn append_at(
        home: &Arc<Home>,
        wal: Wal,
        end: End,
        previous: Option<Arc<Log>>,
    ) -> Result<Self, FileError> {
        let writer = FrameWriter::open(home, &end)?;
        let End { number, format, frames, .. } = end;
        let buffer = Buffer {
            frame: empty_frame(),
            spare: empty_frame(),
            end: 0,
            written: 0,
            synced: 0,
            frames,
            durable: frames,
            is_writing: false,
            is_syncing: false,
            previous,
            is_ended: false,
            failed: None,
        };
        Ok(Log {
            home: Arc::clone(home),
            number,
            wal,
            format,
            buffer: Mutex::new(buffer),
            progress: Condvar::new(),
            writer: Mutex::new(writer),
        })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Returns whether the log has no change, in its file or in memory.
    pub(super) fn is_empty(&self) -> bool {
        let buffer = self.buffer.lock();
        buffer.frames == 0 && buffer.end == 0
    }

    fn error(&self, operation: &'static str, error: io::Error) -> FileError {
        FileError::new(operation, self.home.dir().path_of(&log_name(self.number)), error)
    }

    fn failure(&self, failure: &Failure) -> HybridError {
        match failure {
            Failure::Write(error) | Failure::Sync(error) => HybridError::Log(error.copy()),
            Failure::Gone => self.home.gone(),
        }
    }

    /// Returns once the changes up to `position` are as far as `goal` says. Writes or syncs them,
    /// with all others in memory, unless another thread does.
    fn advance(&self, position: u64, goal: Goal) -> Result<(), HybridError> {
        let mut buffer = self.buffer.lock();
        let mut spins = 0;
        loop {
            let is_written = buffer.written >= position && (goal < Goal::Ended || buffer.is_ended);
            if is_written && (goal == Goal::Written || buffer.is_synced_to(position)) {
                return Ok(());
            }
            if let Some(failure) = &buffer.failed {
                return Err(self.failure(failure));
            }
            if buffer.is_writing || goal > Goal::Written && buffer.is_syncing {
                // A write to the system's memory takes about a microsecond.
                if goal == Goal::Written && spins < MAX_SPINS {
                    drop(buffer);
                    pause(spins);
                    spins += 1;
                    buffer = self.buffer.lock();
                } else {
                    self.progress.wait(&mut buffer);
                }
            } else if let Some(previous) = buffer.previous.clone() {
                buffer = self.end_previous(buffer, &previous)?;
            } else if is_written {
                buffer = self.sync_written(buffer);
            } else {
                buffer = self.write_frame(buffer, goal);
            }
        }
    }

    fn end_previous<'b>(
        &'b self,
        mut buffer: MutexGuard<'b, Buffer>,
        previous: &Log,
    ) -> Result<MutexGuard<'b, Buffer>, HybridError> {
        buffer.is_writing = true;
        drop(buffer);
        let ended = previous.end();
        buffer = self.buffer.lock();
        buffer.is_writing = false;
        self.progress.notify_all();
        // The changes stay in memory. If a compaction has merged those of the previous log by now,
        // its failure does not matter.
        if buffer.previous.is_some() {
            ended?;
            buffer.previous = None;
        }
        Ok(buffer)
    }

    /// Writes what is in memory as a frame.
    fn write_frame<'b>(
        &'b self,
        mut buffer: MutexGuard<'b, Buffer>,
        goal: Goal,
    ) -> MutexGuard<'b, Buffer> {
        buffer.is_writing = true;
        let spare = std::mem::take(&mut buffer.spare);
        let mut frame = std::mem::replace(&mut buffer.frame, spare);
        let (position, frames, durable) = (buffer.end, buffer.frames, buffer.durable);
        drop(buffer);
        let changes_end = frame.len();
        if goal == Goal::Ended {
            frame.push(END);
        }
        let filled = self.format.fill_header(&mut frame, frames, durable);
        let mut writer = self.writer.lock();
        let written = match writer.check(&self.home) {
            Ok(true) => filled
                .and_then(|()| writer.write(&frame))
                .map_err(|error| Failure::Write(self.error("write", error))),
            Ok(false) => Err(Failure::Gone),
            Err(error) => Err(Failure::Write(error)),
        };
        drop(writer);
        let mut buffer = self.buffer.lock();
        buffer.is_writing = false;
        match written {
            Ok(()) => {
                buffer.written = position;
                buffer.is_ended = goal == Goal::Ended;
                buffer.frames += 1;
                frame.truncate(FRAME_HEADER_BYTES);
                frame.shrink_to(MAX_UNSYNCED_BYTES as usize);
                buffer.spare = frame;
            }
            Err(failure) => {
                frame.truncate(changes_end);
                frame.extend_from_slice(&buffer.frame[FRAME_HEADER_BYTES..]);
                buffer.spare = std::mem::replace(&mut buffer.frame, frame);
                buffer.spare.truncate(FRAME_HEADER_BYTES);
                buffer.failed = Some(failure);
            }
        }
        // In the mode `Synced` all wait for the sync, which follows.
        if self.wal != Wal::Synced || buffer.failed.is_some() {
            self.progress.notify_all();
        }
        buffer
    }

    /// Syncs what is written.
    fn sync_written<'b>(&'b self, mut buffer: MutexGuard<'b, Buffer>) -> MutexGuard<'b, Buffer> {
        buffer.is_syncing = true;
        let (position, frames) = (buffer.written, buffer.frames);
        drop(buffer);
        let file = Arc::clone(&self.writer.lock().file);
        let synced = failpoint::sync().and_then(|()| file.sync_data());
        let mut buffer = self.buffer.lock();
        buffer.is_syncing = false;
        match synced {
            Ok(()) => (buffer.synced, buffer.durable) = (position, frames),
            Err(error) => buffer.failed = Some(Failure::Sync(self.error("sync", error))),
        }
        self.progress.notify_all();
        buffer
    }

    /// Drops the previous log, whose changes are in the base.
    pub(super) fn forget_previous(&self) {
        self.buffer.lock().previous = None;
    }

    /// Ends the log before this one, so that changes need not wait for that.
    pub(super) fn end_before(&self) -> Result<(), HybridError> {
        let previous = self.buffer.lock().previous.clone();
        previous.map_or(Ok(()), |previous| previous.end())
    }

    /// Writes what is in memory, and the end mark. No change is recorded afterwards.
    fn end(&self) -> Result<(), HybridError> {
        self.advance(0, Goal::Ended)
    }
}

/// Creates a frame without changes.
fn empty_frame() -> Vec<u8> {
    vec![0; FRAME_HEADER_BYTES]
}

impl Buffer {
    /// Returns whether the changes up to `position`, and all frames, are on disk.
    fn is_synced_to(&self, position: u64) -> bool {
        self.synced >= position && (!self.is_ended || self.durable == self.frames)
    }
}

impl End {
    fn of(found: &LogReader) -> Self {
        let LogReader { number, format, len, frames, close, .. } = *found;
        End { number, format, len, frames, close }
    }
}

impl FrameWriter {
    /// Opens a log's file at its end.
    fn open(home: &Home, end: &End) -> Result<Self, FileError> {
        let name = log_name(end.number);
        let mut file = home.dir().file(&name, Access::Write)?;
        file.seek(SeekFrom::Start(end.len))
            .map_err(|error| FileError::new("open", home.dir().path_of(&name), error))?;
        let (len, close) = (end.len, end.close);
        Ok(FrameWriter { file: Arc::new(file), len, has_torn_end: false, close, checked: None })
    }

    /// Returns whether the folder is still the one that was opened, if it is time to check that.
    fn check(&mut self, home: &Home) -> Result<bool, FileError> {
        let now = Instant::now();
        if self.checked.is_some_and(|checked| now - checked < CHECK_INTERVAL) {
            return Ok(true);
        }
        let is_home = home.is_home()?;
        self.checked = is_home.then_some(now);
        Ok(is_home)
    }

    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        if self.close != CloseRecord::Absent {
            // On disk before the frame is: otherwise a crash might leave a frame after the close.
            self.write_close(&[0; CLOSE_BYTES], CloseRecord::Absent)?;
        }
        if self.has_torn_end {
            self.cut()?;
        }
        self.has_torn_end = true;
        failpoint::write(self.file.as_ref(), frame)?;
        self.has_torn_end = false;
        self.len += frame.len() as u64;
        Ok(())
    }

    /// Cuts off what is after the last whole frame.
    fn cut(&mut self) -> io::Result<()> {
        failpoint::point();
        self.file.set_len(self.len)?;
        self.file.as_ref().seek(SeekFrom::Start(self.len))?;
        self.has_torn_end = false;
        Ok(())
    }

    /// Writes a close record, or the zeros of an absent one.
    fn write_close(&mut self, record: &[u8; CLOSE_BYTES], close: CloseRecord) -> io::Result<()> {
        self.file.as_ref().seek(SeekFrom::Start(CLOSE_AT as u64))?;
        self.close = CloseRecord::Torn;
        let written = failpoint::write(self.file.as_ref(), record)
            .and_then(|()| failpoint::sync())
            .and_then(|()| self.file.sync_data());
        self.file.as_ref().seek(SeekFrom::Start(self.len))?;
        written?;
        self.close = close;
        Ok(())
    }
}

impl ChangeLog for Log {
    fn check(&self) -> Result<(), HybridError> {
        let mut buffer = self.buffer.lock();
        match &buffer.failed {
            None => {}
            Some(failure @ Failure::Sync(_)) => return Err(self.failure(failure)),
            Some(Failure::Write(_) | Failure::Gone) => {
                buffer.failed = None;
                let end = buffer.end;
                drop(buffer);
                self.advance(end, Goal::Written)?;
                buffer = self.buffer.lock();
            }
        }
        let previous = buffer.previous.clone();
        drop(buffer);
        previous.map_or(Ok(()), |previous| previous.check())
    }

    fn append(&self, key: &[u8], change: Change) -> u64 {
        let mut buffer = self.buffer.lock();
        let before = buffer.frame.len();
        frame::push_change(&mut buffer.frame, key, change);
        buffer.end += (buffer.frame.len() - before) as u64;
        buffer.end
    }

    fn await_durable(&self, position: u64) -> Result<(), HybridError> {
        match self.wal {
            Wal::Written => self.advance(position, Goal::Written),
            Wal::Synced => self.advance(position, Goal::Synced),
            Wal::Buffered | Wal::Off => {
                let unsynced = position.saturating_sub(self.buffer.lock().synced);
                if unsynced > MAX_UNSYNCED_BYTES {
                    self.advance(position, Goal::Synced)
                } else {
                    Ok(())
                }
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.buffer.lock().end
    }

    fn sync(&self) -> Result<(), HybridError> {
        self.home.check()?;
        let end = self.buffer.lock().end;
        self.advance(end, Goal::Synced)
    }

    fn close(&self) -> Result<(), HybridError> {
        self.sync()?;
        self.end_before()?;
        let frames = self.buffer.lock().frames;
        let mut writer = self.writer.lock();
        if writer.close == CloseRecord::Whole {
            return Ok(());
        }
        let record = self.format.close_record(writer.len, frames);
        writer
            .write_close(&record, CloseRecord::Whole)
            .map_err(|error| HybridError::Log(self.error("close", error)))
    }

    fn needs_compaction(&self) -> bool {
        matches!(self.buffer.lock().failed, Some(Failure::Sync(_)))
    }
}

/// Cuts off what a crash left of a log that is not the last, and writes the end mark.
pub(super) fn end(home: &Home, found: &LogReader) -> Result<(), FileError> {
    let failed = |error| FileError::new("end", found.path(), error);
    let mut writer = FrameWriter::open(home, &End::of(found))?;
    writer.has_torn_end = true;
    let mut frame = vec![0; found.format.frame_header_bytes()];
    frame.push(END);
    found
        .format
        .fill_header(&mut frame, found.frames, found.frames)
        .and_then(|()| writer.write(&frame))
        .and_then(|()| failpoint::sync())
        .and_then(|()| writer.file.sync_data())
        .map_err(failed)
}
