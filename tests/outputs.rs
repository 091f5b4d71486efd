//! Files that the library writes: what they may replace, what they keep of it, and what a killed
//! writer leaves.

#![cfg(unix)]

mod common {
    pub(crate) mod child;
    pub(crate) mod names;
    pub(crate) mod test_path;
}

use common::child::{job, run};
use common::names::names;
use common::test_path::TestPath;
use memkv::{
    FrozenError, FrozenLayer, FrozenLayerBuilder, FrozenOptions, HybridError, HybridStore,
};
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

/// An owner that is not the one of the tests.
const OTHER_OWNER: u32 = 12_345;

/// The folder of one test.
struct Folder(TestPath);

impl Folder {
    fn new(name: &str) -> Self {
        let path = TestPath::new(name);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        names(&self.0)
    }

    /// Returns the names of unfinished files.
    fn temporaries(&self) -> Vec<String> {
        self.names().into_iter().filter(|name| name.starts_with(".memkv-")).collect()
    }
}

fn layer() -> FrozenLayer {
    FrozenLayer::from_sorted(&[("a", 1), ("b", 2)]).unwrap()
}

/// Writes the same layer by a builder.
fn build(path: &Path) -> Result<(), FrozenError> {
    let mut builder = FrozenLayerBuilder::create(path, FrozenOptions::new())?;
    builder.insert("a", 1)?;
    builder.insert("b", 2)?;
    builder.finish_file().map(drop)
}

/// A function that writes the layer to a file.
type Writer = fn(&Path) -> Result<(), FrozenError>;

/// All that writes a file by its path.
fn writers() -> [Writer; 2] {
    [|path| layer().save(path), build]
}

fn is_layer(path: &Path) -> bool {
    fs::read(path).unwrap() == layer().to_bytes()
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// Checks that no writer replaces a file, by its path or a link, and that it stays what it is.
fn is_refused(folder: &Folder, path: &Path) {
    let id = |path: &Path| {
        let found = fs::symlink_metadata(path).unwrap();
        (found.dev(), found.ino(), found.mode(), found.rdev())
    };
    let link = folder.file("link to it");
    let _ = fs::remove_file(&link);
    symlink(path, &link).unwrap();
    let (before, names) = (id(path), folder.names());
    for to in [path, &link] {
        for write in writers() {
            let error = write(to).unwrap_err();
            assert!(
                matches!(&error, FrozenError::File(file) if file.path() == to),
                "{}: {error}",
                to.display()
            );
        }
        // A folder is replaced by a store if it is one, or empty.
        if !path.is_dir() {
            let error = HybridStore::from(layer()).save(to).unwrap_err();
            assert!(matches!(error, HybridError::File(_)), "{}: {error}", to.display());
        }
    }
    assert_eq!((id(path), folder.names()), (before, names), "{}", path.display());
}

#[test]
fn only_regular_files_are_replaced() {
    let folder = Folder::new("kinds");
    let fifo = folder.file("fifo");
    // SAFETY: the path ends with a zero.
    assert_eq!(unsafe { libc::mkfifo(c_path(&fifo).as_ptr(), 0o600) }, 0);
    is_refused(&folder, &fifo);
    assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
    let socket = folder.file("socket");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    is_refused(&folder, &socket);
    let inner = folder.file("folder");
    fs::create_dir(&inner).unwrap();
    is_refused(&folder, &inner);
    fs::write(inner.join("file"), "mine").unwrap();
    is_refused(&folder, &inner);
    assert_eq!(fs::read(inner.join("file")).unwrap(), b"mine");
    // `/dev/null`, by a file of this folder.
    let device = folder.file("null");
    // SAFETY: the path ends with a zero.
    let made = unsafe {
        libc::mknod(c_path(&device).as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(1, 3))
    };
    if made == 0 {
        is_refused(&folder, &device);
        assert!(fs::metadata(&device).unwrap().file_type().is_char_device());
    } else {
        println!("skipped: a device, which needs root");
    }
    // As root this would take the device away. It is refused before anything is created.
    let link = folder.file("link to null");
    symlink("/dev/null", &link).unwrap();
    for write in writers() {
        assert!(matches!(write(&link), Err(FrozenError::File(_))));
    }
    assert_eq!(folder.temporaries(), [""; 0]);
}

#[test]
fn a_link_stays_and_its_target_is_replaced() {
    let folder = Folder::new("links");
    fs::create_dir(folder.file("below")).unwrap();
    let links = [("direct", "target"), ("over", "direct"), ("below/up", "../over")];
    for (link, target) in links {
        symlink(target, folder.file(link)).unwrap();
    }
    symlink(folder.file("target"), folder.file("absolute")).unwrap();
    symlink(folder.file("below"), folder.file("to below")).unwrap();
    let all = ["direct", "over", "below/up", "absolute", "to below/up"];
    // A link that dangles creates its target.
    for (link, is_dangling) in all.iter().flat_map(|link| [(link, true), (link, false)]) {
        for write in writers() {
            let _ = fs::remove_file(folder.file("target"));
            if !is_dangling {
                fs::write(folder.file("target"), "old").unwrap();
            }
            write(&folder.file(link)).unwrap();
            assert!(is_layer(&folder.file("target")), "{link}");
            assert!(fs::symlink_metadata(folder.file("target")).unwrap().is_file());
            assert!(links.iter().all(|(link, _)| folder.file(link).is_symlink()));
            assert_eq!(fs::read_dir(folder.file("below")).unwrap().count(), 1);
        }
    }
    // To a folder that is missing, and to itself.
    symlink("none/target", folder.file("nowhere")).unwrap();
    symlink("circle", folder.file("circle")).unwrap();
    let names = folder.names();
    for write in writers() {
        for link in ["nowhere", "circle"] {
            assert!(matches!(write(&folder.file(link)), Err(FrozenError::File(_))), "{link}");
        }
    }
    assert_eq!(folder.names(), names);
    // A store that is saved through a link to its folder.
    symlink("store", folder.file("to store")).unwrap();
    fs::create_dir(folder.file("store")).unwrap();
    HybridStore::from(layer()).save(folder.file("to store")).unwrap();
    assert!(folder.file("to store").is_symlink());
    assert_eq!(HybridStore::open(folder.file("store")).unwrap().len(), 2);
}

#[test]
fn mode_and_owner_of_a_replaced_file_are_kept() {
    let folder = Folder::new("mode");
    let path = folder.file("layer");
    // SAFETY: a call without memory.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        println!("skipped: the owner, which needs root");
    }
    for mode in [0o600, 0o640, 0o644, 0o666, 0o400] {
        for write in writers() {
            let _ = fs::remove_file(&path);
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            if is_root {
                chown(&path, Some(OTHER_OWNER), Some(OTHER_OWNER)).unwrap();
            }
            let before = fs::metadata(&path).unwrap();
            write(&path).unwrap();
            let after = fs::metadata(&path).unwrap();
            assert_ne!(after.ino(), before.ino());
            assert_eq!((after.mode(), after.uid(), after.gid()), {
                (before.mode(), before.uid(), before.gid())
            });
            assert!(is_layer(&path));
        }
    }
    // A new file has the mode that any new file has.
    fs::write(folder.file("any"), "").unwrap();
    for write in writers() {
        let _ = fs::remove_file(&path);
        write(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode();
        assert_eq!(mode(&path), mode(&folder.file("any")));
    }
}

/// While a file that only its owner may read is replaced, nobody else may read the new one either.
#[test]
fn the_temporary_of_a_secret_file_is_secret() {
    let folder = Folder::new("secret");
    let path = folder.file("layer");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let builder = FrozenLayerBuilder::create(&path, FrozenOptions::new()).unwrap();
    let temporaries = folder.temporaries();
    assert_eq!(temporaries.len(), 1);
    assert_eq!(fs::metadata(folder.file(&temporaries[0])).unwrap().mode() & 0o777, 0o600);
    drop(builder);
    assert_eq!(folder.names(), ["layer"]);
}

#[test]
fn long_names_work() {
    let folder = Folder::new("long");
    for len in [200, 245, 250, 254, 255] {
        for name in ["n".repeat(len), format!("{}{}", "ü".repeat(len / 2), "n".repeat(len % 2))] {
            let path = folder.file(&name);
            for write in writers() {
                for _ in 0..2 {
                    write(&path).unwrap();
                    assert!(is_layer(&path));
                }
                fs::remove_file(&path).unwrap();
            }
            if len == 255 {
                HybridStore::from(layer()).save(&path).unwrap();
                assert_eq!(HybridStore::open(&path).unwrap().len(), 2);
            }
        }
    }
    let path = folder.file(&"n".repeat(256));
    assert!(writers().iter().all(|write| matches!(write(&path), Err(FrozenError::File(_)))));
    assert_eq!(folder.temporaries(), [""; 0]);
}

/// Begins to build a file, and is killed. Its job is the path.
#[test]
fn child() {
    let Some(path) = job("child") else { return };
    let mut builder = FrozenLayerBuilder::create(path, FrozenOptions::new()).unwrap();
    builder.insert("a", 1).unwrap();
    // SAFETY: the process ends at once, as if another had killed it.
    unsafe { libc::raise(libc::SIGKILL) };
}

/// Leaves the temporary file of a process that was killed. Returns its name.
fn killed(folder: &Folder) -> String {
    let before = folder.temporaries();
    assert!(!run("child", folder.file("layer").display()).1);
    let mut left = folder.temporaries();
    left.retain(|name| !before.contains(name));
    assert_eq!(left.len(), 1, "{left:?}");
    left.remove(0)
}

#[test]
fn the_next_writer_removes_what_a_killed_one_left() {
    let folder = Folder::new("killed");
    for write in writers() {
        let left = killed(&folder);
        // Short, and of no process's number.
        assert!(left.len() < 30, "{left}");
        assert!(!folder.file("layer").exists());
        write(&folder.file("other")).unwrap();
        assert_eq!(folder.names(), ["other"]);
    }
    // Not in another folder.
    let left = killed(&folder);
    layer().save(Folder::new("killed-other").file("layer")).unwrap();
    assert_eq!(folder.temporaries(), [left]);
}

#[test]
fn two_writers_in_one_folder_leave_each_other_alone() {
    let folder = Folder::new("two");
    let create = |name: &str| {
        let mut builder =
            FrozenLayerBuilder::create(folder.file(name), FrozenOptions::new()).unwrap();
        builder.insert("a", 1).unwrap();
        builder
    };
    let finish = |mut builder: FrozenLayerBuilder| {
        builder.insert("b", 2).unwrap();
        builder.finish_file().unwrap();
    };
    let first = create("first");
    let left = killed(&folder);
    // That of the live writer stays, and that of the killed one goes.
    let second = create("second");
    assert!(!folder.file(&left).exists());
    assert_eq!(folder.temporaries().len(), 2);
    // For the same file, too: the last to finish has it.
    let again = create("first");
    assert_eq!(folder.temporaries().len(), 3);
    layer().save(folder.file("third")).unwrap();
    [second, first, again].into_iter().for_each(finish);
    assert_eq!(folder.names(), ["first", "second", "third"]);
    assert!(folder.names().iter().all(|name| is_layer(&folder.file(name))));
}

/// A store's folder may be the place of another file, too.
#[test]
fn a_store_leaves_the_unfinished_files_of_live_writers_alone() {
    let folder = Folder::new("store");
    let path = folder.file("export");
    let store = HybridStore::open(&folder.0).unwrap();
    let mut builder = FrozenLayerBuilder::create(&path, FrozenOptions::new()).unwrap();
    builder.insert("a", 1).unwrap();
    let left = killed(&folder);
    store.insert("key", 1).unwrap();
    store.compact().unwrap();
    assert!(!folder.file(&left).exists());
    store.close().unwrap();
    let store = HybridStore::open(&folder.0).unwrap();
    store.save(&folder.0).unwrap();
    builder.insert("b", 2).unwrap();
    builder.finish_file().unwrap();
    assert!(is_layer(&path));
    assert_eq!(store.get("key"), Some(1));
    assert_eq!(folder.temporaries(), [""; 0]);
}
