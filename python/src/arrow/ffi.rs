//! The structures of the interface, with their names. SAFETY.md has the invariants.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

/// A type, with names.
#[repr(C)]
#[derive(Debug)]
pub(super) struct ArrowSchema {
    pub(super) format: *const c_char,
    pub(super) name: *const c_char,
    pub(super) metadata: *const c_char,
    pub(super) flags: i64,
    pub(super) n_children: i64,
    pub(super) children: *mut *mut ArrowSchema,
    pub(super) dictionary: *mut ArrowSchema,
    pub(super) release: Option<unsafe extern "C" fn(*mut ArrowSchema)>,
    pub(super) private_data: *mut c_void,
}

/// Values.
#[repr(C)]
#[derive(Debug)]
pub(super) struct ArrowArray {
    pub(super) length: i64,
    pub(super) null_count: i64,
    pub(super) offset: i64,
    pub(super) n_buffers: i64,
    pub(super) n_children: i64,
    pub(super) buffers: *mut *const c_void,
    pub(super) children: *mut *mut ArrowArray,
    pub(super) dictionary: *mut ArrowArray,
    pub(super) release: Option<unsafe extern "C" fn(*mut ArrowArray)>,
    pub(super) private_data: *mut c_void,
}

/// Several arrays of the same type, one after the other.
#[repr(C)]
#[derive(Debug)]
pub(super) struct ArrowArrayStream {
    pub(super) get_schema:
        Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowSchema) -> c_int>,
    pub(super) get_next:
        Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowArray) -> c_int>,
    pub(super) get_last_error: Option<unsafe extern "C" fn(*mut ArrowArrayStream) -> *const c_char>,
    pub(super) release: Option<unsafe extern "C" fn(*mut ArrowArrayStream)>,
    pub(super) private_data: *mut c_void,
}

/// The flag of a schema whose values may be null.
pub(super) const NULLABLE: i64 = 2;

macro_rules! structure {
    ($($t:ident { $($field:ident: $empty:expr),* })*) => {$(
        // SAFETY: (A2) a structure belongs to one owner, in any thread.
        unsafe impl Send for $t {}
        // SAFETY: (A2) a shared structure is only read.
        unsafe impl Sync for $t {}

        impl $t {
            /// Returns a structure that is released.
            pub(super) fn empty() -> Self {
                $t { $($field: $empty),*, release: None, private_data: ptr::null_mut() }
            }
        }

        impl Drop for $t {
            fn drop(&mut self) {
                if let Some(release) = self.release {
                    // SAFETY: (A2) it is this owner's, and is released once.
                    unsafe { release(self) }
                }
            }
        }
    )*};
}
structure! {
    ArrowSchema {
        format: ptr::null(), name: ptr::null(), metadata: ptr::null(), flags: 0, n_children: 0,
        children: ptr::null_mut(), dictionary: ptr::null_mut()
    }
    ArrowArray {
        length: 0, null_count: 0, offset: 0, n_buffers: 0, n_children: 0,
        buffers: ptr::null_mut(), children: ptr::null_mut(), dictionary: ptr::null_mut()
    }
    ArrowArrayStream { get_schema: None, get_next: None, get_last_error: None }
}

impl ArrowSchema {
    /// Returns the format, which names the type.
    pub(super) fn format(&self) -> &[u8] {
        if self.format.is_null() {
            return b"";
        }
        // SAFETY: (A1) a string that ends with a zero, and lives as long as the schema.
        unsafe { CStr::from_ptr(self.format) }.to_bytes()
    }

    /// Returns the types of the columns of a table.
    pub(super) fn children(&self) -> Vec<&ArrowSchema> {
        let children = if self.children.is_null() { 0 } else { self.n_children };
        (0..usize::try_from(children).unwrap_or(0))
            // SAFETY: (A1) there are as many children, which live as long as the schema.
            .filter_map(|i| unsafe { (*self.children.add(i)).as_ref() })
            .collect()
    }
}

impl ArrowArrayStream {
    /// Returns the type of the arrays.
    pub(super) fn schema(&mut self) -> Result<ArrowSchema, String> {
        let mut schema = ArrowSchema::empty();
        let Some(get_schema) = self.get_schema.filter(|_| self.release.is_some()) else {
            return Err("it is released".into());
        };
        // SAFETY: (A1) a stream that is not released; the structure is to be filled.
        match unsafe { get_schema(self, &mut schema) } {
            0 if schema.release.is_none() => Err("its type is released".into()),
            0 => Ok(schema),
            number => Err(self.last_error(number)),
        }
    }

    /// Returns the next array, which is released at the end of the stream.
    pub(super) fn next(&mut self) -> Result<ArrowArray, String> {
        let mut array = ArrowArray::empty();
        let Some(get_next) = self.get_next.filter(|_| self.release.is_some()) else {
            return Err("it is released".into());
        };
        // SAFETY: (A1) a stream that is not released; the structure is to be filled.
        match unsafe { get_next(self, &mut array) } {
            0 => Ok(array),
            number => Err(self.last_error(number)),
        }
    }

    fn last_error(&mut self, number: c_int) -> String {
        let system = || std::io::Error::from_raw_os_error(number).to_string();
        let Some(get_last_error) = self.get_last_error else { return system() };
        // SAFETY: (A1) the last call of this stream failed.
        let text = unsafe { get_last_error(self) };
        if text.is_null() {
            return system();
        }
        // SAFETY: (A1) a string that ends with a zero, until the next call.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }
}
