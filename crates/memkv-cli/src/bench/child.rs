//! Runs work in a child process: this executable with a hidden subcommand.
//!
//! The child reads a JSON value from the first line of its input and writes another to its output.
//! A crash of the structure under test, or its use of memory, affects nothing else.

use anyhow::{Context, Result, bail};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io::{self, BufRead, Write},
    process::{Child, Command, Stdio},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

/// The hidden subcommand that measures one row in a process of its own.
pub const CHILD: &str = "bench-child";
/// A measurement that takes longer hangs.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs `subcommand` and returns its result. Its standard input is `params`, then `input`.
///
/// # Errors
///
/// If the process cannot be started, does not end within `timeout`, fails, or writes no result.
pub fn call<R: DeserializeOwned>(
    subcommand: &str,
    params: &impl Serialize,
    input: &[u8],
    timeout: Duration,
) -> Result<R> {
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let mut child = Command::new(program)
        .arg(subcommand)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start a process")?;
    let output = exchange(&mut child, params, input, timeout);
    if output.is_err() {
        // This fails if the process has ended already.
        let _ = child.kill();
    }
    let status = child.wait().context("cannot wait for a process")?;
    let output = output?;
    if !status.success() {
        bail!("ended with {status}");
    }
    serde_json::from_str(&output).context("wrote no result")
}

fn exchange(
    child: &mut Child,
    params: &impl Serialize,
    input: &[u8],
    timeout: Duration,
) -> Result<String> {
    let (mut stdin, stdout) =
        (child.stdin.take().context("no pipe")?, child.stdout.take().context("no pipe")?);
    let params = serde_json::to_string(params)?;
    let (sender, receiver) = channel();
    thread::scope(|scope| {
        // A process that ends early breaks the pipe. Its exit status is reported instead.
        scope.spawn(move || {
            let _ = writeln!(stdin, "{params}").and_then(|()| stdin.write_all(input));
        });
        scope.spawn(move || {
            let _ = sender.send(io::read_to_string(stdout));
        });
        match receiver.recv_timeout(timeout) {
            Ok(output) => output.context("cannot read from a process"),
            Err(RecvTimeoutError::Timeout) => {
                // Also ends the two threads that the scope waits for.
                child.kill()?;
                bail!("did not end within {} s", timeout.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => bail!("cannot read from a process"),
        }
    })
}

/// Runs in the child: answers a [`call`].
///
/// # Errors
///
/// If `f` fails, or the input or output does.
pub fn answer<P: DeserializeOwned, R: Serialize>(f: impl FnOnce(P) -> Result<R>) -> Result<()> {
    let mut params = String::new();
    io::stdin().lock().read_line(&mut params)?;
    let result = f(serde_json::from_str(&params).context("this subcommand is not for users")?)?;
    writeln!(io::stdout().lock(), "{}", serde_json::to_string(&result)?)?;
    Ok(())
}
