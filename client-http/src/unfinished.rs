//! Files on their way to their names: written under another one, renamed when they are whole.
//!
//! Dropped, they are gone; a process that is stopped from outside leaves them. So each is locked by
//! its writer, a lock that ends with the process, and whoever writes into the same directory next
//! removes those that nobody holds.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use tempfile::NamedTempFile;

/// How their names begin.
const PREFIX: &str = ".cipherfn-unfinished-";
/// Files of one call that somebody takes for abandoned before they are locked.
const ATTEMPTS: u32 = 8;

/// Who may read a file, once it has its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Its owner.
    Owner,
    /// Whoever may read any new file.
    Usual,
}

/// A new file in `directory`; what stopped processes have left there goes.
pub fn unfinished_file(directory: &Path, readers: Readers) -> io::Result<NamedTempFile> {
    // That it cannot be listed is no reason not to write into it.
    let _ = sweep(directory);
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    #[cfg(unix)]
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    #[cfg(unix)]
    if readers == Readers::Usual {
        builder.permissions(permissions);
    }
    #[cfg(not(unix))]
    let _ = readers;
    for _ in 0..ATTEMPTS {
        let file = builder.tempfile_in(directory)?;
        match file.as_file().try_lock() {
            // Somebody takes it for abandoned, or has removed it.
            Err(TryLockError::WouldBlock) => {}
            Ok(()) if !file.path().exists() => {}
            // Without locks nobody removes anything.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
    Err(io::Error::other(
        "another process removes unfinished files; try again",
    ))
}

/// Removes unfinished files whose writers are gone.
fn sweep(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if !ours || !entry.file_type()?.is_file() {
            continue;
        }
        // Held by its writer, another user's, or gone by now: left alone.
        if let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{PREFIX, Readers, unfinished_file};
    use std::fs;

    #[test]
    fn what_a_stopped_process_left_goes_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let held = unfinished_file(directory.path(), Readers::Owner).unwrap();
        let left = path(&format!("{PREFIX}left"));
        for file in [&left, &path(".cipherfn-other"), &path("rows.csv")] {
            fs::write(file, "x").unwrap();
        }
        fs::create_dir(path(&format!("{PREFIX}folder"))).unwrap();
        let file = unfinished_file(directory.path(), Readers::Usual).unwrap();
        assert!(!left.exists() && held.path().exists() && file.path().exists());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 5);
        // Under its name it is nobody's to remove.
        file.persist(path("whole")).unwrap();
        drop(held);
        drop(unfinished_file(directory.path(), Readers::Usual).unwrap());
        let mut names: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let folder = format!("{PREFIX}folder");
        assert_eq!(names, [".cipherfn-other", &folder, "rows.csv", "whole"]);
    }

    /// Writers at once: none loses its file to another that takes it for abandoned.
    #[test]
    fn writers_at_once_keep_their_files() {
        let directory = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let directory = directory.path();
                scope.spawn(move || {
                    for round in 0..100 {
                        let file = unfinished_file(directory, Readers::Usual).unwrap();
                        fs::write(file.path(), "x").unwrap();
                        let name = directory.join(format!("{writer}-{round}"));
                        file.persist(name).unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 400);
    }
}
