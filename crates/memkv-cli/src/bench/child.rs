//! Work in a process of its own: this executable again, with a hidden subcommand, a JSON value as its first line of
//! input and another as its output. A crash of the structure under test, or its memory, then harms nothing else.

use anyhow::{Context, Result, bail};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io::{self, BufRead, Write},
    process::{Child, Command, Stdio},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

/// Calls `subcommand` with `params`; `input` is what it finds on its standard input after them.
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
        // It may be gone already, which is fine.
        let _ = child.kill();
    }
    let status = child.wait().context("cannot wait for a process")?;
    let output = output?;
    if !status.success() {
        bail!("ended with {status}");
    }
    serde_json::from_str(&output).context("gave no result")
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
        // A process that ends early breaks the pipe; its exit status says more.
        scope.spawn(move || {
            let _ = writeln!(stdin, "{params}").and_then(|()| stdin.write_all(input));
        });
        scope.spawn(move || {
            let _ = sender.send(io::read_to_string(stdout));
        });
        match receiver.recv_timeout(timeout) {
            Ok(output) => output.context("cannot read from a process"),
            Err(RecvTimeoutError::Timeout) => {
                // Ends the two threads, which the scope waits for.
                child.kill()?;
                bail!("did not end within {} s", timeout.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => bail!("cannot read from a process"),
        }
    })
}

/// The other side: answers a [`call`].
pub fn answer<P: DeserializeOwned, R: Serialize>(f: impl FnOnce(P) -> Result<R>) -> Result<()> {
    let mut params = String::new();
    io::stdin().lock().read_line(&mut params)?;
    let result = f(serde_json::from_str(&params).context("this subcommand is not for users")?)?;
    writeln!(io::stdout().lock(), "{}", serde_json::to_string(&result)?)?;
    Ok(())
}
