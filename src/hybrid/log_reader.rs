//! Reads the frames of a log, from its start or from where it stopped.

#![forbid(unsafe_code)]

use super::change::Change;
use super::error::HybridError;
use super::frame::{self, CloseRecord, Entry, Format};
use super::home::{CutName, StoreFiles, log_name, missing};
use super::recovery::CutEnd;
use crate::error::FileError;
use crate::io::dir::{Access, Dir};
use crate::io::new_file::NewFile;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// A log that is read. Another process may append to it.
pub(super) struct LogReader {
    file: File,
    path: PathBuf,
    pub(super) number: u64,
    pub(super) format: Format,
    /// Bytes up to the end of the last whole frame.
    pub(super) len: u64,
    pub(super) frames: u32,
    pub(super) changes: u64,
    /// Whether the last frame has the end mark: another log follows.
    pub(super) is_ended: bool,
    pub(super) close: CloseRecord,
    /// What follows the last whole frame.
    pub(super) cut: Option<CutEnd>,
}

impl LogReader {
    /// Opens a log, and reads its header.
    pub(super) fn open(dir: &Dir, number: u64) -> Result<Self, HybridError> {
        let (name, path) = (log_name(number), dir.path_of(&log_name(number)));
        let file = dir.file(&name, Access::Read).map_err(|error| missing(path.clone(), error))?;
        let mut log = LogReader {
            file,
            path,
            number,
            format: Format::V1,
            len: 0,
            frames: 0,
            changes: 0,
            is_ended: false,
            close: CloseRecord::Absent,
            cut: None,
        };
        let header = log.read_from(0, Some(frame::HEADER_BYTES))?;
        log.format = frame::read_header(&header, number).map_err(|version| match version {
            Some(found) => HybridError::Version { file: log.path.clone(), found },
            None => log.damaged("header"),
        })?;
        log.len = log.format.header_bytes() as u64;
        Ok(log)
    }

    /// Returns the path of the file, for messages.
    pub(super) fn path(&self) -> &PathBuf {
        &self.path
    }

    pub(super) fn is_closed(&self) -> bool {
        self.close == CloseRecord::Whole
    }

    /// Returns whether the file has more than what was read of it.
    pub(super) fn has_frames(&self) -> Result<bool, HybridError> {
        let metadata = self.file.metadata();
        let bytes = metadata.map_err(|error| FileError::new("read", &self.path, error))?.len();
        Ok(bytes > self.len)
    }

    pub(super) fn damaged(&self, part: &'static str) -> HybridError {
        HybridError::Damaged { file: self.path.clone(), part }
    }

    fn read_from(&mut self, at: u64, most: Option<usize>) -> Result<Vec<u8>, HybridError> {
        let mut bytes = Vec::new();
        self.file
            .seek(SeekFrom::Start(at))
            .and_then(|_| {
                let most = most.map_or(u64::MAX, |most| most as u64);
                (&self.file).take(most).read_to_end(&mut bytes)
            })
            .map_err(|error| FileError::new("read", &self.path, error))?;
        Ok(bytes)
    }

    /// Passes the changes of the frames after the last one read to `apply`.
    ///
    /// # Errors
    /// Returns an error if the log is damaged. What a crash leaves is no damage, nor is a frame
    /// that is being written.
    pub(super) fn read(
        &mut self,
        mut apply: impl FnMut(&[u8], Change) -> Result<(), HybridError>,
    ) -> Result<(), HybridError> {
        // A log that is continued while it is read is closed no more, or is closed elsewhere.
        let (bytes, header) = loop {
            let before = self.read_from(0, Some(frame::HEADER_BYTES))?;
            let bytes = self.read_from(self.len, None)?;
            let header = self.read_from(0, Some(frame::HEADER_BYTES))?;
            if before.len() < self.format.header_bytes() {
                return Err(self.damaged("header"));
            }
            if header.get(..frame::HEADER_BYTES) == before.get(..frame::HEADER_BYTES)
                || self.format == Format::V1
            {
                break (bytes, header);
            }
        };
        let mut rest = &bytes[..];
        while !self.is_ended
            && let Some(mut changes) = self.format.frame(rest, self.frames)
        {
            let frame_bytes = self.format.frame_header_bytes() + changes.len();
            while !changes.is_empty() {
                let (entry, after) =
                    frame::split_change(changes).ok_or_else(|| self.damaged("change"))?;
                match entry {
                    Entry::Change(key, change) => {
                        self.changes += 1;
                        apply(key, change)?;
                    }
                    Entry::End => self.is_ended = true,
                }
                changes = after;
            }
            rest = &rest[frame_bytes..];
            self.len += frame_bytes as u64;
            self.frames = self.frames.wrapping_add(1);
        }
        self.close = self
            .format
            .read_close(&header, self.len, self.frames)
            .map_err(|()| self.damaged(if rest.is_empty() { "close record" } else { "frame" }))?;
        let is_wrong = !rest.is_empty()
            && (self.is_closed() || self.is_ended || self.format.is_damage(rest, self.frames));
        if is_wrong {
            return Err(self.damaged("frame"));
        }
        self.cut = (!rest.is_empty()).then(|| CutEnd {
            file: self.path.clone(),
            frames: self.format.frames_claimed(rest, self.frames),
            bytes: rest.len() as u64,
            kept: None,
        });
        Ok(())
    }

    /// Copies what follows the last whole frame to a file of its own, before it is cut off, if it
    /// has more frames than the one that a crash of the process leaves.
    pub(super) fn keep_cut(&mut self, dir: &Arc<Dir>) -> Result<(), HybridError> {
        if self.cut.as_ref().is_none_or(|cut| cut.frames < 2) {
            return Ok(());
        }
        let header = self.read_from(0, Some(self.format.header_bytes()))?;
        let rest = self.read_from(self.len, None)?;
        let (log, frame) = (self.number, self.frames);
        let cuts = StoreFiles::of(&dir.names()?).cuts.into_iter();
        let last = cuts.filter(|cut| (cut.log, cut.frame) == (log, frame)).map(|cut| cut.nth).max();
        let name = CutName { log, frame, nth: last.unwrap_or(0) + 1 }.to_string();
        let mut file = NewFile::create_in(dir, &name)?;
        file.write(&header)?;
        file.write(&rest)?;
        file.commit()?;
        self.cut.iter_mut().for_each(|cut| cut.kept = Some(dir.path_of(&name)));
        Ok(())
    }
}

/// Passes the changes of a log's whole frames whose numbers are in a range to `apply`, in their
/// order. Returns the bytes in no whole frame, and whether the log has the end mark; or `None` if
/// its header is damaged. Takes time in O(bytes).
pub(super) fn salvage(
    bytes: &[u8],
    number: u64,
    frames: &Range<u32>,
    mut apply: impl FnMut(&[u8], Change) -> Result<(), HybridError>,
) -> Result<Option<(u64, bool)>, HybridError> {
    let Ok(format) = frame::read_header(bytes, number) else { return Ok(None) };
    let mut rest = &bytes[format.header_bytes()..];
    let (mut unread, mut is_ended, mut next) = (0, false, 0);
    while !rest.is_empty() {
        match format.frame_header(rest) {
            Some(header) if header.number >= next => {
                let bytes = format.frame_header_bytes().saturating_add(header.len);
                next = header.number.wrapping_add(1);
                match format.frame(rest, header.number) {
                    Some(mut changes) => {
                        while let Some((entry, after)) = frame::split_change(changes) {
                            match entry {
                                Entry::Change(key, change) if frames.contains(&header.number) => {
                                    apply(key, change)?;
                                }
                                Entry::Change(..) => {}
                                Entry::End => is_ended = true,
                            }
                            changes = after;
                        }
                    }
                    // In version 1 the length may be what is damaged.
                    None => unread += rest.len().min(bytes) as u64,
                }
                rest = rest.get(bytes..).unwrap_or_default();
            }
            // Its content can look like frames.
            _ if format == Format::V1 => {
                unread += rest.len() as u64;
                rest = &[];
            }
            _ => {
                unread += 1;
                rest = &rest[1..];
            }
        }
    }
    Ok(Some((unread, is_ended)))
}
