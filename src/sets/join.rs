//! Sets that several processes, or machines, have built at the same time, as one.
//!
//! ```text
//!   pages/member-0/manifest.json, part-…        built by one process
//!   pages/member-1/manifest.json, part-…        built by another
//!   pages/manifest.json                         joined: names the parts of both
//! ```

use super::builder::SetInfo;
use super::error::SetError;
use super::layer_set::LayerSet;
use super::manifest::{Manifest, SetPart, is_inside};
use crate::frozen::FrozenError;
use crate::io::dir::Dir;
use std::path::Path;
use std::sync::Arc;

/// How the names of folders begin that [`vacuum`](LayerSet::vacuum) removes when no set needs them.
pub(super) const MEMBER: &str = "member-";

impl LayerSet {
    /// Makes one set in a folder of sets, its *members*, that are in folders within it. Replaces
    /// the set that may be in the folder.
    ///
    /// So several processes, or machines with a common file system, build a set at the same time:
    /// each one builds a member from the keys of a range. Values may be of any type.
    ///
    /// `members` are the paths of their folders, relative to the folder of the set, with slashes,
    /// in any order. A member with a name that begins with `member-` is removed by
    /// [`vacuum`](Self::vacuum) when it is old and the set does not name its parts. Members without
    /// keys are left out. No part is opened, copied or moved.
    ///
    /// # Guarantees
    /// Those of a [`LayerSetBuilder`](crate::LayerSetBuilder): after a crash or an error the folder
    /// has the old set or the new one, and readers go on with the one that they opened.
    ///
    /// # Errors
    /// There is no member; a member's path does not lead into the folder, or has no set; members
    /// have values of different types, or ranges that overlap ([`SetError::Overlap`]); or the
    /// manifest cannot be written.
    ///
    /// # Complexity
    /// O(number of parts).
    ///
    /// ```
    /// use memkv::{LayerSet, LayerSetBuilder, SetOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-join-{}", std::process::id()));
    /// for (member, key) in [("member-1", "b"), ("member-0", "a")] {
    ///     let mut builder = LayerSetBuilder::create(folder.join(member), SetOptions::new())?;
    ///     builder.insert(key, 1)?;
    ///     builder.finish()?;
    /// }
    /// let info = LayerSet::join(&folder, ["member-0", "member-1"])?;
    /// assert_eq!((info.keys, info.parts), (2, 2));
    /// assert_eq!(LayerSet::open(&folder)?.get("b")?, Some(1));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join<P: AsRef<str>>(
        folder: impl AsRef<Path>,
        members: impl IntoIterator<Item = P>,
    ) -> Result<SetInfo, SetError> {
        let dir = Arc::new(Dir::open(folder.as_ref())?);
        join_members(&dir, None, members)
    }

    /// Appends members to the set in the folder, like [`join`](Self::join). Their keys are greater
    /// than all of the set.
    ///
    /// # Errors
    /// See there; or the folder has no set, or one with values of another type; or another builder
    /// has replaced the manifest during the call.
    pub fn join_after<P: AsRef<str>>(
        folder: impl AsRef<Path>,
        members: impl IntoIterator<Item = P>,
    ) -> Result<SetInfo, SetError> {
        let dir = Arc::new(Dir::open(folder.as_ref())?);
        let before = Manifest::read(&dir)?;
        join_members(&dir, Some(before), members)
    }
}

fn join_members<P: AsRef<str>>(
    dir: &Arc<Dir>,
    before: Option<(Manifest, Vec<u8>)>,
    members: impl IntoIterator<Item = P>,
) -> Result<SetInfo, SetError> {
    let (mut joined, bytes) = match before {
        Some((manifest, bytes)) => (Some(manifest), Some(bytes)),
        None => (None, None),
    };
    let mut parts: Vec<SetPart> = Vec::new();
    for member in members {
        let member = member.as_ref();
        if !is_inside(member) {
            let error = "the path of a member does not lead into the folder of the set";
            return Err(FrozenError::Option(error).into());
        }
        let (manifest, _) = Manifest::read(&Dir::open(&dir.path_of(member))?)?;
        let whole = joined.get_or_insert_with(|| Manifest {
            kind: manifest.kind,
            duplicates: 0,
            rule: manifest.rule,
            parts: Vec::new(),
        });
        if manifest.kind != whole.kind {
            return Err(SetError::Values { found: manifest.kind, expected: whole.kind });
        }
        whole.duplicates += manifest.duplicates;
        parts.extend(manifest.parts.into_iter().map(|part| {
            let path = format!("{}/{}", member.trim_end_matches('/'), part.path);
            SetPart { path, ..part }
        }));
    }
    let mut joined = joined.ok_or(FrozenError::Option("a set is joined of one member or more"))?;
    parts.sort_unstable_by(|a, b| a.first.cmp(&b.first));
    joined.parts.extend(parts);
    let pairs = joined.parts.iter().zip(joined.parts.iter().skip(1));
    for (before, part) in pairs {
        if before.last >= part.first {
            let (part, before) = (dir.path_of(&part.path), dir.path_of(&before.path));
            return Err(SetError::Overlap { part, before });
        }
    }
    joined.replace(dir, bytes.as_deref())?;
    Ok(SetInfo::of(&joined))
}
