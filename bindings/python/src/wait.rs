//! Work beside the interpreter: the calling thread waits without the interpreter's lock, tells how far the
//! work is, and ends it on Ctrl-C.

use crate::error::{Failure, Result};
use pyo3::prelude::*;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;

/// How often the waiting thread looks up.
const LOOK: Duration = Duration::from_millis(50);

/// Where requests run. Made with the first one; a process that forks afterwards has to make its own client in
/// the new process before, as with every library that has threads.
static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("cipherfn")
        .build()
});

/// Ends the work of a call from another thread.
#[pyclass(frozen)]
#[derive(Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

#[pymethods]
impl Stop {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Ends the work; the call that does it raises `InterruptedError`.
    fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What there is to say meanwhile, to whichever call looks next.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub(crate) fn add(&self, text: String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How far work is. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<Watched>);

#[derive(Default)]
struct Watched {
    done: AtomicU64,
    of: AtomicU64,
    notes: Notes,
    stopped: AtomicBool,
}

impl Watch {
    /// With notes that others add to.
    pub(crate) fn with(notes: &Notes) -> Self {
        Self(Arc::new(Watched {
            notes: notes.clone(),
            ..Watched::default()
        }))
    }

    /// So much is done.
    pub(crate) fn set(&self, done: u64, of: u64) {
        self.0.done.store(done, Ordering::Relaxed);
        self.0.of.store(of, Ordering::Relaxed);
    }

    /// So much more is done.
    pub(crate) fn add(&self, more: u64) {
        self.0.done.fetch_add(more, Ordering::Relaxed);
    }

    /// An error once nobody waits any more.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.stopped.load(Ordering::Relaxed) {
            return Err(Failure::Other("the call was ended".into()));
        }
        Ok(())
    }

    /// That error, when it is one.
    async fn stopped(&self) -> Failure {
        loop {
            match self.check() {
                Ok(()) => tokio::time::sleep(LOOK).await,
                Err(error) => return error,
            }
        }
    }
}

/// What a call gets from Python beside its arguments: `tell(done, of, notes)`, and what ends it.
pub(crate) struct Waiting<'py> {
    pub(crate) py: Python<'py>,
    pub(crate) tell: Option<Bound<'py, PyAny>>,
    pub(crate) stop: Option<Bound<'py, Stop>>,
}

impl Waiting<'_> {
    /// Runs what computes on a thread of its own.
    pub(crate) fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Watch) -> Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let watch = Watch::default();
        let own = watch.clone();
        self.wait(&watch, move || work(&own))
    }

    /// Runs requests; they end where they stand once nobody waits any more.
    pub(crate) fn request<T: Send + 'static, F: Future<Output = Result<T>>>(
        &self,
        watch: &Watch,
        work: impl FnOnce() -> F + Send + 'static,
    ) -> PyResult<T> {
        let runtime = RUNTIME
            .as_ref()
            .map_err(|error| Failure::Other(format!("no threads for requests: {error}")))?;
        let own = watch.clone();
        self.wait(watch, move || {
            runtime.block_on(async {
                tokio::select! {
                    done = work() => done,
                    error = own.stopped() => Err(error),
                }
            })
        })
    }

    fn wait<T: Send + 'static>(
        &self,
        watch: &Watch,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new().name("cipherfn".into());
        thread.spawn(move || {
            // Nobody listens to what was given up.
            let _ = sender.send(work());
        })?;
        // The lock makes it one that may be lent to a closure without the interpreter's.
        let receiver = Mutex::new(receiver);
        loop {
            let heard = self.py.detach(|| {
                let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
                receiver.recv_timeout(LOOK)
            });
            if let Err(error) = self.look(watch) {
                watch.0.stopped.store(true, Ordering::Relaxed);
                return Err(error);
            }
            match heard {
                Ok(done) => return Ok(done?),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let text = "the work ended unexpectedly; this is a bug, please report it";
                    return Err(Failure::Other(text.into()).into());
                }
            }
        }
    }

    fn look(&self, watch: &Watch) -> PyResult<()> {
        self.py.check_signals()?;
        if let Some(stop) = &self.stop
            && stop.get().0.load(Ordering::Relaxed)
        {
            let error = "the call was stopped";
            return Err(pyo3::exceptions::PyInterruptedError::new_err(error));
        }
        if let Some(tell) = &self.tell {
            let done = watch.0.done.load(Ordering::Relaxed);
            let of = watch.0.of.load(Ordering::Relaxed);
            tell.call1((done, of, watch.0.notes.take()))?;
        }
        Ok(())
    }
}
