//! Edits of the tree. Each prepares new nodes, which may fail, and then commits by stores only.
//!
//! * `mode`: how nodes are locked and freed, with one owner and with many threads.
//! * `pending`: nodes that are not published, and the error of an allocation.
//! * `commit`: the replacement of nodes that every edit comes down to.
//! * `path`: the descent that notes the fence keys of each node.
//! * `decoded`, `entry_run`: the keys of new nodes, as whole keys or as entries that are copied.
//! * `insert`, `remove`, `append`, `bulk`, `clear`: one operation each.
//! * `append_mode`: what a tree notes while keys are appended in ascending order.
//! * `relocate`: moves nodes out of sparse pages.

pub(crate) mod append;
pub(crate) mod append_mode;
pub(crate) mod bulk;
mod clear;
pub(crate) mod commit;
pub(crate) mod decoded;
pub(crate) mod entry_run;
pub(crate) mod insert;
pub(crate) mod mode;
pub(crate) mod path;
pub(crate) mod pending;
pub(crate) mod relocate;
pub(crate) mod remove;
pub(crate) use append::Append;
pub(crate) use append_mode::{AppendMode, OpenLeaf};
pub(crate) use clear::{copy_keys, free_all};
pub(crate) use commit::{Edit, LeafEdit, LevelEdit, commit, commit_new, replace_leaf};
pub(crate) use decoded::{DecodedKeys, SortedKeys, Split};
pub(crate) use entry_run::EntryRun;
pub(crate) use insert::Upsert;
pub(crate) use mode::{
    EditError, Exclusive, Expected, Mode, Outcome, Target, is_small, may_spare, overwrite,
};
pub(crate) use path::{Fences, Path, PathLevel, locate, strip};
pub(crate) use pending::{Failed, NewNodes, make_one, try_copy};
pub(crate) use relocate::{MAX_VISITS, is_idle, relocate_group, visit_groups};
pub(crate) use remove::Removal;
