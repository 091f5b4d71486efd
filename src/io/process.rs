//! Which process this is, which tells a fork from its parent.
//!
//! A store asks at each write, and the system takes 100 ns and more to answer. So on Linux the
//! process's id is cached in a page that the system itself clears in a child, whatever call made
//! that. Elsewhere, and if the system cannot do this, each call asks.

/// The identity of a process. Without `fork`, all are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    #[inline]
    pub(crate) fn current() -> Process {
        #[cfg(all(target_os = "linux", not(miri)))]
        return Process(cache::id());
        #[cfg(not(all(target_os = "linux", not(miri))))]
        Process(if cfg!(unix) { std::process::id() } else { 1 })
    }

    #[cfg(feature = "storage")]
    #[inline]
    pub(crate) fn is_current(self) -> bool {
        self == Process::current()
    }

    /// Returns a number that other processes alive do not have. It is not 0.
    pub(crate) fn id(self) -> u32 {
        self.0
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod cache {
    use std::ptr::null_mut;
    use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU32,
        Ordering::{Acquire, Relaxed, Release},
    };

    /// A page that is never unmapped, or null. It begins with the process's id, or 0.
    ///
    /// No lock: a child of the process may begin while another thread of its parent is here.
    static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(null_mut());
    static IS_UNSUPPORTED: AtomicBool = AtomicBool::new(false);

    #[inline]
    pub(super) fn id() -> u32 {
        match page().map(|page| page.load(Relaxed)) {
            Some(id) if id != 0 => id,
            _ => ask(),
        }
    }

    #[inline]
    fn page() -> Option<&'static AtomicU32> {
        // SAFETY: (M2) the pointer is null or that of a page that `new_page` returned.
        unsafe { PAGE.load(Acquire).as_ref() }
    }

    #[cold]
    fn ask() -> u32 {
        if page().is_none() && !IS_UNSUPPORTED.load(Relaxed) {
            match new_page() {
                // If another thread was faster, its page serves as well, and this one is leaked.
                Some(new) => _ = PAGE.compare_exchange(null_mut(), new, Release, Relaxed),
                None => IS_UNSUPPORTED.store(true, Relaxed),
            }
        }
        let id = std::process::id();
        if let Some(page) = page() {
            page.store(id, Relaxed);
        }
        id
    }

    /// Maps a page that is zero, and zero again in each forked child.
    fn new_page() -> Option<*mut AtomicU32> {
        let bytes = size_of::<AtomicU32>();
        // SAFETY: (M2) a new mapping at an address of the system's choice. Nothing refers to it
        // where it is unmapped.
        unsafe {
            let page = libc::mmap(
                null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            if page == libc::MAP_FAILED {
                return None;
            }
            // An emulator may accept any advice, and follow none.
            let accepts_all = libc::madvise(page, bytes, -1) == 0;
            if accepts_all || libc::madvise(page, bytes, libc::MADV_WIPEONFORK) != 0 {
                libc::munmap(page, bytes);
                return None;
            }
            Some(page.cast())
        }
    }
}
