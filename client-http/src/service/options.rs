//! How to talk to a service.

use aws_credential_types::provider::SharedCredentialsProvider;
use http::HeaderValue;
use std::fmt;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How to talk to a service; the default is right for an endpoint that asks for no identity.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// Who is calling.
    pub authentication: Authentication,
    /// When to try again.
    pub retry: Retry,
    /// Hears of each attempt that failed and is made again.
    pub on_retry: Option<RetryListener>,
    /// Requests, or pieces of a key, that are under way at a time. Memory grows with it: some 16
    /// MiB each.
    pub in_flight: NonZeroUsize,
    /// Most rows of one request. Without it a request has as many as fit; fewer spread a table
    /// over more functions.
    pub rows_a_request: Option<NonZeroUsize>,
    /// A larger part of an evaluation key is uploaded in pieces of this many bytes. S3 takes no
    /// pieces below 5 MiB, the last one excepted.
    pub piece_bytes: NonZeroU64,
    /// Directory for client specs, which are then transferred only when they have changed.
    pub specs_cache: Option<PathBuf>,
    /// When to give up on an answer.
    pub timeouts: Timeouts,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            authentication: Authentication::None,
            retry: Retry::default(),
            on_retry: None,
            in_flight: NonZeroUsize::new(4).unwrap_or(NonZeroUsize::MIN),
            rows_a_request: None,
            piece_bytes: NonZeroU64::new(8 << 20).unwrap_or(NonZeroU64::MIN),
            specs_cache: None,
            timeouts: Timeouts::default(),
        }
    }
}

/// Who is calling.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// Nobody in particular.
    None,
    /// `Authorization: Bearer`.
    Bearer(Token),
    /// AWS Signature Version 4 for `execute-api`, made anew for every attempt.
    SigV4 {
        /// Where keys come from, and new ones when they expire.
        credentials: SharedCredentialsProvider,
        /// Region of the API; not needed for `https://ID.execute-api.REGION.amazonaws.com`.
        region: Option<String>,
    },
}

/// A bearer token. It is wiped from memory and never printed.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

/// Text that cannot travel in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a token is visible ASCII characters without spaces; check for a line break or quotes around it"
)]
pub struct ParseTokenError;

impl Token {
    /// A token from its text; white space around it, as files have it at their end, does not count.
    pub fn new(text: impl Into<String>) -> Result<Self, ParseTokenError> {
        let text = Zeroizing::new(text.into());
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ParseTokenError);
        }
        Ok(Self(Zeroizing::new(token.to_owned())))
    }

    /// The header's value.
    pub(crate) fn header(&self) -> Result<HeaderValue, ParseTokenError> {
        let text = Zeroizing::new(format!("Bearer {}", *self.0));
        let mut value = HeaderValue::from_str(&text).map_err(|_| ParseTokenError)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// When to try again: after failures that can pass (connections, timeouts, throttling, overload),
/// waiting a random time below a bound that doubles ("full jitter"), or as long as the service asks
/// for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all; 1 tries nothing again.
    pub attempts: NonZeroU32,
    /// Bound of the first wait.
    pub base: Duration,
    /// Largest bound.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: NonZeroU32::new(6).unwrap_or(NonZeroU32::MIN),
            base: Duration::from_millis(300),
            longest: Duration::from_secs(20),
        }
    }
}

/// An attempt that failed and will be made again.
#[derive(Clone, Debug)]
pub struct Retrying {
    /// Method and address, without what is secret in it.
    pub route: String,
    /// How it failed.
    pub cause: String,
    /// Attempts made so far.
    pub attempts: u32,
    /// Attempts that are made at most.
    pub most: NonZeroU32,
    /// Until the next one.
    pub wait: Duration,
}

/// What is called with each [`Retrying`], on whichever thread the request is; it must not block.
#[derive(Clone)]
pub struct RetryListener(Arc<dyn Fn(&Retrying) + Send + Sync>);

impl RetryListener {
    /// Calls `listener`.
    pub fn new(listener: impl Fn(&Retrying) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    pub(crate) fn hear(&self, retrying: &Retrying) {
        (self.0)(retrying);
    }
}

impl fmt::Debug for RetryListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RetryListener")
    }
}

/// When to give up on an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For one attempt of a request, its body's transfer and its answer's included.
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_mins(2),
        }
    }
}
