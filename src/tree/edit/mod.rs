//! Changes of the tree. Each prepares new nodes, which may fail, and then commits by stores only.
//!
//! * `commit`: the replacement of nodes that every change comes down to.
//! * `path`: the descent that notes what bounds each node.
//! * `decoded`, `coded_run`: keys of new nodes, written out or copied as they are coded.
//! * `insert`, `remove`, `append`, `bulk`, `clear`: one operation each.
//! * `relocate`: moves nodes out of sparse pages.

pub(crate) mod append;
pub(crate) mod bulk;
mod clear;
pub(crate) mod coded_run;
pub(crate) mod commit;
pub(crate) mod decoded;
pub(crate) mod insert;
pub(crate) mod mode;
pub(crate) mod path;
pub(crate) mod pending;
pub(crate) mod relocate;
pub(crate) mod remove;
