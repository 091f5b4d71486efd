//! The sizes of cell the slabs serve.
//!
//! A page holds cells of one size only, so the tail that is left when that
//! size does not divide the page is lost. The classes are therefore exactly
//! the multiples of [`GRAIN`] that leave the least tail: `size` is a class if
//! no larger multiple fits as often into a page. Small sizes all qualify (steps
//! of 16); large ones are `PAGE / 16`, `PAGE / 17`, `PAGE / 18`, … rounded down.

/// Bytes of a page, the unit of one cell size.
pub(super) const PAGE: usize = 64 << 10;

/// Every size is a multiple of this, every cell is aligned to it.
pub(super) const GRAIN: usize = 16;

/// The smallest class.
const MIN_CELL: usize = 32;

/// The largest class; what is larger goes to the global allocator.
pub(super) const MAX_CELL: usize = 4096;

const fn is_class(size: usize) -> bool {
    let fit = PAGE / size;
    PAGE / fit / GRAIN * GRAIN == size
}

const fn count() -> usize {
    let mut n = 0;
    let mut size = MIN_CELL;
    while size <= MAX_CELL {
        n += is_class(size) as usize;
        size += GRAIN;
    }
    n
}

/// The number of classes.
pub(super) const CLASSES: usize = count();

// The set of classes with a free cell is kept in 128 bits.
const _: () = assert!(CLASSES <= 128 && is_class(MAX_CELL));

/// The cell size of each class, ascending.
pub(super) static SIZES: [u16; CLASSES] = SIZE_TABLE;

const SIZE_TABLE: [u16; CLASSES] = {
    let mut table = [0; CLASSES];
    let mut n = 0;
    let mut size = MIN_CELL;
    while size <= MAX_CELL {
        if is_class(size) {
            table[n] = size as u16;
            n += 1;
        }
        size += GRAIN;
    }
    table
};

/// The class of a request by its size in grains, rounded up.
static CLASS_OF: [u8; MAX_CELL / GRAIN + 1] = {
    let mut table = [0; MAX_CELL / GRAIN + 1];
    let mut class = 0;
    let mut grains = 0;
    while grains < table.len() {
        if grains * GRAIN > SIZE_TABLE[class] as usize {
            class += 1;
        }
        table[grains] = class as u8;
        grains += 1;
    }
    table
};

/// The largest class a request of each class may be served from when its own
/// has no free cell: its cells are larger by one part in `BORROW` at most.
pub(super) const fn borrow_table(part: usize) -> [u8; CLASSES] {
    let mut table = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        let size = SIZE_TABLE[class] as usize;
        let mut last = class;
        while last + 1 < CLASSES && SIZE_TABLE[last + 1] as usize <= size + size / part {
            last += 1;
        }
        table[class] = last as u8;
        class += 1;
    }
    table
}

/// The class that serves a request of `bytes`, at most [`MAX_CELL`].
#[inline]
pub(super) fn class_of(bytes: usize) -> usize {
    CLASS_OF[bytes.div_ceil(GRAIN)] as usize
}
