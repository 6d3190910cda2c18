//! What a function has, and what a row may take of it.

use cipherfn_protocol::api::{MAX_REPLY, MAX_REQUEST};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a function has, and what a row may take of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory of the function, in bytes. AWS Lambda's megabytes are 2^20.
    pub memory: u64,
    /// Seconds a row.
    pub seconds: f64,
    /// Bytes of a request, and of its reply.
    pub bytes: usize,
}

impl Limits {
    /// A function as the template makes it unless told otherwise: one vCPU, requests of an HTTP API.
    pub const LAMBDA: Self = Self {
        memory: 1769 << 20,
        seconds: 29.0,
        bytes: if MAX_REQUEST < MAX_REPLY {
            MAX_REQUEST
        } else {
            MAX_REPLY
        },
    };
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} MB of memory, {} s a row, {} KB a request and reply",
            self.memory >> 20,
            self.seconds,
            self.bytes / 1000
        )
    }
}

/// What a model is to fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitOptions {
    /// What the function has, and a row may take.
    pub limits: Limits,
    /// Whether the profile was chosen on purpose: otherwise the wide one is tried for its queries.
    pub keeps_profile: bool,
}

/// Text that names no limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is not lambda, nor limits like 1769MB,5s,1MB: memory of the function (128 to 10240 MB), seconds a row, size of a request, in this order; what is left out is a default function's"
)]
pub struct ParseLimitsError {
    found: String,
}

impl FromStr for Limits {
    type Err = ParseLimitsError;

    /// `lambda`, or some of memory, time and payload, in this order: `1769MB,5s,1MB`. The first size
    /// is the memory, unless it comes after the time.
    fn from_str(text: &str) -> Result<Self, ParseLimitsError> {
        let error = || ParseLimitsError { found: text.into() };
        if text == "lambda" {
            return Ok(Self::LAMBDA);
        }
        let mut limits = Self::LAMBDA;
        let mut place = 0;
        for part in text.split(',').map(str::trim) {
            let (own, is_valid) = if let Some(size) = megabytes(part) {
                if place == 0 {
                    limits.memory = (size * f64::from(1 << 20)) as u64;
                    (1, (128.0..=10_240.0).contains(&size))
                } else {
                    limits.bytes = (size * 1e6) as usize;
                    (3, size > 0.0 && size * 1e6 <= MAX_REQUEST as f64)
                }
            } else if let Some(seconds) = part.strip_suffix('s').and_then(|x| x.parse().ok()) {
                limits.seconds = seconds;
                (2, 0.0 < seconds && seconds <= 900.0)
            } else {
                return Err(error());
            };
            if own <= place || !is_valid {
                return Err(error());
            }
            place = own;
        }
        Ok(limits)
    }
}

/// `1.5GB`, `1769MB` or `300KB` in megabytes; those of memory are 2^20 bytes, as AWS Lambda's, those
/// of a payload 10^6.
fn megabytes(text: &str) -> Option<f64> {
    let units = [("GB", 1e3), ("MB", 1.0), ("KB", 1e-3)];
    let (number, unit) = units
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    let number: f64 = number.trim().parse().ok()?;
    number.is_finite().then_some(number * unit)
}
