//! What a user of the library gets with default features: few packages, and nothing that is for the project's own tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const LIBRARY: &str = env!("CARGO_MANIFEST_DIR");

/// A package that depends on the library, in a folder of its own.
struct User(PathBuf);

impl User {
    fn new(name: &str, main: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(folder.join("src")).unwrap();
        fs::write(folder.join("src/main.rs"), main).unwrap();
        let manifest = format!(
            "[package]\nname = \"user\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
             [dependencies]\nmemkv = {{ path = {LIBRARY:?} }}\n\n[workspace]\n"
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        // The versions are those of the project, so that nothing has to be looked up or downloaded.
        fs::copy(Path::new(LIBRARY).join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        User(folder)
    }

    fn cargo(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO"))
            .args(args)
            .arg("--offline")
            .current_dir(&self.0)
            // What this test is compiled with is not what a user compiles with.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("CARGO_BUILD_TARGET")
            .output()
            .unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_user_has_at_most_forty_packages() {
    let user = User::new("user-packages", "fn main() {}\n");
    let output = user.cargo(&["update", "--workspace"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lock = fs::read_to_string(user.0.join("Cargo.lock")).unwrap();
    let names = lock.split("[[package]]").skip(1).map(|package| package.lines().nth(1).unwrap());
    let names: Vec<&str> = names.collect();
    assert!(names.contains(&"name = \"memkv\""), "{names:?}");
    assert!(names.len() <= 40, "{}: {names:#?}", names.len());
}

#[test]
fn a_user_reaches_no_failpoints() {
    let main = "#![allow(unused_imports)]\n\
                use memkv::{ConcurrentArt, FastArt, FrozenLayer, HybridStore};\n\
                use memkv::concurrent::restarts;\n\
                use memkv::crash_after;\n\
                use memkv::fail_after;\n\
                use memkv::mutant;\n\
                fn main() {}\n";
    let user = User::new("user-names", main);
    let output = user.cargo(&["check", "--target-dir", "target", "--message-format", "short"]);
    let text = stderr(&output);
    assert!(!output.status.success(), "{text}");
    let mut errors: Vec<&str> = text.lines().filter(|line| line.contains("[E")).collect();
    errors.sort_unstable();
    assert_eq!(errors.len(), 4, "{text}");
    let names = ["concurrent::restarts", "crash_after", "fail_after", "mutant"];
    for (error, name) in errors.iter().zip(names) {
        assert!(error.contains("E0432"), "{text}");
        assert!(error.contains(&format!("unresolved import `memkv::{name}`")), "{text}");
    }
}
