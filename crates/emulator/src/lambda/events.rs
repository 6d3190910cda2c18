//! Events of asynchronous invocations on disk, from when they are taken until they are over: an
//! emulator that ended in between goes on with them, as AWS Lambda's own queue does.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Invocation;

/// Beside the buckets, none of which has such a name.
const FOLDER: &str = "_events";
/// How the names of files end that are not whole yet.
const UNFINISHED: &str = "new";

/// Events that are not over, a file each.
#[derive(Debug)]
pub(crate) struct Events(PathBuf);

/// An event in its file.
#[derive(Serialize, Deserialize)]
struct EventFile {
    function: String,
    id: String,
    event: String,
    trace: String,
    client_context: Option<String>,
}

impl Events {
    /// Those of a data directory.
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        let folder = data.join(FOLDER);
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    /// Keeps an event of a function.
    pub(crate) fn keep(&self, function: &str, invocation: &Invocation) -> io::Result<()> {
        let event = EventFile {
            function: function.to_owned(),
            id: invocation.id.clone(),
            event: String::from_utf8(invocation.event.to_vec()).map_err(io::Error::other)?,
            trace: invocation.trace.clone(),
            client_context: invocation.client_context.clone(),
        };
        let path = self.path(&invocation.id);
        let unfinished = path.with_extension(UNFINISHED);
        fs::write(&unfinished, serde_json::to_vec(&event)?)?;
        fs::rename(unfinished, path)
    }

    /// Forgets an event that is over.
    pub(crate) fn forget(&self, invocation: &Invocation) -> io::Result<()> {
        fs::remove_file(self.path(&invocation.id))
    }

    /// What was kept, by the functions' names, in the order in which it was taken.
    pub(crate) fn left(&self) -> io::Result<Vec<(String, Invocation)>> {
        let mut left = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let path = entry.path();
            if path.extension() == Some(UNFINISHED.as_ref()) {
                fs::remove_file(path)?;
                continue;
            }
            let event: EventFile = serde_json::from_slice(&fs::read(path)?)?;
            left.push((entry.metadata()?.modified()?, event));
        }
        left.sort_by_key(|(taken, _)| *taken);
        let invocation = |event: EventFile| Invocation {
            id: event.id,
            event: event.event.into(),
            trace: event.trace,
            client_context: event.client_context,
        };
        let left = left.into_iter();
        Ok(left
            .map(|(_, event)| (event.function.clone(), invocation(event)))
            .collect())
    }

    fn path(&self, id: &str) -> PathBuf {
        self.0.join(id)
    }
}
