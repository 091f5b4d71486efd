//! A folder in which tests run the tool like a user.

#![allow(dead_code, reason = "each of the tests uses a part")]

use memkv::FrozenLayer;
use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread,
};
use tempfile::TempDir;

/// A folder to work in.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_memkv"));
        command
            .args(args)
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str], input: &[u8]) -> Output {
        let mut child = self.command(args).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        thread::scope(|scope| {
            // Some commands end without reading their input.
            scope.spawn(move || drop(stdin.write_all(input)));
            child.wait_with_output().unwrap()
        })
    }

    /// Runs a command, which must succeed, and returns what it prints.
    pub(crate) fn ok(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.run(args, input);
        let stderr = String::from_utf8_lossy(&output.stderr);
        // Builds and merges end with a summary, and some inputs are warned of.
        let is_summary = |line: &str| {
            (line.contains(" bytes a key, ") && line.ends_with(" s"))
                || line.contains("end in a carriage return")
        };
        assert!(
            output.status.success() && stderr.lines().all(is_summary),
            "{args:?}: {}: {stderr}",
            output.status
        );
        output.stdout
    }

    pub(crate) fn text(&self, args: &str) -> String {
        String::from_utf8(self.ok(&args.split(' ').collect::<Vec<_>>(), b"")).unwrap()
    }

    /// Runs a command, which must fail, and returns its exit status and message.
    pub(crate) fn fails(&self, args: &str, input: &[u8]) -> (i32, String) {
        let output = self.run(&args.split(' ').collect::<Vec<_>>(), input);
        assert!(!output.status.success(), "{args}");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    pub(crate) fn open(&self, name: &str) -> FrozenLayer {
        FrozenLayer::open(self.path(name)).unwrap()
    }

    /// Opens a layer without values.
    pub(crate) fn open_keys(&self, name: &str) -> FrozenLayer<()> {
        FrozenLayer::open_as(self.path(name)).unwrap()
    }
}
