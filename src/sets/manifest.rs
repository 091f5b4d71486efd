//! The manifest of a set: the file that says which parts count.

use super::error::SetError;
use crate::error::FileError;
use crate::frozen::OnDuplicate;
use crate::io::dir::{Access, Dir};
use crate::io::new_file::NewFile;
use crate::value::ValueKind;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use serde_json::Value;
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

/// The name of the file.
pub(super) const MANIFEST: &str = "manifest.json";
const FORMAT: &str = "memkv-set";
const VERSION: u64 = 1;
const ORDER: &str = "bytes";

/// The kinds of values that layers have, and their names in a manifest.
const KINDS: [(ValueKind, &str); 14] = [
    (ValueKind::U64, "u64"),
    (ValueKind::Unit, "unit"),
    (ValueKind::U8, "u8"),
    (ValueKind::U16, "u16"),
    (ValueKind::U32, "u32"),
    (ValueKind::I8, "i8"),
    (ValueKind::I16, "i16"),
    (ValueKind::I32, "i32"),
    (ValueKind::I64, "i64"),
    (ValueKind::F32, "f32"),
    (ValueKind::F64, "f64"),
    (ValueKind::Bool, "bool"),
    (ValueKind::Char, "char"),
    (ValueKind::Bytes, "bytes"),
];

/// The file whose lock a writer holds while it replaces the manifest.
pub(super) const LOCK: &str = "manifest.lock";

/// The rules for repeated keys, and their names in a manifest.
const RULES: [(OnDuplicate, &str); 4] = [
    (OnDuplicate::Error, "error"),
    (OnDuplicate::First, "first"),
    (OnDuplicate::Last, "last"),
    (OnDuplicate::Sum, "sum"),
];

/// A part of a [`LayerSet`](crate::LayerSet), as its manifest describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetPart {
    /// The path of its file, relative to the folder, with slashes.
    pub path: String,
    /// Its least key.
    pub first: Vec<u8>,
    /// Its greatest key.
    pub last: Vec<u8>,
    /// The number of its keys.
    pub keys: u64,
    /// The bytes of its file.
    pub bytes: u64,
    /// The CRC-32 of its file.
    pub crc32: u32,
}

impl SetPart {
    /// Returns the bytes on the heap, without the capacity that is not used.
    pub(super) fn heap_bytes(&self) -> usize {
        self.path.len() + self.first.len() + self.last.len()
    }
}

/// The content of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) kind: ValueKind,
    /// Records that had the key of another one, and are not in the set by themselves.
    pub(super) duplicates: u64,
    pub(super) rule: OnDuplicate,
    /// The parts, in the order of their keys. None is empty.
    pub(super) parts: Vec<SetPart>,
}

impl Manifest {
    /// Returns the number of keys of all parts.
    pub(super) fn keys(&self) -> u64 {
        self.parts.iter().map(|part| part.keys).sum()
    }

    /// Reads the manifest of a set with values of a kind. Also returns its bytes.
    ///
    /// # Errors
    /// See [`read`](Self::read); or the set has values of another kind.
    pub(super) fn read_as(dir: &Dir, expected: ValueKind) -> Result<(Self, Vec<u8>), SetError> {
        let read = Self::read(dir)?;
        match read.0.kind {
            found if found == expected => Ok(read),
            found => Err(SetError::Values { found, expected }),
        }
    }

    /// Reads the manifest of a folder. Also returns its bytes.
    pub(super) fn read(dir: &Dir) -> Result<(Self, Vec<u8>), SetError> {
        let bytes = dir.read(MANIFEST).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SetError::NotASet { folder: dir.path().to_owned() },
            _ => SetError::File(error),
        })?;
        let file = || dir.path_of(MANIFEST);
        let manifest = parse(&bytes).map_err(|wrong| match wrong {
            Wrong::Version(found) => SetError::Version { file: file(), found },
            Wrong::Content(problem) => SetError::Manifest { file: file(), problem },
        })?;
        Ok((manifest, bytes))
    }

    /// Returns the bytes of the file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            serde_json::to_vec_pretty(self).expect("strings and numbers are serialized to memory");
        bytes.push(b'\n');
        bytes
    }

    /// Replaces the manifest of a folder, one writer at a time.
    ///
    /// # Errors
    /// It cannot be written; or it is not `before`, if that is given: another writer was faster.
    pub(super) fn replace(&self, dir: &Arc<Dir>, before: Option<&[u8]>) -> Result<(), SetError> {
        let lock = dir.file(LOCK, Access::Create)?;
        match lock.lock() {
            // There are file systems without locks.
            Err(error) if error.kind() != io::ErrorKind::Unsupported => {
                return Err(FileError::new("lock", dir.path_of(LOCK), error).into());
            }
            _ => {}
        }
        match before {
            Some(before) if dir.read(MANIFEST)? != before => {
                Err(SetError::Changed { file: dir.path_of(MANIFEST) })
            }
            _ => Ok(self.write(dir)?),
        }
    }

    /// Writes the manifest to a folder, in place of the one that is there.
    fn write(&self, dir: &Arc<Dir>) -> Result<(), FileError> {
        let mut file = NewFile::create_in(dir, MANIFEST)?;
        file.write(&self.to_bytes())?;
        file.commit()
    }
}

impl Serialize for Manifest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Manifest", 8)?;
        fields.serialize_field("format", FORMAT)?;
        fields.serialize_field("version", &VERSION)?;
        fields.serialize_field("order", ORDER)?;
        fields.serialize_field("value", name_of(&KINDS, self.kind))?;
        fields.serialize_field("keys", &self.keys())?;
        fields.serialize_field("duplicates", &self.duplicates)?;
        fields.serialize_field("on_duplicate", name_of(&RULES, self.rule))?;
        fields.serialize_field("parts", &self.parts)?;
        fields.end()
    }
}

impl Serialize for SetPart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("SetPart", 6)?;
        fields.serialize_field("path", &self.path)?;
        fields.serialize_field("first", &STANDARD.encode(&self.first))?;
        fields.serialize_field("last", &STANDARD.encode(&self.last))?;
        fields.serialize_field("keys", &self.keys)?;
        fields.serialize_field("bytes", &self.bytes)?;
        fields.serialize_field("crc32", &self.crc32)?;
        fields.end()
    }
}

fn name_of<T: PartialEq>(names: &[(T, &'static str)], value: T) -> &'static str {
    names.iter().find(|(named, _)| *named == value).map_or("", |(_, name)| name)
}

/// Why bytes are no manifest.
enum Wrong {
    Version(u64),
    Content(String),
}

fn wrong<T>(problem: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::Content(problem.into()))
}

/// Reads a manifest, and checks all that does not need the parts themselves.
fn parse(bytes: &[u8]) -> Result<Manifest, Wrong> {
    let root: Value = match serde_json::from_slice(bytes) {
        Ok(root) => root,
        Err(error) => return wrong(format!("not JSON: {error}")),
    };
    if text(&root, "format")? != FORMAT {
        return wrong(format!("the format is not \"{FORMAT}\""));
    }
    match number(&root, "version")? {
        VERSION => {}
        found => return Err(Wrong::Version(found)),
    }
    if text(&root, "order")? != ORDER {
        return wrong(format!("the order of the keys is not \"{ORDER}\""));
    }
    let parts = match root.get("parts").and_then(Value::as_array) {
        Some(parts) => parts.iter().map(parse_part).collect::<Result<Vec<_>, _>>()?,
        None => return wrong("\"parts\" is missing, or no array"),
    };
    for (before, part) in parts.iter().zip(parts.iter().skip(1)) {
        if before.last >= part.first {
            return wrong(format!("{} begins before {} ends", part.path, before.path));
        }
    }
    let manifest = Manifest {
        kind: named(&KINDS, &root, "value")?,
        duplicates: number(&root, "duplicates")?,
        rule: named(&RULES, &root, "on_duplicate")?,
        parts,
    };
    let mut keys = manifest.parts.iter().map(|part| part.keys);
    if keys.try_fold(0u64, |sum, keys| sum.checked_add(keys)) != Some(number(&root, "keys")?) {
        return wrong("\"keys\" is not the number of keys of all parts");
    }
    Ok(manifest)
}

/// Returns whether a path leads into the folder, on every system.
pub(super) fn is_inside(path: &str) -> bool {
    let is_name = |step| matches!(step, Component::Normal(_));
    !path.is_empty()
        && Path::new(path).components().all(is_name)
        && !path.contains(['\\', '\0', ':'])
}

fn parse_part(part: &Value) -> Result<SetPart, Wrong> {
    let path = text(part, "path")?.to_owned();
    if !is_inside(&path) {
        return wrong(format!("the path {path:?} does not lead into the folder"));
    }
    let (keys, crc32) = (number(part, "keys")?, number(part, "crc32")?);
    let part = SetPart {
        first: key(part, "first")?,
        last: key(part, "last")?,
        keys,
        bytes: number(part, "bytes")?,
        crc32: match u32::try_from(crc32) {
            Ok(crc32) => crc32,
            Err(_) => return wrong(format!("the \"crc32\" of {path} has more than 32 bits")),
        },
        path,
    };
    if keys == 0 || part.first > part.last || (keys == 1) != (part.first == part.last) {
        return wrong(format!("the range of {} is not one of {keys} keys", part.path));
    }
    Ok(part)
}

fn text<'v>(fields: &'v Value, name: &str) -> Result<&'v str, Wrong> {
    match fields.get(name).and_then(Value::as_str) {
        Some(text) => Ok(text),
        None => wrong(format!("\"{name}\" is missing, or no string")),
    }
}

fn number(fields: &Value, name: &str) -> Result<u64, Wrong> {
    match fields.get(name).and_then(Value::as_u64) {
        Some(number) => Ok(number),
        None => wrong(format!("\"{name}\" is missing, or no whole number")),
    }
}

fn key(fields: &Value, name: &str) -> Result<Vec<u8>, Wrong> {
    match STANDARD.decode(text(fields, name)?) {
        Ok(key) => Ok(key),
        Err(error) => wrong(format!("\"{name}\" is not in base64: {error}")),
    }
}

fn named<T: Copy>(names: &[(T, &str)], fields: &Value, name: &str) -> Result<T, Wrong> {
    let found = text(fields, name)?;
    match names.iter().find(|(_, name)| *name == found) {
        Some((value, _)) => Ok(*value),
        None => wrong(format!("\"{name}\" cannot be {found:?}")),
    }
}
