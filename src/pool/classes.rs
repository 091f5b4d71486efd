//! Size classes: the sizes that cells of slabs have.
//!
//! All cells of a page have one size. Where that does not divide the page, the rest of the page is
//! lost. So the classes are exactly the multiples of [`GRAIN`] that lose least: `size` is a class
//! if no larger multiple fits as often into a page. Small sizes all qualify (steps of 16). Large
//! ones are `PAGE / 16`, `PAGE / 17`, `PAGE / 18`, …, rounded down.

/// Bytes of a page, whose cells have one size.
pub(super) const PAGE: usize = 64 << 10;

/// Bytes that every size is a multiple of, and that every cell is aligned to.
pub(super) const GRAIN: usize = 16;

/// Bytes of the smallest class.
const MIN_CELL: usize = 32;

/// Bytes of the largest class. Larger requests go to the global allocator.
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

// A set of classes is 128 bits.
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

/// The class of a request, by its size in grains, rounded up.
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

/// Returns, for each class, the largest class from which it may borrow a cell, which is larger by
/// `1 / divisor` at most.
pub(super) const fn borrow_limits(divisor: usize) -> [u8; CLASSES] {
    let mut table = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        let size = SIZE_TABLE[class] as usize;
        let mut last = class;
        while last + 1 < CLASSES && SIZE_TABLE[last + 1] as usize <= size + size / divisor {
            last += 1;
        }
        table[class] = last as u8;
        class += 1;
    }
    table
}

/// Returns the class that serves a request of `bytes`, at most [`MAX_CELL`].
#[inline]
pub(super) fn class_of(bytes: usize) -> usize {
    CLASS_OF[bytes.div_ceil(GRAIN)] as usize
}
