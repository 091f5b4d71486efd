//! Values that are more than one number: `NonZero`, options, arrays, pairs and newtypes.

use memkv::{ArenaArt, Bits, ConcurrentArt, FastArt, ShardedArt, Value, ValueKind, value_newtype};
use std::fmt::Debug;
use std::num::NonZero;

/// Every value comes back from its bits and from each kind of map.
fn come_back<V: Value + PartialEq + Debug + Send + Sync>(values: &[V]) {
    let mut map = FastArt::new();
    for (i, &value) in values.iter().enumerate() {
        assert_eq!(V::from_bits(value.into_bits()), value);
        map.insert(format!("{i:03}"), value);
        for (j, &other) in values.iter().enumerate() {
            assert_eq!(value.into_bits() == other.into_bits(), i == j, "{value:?}, {other:?}");
        }
    }
    assert!(map.values().eq(values.iter().copied()));
    let shared: ConcurrentArt<V> = map.clone().into();
    assert!(shared.iter().map(|(_, value)| value).eq(values.iter().copied()));
    let sharded: ShardedArt<V> = shared.into();
    assert!(sharded.iter().map(|(_, value)| value).eq(values.iter().copied()));
}

/// Whatever the bits, there is a value, and its bits stand for it.
fn any_bits_are_a_value<V: Value + PartialEq + Debug>(bits: impl IntoIterator<Item = V::Bits>) {
    for bits in bits {
        let value = V::from_bits(bits);
        assert_eq!(V::from_bits(value.into_bits()), value);
        assert!(V::KIND == ValueKind::InMemory || value.into_bits() == bits, "{value:?}");
    }
}

#[test]
fn nonzero_integers_come_back() {
    macro_rules! all {
        ($($t:ty),*) => {$(
            let numbers = [1, 2, 126, <$t>::MAX, <$t>::MIN].into_iter();
            let some: Vec<NonZero<$t>> = numbers.filter_map(NonZero::new).collect();
            come_back(&some);
            let options: Vec<_> = some.into_iter().map(Some).chain([None]).collect();
            come_back(&options);
            assert_eq!(NonZero::<$t>::KIND, ValueKind::InMemory);
            assert_eq!(Option::<NonZero<$t>>::KIND, <$t as Value>::KIND);
            assert_eq!(NonZero::<$t>::from_bits(0).get(), 1);
        )*};
    }
    all!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);
    any_bits_are_a_value::<NonZero<i8>>(0..=u8::MAX);
    any_bits_are_a_value::<Option<NonZero<i8>>>(0..=u8::MAX);
    any_bits_are_a_value::<Option<NonZero<u16>>>(0..=u16::MAX);
}

#[test]
fn options_come_back() {
    come_back(&[None, Some(false), Some(true)]);
    come_back(&[None, Some(0u8), Some(1), Some(u8::MAX)]);
    come_back(&[None, Some(0i8), Some(-1), Some(i8::MIN), Some(i8::MAX)]);
    come_back(&[None, Some(0u16), Some(1), Some(u16::MAX)]);
    come_back(&[None, Some(0i16), Some(-1), Some(i16::MIN), Some(i16::MAX)]);
    come_back(&[None, Some(0u32), Some(1), Some(u32::MAX)]);
    come_back(&[None, Some(0i32), Some(-1), Some(i32::MIN), Some(i32::MAX)]);
    come_back(&[None, Some(0.0f32), Some(-1.5), Some(f32::INFINITY), Some(f32::MIN)]);
    come_back(&[None, Some('\0'), Some('a'), Some(char::MAX)]);
    any_bits_are_a_value::<Option<bool>>(0..=u8::MAX);
    any_bits_are_a_value::<Option<u8>>(0..=u16::MAX);
    any_bits_are_a_value::<Option<char>>([0xD800, 0xD801, 0x11_0000, 0x11_0001, u32::MAX]);
}

#[test]
fn arrays_come_back() {
    fn ascend<const N: usize>(last: u8)
    where
        [u8; N]: Value<Bits: Ord>,
    {
        let mut values = vec![[0; N], [1; N], [u8::MAX; N]];
        let mut value = [7; N];
        value[N - 1] = last;
        values.insert(2, value);
        assert!(values.iter().map(|value| value.into_bits()).is_sorted());
        come_back(&values);
    }
    ascend::<1>(9);
    ascend::<2>(9);
    ascend::<3>(9);
    ascend::<4>(9);
    ascend::<5>(9);
    ascend::<6>(9);
    ascend::<7>(9);
    ascend::<8>(9);
    come_back(&[[0, 0], [0, 1u16], [1, 0], [u16::MAX, 0], [u16::MAX; 2]]);
    come_back(&[[0, 0], [0, -1i16], [-1, 0], [i16::MIN, i16::MAX]]);
    come_back(&[[0; 4], [0, 1, 2, 3u16], [3, 2, 1, 0], [u16::MAX; 4]]);
    come_back(&[[0; 4], [0, -1, 2, -3i16], [i16::MIN; 4]]);
    come_back(&[[0, 0], [0, 1u32], [1, 0], [u32::MAX, 0], [u32::MAX; 2]]);
    come_back(&[[0, 0], [0, -1i32], [-1, 0], [i32::MIN, i32::MAX]]);
    any_bits_are_a_value::<[u8; 3]>([0, 1, u32::MAX]);
    any_bits_are_a_value::<[i16; 2]>([0, 1, u32::MAX, 0x8000_7FFF]);
}

#[test]
fn pairs_come_back() {
    come_back(&[(0, 0), (0, 1u8), (1u8, 0), (255, 255)]);
    come_back(&[(0, 0), (0, -1i8), (-1i8, 0), (-128, 127)]);
    come_back(&[(0, 0), (0, 1u16), (1u16, 0), (u16::MAX, u16::MAX)]);
    come_back(&[(0, 0), (0, -1i16), (-1i16, 0), (i16::MIN, i16::MAX)]);
    come_back(&[(0, 0), (0, 1u32), (1u32, 0), (u32::MAX, u32::MAX)]);
    come_back(&[(0, 0), (0, -1i32), (-1i32, 0), (i32::MIN, i32::MAX)]);
    come_back(&[(0.0, 1.5), (1.5f32, -2.5f32)]);
    come_back(&[(0, 0), (1u32, -1i32), (u32::MAX, i32::MIN)]);
    come_back(&[(0, 0), (-1i32, 1u32), (i32::MIN, u32::MAX)]);
    come_back(&[(0, 0.0), (1u32, -1.0f32)]);
    come_back(&[(0.0, 0), (-1.0f32, 1u32)]);
    come_back(&[(0, 0), (1u8, 2u16), (255, u16::MAX)]);
    come_back(&[(0, 0), (1u16, 2u8), (u16::MAX, 255)]);
    come_back(&[(0, 0), (1u8, 2u32), (255, u32::MAX)]);
    come_back(&[(0, 0), (1u32, 2u8), (u32::MAX, 255)]);
    come_back(&[(0, 0), (1u16, 2u32), (u16::MAX, u32::MAX)]);
    come_back(&[(0, 0), (1u32, 2u16), (u32::MAX, u16::MAX)]);
    come_back(&[(0, false), (0, true), (u32::MAX, true)]);
    come_back(&[(false, 0), (true, 0), (true, u32::MAX)]);
    any_bits_are_a_value::<(i8, i8)>(0..=u16::MAX);
    any_bits_are_a_value::<(u32, bool)>([0, 1, 2, 1 << 40, u64::MAX]);
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct PageId(u32);
value_newtype!(PageId as u32, |page| page.0, PageId);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Span {
    start: u32,
    len: u16,
}
value_newtype!(Span as (u32, u16), Span::parts, Span::new);

impl Span {
    fn parts(self) -> (u32, u16) {
        (self.start, self.len)
    }

    fn new((start, len): (u32, u16)) -> Self {
        Span { start, len }
    }
}

#[test]
fn newtypes_come_back() {
    come_back(&[PageId(0), PageId(7), PageId(u32::MAX)]);
    come_back(&[Span::new((0, 0)), Span::new((1, 2)), Span::new((u32::MAX, u16::MAX))]);
    assert_eq!((PageId::KIND, Span::KIND), (ValueKind::U32, ValueKind::InMemory));
    assert_eq!(size_of_bits::<PageId>(), 4);
    // A type that is no `Value` has its place in an arena.
    let map = ArenaArt::from([("a", (Span::new((1, 2)), "any"))]);
    assert_eq!(map.get("a"), Some(&(Span::new((1, 2)), "any")));
}

fn size_of_bits<V: Value>() -> usize {
    fn size<B: Bits>() -> usize {
        size_of::<B>()
    }
    size::<V::Bits>()
}

#[cfg(feature = "storage")]
#[test]
fn values_of_all_bits_go_through_layers() {
    use memkv::{FrozenError, FrozenLayer, FrozenLayerBuilder};

    fn through<V: Value + PartialEq + Debug>(values: &[V]) -> FrozenLayer<V> {
        let mut builder = FrozenLayerBuilder::typed().unwrap();
        for (i, &value) in values.iter().enumerate() {
            builder.insert(format!("{i:03}"), value).unwrap();
        }
        let layer: FrozenLayer<V> = builder.finish().unwrap();
        let layer = FrozenLayer::<V>::from_bytes_as(layer.to_bytes()).unwrap();
        assert!(layer.iter().map(|(_, value)| value).eq(values.iter().copied()));
        layer
    }

    through(&[None, NonZero::new(1u8), NonZero::new(255)]);
    through(&[None, NonZero::new(i64::MIN), NonZero::new(-1), NonZero::new(i64::MAX)]);
    through(&[[0u8; 8], *b"12345678", [255; 8]]);
    through(&[[0i16; 4], [-1, 2, i16::MIN, 3]]);
    through(&[(1u16, 2u16), (0, 3)]);
    through(&[PageId(3), PageId(1)]);
    // The kind is that of the bits.
    let layer = through(&[(1u32, 2u32), (0, 3)]);
    let words = FrozenLayer::<u64>::from_bytes_as(layer.to_bytes()).unwrap();
    assert_eq!(words.get("000"), Some(1 << 32 | 2));
    let error = FrozenLayer::<(u16, u16)>::from_bytes_as(layer.to_bytes()).unwrap_err();
    assert!(matches!(
        error,
        FrozenError::Values { found: ValueKind::U64, expected: ValueKind::U32 }
    ));
}
