//! Where the bucket is, and how long its answers are waited for.

use super::S3;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::tls;
use std::time::Duration;

/// Attempts of one request to S3, with exponential backoff in between.
const ATTEMPTS: u32 = 4;

impl S3 {
    /// The bucket, with credentials, region and endpoint from the environment as every AWS SDK
    /// finds them.
    pub async fn connect(bucket: impl Into<String>) -> Self {
        Self::connect_to(bucket, None).await
    }

    /// The same at another endpoint.
    pub async fn connect_to(bucket: impl Into<String>, endpoint: Option<&str>) -> Self {
        let mut config = aws_sdk_s3::config::Builder::from(&sdk_config().await);
        if let Some(endpoint) = endpoint {
            config = config.endpoint_url(endpoint).force_path_style(true);
        }
        Self::with(config, bucket)
    }

    /// The bucket, by a configured S3 client's settings. Endpoints other than AWS's are addressed
    /// by path.
    pub fn with(mut config: aws_sdk_s3::config::Builder, bucket: impl Into<String>) -> Self {
        if crate::config::text("AWS_ENDPOINT_URL_S3")
            .or(crate::config::text("AWS_ENDPOINT_URL"))
            .is_some()
        {
            config.set_force_path_style(Some(true));
        }
        Self {
            client: aws_sdk_s3::Client::from_conf(config.build()),
            name: bucket.into(),
        }
    }

    /// The bucket at `endpoint`, with static credentials: an S3 that is not AWS's.
    pub fn at(
        endpoint: &str,
        region: &str,
        access_key: &str,
        secret_key: &str,
        bucket: impl Into<String>,
    ) -> Self {
        let credentials =
            aws_credential_types::Credentials::new(access_key, secret_key, None, None, "static");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(aws_sdk_s3::config::BehaviorVersion::v2026_01_12())
            .http_client(http_client())
            .retry_config(retries())
            .timeout_config(timeouts())
            .region(aws_sdk_s3::config::Region::new(region.to_owned()))
            .endpoint_url(endpoint)
            .force_path_style(true)
            .credentials_provider(credentials);
        Self::with(config, bucket)
    }
}

/// Credentials, region and endpoints from the environment, with this crate's timeouts and retries.
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http_client())
        .retry_config(retries())
        .timeout_config(timeouts())
        .load()
        .await
}

fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https()
}

fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(Duration::from_millis(50))
        .with_max_backoff(Duration::from_secs(2))
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .read_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(15))
        .build()
}
