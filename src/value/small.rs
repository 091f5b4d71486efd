//! [`Value`] for small types of the standard library that are more than one number: `NonZero`,
//! options, arrays and pairs.
//!
//! | type | bits |
//! |---|---|
//! | `NonZero` | those of the integer |
//! | `Option` of a `NonZero` | those of the integer, `None` is 0 |
//! | `Option` of another type | `None` is 0, other values are one more than their bits |
//! | array | its elements, the first in the highest bits, so that bits ascend as `[u8; N]` do |
//! | pair | the first in the higher bits |
//!
//! Where each bit pattern stands for another value, the kind is that of the bits. The other types
//! have [`ValueKind::InMemory`]: a layer of numbers could have bits that stand for no value.

use super::{Value, ValueKind};
use std::num::NonZero;

macro_rules! non_zero {
    ($($t:ty as $bits:ty, $kind:ident;)*) => {$(
        /// No map has the bits 0. They would be read as 1.
        impl Value for NonZero<$t> {
            type Bits = $bits;
            const KIND: ValueKind = ValueKind::InMemory;
            #[inline(always)]
            fn into_bits(self) -> $bits { self.get().into_bits() }
            #[inline(always)]
            fn from_bits(bits: $bits) -> Self {
                NonZero::new(<$t>::from_bits(bits))
                    .unwrap_or(const { NonZero::<$t>::new(1).unwrap() })
            }
        }
        /// Takes the bytes of the integer.
        impl Value for Option<NonZero<$t>> {
            type Bits = $bits;
            const KIND: ValueKind = ValueKind::$kind;
            #[inline(always)]
            fn into_bits(self) -> $bits { self.map_or(0, NonZero::into_bits) }
            #[inline(always)]
            fn from_bits(bits: $bits) -> Self { NonZero::new(<$t>::from_bits(bits)) }
        }
    )*};
}
non_zero! {
    u8 as u8, U8;
    u16 as u16, U16;
    u32 as u32, U32;
    u64 as u64, U64;
    usize as u64, U64;
    i8 as u8, I8;
    i16 as u16, I16;
    i32 as u32, I32;
    i64 as u64, I64;
    isize as u64, I64;
}

macro_rules! option {
    ($($t:ty as $bits:ty;)*) => {$(
        impl Value for Option<$t> {
            type Bits = $bits;
            const KIND: ValueKind = ValueKind::InMemory;
            #[inline(always)]
            fn into_bits(self) -> $bits {
                self.map_or(0, |value| <$bits>::from(value.into_bits()) + 1)
            }
            #[inline(always)]
            fn from_bits(bits: $bits) -> Self {
                let bits = bits.checked_sub(1)?;
                Some(<$t>::from_bits(bits as <$t as Value>::Bits))
            }
        }
    )*};
}
option! {
    bool as u8;
    u8 as u16;
    i8 as u16;
    u16 as u32;
    i16 as u32;
    char as u32;
    u32 as u64;
    i32 as u64;
    f32 as u64;
}

macro_rules! bytes {
    ($($len:literal as $bits:ty, $kind:ident;)*) => {$(
        impl Value for [u8; $len] {
            type Bits = $bits;
            const KIND: ValueKind = ValueKind::$kind;
            #[inline(always)]
            fn into_bits(self) -> $bits {
                let mut bytes = [0; size_of::<$bits>()];
                bytes[size_of::<$bits>() - $len..].copy_from_slice(&self);
                <$bits>::from_be_bytes(bytes)
            }
            #[inline(always)]
            fn from_bits(bits: $bits) -> Self {
                let mut bytes = [0; $len];
                bytes.copy_from_slice(&bits.to_be_bytes()[size_of::<$bits>() - $len..]);
                bytes
            }
        }
    )*};
}
bytes! {
    1 as u8, U8;
    2 as u16, U16;
    3 as u32, InMemory;
    4 as u32, U32;
    5 as u64, InMemory;
    6 as u64, InMemory;
    7 as u64, InMemory;
    8 as u64, U64;
}

macro_rules! array {
    ($($t:ty, $len:literal as $bits:ty, $kind:ident;)*) => {$(
        impl Value for [$t; $len] {
            type Bits = $bits;
            const KIND: ValueKind = ValueKind::$kind;
            #[inline(always)]
            fn into_bits(self) -> $bits {
                self.into_iter().fold(0, |bits, element| {
                    bits << <$t>::BITS | <$bits>::from(element.into_bits())
                })
            }
            #[inline(always)]
            fn from_bits(bits: $bits) -> Self {
                let element = |i| bits >> (($len - 1 - i as u32) * <$t>::BITS);
                std::array::from_fn(|i| <$t>::from_bits(element(i) as <$t as Value>::Bits))
            }
        }
    )*};
}
array! {
    u16, 2 as u32, U32;
    u16, 4 as u64, U64;
    i16, 2 as u32, U32;
    i16, 4 as u64, U64;
    u32, 2 as u64, U64;
    i32, 2 as u64, U64;
}

macro_rules! pair {
    ($($a:ty, $b:ty as $bits:ty, $kind:ident;)*) => {$(
        impl Value for ($a, $b) {
            type Bits = $bits;
            const KIND: ValueKind = ValueKind::$kind;
            #[inline(always)]
            fn into_bits(self) -> $bits {
                let (a, b) = (self.0.into_bits(), self.1.into_bits());
                <$bits>::from(a) << (8 * size_of::<$b>()) | <$bits>::from(b)
            }
            #[inline(always)]
            fn from_bits(bits: $bits) -> Self {
                let a = (bits >> (8 * size_of::<$b>())) as <$a as Value>::Bits;
                (<$a>::from_bits(a), <$b>::from_bits(bits as <$b as Value>::Bits))
            }
        }
    )*};
}
pair! {
    u8, u8 as u16, U16;
    i8, i8 as u16, U16;
    u16, u16 as u32, U32;
    i16, i16 as u32, U32;
    u32, u32 as u64, U64;
    i32, i32 as u64, U64;
    f32, f32 as u64, U64;
    u32, i32 as u64, U64;
    i32, u32 as u64, U64;
    u32, f32 as u64, U64;
    f32, u32 as u64, U64;
    u8, u16 as u32, InMemory;
    u16, u8 as u32, InMemory;
    u8, u32 as u64, InMemory;
    u32, u8 as u64, InMemory;
    u16, u32 as u64, InMemory;
    u32, u16 as u64, InMemory;
    u32, bool as u64, InMemory;
    bool, u32 as u64, InMemory;
}
