//! An ordered in-memory index for string keys that takes fewer bytes than the keys themselves.
//!
//! A `BTreeMap<Box<[u8]>, u64>` of two million URLs takes their bytes and some fifty more for each
//! key. [`FastArt`] takes about twenty *less* than the keys, values included: neighbouring keys
//! share their prefixes, and a key is stored from its first differing byte on. It is a map with the
//! names and habits of `BTreeMap`: ordered, with ranges, prefixes and entries. The first command of
//! the README shows its memory and speed beside other structures on your machine.
//!
//! ```
//! use memkv::FastArt;
//!
//! let mut pages = FastArt::new();
//! pages.insert("https://example.org/", 1u32);
//! pages.insert("https://example.org/about", 2);
//! pages.insert("https://example.com/", 3);
//!
//! assert_eq!(pages.get("https://example.org/about"), Some(2));
//! *pages.entry("https://example.org/").or_insert(0) += 10;
//!
//! // Keys are in bytewise order.
//! let mut cursor = pages.cursor();
//! assert_eq!(cursor.next(), Some((&b"https://example.com/"[..], 3)));
//!
//! let org: Vec<u32> = pages.prefix("https://example.org/").map(|(_, id)| id).collect();
//! assert_eq!(org, [11, 2]);
//! let longest = pages.get_longest_prefix("https://example.org/about/us");
//! assert_eq!(longest, Some((&b"https://example.org/about"[..], 2)));
//! assert_eq!(pages.remove_prefix("https://example.org/"), 2);
//! ```
//!
//! # Types
//!
//! | type | what it is |
//! |---|---|
//! | [`FastArt<V>`](FastArt) | ordered map from byte strings to small values |
//! | [`ConcurrentArt<V>`](ConcurrentArt) | the same map, shared by many threads |
//! | [`ShardedArt<V>`](ShardedArt) | shards of that map, for bulk loading and many writers; its scans are in [`sharded`] |
//! | [`FastSet`] | ordered set of byte strings |
//! | [`ArenaArt<T>`](ArenaArt) | ordered map from byte strings to values of any type, returned by reference; its iterators are in [`arena`] |
//! | [`ConcurrentArenaArt<T>`](ConcurrentArenaArt) | that map, shared by many threads; its handles and iterators are in [`arena::shared`] |
//! | [`face::Pinned`] | a handle to a map that threads share, for many calls |
//! | [`Cursor`], [`Range`], [`Iter`] | scans; a cursor returns borrowed keys and allocates nothing for each |
//! | [`Entry`], [`ValueMut`] | changes in place |
//! | [`Value`], [`Bits`] | what a map can hold: `()`, integers, floats, `char`, `bool`, small arrays, pairs and options of them, and types of yours by [`value_newtype!`] |
//! | [`FrozenLayer`], [`FrozenLayerBuilder`], [`FrozenLayerWriter`] | immutable map: compressed, built in parallel, in memory or a file; [`FrozenOptions`], [`LayerValue`] |
//! | [`BytesLayer`], [`BytesLayerBuilder`] | the same with byte strings as values |
//! | [`ExternalBuilder`] | builds such a map from keys in any order, which need not fit in memory; [`OnDuplicate`] |
//! | [`FrozenCursor`], [`FrozenRange`], [`FrozenSearch`] | its scans, and searches by automata |
//! | [`HybridStore`], [`HybridOptions`] | map to `u64` over a frozen base, in memory or a folder, with compaction and a log; [`HybridRange`], [`HybridStats`], [`Wal`], [`HybridError`] |
//! | `LayerSet`, `LayerSetBuilder`, with the feature `sets` | a folder of layers as one map; `SetOptions`, `SetRange`, `SetError` |
//! | [`InsertError`], [`BuildError`], [`LoadError`], [`FrozenError`] | errors |
//! | [`pool`] | the memory of all maps of the process |
//! | [`guide`] | coming from `BTreeMap`, fst or a database; what each operation promises; memory; sizes beside other libraries; platforms |
//!
//! # The tree
//!
//! Today's tree is a *prefix B+-tree of front-coded nodes*: all leaves are equally deep, inner
//! nodes hold shortest separators, and a node strips the prefix that all its keys share. The types
//! keep "Art" in their names from the adaptive radix tree that the library was specified as. What
//! the tree has from it: nodes sized to their content, search by vector instructions, stripped
//! prefixes, and no key stored whole.
//!
//! # Keys and values
//!
//! Every byte string of up to [`MAX_KEY_LEN`] bytes is a key, also the empty one, one with NUL
//! bytes, and one that is a prefix of another. Keys are in bytewise order, which for unsigned
//! integers is the order of `to_be_bytes`. Methods take `impl AsRef<[u8]>`. Keys are not stored
//! whole, so they are returned as copies or, by a cursor, as slices of its buffer.
//!
//! Values of a [`FastArt`] are `Copy`, at most 8 bytes, and take exactly their size. An
//! [`ArenaArt`] holds values of any other type, for 5 more bytes a key.
//!
//! # Complexity
//!
//! A lookup searches one node a level; the tree of two million URLs has three levels above the
//! leaves. An insert writes one new leaf in the place of the old one, and sometimes splits a node.
//! Ascending keys are appended without either. [`FastArt::from_sorted`] builds several times faster
//! than inserts do, and more tightly; `FastArt::from_unsorted` sorts first, on all cores.
//! [`FastArt::get_many`] overlaps the cache misses of many lookups.
//!
//! # Memory
//!
//! Nodes live in a [`pool`] that all maps of the process share, which takes its memory from the
//! global allocator. While the pool is small, each node is an allocation of its own, so small maps
//! stay small. Removing keys gives memory back: to the pool at once, from there to the allocator as
//! its slabs become empty, and all of it with the last key. [`FastArt::memory_usage`] returns what
//! a map holds, [`pool::usage`] what all maps do.
//!
//! On Linux the pool asks for huge pages. They make random lookups in large maps faster, which are
//! bound by misses of the address translation cache. Call [`pool::set_huge_pages`] before the maps
//! are filled to turn this off, if resident memory must follow use in small steps.
//!
//! # Threads
//!
//! Maps are `Send` and `Sync` if their values are. Any number of threads may read a shared
//! [`FastArt`]; changing one takes `&mut`. A [`ConcurrentArt`] is changed through `&self`, by any
//! number of threads. Each turns into the other in O(1), and both into a [`ShardedArt`]; the way
//! back from there takes O(keys).
//!
//! # Forked processes
//!
//! A child of `fork` has only the thread that forked. There frozen layers and single-threaded maps
//! work as before, with the limits below. Parallel methods run in a pool that the child makes, with
//! as many threads; if the thread that forked is one of a rayon pool, it does their work alone.
//!
//! * A [`FrozenLayerBuilder`] or [`ExternalBuilder`] of the parent returns [`FrozenError::Forked`].
//! * A map that threads share works if no other thread was in a call at the fork. All maps share
//!   the [`pool`], so the same holds for changes of any map, and for reads of a [`Codec::Fst`]
//!   layer. Reads of a [`FastArt`] and of other layers take no lock.
//! * If another thread had a handle, or a cursor of a [`ConcurrentArenaArt`], at the fork, memory
//!   that shared maps replace in the child is never freed.
//! * The library notices a fork if the parent has called one of its parallel methods. If the parent
//!   has used rayon by itself only, the child must call them in a `ThreadPool` of its own.
//!
//! **Warning:** a call that needs a lock which another thread held at the fork never returns.
//!
//! # Features
//!
//! * `parallel`, on by default: bulk loads of unsorted keys, and the methods of a [`ShardedArt`]
//!   whose names begin with `par_`, on the threads of rayon.
//! * `storage`, on by default: frozen layers, hybrid stores and `load_file`, with the crates that
//!   read and map files. Turns `parallel` on.
//! * `serde`: `Serialize` and `Deserialize` for maps with one owner, shared maps, and [`FastSet`].
//!   In a format that people read, such as JSON, a map is a map of strings if all keys are UTF-8,
//!   and otherwise a sequence of pairs of byte strings and values; both are accepted. In binary
//!   formats it is always that sequence. A set is the sequence of its keys.
//! * `sets`: `LayerSet`, a folder of frozen layers as one map. Turns `storage` on, and brings
//!   serde_json and base64.
//! * `regex`: `RegexAutomaton`, to search a [`FrozenLayer`] with regular expressions. Turns
//!   `storage` on.
//!
//! # Unsafe code
//!
//! It is confined to `src/tree`, `src/pool`, `src/reclaim` and `src/io`. Every block cites the
//! invariant that it relies on: [`safety`].
//!
//! # Literature
//!
//! * R. Bayer, K. Unterauer: "Prefix B-trees", ACM TODS 1977. Shortest separators, and nodes that
//!   leave out what all their keys share.
//! * S. Heinz, J. Zobel, H. Williams: "Burst tries: a fast, efficient data structure for string
//!   keys", ACM TOIS 2002; N. Askitis, J. Zobel: "B-tries for disk-based string management", VLDB
//!   Journal 2009. Runs of neighbouring keys as leaves.
//! * V. Leis, A. Kemper, T. Neumann: "The adaptive radix tree", ICDE 2013. Nodes that fit their
//!   content, SIMD search.
//! * R. Binna, E. Zangerle, M. Pichl, G. Specht, V. Leis: "HOT: a height optimized trie index",
//!   SIGMOD 2018. Many children a node, whatever the keys.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod testing;

pub mod arena;
mod coding;
pub mod concurrent;
mod error;
pub mod face;
mod fast;
#[cfg(feature = "storage")]
mod frozen;
#[cfg(any(feature = "storage", memkv_loom))]
mod hybrid;
#[cfg(feature = "parallel")]
mod io;
mod key;
#[cfg(feature = "parallel")]
mod load;
pub mod pool;
mod reclaim;
#[cfg(feature = "serde")]
mod serde;
#[cfg(feature = "sets")]
mod sets;
pub mod sharded;
mod symbols;
mod sync;
mod tree;
mod value;
mod words;

pub use arena::ArenaArt;
#[doc(inline)]
pub use arena::shared::ConcurrentArenaArt;
#[doc(inline)]
pub use coding::KeyCoding;
#[doc(inline)]
pub use concurrent::ConcurrentArt;
#[cfg(feature = "storage")]
pub use error::FileError;
pub use error::{BuildError, InsertError};
pub use fast::{
    Cursor, Entry, FastArt, FastSet, IntoIter, IntoKeys, IntoValues, Iter, Keys, MemoryUsage,
    OccupiedEntry, Range, VacantEntry, ValueMut, Values,
};
#[cfg(feature = "storage")]
pub use frozen::{
    Automaton, BytesLayer, BytesLayerBuilder, Codec, ExternalBuilder, FrozenCursor, FrozenError,
    FrozenIntoIter, FrozenKeys, FrozenLayer, FrozenLayerBuilder, FrozenLayerWriter, FrozenOptions,
    FrozenRange, FrozenSearch, FrozenStream, FrozenUsage, FrozenValues, LayerValue, LayerValues,
    LevenshteinAutomaton, LevenshteinState, MAX_VALUE_LEN, OnDuplicate, SymbolTable, ValueWidth,
};
#[cfg(feature = "regex")]
pub use frozen::{RegexAutomaton, RegexError, RegexState};
#[cfg(any(feature = "storage", memkv_loom))]
pub use hybrid::HybridError;
#[cfg(memkv_loom)]
pub use hybrid::ModelStore;
#[cfg(feature = "storage")]
pub use hybrid::{
    CutEnd, ExchangeError, HybridKeys, HybridOptions, HybridRange, HybridStats, HybridStore,
    HybridUsage, HybridValues, Loss, Recovery, Wal,
};
#[cfg(feature = "parallel")]
pub use load::LoadError;
#[cfg(memkv_loom)]
pub use pool::model::{LiveCell, ModelPool};
#[cfg(memkv_loom)]
pub use reclaim::{model as batches, plain};
#[cfg(feature = "sets")]
pub use sets::{
    LayerSet, LayerSetBuilder, SetError, SetInfo, SetOptions, SetPart, SetRange, SetSearch,
    UnfinishedSet,
};
#[doc(inline)]
pub use sharded::ShardedArt;
#[cfg(all(feature = "storage", feature = "_testing"))]
#[doc(hidden)]
pub use testing::failpoint::{
    abort_after as crash_after, fail_after, fail_sync_after, fail_writes,
};
#[cfg(any(memkv_loom, memkv_shuttle))]
pub use testing::mutant;
#[cfg(feature = "_testing")]
#[doc(hidden)]
pub use testing::threshold::code_small_maps;
pub use tree::MAX_KEY_LEN;
#[cfg(memkv_loom)]
pub use tree::{FilledSlot, ModelSlots};
pub use value::{Bits, Value, ValueKind};

#[doc = include_str!("SAFETY.md")]
pub mod safety {}

#[cfg(feature = "storage")]
#[doc = include_str!("frozen/FORMAT.md")]
pub mod format {}

#[cfg(feature = "storage")]
#[doc = include_str!("hybrid/FORMAT.md")]
pub mod store_format {}

#[cfg(feature = "sets")]
#[doc = include_str!("sets/FORMAT.md")]
pub mod set_format {}

/// Coming from `BTreeMap`, fst or a database; what each operation promises; when memory comes back;
/// sizes beside other libraries; platforms.
pub mod guide {
    #[doc = include_str!("../docs/from-btreemap.md")]
    #[cfg(feature = "parallel")]
    pub mod from_btreemap {}

    #[doc = include_str!("../docs/from-fst.md")]
    #[cfg(feature = "storage")]
    pub mod from_fst {}

    #[doc = include_str!("../docs/from-databases.md")]
    #[cfg(feature = "storage")]
    pub mod from_databases {}

    #[doc = include_str!("../docs/consistency.md")]
    pub mod consistency {}

    #[doc = include_str!("../docs/memory.md")]
    pub mod memory {}

    #[doc = include_str!("../docs/sizes.md")]
    #[cfg(feature = "storage")]
    pub mod sizes {}

    #[doc = include_str!("../docs/platforms.md")]
    pub mod platforms {}
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
