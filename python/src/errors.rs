//! Errors of the library as exceptions.
//!
//! | exception | cause |
//! |---|---|
//! | `DamagedError` | a file is not what was written |
//! | `InUseError` | another process, or this one, has a store open |
//! | `OSError` and its subclasses, such as `FileNotFoundError` | the system |
//! | `ValueError` | a key or an option, which the message names |
//! | `RuntimeError` | an object that a forked process must not change, or is closed |
//! | `MemoryError` | the allocator |

use memkv::{FileError, FrozenError, HybridError, InsertError, SetError};
use pyo3::create_exception;
use pyo3::exceptions::{
    PyException, PyFileNotFoundError, PyMemoryError, PyOSError, PyPermissionError, PyRuntimeError,
    PyValueError,
};
use pyo3::prelude::*;
use std::fmt;
use std::path::Path;

create_exception!(
    memkv,
    DamagedError,
    PyException,
    "A file is incomplete or altered: what it should hold cannot be read."
);
create_exception!(
    memkv,
    InUseError,
    PyOSError,
    "A store is open for writing already, in this process or another."
);

/// An error of the library, or an exception.
#[derive(Debug)]
pub(crate) enum Error {
    Frozen(FrozenError),
    /// An error of a file, which the error itself does not name.
    File(std::path::PathBuf, FrozenError),
    Set(SetError),
    Store(HybridError),
    Insert(InsertError),
    /// It is closed: a layer, a set, a store.
    Closed(&'static str),
    Python(PyErr),
}

macro_rules! from {
    ($($t:ty => $variant:ident),*) => {$(
        impl From<$t> for Error {
            fn from(error: $t) -> Self {
                Error::$variant(error)
            }
        }
    )*};
}
from!(FrozenError => Frozen, SetError => Set, HybridError => Store, InsertError => Insert,
    PyErr => Python);

impl fmt::Display for Error {
    /// The message, without the interpreter's lock.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Frozen(error) => error.fmt(f),
            Error::File(path, error) => write!(f, "{}: {error}", path.display()),
            Error::Set(error) => error.fmt(f),
            Error::Store(error) => error.fmt(f),
            Error::Insert(error) => error.fmt(f),
            Error::Closed(what) => write!(f, "the {what} is closed"),
            Error::Python(_) => f.write_str("an exception was raised"),
        }
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        match error {
            Error::Frozen(error) => of_layer(&error, error.to_string()),
            Error::File(path, error) => match error {
                FrozenError::File(error) => of_file(&error),
                error => of_layer(&error, named(&path, &error)),
            },
            Error::Set(error) => of_set(error),
            Error::Store(error) => of_store(error),
            Error::Insert(error) => of_insert(&error),
            error @ Error::Closed(_) => PyValueError::new_err(error.to_string()),
            Error::Python(error) => error,
        }
    }
}

fn named(path: &Path, error: &FrozenError) -> String {
    format!("{}: {error}", path.display())
}

fn of_layer(error: &FrozenError, message: String) -> PyErr {
    match error {
        FrozenError::File(error) => of_file(error),
        FrozenError::Truncated | FrozenError::Damaged { .. } => DamagedError::new_err(message),
        FrozenError::Forked => PyRuntimeError::new_err(message),
        _ => PyValueError::new_err(message),
    }
}

/// Returns `OSError`, which chooses the subclass by the number.
fn of_file(error: &FileError) -> PyErr {
    let (operation, path) = (error.operation(), error.path().display().to_string());
    match error.cause().raw_os_error() {
        Some(number) => {
            let text = error.cause().to_string();
            let text = text.split(" (os error").next().unwrap_or(&text);
            PyOSError::new_err((number, format!("cannot {operation}: {text}"), path))
        }
        None => PyOSError::new_err(error.to_string()),
    }
}

fn of_set(error: SetError) -> PyErr {
    let message = error.to_string();
    match error {
        SetError::File(error) => of_file(&error),
        SetError::Build(error) => of_layer(&error, error.to_string()),
        SetError::Layer { part, error } => of_layer(&error, named(&part, &error)),
        SetError::Missing { .. } => PyFileNotFoundError::new_err(message),
        SetError::Part { .. } => DamagedError::new_err(message),
        SetError::Changed { .. } => PyRuntimeError::new_err(message),
        _ => PyValueError::new_err(message),
    }
}

fn of_store(error: HybridError) -> PyErr {
    let message = error.to_string();
    match error {
        HybridError::File(error) | HybridError::Log(error) => of_file(&error),
        HybridError::Insert(error) => of_insert(&error),
        HybridError::Base { error, .. } => of_layer(&error, message),
        HybridError::InUse { .. } => InUseError::new_err(message),
        HybridError::Damaged { .. } | HybridError::Missing { .. } => DamagedError::new_err(message),
        HybridError::ReadOnly => PyPermissionError::new_err(message),
        HybridError::Gone { .. } => PyFileNotFoundError::new_err(message),
        HybridError::Thread(_) => PyOSError::new_err(message),
        HybridError::Background { .. } | HybridError::Forked => PyRuntimeError::new_err(message),
        _ => PyValueError::new_err(message),
    }
}

fn of_insert(error: &InsertError) -> PyErr {
    match error {
        InsertError::OutOfMemory { .. } => PyMemoryError::new_err(error.to_string()),
        _ => PyValueError::new_err(error.to_string()),
    }
}
