//! Records of an external build: those that are inserted, and the sorted ones.

use super::duplicate::Duplicates;
use super::run::DAMAGED;
use super::sample::KeySample;
use super::sorter::{Sorted, Sorter, SorterForm};
use crate::error::FileError;
use crate::frozen::choose_symbols::needs_no_keys;
use crate::frozen::error::FrozenError;
use crate::frozen::front_coded::{Stored, check_lens};
use crate::frozen::layer_value::LayerValue;
use crate::frozen::options::FrozenOptions;
use crate::io::dir::Dir;
use crate::io::new_file::remove_unfinished;
use rayon::ThreadPool;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

/// Bytes of memory of an external build, unless the options set them.
const DEFAULT_MEMORY_BYTES: usize = 1 << 30;
/// Of the budget, the part that a sample may have whose pairs of symbols are counted at once.
const SAMPLE_PASS_SHARE: usize = 64;
/// Keys that are read between two calls of a function that is told of the progress.
const KEYS_PER_PROGRESS: u64 = 1 << 12;

/// Records in any order, in memory and in spill files.
pub(crate) struct ExternalRecords<V: ?Sized> {
    sorter: Sorter,
    duplicates: Duplicates,
    /// Number of records inserted.
    len: u64,
    values: PhantomData<fn(&V)>,
}

/// All records, sorted, and the sample that symbols are chosen from.
pub(crate) struct SortedRecords {
    sorted: Sorted,
    /// `None` once it is taken.
    sample: Option<KeySample>,
}

impl<V: ?Sized> ExternalRecords<V> {
    /// Returns the number of records inserted.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }
}

impl<V: LayerValue + ?Sized> ExternalRecords<V> {
    /// Begins a build with some options, whose temporary files are in `folder` unless the options
    /// name another. Leaves to the options the share of the memory that chunks in work may have.
    ///
    /// # Errors
    /// An option is out of its range, or the folder cannot be opened.
    pub(crate) fn new(options: &mut FrozenOptions, folder: &Path) -> Result<Self, FrozenError> {
        options.check()?;
        let memory =
            if options.memory == usize::MAX { DEFAULT_MEMORY_BYTES } else { options.memory };
        let duplicates = Duplicates::new(options.on_duplicate, V::STORED)?;
        let folder = options.temp_folder.as_deref().unwrap_or(folder);
        let is_sampled = !needs_no_keys(options, V::STORED);
        let dir = Dir::open(folder).map_err(|error| {
            FileError::new("create a temporary file in", folder, error.into_cause())
        })?;
        options.memory = (memory / 4).max(1 << 20);
        let dir = Arc::new(dir);
        // What others have left there does not concern this build.
        let _ = remove_unfinished(&dir);
        let sorter = Sorter::new(SorterForm::new(dir, memory, duplicates, is_sampled))?;
        Ok(ExternalRecords { sorter, duplicates, len: 0, values: PhantomData })
    }

    /// Returns the most bytes of a key, and of a byte string as its value, that fit.
    pub(crate) fn max_record_len(&self) -> usize {
        self.sorter.max_record_len()
    }

    /// Inserts a record. Spills in `pool`, or in rayon's.
    ///
    /// # Errors
    /// See [`ExternalBuilder::insert`](super::ExternalBuilder::insert).
    pub(crate) fn insert(
        &mut self,
        key: &[u8],
        value: V::Lent<'_>,
        pool: Option<&ThreadPool>,
    ) -> Result<(), FrozenError> {
        let value = V::stored(value);
        check_lens(self.len, key, value)?;
        let (len, limit) = (key.len() + value.bytes.len(), self.max_record_len());
        if len > limit {
            return Err(FrozenError::RecordOverMemory { position: self.len, len, limit });
        }
        let sorter = &mut self.sorter;
        self.duplicates.encode(value, |value| sorter.push(key, value, pool))?;
        self.len += 1;
        Ok(())
    }

    /// Sorts all records.
    pub(crate) fn finish(self, pool: Option<&ThreadPool>) -> Result<SortedRecords, FrozenError> {
        let mut sorted = self.sorter.finish(pool)?;
        let mut sample = sorted.sample(pool)?;
        for given in std::iter::once(&mut sample.keys).chain(&mut sample.values) {
            given.strings.limit_pass(sorted.memory() / SAMPLE_PASS_SHARE);
        }
        Ok(SortedRecords { sorted, sample: Some(sample) })
    }
}

/// Returns the error of a builder that refuses a sorted record: the spill file is damaged.
pub(crate) fn refused(error: FrozenError) -> FrozenError {
    match error {
        FrozenError::NotAscending { .. } => DAMAGED,
        error => error,
    }
}

impl SortedRecords {
    /// Gives the sample to the options, once. A sample that they have stays.
    pub(crate) fn give_sample(&mut self, options: &mut FrozenOptions) {
        if let Some(KeySample { keys, values }) = self.sample.take() {
            options.sample.get_or_insert(keys);
            options.value_sample = values;
        }
    }

    /// Passes each key to `take` with what is stored of its value, and to `progress`, every few
    /// thousand keys, how many records are read and how many there are.
    pub(crate) fn read<E: From<FrozenError>>(
        &self,
        mut progress: impl FnMut(u64, u64),
        mut take: impl FnMut(&[u8], Stored<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let records = self.sorted.records();
        let (mut next, mut failed) = (0, None);
        let read = self.sorted.read(|key, value, taken| {
            if taken >= next {
                progress(taken, records);
                next = taken + KEYS_PER_PROGRESS;
            }
            take(key, value).map_err(|error| {
                failed = Some(error);
                DAMAGED
            })
        });
        match (failed, read) {
            (Some(error), _) => Err(error),
            (None, read) => {
                read?;
                progress(records, records);
                Ok(())
            }
        }
    }
}
