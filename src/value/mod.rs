//! The values that a map can hold: small `Copy` types of a fixed number of bits.

#![forbid(unsafe_code)]

mod newtype;
mod small;

mod sealed {
    pub trait Sealed {}
}

/// The types in which values are stored: `()`, `u8`, `u16`, `u32` and `u64`.
///
/// This trait is sealed. Implement [`Value`] over one of these to store a type of your own.
pub trait Bits: sealed::Sealed + Copy + Eq + Send + Sync + 'static {
    /// The bytes that a value takes in a leaf.
    #[doc(hidden)]
    const SIZE: usize;
    /// The kind of the values that are these bits.
    #[doc(hidden)]
    const KIND: ValueKind;
    /// Widens the value to a word.
    #[doc(hidden)]
    fn to_word(self) -> u64;
    /// Returns the low `SIZE` bytes of a word.
    #[doc(hidden)]
    fn of_word(word: u64) -> Self;
}

macro_rules! bits {
    ($($t:ty: $kind:ident),*) => {$(
        impl sealed::Sealed for $t {}
        impl Bits for $t {
            const SIZE: usize = size_of::<$t>();
            const KIND: ValueKind = ValueKind::$kind;
            #[inline(always)]
            fn to_word(self) -> u64 { u64::from(self) }
            #[inline(always)]
            fn of_word(word: u64) -> Self { word as $t }
        }
    )*};
}
bits!(u8: U8, u16: U16, u32: U32, u64: U64);

impl sealed::Sealed for () {}
impl Bits for () {
    const SIZE: usize = 0;
    const KIND: ValueKind = ValueKind::Unit;
    #[inline(always)]
    fn to_word(self) -> u64 {
        0
    }
    #[inline(always)]
    fn of_word(_: u64) -> Self {}
}

/// What kind of number a value is: how a frozen layer packs it, and the type that a file names.
///
/// A layer stores values in ascending order of the numbers, so that small differences take few
/// bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueKind {
    /// `u64` and `usize`.
    U64 = 0,
    /// `()`.
    Unit = 1,
    /// `u8`.
    U8 = 2,
    /// `u16`.
    U16 = 3,
    /// `u32`.
    U32 = 4,
    /// `i8`.
    I8 = 5,
    /// `i16`.
    I16 = 6,
    /// `i32`.
    I32 = 7,
    /// `i64` and `isize`.
    I64 = 8,
    /// `f32`.
    F32 = 9,
    /// `f64`.
    F64 = 10,
    /// `bool`.
    Bool = 11,
    /// `char`.
    Char = 12,
    /// Byte strings of any length, of a layer of `[u8]`.
    Bytes = 13,
    /// Values of maps in memory, which no layer holds: a program that makes a layer of them does
    /// not compile. No file has this kind.
    InMemory = 255,
}

/// A type that converts to stored bits and back without loss.
///
/// It takes exactly the size of its bits. It is implemented for
///
/// * `()`, whose values take no memory,
/// * integers of up to 64 bits, `usize`, `isize`, `f32`, `f64`, `char` and `bool`,
/// * `[u8; N]` of up to 8 bytes, `[u16; 2]`, `[u16; 4]`, `[u32; 2]`, and those of signed integers,
/// * pairs such as `(u32, u32)`, `(u16, u16)`, `(u32, f32)`, `(u32, u16)` and `(u32, bool)`,
/// * `NonZero` of these integers, and `Option` of `NonZero`, which takes no more,
/// * `Option` of `bool`, `char`, `f32`, and integers of up to 32 bits. It takes twice the bytes of
///   an integer or `f32`, and no more than a `bool` or `char`.
///
/// A type of 3, 5, 6 or 7 bytes takes 4 or 8. Types of your own need an implementation, or
/// [`value_newtype!`](crate::value_newtype). An [`ArenaArt`](crate::ArenaArt) holds any type.
///
/// The trait is safe to implement: whatever an implementation returns, the map stays intact.
/// `from_bits(v.into_bits())` should equal `v`; only the values returned to the caller depend on
/// it. The maps never run an implementation while they hold a lock.
///
/// ```
/// use memkv::{FastArt, Value};
///
/// #[derive(Clone, Copy, Debug, PartialEq)]
/// struct PageId(u32);
///
/// impl Value for PageId {
///     type Bits = u32;
///     fn into_bits(self) -> u32 { self.0 }
///     fn from_bits(bits: u32) -> Self { PageId(bits) }
/// }
///
/// let mut map = FastArt::new();
/// map.insert("index.html", PageId(7));
/// assert_eq!(map.get("index.html"), Some(PageId(7)));
/// ```
///
/// # Frozen layers
/// A file names the [`KIND`](Self::KIND) of its values, and opens as a layer of any type of that
/// kind: one of `PageId` above opens as one of `u32`, and one of `(u32, u32)` as one of `u64`, with
/// the first number in the high half. So of these types only those can be in layers of which each
/// bit pattern stands for a value, and `bool` and `char`, whose kinds are their own. The others
/// have the kind [`ValueKind::InMemory`], and a layer of them does not compile. They are `NonZero`,
/// `Option` of other types than `NonZero`, and arrays and pairs of less bytes than their bits.
///
/// ```
/// use std::num::NonZero;
///
/// let map = memkv::FastArt::from([("a", NonZero::<u32>::MIN)]);
/// assert_eq!(map.get("a"), NonZero::new(1));
/// ```
///
/// ```compile_fail,E0080
/// use std::num::NonZero;
///
/// let builder = memkv::FrozenLayerBuilder::<NonZero<u32>>::typed().unwrap();
/// builder.finish().unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a value of this map",
    label = "not a `Copy` type of at most 8 bytes that implements `memkv::Value`",
    note = "for values of any type use `memkv::ArenaArt<{Self}>`, or \
            `memkv::ConcurrentArenaArt<{Self}>` if threads share it",
    note = "for a small `Copy` type of your own implement `memkv::Value`, for example by \
            `memkv::value_newtype!`"
)]
pub trait Value: Copy {
    /// The stored form.
    type Bits: Bits;
    /// The kind of number, of as many bytes as [`Bits`](Self::Bits): as a rule that of the bits.
    const KIND: ValueKind = Self::Bits::KIND;
    /// Converts this value to bits.
    fn into_bits(self) -> Self::Bits;
    /// Converts bits to the value that they stand for.
    fn from_bits(bits: Self::Bits) -> Self;
}

macro_rules! value {
    ($($t:ty as $bits:ty, $kind:ident: $v:ident => $into:expr, $b:ident => $from:expr;)*) => {$(
        impl Value for $t {
            type Bits = $bits;
            const KIND: ValueKind = ValueKind::$kind;
            #[inline(always)]
            fn into_bits(self) -> $bits { let $v = self; $into }
            #[inline(always)]
            fn from_bits($b: $bits) -> Self { $from }
        }
    )*};
}
value! {
    u8 as u8, U8: v => v, b => b;
    u16 as u16, U16: v => v, b => b;
    u32 as u32, U32: v => v, b => b;
    u64 as u64, U64: v => v, b => b;
    usize as u64, U64: v => v as u64, b => b as usize;
    i8 as u8, I8: v => v.cast_unsigned(), b => b.cast_signed();
    i16 as u16, I16: v => v.cast_unsigned(), b => b.cast_signed();
    i32 as u32, I32: v => v.cast_unsigned(), b => b.cast_signed();
    i64 as u64, I64: v => v.cast_unsigned(), b => b.cast_signed();
    isize as u64, I64: v => v as i64 as u64, b => b as i64 as isize;
    f32 as u32, F32: v => v.to_bits(), b => f32::from_bits(b);
    f64 as u64, F64: v => v.to_bits(), b => f64::from_bits(b);
    char as u32, Char:
        v => u32::from(v), b => char::from_u32(b).unwrap_or(char::REPLACEMENT_CHARACTER);
    bool as u8, Bool: v => u8::from(v), b => b != 0;
}

impl Value for () {
    type Bits = ();
    #[inline(always)]
    fn into_bits(self) {}
    #[inline(always)]
    fn from_bits((): ()) -> Self {}
}

#[cfg(test)]
mod tests {
    use super::{Bits, Value};

    fn round_trip<V: Value + PartialEq + std::fmt::Debug>(v: V) {
        assert_eq!(V::from_bits(v.into_bits()), v);
        assert_eq!(V::from_bits(V::Bits::of_word(v.into_bits().to_word())), v);
    }

    #[test]
    fn every_value_comes_back() {
        round_trip(());
        for v in [0, 1, u64::MAX, 0x8000_0000_0000_0000] {
            round_trip(v as u8);
            round_trip(v as i8);
            round_trip(v as u16);
            round_trip(v as i16);
            round_trip(v as u32);
            round_trip(v as i32);
            round_trip(v);
            round_trip(v as i64);
            round_trip(v as usize);
            round_trip(v as isize);
            round_trip(v as f64);
            round_trip(v as f32);
        }
        for v in ['\0', 'a', char::MAX] {
            round_trip(v);
        }
        round_trip(true);
        round_trip(false);
    }
}
