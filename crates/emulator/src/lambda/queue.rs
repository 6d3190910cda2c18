//! Asynchronous invocations: tried again where they fail, and kept where they fail for good.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::events::Events;
use super::{Invocation, InvokeError, Pool};
use crate::LogSink;

/// An event that no attempt has handled: what a function's dead-letter queue holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The function.
    pub function: String,
    /// Its event.
    pub event: Bytes,
    /// Why the last attempt failed.
    pub error: InvokeError,
}

/// Events on their way to their functions. Those under way when it ends are the next one's.
pub(crate) struct Queue {
    /// Waits before the second attempt, the third, and so on.
    retries: Vec<Duration>,
    log: LogSink,
    events: Events,
    dead: Mutex<Vec<DeadLetter>>,
    under_way: Mutex<JoinSet<()>>,
}

impl Queue {
    pub(crate) fn new(retries: Vec<Duration>, log: LogSink, events: Events) -> Self {
        Self {
            retries,
            log,
            events,
            dead: Mutex::default(),
            under_way: Mutex::default(),
        }
    }

    /// Invokes a function with an event, some time, and if not in this process then in the next one
    /// over the same data.
    pub(crate) fn push(self: &Arc<Self>, pool: Arc<Pool>, invocation: Invocation) {
        self.keep(&pool, &invocation);
        self.try_until_over(pool, invocation);
    }

    /// Goes on with the events of an emulator before this one, each with all of its attempts.
    pub(crate) fn go_on(
        self: &Arc<Self>,
        functions: &BTreeMap<String, Arc<Pool>>,
    ) -> io::Result<()> {
        for (function, invocation) in self.events.left()? {
            match functions.get(&function) {
                Some(pool) => self.try_until_over(Arc::clone(pool), invocation),
                None => self.events.forget(&invocation)?,
            }
        }
        Ok(())
    }

    fn try_until_over(self: &Arc<Self>, pool: Arc<Pool>, invocation: Invocation) {
        let queue = Arc::clone(self);
        self.spawn(async move { queue.attempts(&pool, invocation).await });
    }

    /// Does some work beside everything else, as long as the emulator lives.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut under_way = self.under_way();
        while under_way.try_join_next().is_some() {}
        under_way.spawn(work);
    }

    /// Invokes a function with an event until it has handled it, or it is a dead letter.
    pub(crate) async fn deliver(&self, pool: &Pool, invocation: Invocation) {
        self.keep(pool, &invocation);
        self.attempts(pool, invocation).await;
    }

    /// All attempts have the same request id, as on AWS; none counts that finds no free environment.
    async fn attempts(&self, pool: &Pool, invocation: Invocation) {
        let mut retries = self.retries.iter();
        loop {
            let error = match pool.invoke(&invocation, None).await {
                // Whoever starts over the same data goes on with it.
                Err(InvokeError::Stopping) => return,
                Ok(_) => return self.forget(pool, &invocation),
                Err(error) => error,
            };
            let Some(wait) = retries.next() else {
                self.forget(pool, &invocation);
                let function = pool.name().to_owned();
                let id = &invocation.id;
                (self.log)(&function, &format!("DEAD LETTER RequestId: {id}\t{error}"));
                let letter = DeadLetter {
                    function,
                    event: invocation.event,
                    error,
                };
                let dead = self.dead.lock();
                dead.unwrap_or_else(PoisonError::into_inner).push(letter);
                return;
            };
            tokio::time::sleep(*wait).await;
        }
    }

    /// Where it cannot be kept it is tried all the same, as long as this process lives.
    fn keep(&self, pool: &Pool, invocation: &Invocation) {
        self.say(pool, "kept", self.events.keep(pool.name(), invocation));
    }

    fn forget(&self, pool: &Pool, invocation: &Invocation) {
        self.say(pool, "forgotten", self.events.forget(invocation));
    }

    fn say(&self, pool: &Pool, what: &str, done: io::Result<()>) {
        if let Err(error) = done {
            (self.log)(pool.name(), &format!("an event cannot be {what}: {error}"));
        }
    }

    pub(crate) fn dead_letters(&self) -> Vec<DeadLetter> {
        self.dead
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Gives up what is under way.
    pub(crate) fn stop(&self) {
        self.under_way().abort_all();
    }

    fn under_way(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}
