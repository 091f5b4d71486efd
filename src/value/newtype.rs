//! The macro that implements `Value` for a type of the caller.

/// Implements [`Value`](crate::Value) for a `Copy` type of yours, stored as another value.
///
/// It is called as `value_newtype!(Type as Stored, into, from)`. `into` converts a `Type` to the
/// `Stored` value, and `from` converts it back. Both are functions or closures that capture
/// nothing. `from(into(v))` should equal `v`.
///
/// The type takes the bytes and has the [`KIND`](crate::Value::KIND) of `Stored`. So it can be in a
/// `FrozenLayer` if `Stored` can.
///
/// ```
/// use memkv::{FastArt, value_newtype};
///
/// #[derive(Clone, Copy, Debug, PartialEq)]
/// struct PageId(u32);
/// value_newtype!(PageId as u32, |page| page.0, PageId);
///
/// #[derive(Clone, Copy, Debug, PartialEq)]
/// struct Span {
///     start: u32,
///     len: u32,
/// }
/// value_newtype!(Span as (u32, u32), |span| (span.start, span.len), |(start, len)| Span {
///     start,
///     len,
/// });
///
/// let pages = FastArt::from([("index.html", PageId(7))]);
/// assert_eq!(pages.get("index.html"), Some(PageId(7)));
/// let spans = FastArt::from([("title", Span { start: 10, len: 5 })]);
/// assert_eq!(spans.get("title"), Some(Span { start: 10, len: 5 }));
/// ```
///
/// A type that owns memory cannot be a value. Use an [`ArenaArt`](crate::ArenaArt):
///
/// ```compile_fail,E0277
/// struct Title(String);
/// memkv::value_newtype!(Title as u32, |title| title.0.len() as u32, |_| Title(String::new()));
/// ```
#[macro_export]
macro_rules! value_newtype {
    ($type:ty as $stored:ty, $into:expr, $from:expr $(,)?) => {
        impl $crate::Value for $type {
            type Bits = <$stored as $crate::Value>::Bits;
            const KIND: $crate::ValueKind = <$stored as $crate::Value>::KIND;
            #[inline(always)]
            fn into_bits(self) -> Self::Bits {
                let into: fn(Self) -> $stored = $into;
                <$stored as $crate::Value>::into_bits(into(self))
            }
            #[inline(always)]
            fn from_bits(bits: Self::Bits) -> Self {
                let from: fn($stored) -> Self = $from;
                from(<$stored as $crate::Value>::from_bits(bits))
            }
        }
    };
}
