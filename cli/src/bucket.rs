//! Which bucket a command of the model's owner works on.

use crate::usage::bail_usage;
use anyhow::{Context, Result};
use cipherfn_client_http::{Readers, unfinished_file};
use cipherfn_service::{Registry, S3};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Name of the bucket of `cipherfn dev`.
pub(crate) const DEV_BUCKET: &str = "cipherfn";
/// Region that its requests are signed for.
const DEV_REGION: &str = "us-east-1";
/// Its data directory, unless another is named.
pub(crate) const DATA: &str = "cipherfn-data";
/// In the data directory of a running `cipherfn dev`: where it is.
const DEV_FILE: &str = "dev.json";

/// The bucket.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct BucketArguments {
    /// The S3 bucket of the service; credentials and region as for every AWS tool
    #[arg(long, value_name = "NAME", global = true, conflicts_with = "dev")]
    bucket: Option<String>,
    /// Another S3 than AWS's
    #[arg(long, value_name = "URL", global = true, requires = "bucket")]
    endpoint: Option<String>,
    /// The data directory of a running `cipherfn dev`, instead of a bucket
    #[arg(long, value_name = "DIRECTORY", global = true)]
    dev: Option<PathBuf>,
}

impl BucketArguments {
    /// Whether one is named.
    pub(crate) fn is_given(&self) -> bool {
        self.bucket.is_some() || self.dev.is_some()
    }

    /// What to add to a question for the bucket where a local service has its data here.
    pub(crate) fn found_here() -> &'static str {
        if Path::new(DATA).join(DEV_FILE).is_file() {
            " (here: --dev cipherfn-data)"
        } else {
            ""
        }
    }

    /// The data directory, if this is a local service's.
    pub(crate) fn local(&self) -> Option<&Path> {
        self.dev.as_deref()
    }
}

/// Where a running `cipherfn dev` is, with the keys of its embedded S3.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DevFile {
    pub(crate) url: Option<String>,
    pub(crate) s3_endpoint: String,
    /// Of Lambda's API, where there are functions.
    #[serde(default)]
    pub(crate) lambda_endpoint: Option<String>,
    pub(crate) bucket: String,
    pub(crate) region: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
}

impl DevFile {
    /// Of an embedded S3 with its access key id and secret access key, and of the service in front
    /// of it, if there is one.
    pub(crate) fn new(
        url: Option<&str>,
        s3_endpoint: &str,
        (access_key_id, secret_access_key): (&str, &str),
    ) -> Self {
        Self {
            url: url.map(str::to_owned),
            s3_endpoint: s3_endpoint.to_owned(),
            lambda_endpoint: None,
            bucket: DEV_BUCKET.to_owned(),
            region: DEV_REGION.to_owned(),
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
        }
    }

    /// Writes it into the data directory, for this user only.
    pub(crate) fn write(&self, directory: &Path) -> Result<PathBuf> {
        let path = directory.join(DEV_FILE);
        let mut file = unfinished_file(directory, Readers::Owner)
            .with_context(|| format!("cannot write {}", path.display()))?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.persist(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(DEV_FILE);
        let bytes = fs::read(&path).with_context(|| {
            format!(
                "cannot read {}; give the data directory of a `cipherfn dev` that is running",
                path.display()
            )
        })?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is not what `cipherfn dev` wrote", path.display()))
    }

    /// What is in its bucket.
    pub(crate) fn registry(&self) -> Registry {
        Registry::new(S3::at(
            &self.s3_endpoint,
            &self.region,
            &self.access_key_id,
            &self.secret_access_key,
            &self.bucket,
        ))
    }
}

impl BucketArguments {
    /// Opens it.
    pub(crate) async fn open(&self) -> Result<Registry> {
        match (&self.bucket, &self.dev) {
            (_, Some(directory)) => Ok(DevFile::read(directory)?.registry()),
            (Some(bucket), None) => {
                let bucket = S3::connect_to(bucket, self.endpoint.as_deref()).await;
                Ok(Registry::new(bucket))
            }
            (None, None) => bail_usage!(
                "which bucket? give --bucket NAME, or --dev DIRECTORY for a `cipherfn dev` that is running{}",
                Self::found_here()
            ),
        }
    }
}
