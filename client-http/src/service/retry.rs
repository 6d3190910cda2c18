//! Trying again: exponential backoff with full jitter.

use super::options::{Retry, Retrying, ServiceOptions};
use http::HeaderMap;
use http::header::RETRY_AFTER;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Longest wait that a service may ask for.
const MOST_PATIENCE: Duration = Duration::from_mins(2);

/// How an attempt failed.
pub(crate) struct Failure<E> {
    pub(crate) cause: E,
    /// Whether the same request can succeed later.
    pub(crate) retryable: bool,
    /// How long the other side asks to wait.
    pub(crate) wait: Option<Duration>,
}

impl<E> Failure<E> {
    /// A failure that no further attempt mends.
    pub(crate) const fn permanent(cause: E) -> Self {
        Self {
            cause,
            retryable: false,
            wait: None,
        }
    }

    /// A failure that may pass.
    pub(crate) const fn passing(cause: E) -> Self {
        Self {
            cause,
            retryable: true,
            wait: None,
        }
    }
}

/// Attempts until one succeeds, fails for good or is the last; before each wait the caller hears of
/// it. A failure comes with the number of attempts.
pub(crate) async fn retry<T, E, F>(
    options: &ServiceOptions,
    route: impl Fn() -> String,
    mut attempt: impl FnMut() -> F,
) -> Result<(T, u32), (E, u32)>
where
    F: Future<Output = Result<T, Failure<E>>>,
    E: fmt::Display,
{
    let retry = &options.retry;
    let mut attempts = 1;
    loop {
        let failure = match attempt().await {
            Ok(done) => return Ok((done, attempts)),
            Err(failure) => failure,
        };
        if !failure.retryable || attempts >= retry.attempts.get() {
            return Err((failure.cause, attempts));
        }
        let wait = failure.wait.unwrap_or_default().min(MOST_PATIENCE) + jitter(retry, attempts);
        if let Some(listener) = &options.on_retry {
            listener.hear(&Retrying {
                route: route(),
                cause: failure.cause.to_string(),
                attempts,
                most: retry.attempts,
                wait,
            });
        }
        tokio::time::sleep(wait).await;
        attempts += 1;
    }
}

/// Whether a status without further explanation may pass.
pub(crate) const fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502..=504)
}

/// What `Retry-After` asks for: seconds or a date.
pub(crate) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    Duration::try_from(date - OffsetDateTime::now_utc()).ok()
}

/// A random time below `base * 2^(attempts - 1)`.
fn jitter(retry: &Retry, attempts: u32) -> Duration {
    let bound = retry
        .base
        .saturating_mul(1 << (attempts - 1).min(20))
        .min(retry.longest);
    // The hasher's keys come from the operating system.
    let random = RandomState::new().hash_one(attempts) >> 11;
    bound.mul_f64(random as f64 / (1_u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::{Retry, jitter, wait};
    use http::HeaderMap;
    use http::header::RETRY_AFTER;
    use std::num::NonZeroU32;
    use std::time::Duration;

    #[test]
    fn waits_stay_below_their_bound_and_differ() {
        let retry = Retry {
            attempts: NonZeroU32::MIN,
            base: Duration::from_millis(100),
            longest: Duration::from_secs(1),
        };
        for (attempts, bound) in [
            (1, 100),
            (2, 200),
            (3, 400),
            (4, 800),
            (5, 1000),
            (4_000_000_000, 1000),
        ] {
            let waits: Vec<_> = (0..64).map(|_| jitter(&retry, attempts)).collect();
            assert!(
                waits
                    .iter()
                    .all(|wait| *wait < Duration::from_millis(bound))
            );
            assert!(waits.iter().any(|wait| *wait != waits[0]));
        }
    }

    #[test]
    fn the_service_may_ask_for_patience() {
        let of = |text: &str| {
            wait(&HeaderMap::from_iter([(
                RETRY_AFTER,
                text.parse().unwrap(),
            )]))
        };
        assert_eq!(of("7"), Some(Duration::from_secs(7)));
        assert!(
            of("Fri, 01 Jan 2100 00:00:00 GMT")
                .is_some_and(|wait| wait > Duration::from_secs(1 << 20))
        );
        assert_eq!(of("Sat, 01 Jan 2000 00:00:00 GMT"), None);
        assert_eq!(of("soon"), None);
    }
}
