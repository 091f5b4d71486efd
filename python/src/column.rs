//! Columns: many values of a kind, in the layout of Arrow.

use crate::value::{Field, Kind};
use memkv::ValueKind;
use pyo3::prelude::*;

/// Bits, the first of a byte being the lowest.
#[derive(Debug, Default)]
pub(crate) struct Bits {
    pub(crate) bytes: Vec<u8>,
    len: usize,
}

impl Bits {
    fn ones(len: usize) -> Self {
        Bits { bytes: vec![u8::MAX; len.div_ceil(8)], len }
    }

    pub(crate) fn push(&mut self, bit: bool) {
        let at = self.len % 8;
        if at == 0 {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            // What `ones` has set beyond the length is overwritten.
            *last = *last & !(1 << at) | u8::from(bit) << at;
        }
        self.len += 1;
    }

    pub(crate) fn get(&self, i: usize) -> bool {
        self.bytes[i / 8] >> (i % 8) & 1 == 1
    }

    fn append(&mut self, other: &Bits) {
        if self.len.is_multiple_of(8) {
            self.bytes.extend_from_slice(&other.bytes);
            self.len += other.len;
        } else {
            (0..other.len).for_each(|i| self.push(other.get(i)));
        }
    }
}

/// Byte strings, one after the other.
#[derive(Debug)]
pub(crate) struct Strings {
    /// The end of each, after a zero.
    pub(crate) ends: Vec<i64>,
    pub(crate) bytes: Vec<u8>,
}

impl Default for Strings {
    fn default() -> Self {
        Strings { ends: vec![0], bytes: Vec::new() }
    }
}

impl Strings {
    pub(crate) fn len(&self) -> usize {
        self.ends.len() - 1
    }

    pub(crate) fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.ends.push(self.bytes.len() as i64);
    }

    pub(crate) fn get(&self, i: usize) -> &[u8] {
        &self.bytes[self.ends[i] as usize..self.ends[i + 1] as usize]
    }

    pub(crate) fn clear(&mut self) {
        self.ends.truncate(1);
        self.bytes.clear();
    }

    pub(crate) fn reserve(&mut self, strings: usize, bytes: usize) {
        self.ends.reserve(strings);
        self.bytes.reserve(bytes);
    }

    fn append(&mut self, other: &Strings) {
        let before = self.bytes.len() as i64;
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends[1..].iter().map(|end| before + end));
    }
}

/// The values of a column.
#[derive(Debug)]
pub(crate) enum Data {
    Unit,
    One(Vec<u8>),
    Two(Vec<u16>),
    Four(Vec<u32>),
    Eight(Vec<u64>),
    Bits(Bits),
    Strings(Strings),
}

/// Many values of a kind, some of which may be null.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) kind: ValueKind,
    pub(crate) data: Data,
    /// Which are not null, if any is.
    pub(crate) valid: Option<Bits>,
    pub(crate) nulls: usize,
    len: usize,
}

impl Column {
    pub(crate) fn new(kind: ValueKind, capacity: usize) -> Self {
        let data = match kind {
            ValueKind::Unit => Data::Unit,
            ValueKind::U8 | ValueKind::I8 => Data::One(Vec::with_capacity(capacity)),
            ValueKind::U16 | ValueKind::I16 => Data::Two(Vec::with_capacity(capacity)),
            ValueKind::U32 | ValueKind::I32 | ValueKind::F32 | ValueKind::Char => {
                Data::Four(Vec::with_capacity(capacity))
            }
            ValueKind::Bool => Data::Bits(Bits::default()),
            ValueKind::Bytes => Data::Strings(Strings::default()),
            _ => Data::Eight(Vec::with_capacity(capacity)),
        };
        Column { kind, data, valid: None, nulls: 0, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends a value of this kind.
    #[inline]
    pub(crate) fn push(&mut self, field: Field<'_>) {
        // Nearly all values, in a few instructions that are inlined.
        match (&mut self.data, field, &self.valid) {
            (Data::Eight(values), Field::Unsigned(value), None) => {
                values.push(value);
                self.len += 1;
            }
            _ => self.push_any(field),
        }
    }

    fn push_any(&mut self, field: Field<'_>) {
        match (&mut self.data, field) {
            (Data::Strings(strings), Field::Bytes(value)) => strings.push(value),
            (data, field) => {
                let word = match field {
                    Field::Unsigned(value) => value,
                    Field::Signed(value) => value as u64,
                    Field::Float(value) if self.kind == ValueKind::F32 => {
                        u64::from((value as f32).to_bits())
                    }
                    Field::Float(value) => value.to_bits(),
                    Field::Bool(value) => u64::from(value),
                    Field::Char(value) => u64::from(u32::from(value)),
                    Field::Unit | Field::Bytes(_) => 0,
                };
                match data {
                    Data::Unit => {}
                    Data::One(values) => values.push(word as u8),
                    Data::Two(values) => values.push(word as u16),
                    Data::Four(values) => values.push(word as u32),
                    Data::Eight(values) => values.push(word),
                    Data::Bits(bits) => bits.push(word != 0),
                    Data::Strings(strings) => strings.push(b""),
                }
            }
        }
        if let Some(valid) = &mut self.valid {
            valid.push(true);
        }
        self.len += 1;
    }

    /// Appends a null.
    pub(crate) fn push_null(&mut self) {
        // Its value is that of no bits, or of no bytes.
        let mut valid = self.valid.take().unwrap_or_else(|| Bits::ones(self.len));
        self.push(Field::Unit);
        valid.push(false);
        self.valid = Some(valid);
        self.nulls += 1;
    }

    /// Appends a value, or a null.
    #[inline]
    pub(crate) fn push_option(&mut self, field: Option<Field<'_>>) {
        match field {
            Some(field) => self.push(field),
            None => self.push_null(),
        }
    }

    /// Appends a column of the same kind.
    pub(crate) fn append(&mut self, other: &Column) {
        match (&mut self.data, &other.data) {
            (Data::One(own), Data::One(other)) => own.extend_from_slice(other),
            (Data::Two(own), Data::Two(other)) => own.extend_from_slice(other),
            (Data::Four(own), Data::Four(other)) => own.extend_from_slice(other),
            (Data::Eight(own), Data::Eight(other)) => own.extend_from_slice(other),
            (Data::Bits(own), Data::Bits(other)) => own.append(other),
            (Data::Strings(own), Data::Strings(other)) => own.append(other),
            _ => {}
        }
        if self.nulls + other.nulls > 0 {
            let valid = self.valid.get_or_insert_with(|| Bits::ones(self.len));
            match &other.valid {
                Some(other) => valid.append(other),
                None => valid.append(&Bits::ones(other.len)),
            }
        }
        self.nulls += other.nulls;
        self.len += other.len;
    }

    pub(crate) fn is_null(&self, i: usize) -> bool {
        self.valid.as_ref().is_some_and(|valid| !valid.get(i))
    }

    /// Returns a value, or `None` if it is null.
    pub(crate) fn get(&self, i: usize) -> Option<Field<'_>> {
        if self.is_null(i) {
            return None;
        }
        let word = match &self.data {
            Data::Unit => 0,
            Data::One(values) => u64::from(values[i]),
            Data::Two(values) => u64::from(values[i]),
            Data::Four(values) => u64::from(values[i]),
            Data::Eight(values) => values[i],
            Data::Bits(bits) => u64::from(bits.get(i)),
            Data::Strings(strings) => return Some(Field::Bytes(strings.get(i))),
        };
        Some(field_of(self.kind, word))
    }

    /// Returns a value as an object, or `None` if it is null.
    pub(crate) fn object<'py>(&self, py: Python<'py>, i: usize) -> PyResult<Bound<'py, PyAny>> {
        match self.get(i) {
            Some(field) => field.object(py),
            None => Ok(py.None().into_bound(py)),
        }
    }
}

/// Returns a value of a kind from the bits in which a column has it.
pub(crate) fn field_of(kind: ValueKind, word: u64) -> Field<'static> {
    match kind {
        ValueKind::Unit => Field::Unit,
        ValueKind::I8 => <i8 as Kind>::field(word as i8),
        ValueKind::I16 => <i16 as Kind>::field(word as i16),
        ValueKind::I32 => <i32 as Kind>::field(word as i32),
        ValueKind::I64 => Field::Signed(word as i64),
        ValueKind::F32 => <f32 as Kind>::field(f32::from_bits(word as u32)),
        ValueKind::F64 => Field::Float(f64::from_bits(word)),
        ValueKind::Bool => Field::Bool(word != 0),
        ValueKind::Char => {
            Field::Char(char::from_u32(word as u32).unwrap_or(char::REPLACEMENT_CHARACTER))
        }
        _ => Field::Unsigned(word),
    }
}
