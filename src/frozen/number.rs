//! The numbers that stand for values in a layer, and ascend as the values do.

use crate::value::{Bits, Value, ValueKind};

impl ValueKind {
    const ALL: [ValueKind; 14] = [
        Self::U64,
        Self::Unit,
        Self::U8,
        Self::U16,
        Self::U32,
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::F32,
        Self::F64,
        Self::Bool,
        Self::Char,
        Self::Bytes,
    ];

    /// Returns the kind with a number in a file.
    pub(crate) fn of_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Returns the bytes of the stored bits. Those of a string's length are a word.
    pub(crate) const fn size(self) -> usize {
        match self {
            Self::Unit => 0,
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 | Self::Char => 4,
            Self::U64 | Self::I64 | Self::F64 | Self::Bytes | Self::InMemory => 8,
        }
    }

    /// Returns the least and the greatest integer of this kind. Kinds that are no integers have
    /// those of their bits.
    pub(crate) const fn integers(self) -> (i128, i128) {
        let (all, sign) = self.words();
        match self {
            Self::I8 | Self::I16 | Self::I32 | Self::I64 => (-(sign as i128), sign as i128 - 1),
            _ => (0, all as i128),
        }
    }

    /// Returns the word with all bits of a value set, and the one with the sign bit alone.
    const fn words(self) -> (u64, u64) {
        match self.size() {
            0 => (0, 0),
            size => (u64::MAX >> (64 - 8 * size), 1 << (8 * size - 1)),
        }
    }

    /// Returns the number that stands for a value with these bits in a layer. Numbers ascend with
    /// the values.
    #[inline(always)]
    pub(crate) const fn pack(self, bits: u64) -> u64 {
        let (all, sign) = self.words();
        match self {
            Self::I8 | Self::I16 | Self::I32 | Self::I64 => bits ^ sign,
            Self::F32 | Self::F64 if bits & sign != 0 => !bits & all,
            Self::F32 | Self::F64 => bits | sign,
            _ => bits,
        }
    }

    /// Returns the bits of a value for which a number stands.
    #[inline(always)]
    pub(crate) const fn unpack(self, number: u64) -> u64 {
        let (all, sign) = self.words();
        match self {
            Self::I8 | Self::I16 | Self::I32 | Self::I64 => number ^ sign,
            Self::F32 | Self::F64 if number & sign == 0 => !number & all,
            Self::F32 | Self::F64 => number ^ sign,
            _ => number,
        }
    }
}

/// Returns the kind of values, as a file names it. For values that no layer holds this does not
/// compile.
pub(crate) const fn layer_kind<V: Value>() -> ValueKind {
    assert!(
        !matches!(V::KIND, ValueKind::InMemory),
        "no frozen layer holds values of this type: convert \
         them to numbers or byte strings (see the page of `memkv::Value`)"
    );
    assert!(V::KIND.size() == V::Bits::SIZE, "the kind has another size than the bits");
    V::KIND
}

/// Returns the number that stands for a value in a layer.
#[inline(always)]
pub(crate) fn pack<V: Value>(value: V) -> u64 {
    const { layer_kind::<V>() };
    V::KIND.pack(value.into_bits().to_word())
}

/// Returns the value for which a number stands in a layer.
#[inline(always)]
pub(crate) fn unpack<V: Value>(number: u64) -> V {
    const { layer_kind::<V>() };
    V::from_bits(V::Bits::of_word(V::KIND.unpack(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ascend<V: Value + PartialEq + std::fmt::Debug>(values: &[V]) {
        assert!(values.windows(2).all(|pair| pack(pair[0]) < pack(pair[1])));
        assert!(values.iter().all(|&value| unpack::<V>(pack(value)) == value));
    }

    #[test]
    fn numbers_ascend_with_values() {
        ascend(&[i8::MIN, -1, 0, 1, i8::MAX]);
        ascend(&[i64::MIN, -1, 0, 1, i64::MAX]);
        ascend(&[f32::NEG_INFINITY, -1.5, -0.0, 0.0, f32::MIN_POSITIVE, 1.5, f32::INFINITY]);
        ascend(&[f64::NEG_INFINITY, -1.5, -0.0, 0.0, f64::MIN_POSITIVE, 1.5, f64::INFINITY]);
        ascend(&[0u16, 1, u16::MAX]);
        ascend(&[0u64, 1, u64::MAX]);
        ascend(&[false, true]);
        ascend(&['\0', 'a', char::MAX]);
        ascend(&[()]);
    }

    #[test]
    fn kinds_have_their_numbers() {
        for (number, kind) in ValueKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
            assert_eq!(ValueKind::of_number(number as u8), Some(kind));
        }
        assert_eq!(ValueKind::of_number(14), None);
    }
}
