//! A directory that belongs to its owner alone, and the files in it.
//!
//! It is opened once and judged as opened; its files are opened by their names in it, are no links,
//! and are judged as opened too. So nothing can be exchanged between a check and the use of what
//! was checked. Elsewhere than on Unix nothing is known of owners and permissions.

use crate::error::KeyRingError;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Largest file that is read.
const MAX_FILE: u64 = 64 << 20;

/// How the names of files begin that are not yet whole.
const UNFINISHED: &str = ".unfinished-";

/// Permissions that a file must not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Others may write it.
    OthersWrite = 0o022,
    /// Others may do anything.
    OthersAnything = 0o077,
}

/// An open directory that only its owner can change.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    handle: system::Handle,
}

impl Directory {
    /// The directory at `path`, or `None` where there is none.
    pub fn open(path: &Path) -> Result<Option<Self>, KeyRingError> {
        let handle = match system::open_directory(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            handle => handle.map_err(io_error(path))?,
        };
        system::judge(path, &handle, Refused::OthersWrite)?;
        let path = path.to_owned();
        Ok(Some(Self { path, handle }))
    }

    /// The same, made if need be.
    pub fn create(path: &Path) -> Result<Self, KeyRingError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => io_error(path)(io::ErrorKind::NotADirectory.into()),
            _ => io_error(path)(error),
        })?;
        Self::open(path)?.ok_or_else(|| KeyRingError::Io {
            path: path.to_owned(),
            source: io::ErrorKind::NotFound.into(),
        })
    }

    /// Waits until no other process holds this lock; until the file is dropped none does. Tidies.
    pub(super) fn lock(&self) -> Result<File, KeyRingError> {
        let path = self.path(".lock");
        let lock = system::open_or_create(&self.handle, &path).map_err(io_error(&path))?;
        system::judge(&path, &lock, Refused::OthersWrite)?;
        lock.lock().map_err(io_error(&path))?;
        self.tidy()?;
        Ok(lock)
    }

    /// Removes what a process that was killed left half written. Only under the lock: others may be
    /// writing.
    pub(super) fn tidy(&self) -> Result<(), KeyRingError> {
        for entry in fs::read_dir(&self.path).map_err(io_error(&self.path))? {
            let name = entry.map_err(io_error(&self.path))?.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(UNFINISHED) {
                self.remove(&name)?;
            }
        }
        Ok(())
    }

    /// Where a file of it lies.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The bytes of a file, or `None` where there is none.
    pub fn read(
        &self,
        name: &str,
        refused: Refused,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, KeyRingError> {
        let path = self.path(name);
        let mut file = match system::open(&self.handle, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(io_error(&path))?,
        };
        let metadata = system::judge(&path, &file, refused)?;
        if !metadata.is_file() {
            return Err(KeyRingError::NotAFile { path });
        }
        if metadata.len() > MAX_FILE {
            let source = io::Error::other(format!("more than {MAX_FILE} bytes are no key"));
            return Err(KeyRingError::Io { path, source });
        }
        // Its size at once: a buffer that grows leaves copies behind.
        let mut bytes = Zeroizing::new(vec![0; metadata.len() as usize]);
        file.read_exact(&mut bytes).map_err(io_error(&path))?;
        Ok(Some(bytes))
    }

    /// Writes a file readable by its owner alone, whole or not at all, in place of what is there.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), KeyRingError> {
        let unfinished = format!("{UNFINISHED}{name}");
        let path = self.path(&unfinished);
        let written = system::create(&self.handle, &path).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        let renamed = written
            .map_err(io_error(&path))
            .and_then(|()| self.rename(&unfinished, name));
        if renamed.is_err() {
            // The first error is the one to tell.
            let _ = self.remove(&unfinished);
        }
        renamed
    }

    /// Gives a file another name.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), KeyRingError> {
        let (from, to) = (self.path(from), self.path(to));
        system::rename(&self.handle, &from, &to).map_err(io_error(&to))
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<(), KeyRingError> {
        let path = self.path(name);
        match system::remove(&self.handle, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(io_error(&path)),
        }
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> KeyRingError + '_ {
    |source| KeyRingError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Files by their names in an open directory: of a path only the last component counts.
#[cfg(unix)]
mod system {
    use super::Refused;
    use crate::error::KeyRingError;
    use rustix::fs::{self, AtFlags, CWD, Mode, OFlags};
    use std::ffi::OsStr;
    use std::fs::{File, Metadata};
    use std::io;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    pub(super) type Handle = File;

    /// Of the file itself, and a pipe does not make its reader wait.
    const FLAGS: OFlags = OFlags::CLOEXEC
        .union(OFlags::NOFOLLOW)
        .union(OFlags::NONBLOCK);

    pub(super) fn open_directory(path: &Path) -> io::Result<Handle> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(fs::openat(CWD, path, flags, Mode::empty())?.into())
    }

    pub(super) fn open(directory: &Handle, path: &Path) -> io::Result<File> {
        open_with(directory, path, OFlags::RDONLY)
    }

    pub(super) fn create(directory: &Handle, path: &Path) -> io::Result<File> {
        open_with(
            directory,
            path,
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL,
        )
    }

    pub(super) fn open_or_create(directory: &Handle, path: &Path) -> io::Result<File> {
        open_with(directory, path, OFlags::WRONLY | OFlags::CREATE)
    }

    fn open_with(directory: &Handle, path: &Path, flags: OFlags) -> io::Result<File> {
        let mode = Mode::RUSR | Mode::WUSR;
        match fs::openat(directory, name(path), FLAGS | flags, mode) {
            Err(rustix::io::Errno::LOOP) => Err(io::Error::other(
                "it is a symbolic link, and who can change its target is not known; put the file itself there",
            )),
            file => Ok(file?.into()),
        }
    }

    pub(super) fn rename(directory: &Handle, from: &Path, to: &Path) -> io::Result<()> {
        fs::renameat(directory, name(from), directory, name(to))?;
        Ok(fs::fsync(directory)?)
    }

    pub(super) fn remove(directory: &Handle, path: &Path) -> io::Result<()> {
        Ok(fs::unlinkat(directory, name(path), AtFlags::empty())?)
    }

    /// Refuses what is open to others, or another user's.
    pub(super) fn judge(
        path: &Path,
        file: &File,
        refused: Refused,
    ) -> Result<Metadata, KeyRingError> {
        let metadata = file.metadata().map_err(super::io_error(path))?;
        let owner = metadata.uid();
        // Who is root can do everything anyway.
        if owner != rustix::process::geteuid().as_raw() && owner != 0 {
            return Err(KeyRingError::Owner {
                path: path.to_owned(),
                owner,
            });
        }
        let mode = metadata.mode() & 0o777;
        if mode & refused as u32 == 0 {
            return Ok(metadata);
        }
        Err(KeyRingError::Lax {
            path: path.to_owned(),
            mode,
        })
    }

    fn name(path: &Path) -> &OsStr {
        path.file_name().unwrap_or_default()
    }
}

#[cfg(not(unix))]
mod system {
    use super::Refused;
    use crate::error::KeyRingError;
    use std::fs::{self, File, Metadata};
    use std::io;
    use std::path::{Path, PathBuf};

    pub(super) type Handle = PathBuf;

    pub(super) fn open_directory(path: &Path) -> io::Result<Handle> {
        fs::read_dir(path).map(|_| path.to_owned())
    }

    pub(super) fn open(_: &Handle, path: &Path) -> io::Result<File> {
        File::open(path)
    }

    pub(super) fn create(_: &Handle, path: &Path) -> io::Result<File> {
        File::create_new(path)
    }

    pub(super) fn open_or_create(_: &Handle, path: &Path) -> io::Result<File> {
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
    }

    pub(super) fn rename(_: &Handle, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    pub(super) fn remove(_: &Handle, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    pub(super) fn judge(path: &Path, _: &impl Sized, _: Refused) -> Result<Metadata, KeyRingError> {
        fs::metadata(path).map_err(super::io_error(path))
    }
}
