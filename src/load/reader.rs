//! Pairs from the lines of a reader: one thread reads blocks of whole lines, the others parse them.

use super::error::LoadError;
use super::ordered_parallel;
use super::records::{Block, Gathered, TEXT_BLOCK_BYTES, lines};
use crate::MAX_KEY_LEN;
use crate::error::InsertError;
use crate::value::Value;
use std::io::{self, BufRead, Read};

/// Whole lines of a text.
struct TextBlock {
    text: Vec<u8>,
    /// The number of the first line.
    line: u64,
}

/// The blocks of a reader. Ends after an error.
struct TextBlocks<R> {
    /// `None` at the end.
    reader: Option<R>,
    /// The number of the next line.
    line: u64,
}

impl<R: BufRead> TextBlocks<R> {
    fn new(reader: R) -> Self {
        TextBlocks { reader: Some(reader), line: 1 }
    }

    fn read(reader: &mut R) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        reader.by_ref().take(TEXT_BLOCK_BYTES as u64).read_to_end(&mut text)?;
        if !text.is_empty() && text.last() != Some(&b'\n') {
            reader.read_until(b'\n', &mut text)?;
        }
        Ok(text)
    }
}

impl<R: BufRead> Iterator for TextBlocks<R> {
    type Item = io::Result<TextBlock>;

    fn next(&mut self) -> Option<io::Result<TextBlock>> {
        let text = Self::read(self.reader.as_mut()?);
        if !matches!(&text, Ok(text) if !text.is_empty()) {
            self.reader = None;
        }
        let text = match text {
            Ok(text) if text.is_empty() => return None,
            Ok(text) => text,
            Err(error) => return Some(Err(error)),
        };
        let line = self.line;
        self.line += text.iter().filter(|&&byte| byte == b'\n').count() as u64;
        Some(Ok(TextBlock { text, line }))
    }
}

impl<V: Value + Send> Gathered<V> {
    /// Parses the lines of a reader, in parallel. Returns the error of the first line that has one.
    pub(crate) fn read<E: Send>(
        reader: impl BufRead,
        parse: impl Fn(&[u8], u64) -> Result<Option<(&[u8], V)>, E> + Sync,
    ) -> Result<Self, LoadError<E>> {
        let parse_block = |block: io::Result<TextBlock>| {
            let TextBlock { text, line } = block?;
            let mut blocks = Vec::new();
            for ((_, text), line) in lines(&text).zip(line..) {
                match parse(text, line) {
                    Ok(None) => {}
                    Ok(Some((key, _))) if key.len() > MAX_KEY_LEN => {
                        let error = InsertError::KeyTooLong { len: key.len() };
                        return Err(LoadError::Key { line, error });
                    }
                    Ok(Some((key, value))) => Block::push(&mut blocks, key, value),
                    Err(error) => return Err(LoadError::Parse { line, error }),
                }
            }
            blocks.last_mut().into_iter().for_each(Block::shrink);
            Ok(blocks)
        };
        let mut all = Vec::new();
        ordered_parallel(
            TextBlocks::new(reader),
            rayon::current_num_threads(),
            parse_block,
            |blocks: Result<Vec<Block<V>>, LoadError<E>>| {
                all.extend(blocks?);
                Ok::<(), LoadError<E>>(())
            },
        )?;
        Ok(Gathered::of_blocks(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    /// A reader that returns few bytes at a time, and fails after some.
    struct Slow {
        left: usize,
        fails: bool,
    }

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.left == 0 && self.fails {
                return Err(io::Error::other("gone"));
            }
            let len = buffer.len().min(self.left).min(1000);
            self.left -= len;
            buffer[..len].fill(b'x');
            buffer[..len].iter_mut().step_by(10).for_each(|byte| *byte = b'\n');
            Ok(len)
        }
    }

    #[test]
    fn blocks_of_a_reader_have_whole_lines_and_their_numbers() {
        let len = 2 * TEXT_BLOCK_BYTES + 12_345;
        for fails in [false, true] {
            let (mut line, mut bytes, mut ended) = (1, 0, false);
            for block in TextBlocks::new(BufReader::new(Slow { left: len, fails })) {
                assert!(!ended);
                let Ok(block) = block else {
                    ended = true;
                    continue;
                };
                assert_eq!(block.line, line);
                bytes += block.text.len();
                line += lines(&block.text).count() as u64;
                assert!(block.text.ends_with(b"\n") || bytes == len);
            }
            assert!(ended == fails && (fails || bytes == len));
        }
        assert!(TextBlocks::new(&b""[..]).next().is_none());
    }
}
