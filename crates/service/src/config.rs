//! Configuration from environment variables, read once at start: what is missing or wrong stops the
//! function with an error that names it.

use std::env;
use std::str::FromStr;
use std::time::Duration;

/// Bucket that holds models and keys.
pub const BUCKET: &str = "CIPHERFN_BUCKET";
/// Days that a registered key stays usable; 90 unless set.
pub const KEY_TTL_DAYS: &str = "CIPHERFN_KEY_TTL_DAYS";
/// Keys that a tenant may have; 10 unless set.
pub const KEY_QUOTA: &str = "CIPHERFN_KEY_QUOTA";
/// Hours after which a job and its results are gone; 168 unless set.
pub const JOB_TTL_HOURS: &str = "CIPHERFN_JOB_TTL_HOURS";
/// Jobs that a tenant may have; 20 unless set.
pub const JOB_QUOTA: &str = "CIPHERFN_JOB_QUOTA";
/// Days that a frame is kept; 90 unless set.
pub const FRAME_TTL_DAYS: &str = "CIPHERFN_FRAME_TTL_DAYS";
/// Frames that a tenant may have; 20 unless set.
pub const FRAME_QUOTA: &str = "CIPHERFN_FRAME_QUOTA";
/// Memory of a worker in MB; 1769 unless set.
pub const WORKER_MEMORY_MB: &str = "CIPHERFN_WORKER_MEMORY_MB";
/// ARN of the state machine that runs jobs of many chunks; without it they are events, too.
pub const MAP: &str = "CIPHERFN_MAP";
/// Chunks above which a job goes to the state machine; 100 unless set.
pub const MAP_ABOVE: &str = "CIPHERFN_MAP_ABOVE";
/// Seconds of work after which a worker keeps what it has done; 120 unless set.
pub const CHECKPOINT_SECONDS: &str = "CIPHERFN_CHECKPOINT_SECONDS";
/// Name of the function that does the work of jobs, for AWS Lambda.
pub const WORKER: &str = "CIPHERFN_WORKER";
/// Seconds that presigned uploads work; 900 unless set.
pub const UPLOAD_TTL_SECONDS: &str = "CIPHERFN_UPLOAD_TTL_SECONDS";
/// Smallest part of an upload in parts, in bytes; 5 MiB, S3's own limit, unless set.
pub const MIN_PART_BYTES: &str = "CIPHERFN_MIN_PART_BYTES";
/// Tenant of callers without an identity. For development only: whoever reaches the function is
/// that tenant.
pub const LOCAL_TENANT: &str = "CIPHERFN_LOCAL_TENANT";
/// What is logged, in the syntax of `tracing`'s filters; `info` unless set.
pub const LOG: &str = "CIPHERFN_LOG";
/// Memory of the function in MB, set by AWS Lambda.
pub const MEMORY_MB: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";

/// A variable that is missing or does not parse.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not set, or empty.
    #[error("the environment variable {name} is not set; it must hold {what}")]
    Missing {
        /// Name of the variable.
        name: &'static str,
        /// What it is for.
        what: &'static str,
    },
    /// Set to something else than it must be.
    #[error("the environment variable {name} is {value:?}; it must be {what}")]
    Invalid {
        /// Name of the variable.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What it must hold.
        what: &'static str,
    },
}

/// Name of the bucket.
pub fn bucket() -> Result<String, ConfigError> {
    let what = "the name of the S3 bucket that holds models and keys";
    let value = text(BUCKET).ok_or(ConfigError::Missing { name: BUCKET, what })?;
    let valid = (3..=63).contains(&value.len())
        && value.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
        });
    if valid {
        Ok(value)
    } else {
        Err(ConfigError::Invalid {
            name: BUCKET,
            value,
            what,
        })
    }
}

/// Memory of the function in bytes.
pub fn memory() -> Result<u64, ConfigError> {
    number(
        MEMORY_MB,
        1024,
        128..=1 << 20,
        "the function's memory in MB",
    )
    .map(|megabytes| megabytes << 20)
}

/// Rules for registered keys.
#[derive(Clone, Copy, Debug)]
pub struct KeyRules {
    /// How long a key stays usable.
    pub lifetime: Duration,
    /// How many a tenant may have.
    pub quota: u64,
    /// How long presigned uploads work.
    pub upload_lifetime: Duration,
    /// Smallest part but the last.
    pub min_part_bytes: u64,
}

impl KeyRules {
    /// From the environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            lifetime: Duration::from_hours(
                24 * number(
                    KEY_TTL_DAYS,
                    90,
                    1..=3650,
                    "a number of days from 1 to 3650",
                )?,
            ),
            quota: number(
                KEY_QUOTA,
                10,
                1..=10_000,
                "a number of keys from 1 to 10000",
            )?,
            upload_lifetime: transfer_lifetime()?,
            min_part_bytes: number(
                MIN_PART_BYTES,
                5 << 20,
                1 << 10..=5 << 30,
                "a number of bytes from 1024 to 5 GiB",
            )?,
        })
    }
}

/// Rules for jobs.
#[derive(Clone, Copy, Debug)]
pub struct JobRules {
    /// How long a job and its results stay. The bucket deletes them a day after a week.
    pub lifetime: Duration,
    /// How many a tenant may have.
    pub quota: u64,
    /// How long presigned requests work.
    pub transfer_lifetime: Duration,
    /// Memory of a worker in MB.
    pub worker_memory_mb: u64,
}

impl JobRules {
    /// From the environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            lifetime: Duration::from_hours(number(
                JOB_TTL_HOURS,
                168,
                1..=168,
                "a number of hours from 1 to 168",
            )?),
            quota: number(JOB_QUOTA, 20, 1..=1000, "a number of jobs from 1 to 1000")?,
            transfer_lifetime: transfer_lifetime()?,
            worker_memory_mb: number(
                WORKER_MEMORY_MB,
                1769,
                128..=1 << 20,
                "a worker's memory in MB",
            )?,
        })
    }
}

/// Rules for stored frames.
#[derive(Clone, Copy, Debug)]
pub struct FrameRules {
    /// How long a frame stays usable.
    pub lifetime: Duration,
    /// How many a tenant may have.
    pub quota: u64,
}

impl FrameRules {
    /// From the environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        let days = "a number of days from 1 to 3650";
        Ok(Self {
            lifetime: Duration::from_hours(24 * number(FRAME_TTL_DAYS, 90, 1..=3650, days)?),
            quota: number(
                FRAME_QUOTA,
                20,
                1..=1000,
                "a number of frames from 1 to 1000",
            )?,
        })
    }
}

/// Name of the function that does the work of jobs.
pub fn worker() -> Result<String, ConfigError> {
    let what = "the name of the function that does the work of jobs";
    text(WORKER).ok_or(ConfigError::Missing { name: WORKER, what })
}

/// How long a worker works before it keeps what it has done; 0 is after every few rows.
pub fn checkpoint_interval() -> Result<Duration, ConfigError> {
    let seconds = number(
        CHECKPOINT_SECONDS,
        120,
        0..=900,
        "a number of seconds from 0 to 900",
    )?;
    Ok(Duration::from_secs(seconds))
}

/// ARN of the state machine for jobs, and the chunks above which they go to it.
pub fn map() -> Result<Option<(String, usize)>, ConfigError> {
    let Some(arn) = text(MAP) else {
        return Ok(None);
    };
    if !arn.contains(":stateMachine:") {
        return Err(ConfigError::Invalid {
            name: MAP,
            value: arn,
            what: "the ARN of a state machine",
        });
    }
    let above = number(
        MAP_ABOVE,
        100,
        0..=1000,
        "a number of chunks from 0 to 1000",
    )?;
    Ok(Some((arn, above)))
}

/// How long presigned requests work.
fn transfer_lifetime() -> Result<Duration, ConfigError> {
    number(
        UPLOAD_TTL_SECONDS,
        900,
        1..=43_200,
        "a number of seconds from 1 to 43200",
    )
    .map(Duration::from_secs)
}

/// The variable's value, if there is one.
pub(crate) fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn number<T: FromStr + PartialOrd>(
    name: &'static str,
    default: T,
    range: std::ops::RangeInclusive<T>,
    what: &'static str,
) -> Result<T, ConfigError> {
    let Some(value) = text(name) else {
        return Ok(default);
    };
    match value.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(ConfigError::Invalid { name, value, what }),
    }
}
