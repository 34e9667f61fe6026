//! The file of sharings, or standard input: its format, and how far it has been read.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use indicatif::{ProgressBar, ProgressStyle};

use crate::error::{Error, Result};

/// How much is read before the format is known.
const START: u64 = 4096;

/// What a row may take in a file: all values of the greatest length, escaped in JSON,
/// take 50 KB. What never ends must not be kept in memory.
const ROW: u64 = 1 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    Json,
}

/// What the rows are read from.
pub struct Source {
    path: PathBuf,
    file: File,
    /// The size, and where reading began, of a file that can be read again.
    again: Option<(u64, u64)>,
}

impl Source {
    /// Opens a file; `-` is standard input.
    pub fn open(path: &Path) -> Result<Source> {
        let path = path.to_owned();
        let file = match path.as_os_str() == "-" {
            true => io::stdin().as_fd().try_clone_to_owned().map(File::from),
            false => File::open(&path),
        };
        let mut file = file.map_err(Error::while_doing(format!("open {}", name(&path))))?;
        // Another program may have read a part of a file on standard input.
        let again = match file.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                return Err(Error::new(format!("{} is a folder, not a file.", name(&path))));
            }
            Ok(metadata) if metadata.is_file() => {
                file.stream_position().ok().map(|start| (metadata.len(), start))
            }
            _ => None,
        };
        Ok(Source { path, file, again })
    }

    /// What to call it.
    pub fn name(&self) -> String {
        name(&self.path)
    }

    pub fn is_readable_again(&self) -> bool {
        self.again.is_some()
    }

    /// In bytes, if that is known.
    pub fn size(&self) -> Option<u64> {
        self.again.map(|(size, start)| size.saturating_sub(start))
    }

    /// What it holds, from the beginning, without a byte order mark: the format, a
    /// progress bar, and the bytes.
    pub fn read(&mut self) -> Result<(Format, ProgressBar, Limited<impl Read>)> {
        let bar = progress(self.size());
        let reading = Error::while_doing(format!("read {}", name(&self.path)));
        let start = self.start().map_err(reading)?;
        let start = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&start).to_vec();
        let format = by_name(&self.path).unwrap_or_else(|| by_content(&start));
        let rest = bar.wrap_read(&self.file);
        let inner = Cursor::new(start).chain(rest);
        Ok((format, bar, Limited { inner, left: Rc::new(Cell::new(ROW)) }))
    }

    fn start(&mut self) -> io::Result<Vec<u8>> {
        if let Some((_, start)) = self.again {
            self.file.seek(SeekFrom::Start(start))?;
        }
        let mut start = Vec::new();
        (&self.file).take(START).read_to_end(&mut start)?;
        Ok(start)
    }
}

/// Fails when more is read than a row may take.
pub struct Limited<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

/// Tells a [`Limited`] that a row is complete.
pub struct Complete(Rc<Cell<u64>>);

impl<R: Read> Limited<R> {
    pub fn complete(&self) -> Complete {
        Complete(Rc::clone(&self.left))
    }
}

impl Complete {
    pub fn row(&self) {
        self.0.set(ROW);
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let left = self.left.get().checked_sub(read.try_into().unwrap_or(u64::MAX));
        self.left.set(left.ok_or_else(|| io::Error::other("a row of more than 1 MiB"))?);
        Ok(read)
    }
}

fn name(path: &Path) -> String {
    match path.as_os_str() == "-" {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}

fn by_name(path: &Path) -> Option<Format> {
    let extension = path.extension()?;
    let is = |name| extension.eq_ignore_ascii_case(name);
    is("csv").then_some(Format::Csv).or(is("json").then_some(Format::Json))
}

/// An array or an object is JSON; no column's name begins like one.
fn by_content(start: &[u8]) -> Format {
    match start.trim_ascii_start().first() {
        Some(b'[' | b'{') => Format::Json,
        _ => Format::Csv,
    }
}

/// Drawn on standard error, and only if that is a terminal.
fn progress(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => (
            ProgressBar::new(size),
            "{wide_bar} {binary_bytes} of {binary_total_bytes}, {eta} left",
        ),
        None => (ProgressBar::no_length(), "{binary_bytes} read"),
    };
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_format_and_else_the_first_byte_does() {
        let of = |path: &str, start: &[u8]| by_name(Path::new(path)).unwrap_or(by_content(start));
        assert_eq!(of("a.JSON", b"id"), Format::Json);
        assert_eq!(of("a.csv", b"["), Format::Csv);
        assert_eq!(of("-", b" \r\n\t[]"), Format::Json);
        assert_eq!(of("/dev/fd/63", b"{}"), Format::Json);
        assert_eq!(of("-", b"\n\"id\""), Format::Csv);
        assert_eq!(of("-", b""), Format::Csv);
    }
}
