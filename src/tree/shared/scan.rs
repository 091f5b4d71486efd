//! Scans of trees that other threads edit at the same time.
//!
//! ```text
//!   position ─▶ pin, seek ─▶ copies of some leaves, unpin ─▶ decoded step by step ─▶ position
//! ```
//!
//! A scan copies the leaves after its position under a pin, and decodes its keys from the copies.
//! So between two steps it holds no pin, no node and no lock: it may be kept for any time, and sent
//! to another thread. A leaf's keys never change, and its values are read one by one, so a copy has
//! pairs of the map of moments since the scan began to read (SAFETY.md, C).
//!
//! The first run has few entries, since a scan may be short, the next ones a leaf each, and later
//! ones more and more, up to [`MAX_COPIED_BYTES`]. A run goes on where the one before it ended, by
//! the path that was kept, unless memory was reclaimed or a node replaced (SAFETY.md, R7). A scan
//! reads again from its position when its thread has changed any map in the meantime, so that it
//! sees what its own thread did.

use crate::reclaim::{self, Era, Pin};
use crate::sync::own_changes::LastChange;
use crate::tree::LeafCoder;
use crate::tree::node::{Info, Kind, LeafCopies, Node, NodeRef, Slot};
use crate::tree::read::cursor::{CursorState, Place};
use crate::tree::shared::SharedTree;
use crate::value::Bits;
use std::marker::PhantomData;
use std::ops::Bound;
use std::sync::Arc;

/// Bytes of copies that end a run, unless it is one leaf.
const MAX_COPIED_BYTES: usize = 30 << 10;
const IN_MODEL: bool = cfg!(any(memkv_loom, memkv_shuttle));
/// Entries of the first run, all of one leaf.
const FIRST_ENTRIES: usize = if IN_MODEL { 1 } else { 24 };
/// How far before it is copied a leaf is prefetched, in leaves.
const PREFETCH_DISTANCE: usize = 3;
/// Runs before the first one with several leaves.
const SHORT_RUNS: u32 = 5;
/// Leaves of the longest run.
const MAX_LEAVES: usize = if IN_MODEL { 1 } else { 64 };

/// A position between two keys.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Position<'k> {
    /// Before the run's own key, present or not.
    BeforeOwn,
    /// After the run's own key, present or not.
    AfterOwn,
    /// Before this key, present or not.
    Before(&'k [u8]),
    /// After all keys.
    End,
}

/// What a scan reads.
pub(crate) trait ScanSource {
    type Bits: Bits;

    /// Reads the leaves after a position, or before it if the run goes back, as far as `limit`.
    /// Returns whether there are no more of them.
    fn read_run(
        &mut self,
        run: &mut LeafRun<Self::Bits>,
        from: Position<'_>,
        limit: Bound<&[u8]>,
    ) -> bool;
}

impl<B: Bits> ScanSource for &SharedTree<B> {
    type Bits = B;

    fn read_run(&mut self, run: &mut LeafRun<B>, from: Position<'_>, limit: Bound<&[u8]>) -> bool {
        run.read(self, &reclaim::pin(), from, limit)
    }
}

/// A tree that is read under one pin from run to run, and the pin.
///
/// What a run has found stays valid until the next run is read.
pub(crate) struct PinnedSource<'t, B: Bits> {
    tree: &'t SharedTree<B>,
    /// Whether the thread had no other pin when this one was made. With two pins, little can be
    /// reclaimed.
    is_only_pin: bool,
    pin: Pin,
}

impl<'t, B: Bits> PinnedSource<'t, B> {
    pub(crate) fn new(tree: &'t SharedTree<B>) -> Self {
        PinnedSource { tree, is_only_pin: !reclaim::is_pinned(), pin: reclaim::pin() }
    }
}

impl<B: Bits> ScanSource for PinnedSource<'_, B> {
    type Bits = B;

    fn read_run(&mut self, run: &mut LeafRun<B>, from: Position<'_>, limit: Bound<&[u8]>) -> bool {
        self.pin.renew();
        if self.is_only_pin {
            // Otherwise a thread that edits the tree as it scans it would never reclaim memory.
            self.pin.help();
        }
        run.read(self.tree, &self.pin, from, limit)
    }
}

/// A copy of a leaf, or of neighbouring entries of one.
#[derive(Clone, Copy, Default)]
struct CopiedLeaf {
    copy: usize,
    /// The first position in the run's direction.
    place: Place,
    /// The index at which the run leaves the copy.
    end: usize,
    /// Where in `LeafRun::keys` what the key buffer has at first ends.
    key_end: usize,
}

/// What ended a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RunEnd {
    /// No entry is left up to the limit.
    Whole,
    /// It has as much as it may have. The next one begins at the cursor.
    AtCursor,
    /// The next leaf was too large for it.
    Full,
}

/// Where a run ended. The run's cursor keeps the path there.
#[derive(Clone, Copy)]
struct PathEnd {
    leaf: Node,
    place: Place,
}

/// Copies of neighbouring leaves, which are read in one direction.
pub(crate) struct LeafRun<B: Bits> {
    /// While leaves are copied, it walks over their nodes; afterwards, over the copies. Its key is
    /// that of the last step, or, while the run is empty, of the scan's position.
    cursor: CursorState,
    copies: LeafCopies,
    /// The first of the leaves, and the others. Most runs have one.
    first: Option<CopiedLeaf>,
    others: Vec<CopiedLeaf>,
    /// What the key buffer has at first in each leaf, if there are several. While the run is empty,
    /// the key that it keeps.
    keys: Vec<u8>,
    /// Whether `keys` has that of the last leaf, or the key to keep.
    is_key_kept: bool,
    /// The key to which `restart` goes back.
    origin: Vec<u8>,
    /// Leaves that were entered.
    entered: usize,
    /// `CopiedLeaf::end` of the current leaf.
    end: usize,
    back: bool,
    /// Runs that were read before this one without a break.
    number: u32,
    /// The era in which the run was read, or the first part of it.
    era: Option<Era>,
    /// The address of the tree that was read last.
    tree: usize,
    /// Where the next run begins, if the path there is kept.
    path_end: Option<PathEnd>,
    /// Keep the tables of coded copies (N13).
    coders: Vec<Arc<LeafCoder>>,
    values: PhantomData<B>,
}

impl<B: Bits> LeafRun<B> {
    fn new() -> Self {
        LeafRun {
            cursor: CursorState::new::<B>(),
            copies: LeafCopies::default(),
            first: None,
            others: Vec::new(),
            keys: Vec::new(),
            is_key_kept: false,
            origin: Vec::new(),
            entered: 0,
            end: 0,
            back: false,
            number: 0,
            era: None,
            tree: 0,
            path_end: None,
            coders: Vec::new(),
            values: PhantomData,
        }
    }

    /// Drops the copies, and the path. The key stays.
    pub(crate) fn clear(&mut self) {
        self.clear_copies();
        self.path_end = None;
    }

    /// Drops the copies.
    fn clear_copies(&mut self) {
        self.copies.clear(MAX_COPIED_BYTES);
        // The next run is mostly of the same tree.
        let others = self.coders.len().saturating_sub(1);
        self.coders.drain(..others);
        self.first = None;
        self.others.clear();
        self.keys.clear();
        self.is_key_kept = false;
        self.cursor.leave();
        (self.entered, self.end) = (0, 0);
    }

    /// Keeps the key for [`restart`](Self::restart).
    pub(crate) fn keep_origin(&mut self) {
        self.origin.clear();
        self.origin.extend_from_slice(self.cursor.key.get());
    }

    /// Drops the copies, and goes back to the key that was kept last.
    pub(crate) fn restart(&mut self) {
        self.clear();
        self.cursor.key.set(&self.origin);
    }

    /// Returns how many leaves the run may have. The first one has [`FIRST_ENTRIES`] of one leaf.
    fn max_leaves(&self) -> usize {
        MAX_LEAVES.min(1 << self.number.saturating_sub(SHORT_RUNS - 1).min(MAX_LEAVES.ilog2()))
    }

    /// Returns whether the run is read in descending order.
    pub(crate) fn is_back(&self) -> bool {
        self.back
    }

    /// Returns the key of the last step, or of the scan's position.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.cursor.key.get()
    }

    /// Adds copies of the leaves from a position on. Returns whether these are all up to `limit`,
    /// or to the end of the tree. If it adds nothing, the key stays.
    pub(crate) fn read(
        &mut self,
        tree: &SharedTree<B>,
        pin: &Pin,
        from: Position<'_>,
        limit: Bound<&[u8]>,
    ) -> bool {
        let (root, era) = (&tree.read(pin).root, pin.era());
        let path_end = self.path_end.take().filter(|_| self.is_live(tree, era));
        self.tree = std::ptr::from_ref(tree).addr();
        self.keep_coder(tree.read(pin).coder());
        if self.first.is_none() {
            self.era = Some(era);
        }
        // SAFETY: (R1, R7) of what it reached under another pin, the cursor uses only a path of the
        // same era.
        unsafe {
            match from {
                Position::BeforeOwn | Position::AfterOwn => {
                    let after = matches!(from, Position::AfterOwn);
                    let resume =
                        |end: PathEnd| self.cursor.resume(root, end.leaf, end.place, after);
                    if !path_end.is_some_and(resume) {
                        self.cursor.seek_own(root, after);
                    }
                }
                Position::Before(key) => {
                    self.keep_key();
                    self.cursor.seek(root, key, false);
                }
                Position::End => self.cursor.set_end(),
            }
            // An empty tree had nothing before the position either. To look for its last leaf would
            // find what another thread has inserted since, on either side.
            let is_empty = self.cursor.leaf.is_none() && !matches!(from, Position::End);
            let end = if is_empty && !mutant!(RootReadAgain) {
                RunEnd::Whole
            } else {
                self.copy_leaves(root, limit)
            };
            // With no leaf added, the buffer's key may be outside of the path's range.
            let is_here = end == RunEnd::AtCursor && !self.is_key_kept;
            let place = self.cursor.place();
            self.path_end =
                (self.cursor.leaf.filter(|_| is_here)).map(|leaf| PathEnd { leaf, place });
            self.cursor.leave();
            if self.first.is_none() && self.is_key_kept {
                self.cursor.key.set(&self.keys);
                self.keys.clear();
                self.is_key_kept = false;
            } else if !self.others.is_empty() {
                self.keep_key();
            }
            end == RunEnd::Whole
        }
    }

    /// Keeps the tables by which the copies of a tree are coded.
    #[inline]
    fn keep_coder(&mut self, coder: Option<&Arc<LeafCoder>>) {
        let Some(coder) = coder else { return };
        if !self.coders.last().is_some_and(|last| Arc::ptr_eq(last, coder)) {
            self.coders.push(Arc::clone(coder));
        }
    }

    /// Returns whether all that the run found is still live, for a thread that is pinned in `era`
    /// (R7).
    fn is_live(&self, tree: &SharedTree<B>, era: Era) -> bool {
        self.tree == std::ptr::from_ref(tree).addr()
            && (self.era == Some(era) || mutant!(EraNotCompared))
    }

    /// Returns the value of the last step.
    fn last_value(&self) -> Option<B> {
        let copy = self.cursor.leaf?;
        let index = if self.back { self.cursor.index } else { self.cursor.index.checked_sub(1)? };
        // SAFETY: (N1, N5, N11) as in `step`, which passed the entry.
        Some(unsafe { copy.value(copy.info(), index) })
    }

    /// Copies the key buffer for when it is needed again: at the first step in the last leaf, or if
    /// the run stays empty.
    fn keep_key(&mut self) {
        if !self.is_key_kept {
            self.keys.extend_from_slice(self.cursor.key.get());
            self.is_key_kept = true;
            if let Some(leaf) = self.others.last_mut().or(self.first.as_mut()) {
                leaf.key_end = self.keys.len();
            }
        }
    }

    /// Adds a copy to the run.
    fn add(&mut self, leaf: CopiedLeaf) {
        if self.first.is_none() {
            self.keys.clear();
            self.first = Some(leaf);
        } else {
            self.others.push(leaf);
        }
        self.is_key_kept = false;
    }

    /// Copies leaves from the cursor's position on.
    ///
    /// # Safety
    /// The position was taken under a pin that lasts (R1).
    unsafe fn copy_leaves(&mut self, root: &Slot, limit: Bound<&[u8]>) -> RunEnd {
        let max_leaves = self.max_leaves();
        if max_leaves > 1 {
            // SAFETY: (R1) by the caller.
            (1..PREFETCH_DISTANCE)
                .for_each(|n| unsafe { self.cursor.prefetch_ahead(n, self.back) });
        }
        loop {
            // SAFETY: (R1) by the caller, here and below.
            let leaf = match unsafe { self.cursor.leaf_ahead(self.back) } {
                Some(leaf) => leaf,
                None => {
                    if self.first.is_some() && self.others.len() + 1 >= max_leaves {
                        return RunEnd::AtCursor;
                    }
                    self.keep_key();
                    // SAFETY: (R1) as above.
                    if !unsafe { self.cursor.find_entry(root, self.back) } {
                        return RunEnd::Whole;
                    }
                    continue;
                }
            };
            let last = if self.back { 0 } else { leaf.count() };
            let end = match limit {
                Bound::Unbounded => last,
                Bound::Included(key) => self.cursor.index_of(&leaf, key, !self.back),
                Bound::Excluded(key) => self.cursor.index_of(&leaf, key, self.back),
            };
            let place = self.cursor.place();
            let left = if self.back {
                place.index.saturating_sub(end)
            } else {
                end.saturating_sub(place.index)
            };
            if left == 0 {
                return RunEnd::Whole;
            }
            let is_full = self.copies.bytes() + leaf.info.size::<B>() > MAX_COPIED_BYTES;
            if is_full && self.first.is_some() {
                return RunEnd::Full;
            }
            // Wide leaves are not divided.
            let is_part = self.number == 0 && !leaf.info.is_wide();
            let n = if is_part { left.min(FIRST_ENTRIES) } else { left };
            let copied = self.copy(&leaf, place, n);
            self.add(copied);
            if n < left {
                self.cursor.skip(&leaf, n, self.back);
                return RunEnd::AtCursor;
            }
            if end != last {
                return RunEnd::Whole;
            }
            self.cursor.index = last;
            let distance = if max_leaves > 1 { PREFETCH_DISTANCE } else { 1 };
            // SAFETY: (R1) as above.
            unsafe { self.cursor.prefetch_ahead(distance, self.back) };
        }
    }

    /// Copies the next `n` entries of a leaf, and what is needed to decode them.
    fn copy(&mut self, leaf: &NodeRef<'_>, place: Place, n: usize) -> CopiedLeaf {
        let is_wide = leaf.info.is_wide();
        let (from, to) = match (is_wide, self.back) {
            (true, _) => (0, leaf.count()),
            (false, true) => (0, place.index),
            (false, false) => (place.index, place.index + n),
        };
        let arrays = if is_wide { [&[][..]; 4] } else { leaf.arrays(from, to) };
        let info = if is_wide {
            leaf.info
        } else {
            let is_empty_first = from == 0 && leaf.info.empty_first();
            let (n, rest) = (to - from, arrays[3].len());
            let info = Info::narrow(Kind::Leaf, n, rest, leaf.strip(), is_empty_first);
            if leaf.info.is_coded() { info.coded() } else { info }
        };
        let copy = self.copies.add::<B>(info);
        let node = self.copies.get(copy);
        // SAFETY: (N1, N5, N6, N11) the leaf is live, as its reference says. The copy is ours, and
        // its info was made for these entries.
        unsafe {
            if is_wide {
                let payload = leaf.payload();
                node.payload_mut(info).copy_from_nonoverlapping(payload.as_ptr(), payload.len());
            } else {
                NodeRef::write_arrays(arrays, node, info);
                leaf.copy_table(node);
            }
            for i in from..to {
                node.set_value::<B>(info, i - from, leaf.node.value(leaf.info, i));
            }
        }
        let place = if from > 0 { Place::default() } else { place };
        let end = if self.back { place.index - n } else { place.index + n };
        CopiedLeaf { copy, place, end, key_end: 0 }
    }

    /// Moves to the next leaf of the run, and returns whether there is one.
    fn enter_next(&mut self) -> bool {
        let leaf = |i: usize| match i.checked_sub(1) {
            None => self.first.as_ref(),
            Some(i) => self.others.get(i),
        };
        let Some(&CopiedLeaf { copy, place, end, key_end }) = leaf(self.entered) else {
            return false;
        };
        if self.is_key_kept {
            let start = self.entered.checked_sub(1).and_then(leaf).map_or(0, |leaf| leaf.key_end);
            self.cursor.key.set(&self.keys[start..key_end]);
        }
        // SAFETY: (N1, N11) the copy is live until the run is read again.
        unsafe { self.cursor.enter(self.copies.get(copy), place) };
        (self.entered, self.end) = (self.entered + 1, end);
        true
    }

    /// Returns whether the current leaf has no more entries for the run.
    #[inline]
    fn is_at_end(&self) -> bool {
        self.cursor.index == self.end
    }

    /// Passes the next entry of the current leaf, unless the run is at its end there.
    #[inline]
    fn step(&mut self) -> Option<(&[u8], B)> {
        let copy = self.cursor.leaf?;
        // SAFETY: (N1, N5, N11) the copy is live until the run is read again, and has an entry in
        // this direction, since the index is not yet at the end.
        let value = unsafe {
            if self.back {
                let pos = self.cursor.previous_in(copy);
                copy.value(pos.info, pos.index)
            } else {
                self.cursor.pass_here();
                self.cursor.passed_value()
            }
        };
        Some((self.cursor.key.get(), value))
    }
}

/// On which side of its key a scan stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
    /// After all keys.
    End,
}

/// A position in a map, and the run that was read from there.
pub(crate) struct Scan<B: Bits> {
    /// Its key is that of the position.
    run: LeafRun<B>,
    side: Side,
    /// Whether nothing was left after the run when it was read.
    is_whole: bool,
    /// The last change of the thread that read the run.
    last_change: LastChange,
}

impl<B: Bits> Clone for Scan<B> {
    /// Copies the position, without the run.
    fn clone(&self) -> Self {
        let mut copy = Scan { side: self.side, ..Scan::new() };
        copy.run.cursor.key.set(self.key());
        copy
    }
}

impl<B: Bits> Scan<B> {
    /// Creates a scan before all keys.
    pub(crate) fn new() -> Self {
        Scan {
            run: LeafRun::new(),
            side: Side::Before,
            is_whole: false,
            last_change: LastChange::NONE,
        }
    }

    /// Moves before the first entry whose key is at least `target`, or with `after` greater than
    /// it.
    pub(crate) fn seek(&mut self, target: &[u8], after: bool) {
        self.forget();
        self.run.cursor.key.set(target);
        self.side = if after { Side::After } else { Side::Before };
    }

    /// Moves after the last entry.
    pub(crate) fn seek_end(&mut self) {
        self.forget();
        self.side = Side::End;
    }

    /// Drops the run.
    fn forget(&mut self) {
        self.run.clear();
        self.is_whole = false;
    }

    /// Returns the key of the entry that the last step passed, or of the position.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.run.key()
    }

    /// Returns the value of the last step, if the run was read in `tree` and what it found is still
    /// live, for a thread that is pinned in `era` (R7).
    pub(crate) fn live_value(&self, tree: &SharedTree<B>, era: Era) -> Option<B> {
        self.run.last_value().filter(|_| self.run.is_live(tree, era))
    }

    /// Passes the next entry, or the previous one, and returns it. `limit` is a bound of the keys
    /// in this direction.
    #[inline]
    pub(crate) fn step<S: ScanSource<Bits = B>>(
        &mut self,
        source: &mut S,
        back: bool,
        limit: Bound<&[u8]>,
    ) -> Option<(&[u8], B)> {
        let is_ready = !self.run.is_at_end() && self.run.back == back && self.is_current();
        if !is_ready && !self.advance(source, back, limit) {
            return None;
        }
        self.side = if back { Side::Before } else { Side::After };
        self.run.step()
    }

    /// Returns whether this thread has changed nothing since the run was read.
    #[inline]
    fn is_current(&self) -> bool {
        self.last_change == LastChange::of_this_thread() || mutant!(OwnChangesUnseen)
    }

    /// Moves to the next leaf of the run, or reads another run. Returns whether there is an entry.
    #[inline(never)]
    fn advance<S: ScanSource<Bits = B>>(
        &mut self,
        source: &mut S,
        back: bool,
        limit: Bound<&[u8]>,
    ) -> bool {
        let mut number = 0;
        let is_empty = self.run.first.is_none();
        if self.run.back == back && self.is_current() {
            if self.run.enter_next() {
                return true;
            }
            if std::mem::take(&mut self.is_whole) {
                return false;
            }
            if !is_empty {
                cover!(ScanContinued);
                number = self.run.number.saturating_add(1);
            }
        } else if !is_empty {
            cover!(ScanReadAgain);
        }
        self.last_change = LastChange::of_this_thread();
        self.run.clear_copies();
        if number == 0 {
            self.run.path_end = None;
        }
        (self.run.back, self.run.number) = (back, number);
        let from = match self.side {
            Side::Before => Position::BeforeOwn,
            Side::After => Position::AfterOwn,
            Side::End => Position::End,
        };
        self.is_whole = source.read_run(&mut self.run, from, limit) && self.run.first.is_some();
        self.run.enter_next()
    }
}
