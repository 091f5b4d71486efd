//! Inputs of text: files and the standard input, decoded if they are compressed.
//!
//! What an input is, its first bytes tell, whatever its name. What is neither text nor known to be
//! compressed text is refused, since each of its lines would become a key.

use anyhow::{Context, Result, bail};
use std::{
    cell::Cell,
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read},
    path::Path,
    rc::Rc,
};

/// The file name that means the standard input.
pub(crate) const STDIN: &str = "-";

/// The first bytes of a layer.
pub(crate) const LAYER_MAGIC: &[u8] = b"memkvFRZ";

/// The first bytes of an input that are looked at.
const HEAD_BYTES: usize = 4096;
const BUFFER_BYTES: usize = 1 << 16;
/// The largest window of Zstandard, as a power of two: that of `zstd --ultra --long=31`.
const MAX_WINDOW_LOG: u32 = 31;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

/// What an input is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Compressed(Compression),
    /// Something else, as this says.
    Other(&'static str),
}

/// The first bytes of what is not text, and what it is.
const OTHERS: [(&[u8], &str); 18] = [
    (LAYER_MAGIC, "a layer, not text; `memkv merge` reads layers"),
    (b"memkvLOG", "a log of a store, not text"),
    (b"\xff\xfe", "text in UTF-16, or binary; `iconv -t utf-8` makes lines of it"),
    (b"\xfe\xff", "text in UTF-16, or binary; `iconv -t utf-8` makes lines of it"),
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a rar archive"),
    (b"\x04\x22\x4d\x18", "compressed by lz4, which is not decoded here"),
    (b"LZIP", "compressed by lzip, which is not decoded here"),
    (b"\x1f\x9d", "compressed by compress, which is not decoded here"),
    (b"\x7fELF", "a program"),
    (b"%PDF-", "a PDF file"),
    (b"\x89PNG", "a PNG image"),
    (b"GIF8", "a GIF image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"SQLite format 3\0", "a database of SQLite"),
    (b"PAR1", "a Parquet file"),
    (b"Obj\x01", "an Avro file"),
];

impl Form {
    fn of(head: &[u8]) -> Self {
        if head.starts_with(b"\x1f\x8b") {
            return Self::Compressed(Compression::Gzip);
        }
        let is_skippable =
            head.len() >= 4 && head[0] & 0xf0 == 0x50 && head[1..4] == *b"\x2a\x4d\x18";
        if head.starts_with(b"\x28\xb5\x2f\xfd") || is_skippable {
            return Self::Compressed(Compression::Zstd);
        }
        if head.starts_with(b"\xfd7zXZ\0") {
            return Self::Compressed(Compression::Xz);
        }
        // The digit is the size of the blocks. A block begins with the digits of pi, an empty file
        // with those of its square root.
        let is_block = |digits: &[u8]| head.get(4..).is_some_and(|rest| rest.starts_with(digits));
        let is_bzip2 = head.starts_with(b"BZh") && head.get(3).is_some_and(u8::is_ascii_digit);
        if is_bzip2
            && (is_block(b"\x31\x41\x59\x26\x53\x59") || is_block(b"\x17\x72\x45\x38\x50\x90"))
        {
            return Self::Compressed(Compression::Bzip2);
        }
        if let Some((_, what)) = OTHERS.iter().find(|(start, _)| head.starts_with(start)) {
            return Self::Other(what);
        }
        if head.contains(&0) {
            return Self::Other("binary: there are NUL bytes near its start");
        }
        Self::Text
    }
}

/// Returns what a file is, by its first bytes.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn describe(path: &Path) -> io::Result<&'static str> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    File::open(path)?.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(match Form::of(&head) {
        _ if head.is_empty() => "empty",
        Form::Text => "text, of which `memkv build` makes a layer",
        Form::Compressed(_) => "compressed; `memkv build` decodes text",
        Form::Other(what) => what,
    })
}

/// Opens a file of text, or the standard input. `raw` takes the bytes as they are.
///
/// # Errors
/// The file cannot be opened, or is neither text nor text that is compressed.
pub(crate) fn open(path: &str, raw: bool) -> Result<Box<dyn BufRead>> {
    open_counted(path, raw, &Rc::default())
}

/// Opens a file like [`open`], and adds to `read` the bytes that are read of it, before they are
/// decoded.
pub(crate) fn open_counted(
    path: &str,
    raw: bool,
    read: &Rc<Cell<u64>>,
) -> Result<Box<dyn BufRead>> {
    let failed = || format!("cannot open {path}");
    let input: Box<dyn BufRead> = if path == STDIN {
        Box::new(io::stdin().lock())
    } else {
        if Path::new(path).is_dir() {
            bail!("cannot open {path}: it is a folder");
        }
        let file = File::open(path).with_context(failed)?;
        let counted = Counted { input: file, read: Rc::clone(read) };
        Box::new(BufReader::with_capacity(BUFFER_BYTES, counted))
    };
    if raw { Ok(input) } else { text_of(input).with_context(failed) }
}

/// Returns the text of an input, decoded if it is compressed.
fn text_of(input: Box<dyn BufRead>) -> Result<Box<dyn BufRead>> {
    let (form, input) = look(input);
    let compression = match form {
        Form::Text => return Ok(input),
        Form::Compressed(compression) => compression,
        Form::Other(what) => bail!("it is {what}; --raw takes any bytes"),
    };
    let decoded: Box<dyn Read> = match compression {
        Compression::Gzip => Box::new(Members::new(input)),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(input)?;
            decoder.window_log_max(MAX_WINDOW_LOG)?;
            Box::new(decoder)
        }
        Compression::Xz => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(input)),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
    };
    match look(Box::new(BufReader::with_capacity(BUFFER_BYTES, decoded))) {
        (Form::Text, text) => Ok(text),
        (Form::Compressed(_), _) => bail!("what it decodes to is compressed again"),
        (Form::Other(what), _) => bail!("what it decodes to is {what}"),
    }
}

/// Reads the first bytes of an input. Returns what it is, and the input from its start on, with the
/// error that this reading met where it met it.
fn look(mut input: Box<dyn BufRead>) -> (Form, Box<dyn BufRead>) {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let read = (&mut input).take(HEAD_BYTES as u64).read_to_end(&mut head);
    let form = Form::of(&head);
    let head = Cursor::new(head);
    match read {
        Ok(_) => (form, Box::new(head.chain(input))),
        Err(error) => (form, Box::new(head.chain(BufReader::new(Failed(Some(error)))))),
    }
}

/// An input that counts its bytes.
struct Counted<R> {
    input: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(out)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

/// An input that fails.
struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// A decoder of gzip's members, one after the other, with zeros between them or at the end, as
/// block devices and tapes leave them.
struct Members<R> {
    /// `None` after the last one.
    member: Option<flate2::bufread::GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    fn new(input: R) -> Self {
        Self { member: Some(flate2::bufread::GzDecoder::new(input)) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let count = member.read(out)?;
            if count > 0 || out.is_empty() {
                return Ok(count);
            }
            let Some(member) = self.member.take() else { break };
            let mut rest = member.into_inner();
            loop {
                let next = rest.fill_buf()?;
                let zeros = next.iter().take_while(|&&byte| byte == 0).count();
                if zeros < next.len() {
                    rest.consume(zeros);
                    self.member = Some(flate2::bufread::GzDecoder::new(rest));
                    break;
                }
                if zeros == 0 {
                    return Ok(0);
                }
                rest.consume(zeros);
            }
        }
        Ok(0)
    }
}

/// The lines of an input, one of which is in memory at a time.
pub(crate) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// The most bytes of a line.
    longest: usize,
    /// The byte that ends a line.
    end: u8,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self::ended_by(input, b'\n')
    }

    /// Reads what is ended by another byte than a line feed.
    pub(crate) fn ended_by(input: R, end: u8) -> Self {
        Self { input, line: Vec::new(), longest: usize::MAX, end }
    }

    /// Sets the most bytes of a line; a longer one is an error.
    pub(crate) fn set_longest(&mut self, longest: usize) {
        self.longest = longest;
    }

    /// Returns the next line, borrowed until the next call.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let most = (self.longest as u64).saturating_add(1);
        if (&mut self.input).take(most).read_until(self.end, &mut self.line)? == 0 {
            return Ok(None);
        }
        self.line.pop_if(|byte| *byte == self.end);
        if self.line.len() > self.longest {
            let what = format!("a line has more than {} bytes", self.longest);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(Some(&self.line))
    }

    /// Returns the line that was read last.
    pub(crate) fn line(&self) -> &[u8] {
        &self.line
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, open};
    use std::io::{Read, Write};

    const TEXT: &[u8] = b"plain\nwith\rreturns\r\n\n\xff\x01 bytes\nno line end";

    #[test]
    fn long_lines_are_errors() {
        let mut lines = Lines::new(&b"12345\n\n1234\n123456\n"[..]);
        lines.set_longest(5);
        for line in [&b"12345"[..], b"", b"1234"] {
            assert_eq!(lines.next().unwrap(), Some(line));
        }
        assert!(lines.next().is_err());
        let mut lines = Lines::new(&b"12345"[..]);
        lines.set_longest(5);
        assert_eq!(lines.next().unwrap(), Some(&b"12345"[..]));
        let mut ended = Lines::ended_by(&b"a\nb\0\0c"[..], 0);
        for line in [&b"a\nb"[..], b"", b"c"] {
            assert_eq!(ended.next().unwrap(), Some(line));
        }
        assert_eq!(ended.next().unwrap(), None);
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn xz(text: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn bzip2(text: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd_long(text: &[u8]) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(31).unwrap();
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_first_bytes_tell_what_an_input_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input");
        let path = path.to_str().unwrap();
        let read = |content: &[u8], raw: bool| {
            std::fs::write(path, content).unwrap();
            let mut text = Vec::new();
            open(path, raw).and_then(|mut input| Ok(input.read_to_end(&mut text)?))?;
            Ok::<_, anyhow::Error>(text)
        };
        let (start, end) = TEXT.split_at(9);
        let zeros = [0; 700];
        let zstd = |text| zstd::encode_all(text, 0).unwrap();
        for content in [
            TEXT.to_vec(),
            gzip(TEXT),
            // Members, as `cat a.gz b.gz` makes them, and zeros.
            [gzip(start), gzip(end)].concat(),
            [&gzip(start)[..], &zeros, &gzip(end), &zeros].concat(),
            zstd(TEXT),
            [zstd(start), zstd(end)].concat(),
            [b"\x50\x2a\x4d\x18\x02\0\0\0ab", &zstd(TEXT)[..]].concat(),
            zstd_long(TEXT),
            xz(TEXT),
            [xz(start), xz(end)].concat(),
            bzip2(TEXT),
            [bzip2(start), bzip2(end)].concat(),
        ] {
            assert_eq!(read(&content, false).unwrap(), TEXT);
            assert_eq!(read(&content, true).unwrap(), content);
        }
        for empty in [vec![], gzip(b""), zstd(b""), xz(b""), bzip2(b"")] {
            assert_eq!(read(&empty, false).unwrap(), b"");
        }
        for cut in [gzip(TEXT), zstd(TEXT), xz(TEXT), bzip2(TEXT)] {
            assert!(read(&cut[..cut.len() - 3], false).is_err());
        }
        for (content, part) in [
            (&b"memkvFRZ\x02\0"[..], "it is a layer"),
            (b"a\0b\n", "NUL bytes"),
            (b"PK\x03\x04", "zip archive"),
            (&gzip(&gzip(TEXT)), "compressed again"),
            (&xz(b"\x7fELF"), "decodes to is a program"),
        ] {
            let error = format!("{:#}", read(content, false).unwrap_err());
            assert!(error.contains(part), "{error}");
            assert_eq!(read(content, true).unwrap(), content);
        }
        // What only looks like it.
        for text in [&b"BZh9 is a key\n"[..], b"PAR2\n", b"\x1f", b"memkv\n"] {
            assert_eq!(read(text, false).unwrap(), text);
        }
        assert!(open(folder.path().to_str().unwrap(), false).is_err());
        assert!(open("none", false).is_err());
    }
}
