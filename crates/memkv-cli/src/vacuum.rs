//! `memkv vacuum`: removes files that a set does not name.

use crate::{
    content::{Content, set_error},
    layer::{self, by_kind},
    text,
};
use anyhow::{Result, bail};
use clap::Args;
use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

/// Remove the files of a set of layers that it no longer has.
///
/// A set that is replaced leaves its old files to programs that read them, and a build that is
/// killed leaves those that it has written. Prints the path of each file that is removed. Files of
/// a build that goes on on this machine stay, and so do files with other names than builds give.
#[derive(Args, Debug)]
pub(crate) struct VacuumArgs {
    /// The folder of a set of layers.
    #[arg(value_name = "SET")]
    set: PathBuf,
    /// Remove only files that were written longer ago than this, such as 90s, 30m, 12h or 7d, and
    /// none if the set was built or changed since. A program that opened the set before needs the
    /// old files until it ends or opens the set again, and a build on another machine needs what it
    /// has written. Either may take days, so give less only if you know of none.
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = parse_duration)]
    older_than: Duration,
    /// Print no summary.
    #[arg(long, short)]
    quiet: bool,
}

/// Parses a number of seconds, minutes, hours or days.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let seconds_of = |unit| match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(60 * 60),
        'd' => Some(24 * 60 * 60),
        _ => None,
    };
    let split = text.char_indices().last().and_then(|(at, unit)| Some((at, seconds_of(unit)?)));
    let (digits, seconds) = split.map_or(("", 1), |(at, seconds)| (&text[..at], seconds));
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|_| is_number);
    let duration = number.and_then(|number| number.checked_mul(seconds)).map(Duration::from_secs);
    duration.ok_or_else(|| "not a duration such as 90s, 30m, 12h or 7d".to_owned())
}

pub(crate) fn run(args: &VacuumArgs, out: &mut impl Write) -> Result<()> {
    let removed = by_kind!(layer::open_as_set(&args.set)?, content => match content {
        Content::Set(set) => set.vacuum(args.older_than).map_err(set_error)?,
        Content::Layer(..) => bail!("{} is not a set of layers", args.set.display()),
    });
    for path in &removed {
        writeln!(out, "{}", path.display())?;
    }
    out.flush()?;
    if !args.quiet {
        let files = text::files(removed.len());
        // An error of this write cannot be reported.
        let _ = writeln!(io::stderr(), "memkv: {}: {files} removed", args.set.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse_duration;
    use std::time::Duration;

    #[test]
    fn durations() {
        for (text, seconds) in
            [("0s", 0), ("90s", 90), ("30m", 1800), ("12h", 43_200), ("7d", 604_800)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "7",
            "d",
            "-1d",
            "+1d",
            "1.5h",
            "1w",
            "1 d",
            "99999999999999999999s",
            "9999999999999999999d",
            "1\u{e4}",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
