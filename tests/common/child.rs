//! Tests that run a test of their own file in a child process.

use std::fmt::Display;
use std::process::Command;

/// The environment variable that tells a child process what to do.
const JOB: &str = "MEMKV_CHILD_JOB";

/// Returns the job of a test. `None` means that this process is no child which runs the test.
pub(crate) fn job(test: &str) -> Option<String> {
    let job = std::env::var(JOB).ok()?;
    Some(job.strip_prefix(test)?.strip_prefix(':')?.to_owned())
}

/// Runs a test in a child process with a job.
///
/// Returns the output, and whether the process ended by itself.
///
/// # Panics
///
/// If the test fails. It may crash or be killed.
pub(crate) fn run(test: &str, job: impl Display) -> (String, bool) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    let output = command.env(JOB, format!("{test}:{job}")).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let all = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!all.contains("panicked") && !all.contains("FAILED"), "{all}");
    (stdout, output.status.success())
}
