//! Inputs and outputs: files, or `-` for standard input and output. An output appears whole or not
//! at all.

use crate::terminal::printable;
use crate::usage::bail_usage;
use anyhow::{Context, Result, bail};
use cipherfn_client_http::{Readers, unfinished_file};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use tempfile::NamedTempFile;

/// Where to read.
#[derive(Clone, Debug)]
pub(crate) enum InputSource {
    /// `-`.
    Stdin,
    /// A file.
    File(PathBuf),
    /// What came from a pipe, in a temporary file.
    Spooled(Arc<File>),
}

impl FromStr for InputSource {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" {
            Self::Stdin
        } else {
            Self::File(text.into())
        })
    }
}

impl InputSource {
    /// Name in messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdin | Self::Spooled(_) => "standard input".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// Opens it; with its length where that is known.
    pub(crate) fn open(&self) -> Result<(Box<dyn Read + Send>, Option<u64>)> {
        match self {
            Self::Stdin => Ok((Box::new(io::stdin()), None)),
            Self::Spooled(file) => {
                let mut file = file.try_clone()?;
                file.rewind()?;
                let len = file.metadata()?.len();
                Ok((Box::new(BufReader::new(file)), Some(len)))
            }
            Self::File(path) => {
                let file =
                    File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
                let metadata = file
                    .metadata()
                    .with_context(|| format!("cannot read {}", path.display()))?;
                if metadata.is_dir() {
                    bail!("{} is a directory; give a file", path.display());
                }
                let len = metadata.is_file().then_some(metadata.len());
                Ok((Box::new(BufReader::with_capacity(1 << 16, file)), len))
            }
        }
    }

    /// The file, if it is one that can be read anywhere.
    pub(crate) fn file(&self) -> Result<Option<File>> {
        let file = match self {
            Self::Stdin => return Ok(None),
            Self::Spooled(file) => file.try_clone()?,
            Self::File(path) => {
                File::open(path).with_context(|| format!("cannot open {}", path.display()))?
            }
        };
        Ok(file.metadata()?.is_file().then_some(file))
    }

    /// A source that can be read more than once: what comes from standard input or another pipe
    /// waits in a temporary file.
    pub(crate) fn repeatable(&self) -> Result<Self> {
        let (mut input, len) = self.open()?;
        if len.is_some() {
            return Ok(self.clone());
        }
        let mut spool = tempfile::tempfile().context("cannot make a temporary file")?;
        io::copy(&mut input, &mut spool).with_context(|| format!("cannot read {}", self.name()))?;
        Ok(Self::Spooled(Arc::new(spool)))
    }

    /// All of it, at most `limit` bytes.
    pub(crate) fn read_all(&self, limit: u64) -> Result<Vec<u8>> {
        let (input, _) = self.open()?;
        let mut bytes = Vec::new();
        input
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .with_context(|| format!("cannot read {}", self.name()))?;
        if bytes.len() as u64 > limit {
            bail!("{} is larger than the limit of {limit} bytes", self.name());
        }
        Ok(bytes)
    }
}

/// Where to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// `-`.
    Stdout,
    /// A file.
    File(PathBuf),
}

impl FromStr for Destination {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" {
            Self::Stdout
        } else {
            Self::File(text.into())
        })
    }
}

/// What the content of an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Text, which may go to a terminal; on standard output too it appears whole or not at all.
    Text,
    /// Bytes that would garble a terminal. On standard output they stream: readers recognise the
    /// end of a whole one.
    Binary,
}

impl Destination {
    /// Name in messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdout => "standard output".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// Whether its name is that of an HTML page.
    pub(crate) fn is_page(&self) -> bool {
        matches!(self, Self::File(path) if path.extension().is_some_and(|it| it.eq_ignore_ascii_case("html")))
    }

    /// Whether it takes standard output, so that nothing else may be written there.
    pub(crate) fn is_stdout(&self) -> bool {
        *self == Self::Stdout
    }

    /// Whether an input is the file to write, by whatever name: a link's target is the same file.
    fn is_same_file(&self, input: &InputSource) -> bool {
        let (Self::File(output), InputSource::File(input)) = (self, input) else {
            return false;
        };
        let identity = |path: &Path| {
            let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
            #[cfg(unix)]
            let identity = {
                use std::os::unix::fs::MetadataExt;
                (metadata.dev(), metadata.ino())
            };
            #[cfg(not(unix))]
            let identity = fs::canonicalize(path).ok()?;
            Some(identity)
        };
        identity(output).is_some_and(|output| identity(input) == Some(output))
    }

    /// Refuses a file in a key ring: it would replace a secret key, or what is known of developers.
    pub(crate) fn outside(&self, ring: &Path) -> Result<()> {
        let Self::File(path) = self else {
            return Ok(());
        };
        let directory = path.parent().filter(|parent| *parent != Path::new(""));
        let directory = fs::canonicalize(directory.unwrap_or(Path::new("."))).ok();
        let ring = fs::canonicalize(ring).ok();
        if directory
            .zip(ring)
            .is_some_and(|(directory, ring)| directory.starts_with(ring))
        {
            bail_usage!(
                "{} lies in the key ring, whose files are not for output; name a file elsewhere",
                path.display()
            );
        }
        Ok(())
    }

    /// Starts an output. An existing file is an error unless `force` is given, and one of the
    /// `inputs` always; to be called before any long work.
    pub(crate) fn create(
        &self,
        content: Content,
        force: bool,
        inputs: &[&InputSource],
    ) -> Result<Output> {
        if let Some(input) = inputs.iter().find(|input| self.is_same_file(input)) {
            bail_usage!(
                "{} is read and would be overwritten ({} is the same file); name another file to write",
                input.name(),
                self.name()
            );
        }
        let path = match self {
            Self::Stdout if content == Content::Binary && io::stdout().is_terminal() => {
                bail_usage!(
                    "this output is binary and standard output is a terminal; name a file with -o, or pipe it on"
                )
            }
            Self::Stdout if content == Content::Binary => {
                return Ok(Output(Writer::Direct(Box::new(io::stdout().lock()))));
            }
            Self::Stdout => return Output::spooled(io::stdout()),
            Self::File(path) => path,
        };
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                bail!("{} is a directory; name a file", path.display())
            }
            // A device or a pipe is written to, never replaced.
            Ok(metadata) if !metadata.is_file() => {
                let file = File::options()
                    .write(true)
                    .open(path)
                    .with_context(|| format!("cannot open {}", path.display()))?;
                return match content {
                    Content::Text if file.is_terminal() => Output::spooled(file),
                    _ => Ok(Output(Writer::Direct(Box::new(BufWriter::new(file))))),
                };
            }
            Ok(_) if !force => bail!(
                "{} exists already; remove it, name another file, or use --force to overwrite it",
                path.display()
            ),
            _ => {}
        }
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let file = unfinished_file(directory, Readers::Usual)
            .with_context(|| format!("cannot write to the directory {}", directory.display()))?;
        Ok(Output(Writer::File {
            file: BufWriter::with_capacity(1 << 16, file),
            path: path.clone(),
            force,
        }))
    }
}

/// An output under way. Dropped without [`Output::finish`] it leaves no file behind.
pub(crate) struct Output(Writer);

enum Writer {
    Direct(Box<dyn Write>),
    Spooled {
        spool: BufWriter<File>,
        out: Box<dyn Write>,
        is_terminal: bool,
    },
    File {
        file: BufWriter<NamedTempFile>,
        path: PathBuf,
        force: bool,
    },
}

impl Output {
    /// Text that waits until it is whole. A terminal would obey the control characters in it: there
    /// they are spaces, and elsewhere what they are.
    fn spooled<O: Write + IsTerminal + 'static>(out: O) -> Result<Self> {
        let spool = tempfile::tempfile().context("cannot make a temporary file")?;
        Ok(Self(Writer::Spooled {
            spool: BufWriter::new(spool),
            is_terminal: out.is_terminal(),
            out: Box::new(out),
        }))
    }

    /// Puts the file in its place.
    pub(crate) fn finish(self) -> Result<()> {
        match self.0 {
            Writer::Direct(mut out) => Ok(out.flush()?),
            Writer::Spooled {
                spool,
                mut out,
                is_terminal,
            } => {
                let mut file = spool.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.rewind()?;
                if is_terminal {
                    show(BufReader::new(file), &mut out)?;
                } else {
                    io::copy(&mut file, &mut out)?;
                }
                Ok(out.flush()?)
            }
            Writer::File { file, path, force } => {
                let file = file
                    .into_inner()
                    .map_err(io::IntoInnerError::into_error)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                let persisted = if force {
                    file.persist(&path)
                } else {
                    file.persist_noclobber(&path)
                };
                persisted
                    .map_err(|error| error.error)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                Ok(())
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Writer::Direct(out) => out.write(bytes),
            Writer::Spooled { spool, .. } => spool.write(bytes),
            Writer::File { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Writer::Direct(out) => out.flush(),
            Writer::Spooled { spool, .. } => spool.flush(),
            Writer::File { file, .. } => file.flush(),
        }
    }
}

/// Copies text line by line without control characters.
fn show(mut text: impl BufRead, out: &mut impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    while text.read_until(b'\n', &mut line)? > 0 {
        out.write_all(printable(&String::from_utf8_lossy(&line)).as_bytes())?;
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::show;

    #[test]
    fn a_terminal_gets_no_control_characters() {
        let text = b"id,label\n\"\x1b[2J\x07\xc2\x9b31m\",\xff\x9b\tyes\r\n";
        let mut shown = Vec::new();
        show(text.as_slice(), &mut shown).unwrap();
        let shown = String::from_utf8(shown).unwrap();
        assert_eq!(shown, "id,label\n\" [2J  31m\",\u{fffd}\u{fffd}\tyes \n");
    }
}
