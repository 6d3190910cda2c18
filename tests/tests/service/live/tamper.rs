//! Changes that the service itself does not make.

use crate::stack::{BUCKET, REGION, Stack};
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};

/// The bucket, for changes that the service itself does not make.
fn s3(stack: &Stack) -> aws_sdk_s3::Client {
    let (id, secret) = stack.emulator.credentials();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new(REGION))
        .endpoint_url(stack.emulator.s3_endpoint())
        .force_path_style(true)
        .credentials_provider(Credentials::new(id, secret, None, None, "test"));
    aws_sdk_s3::Client::from_conf(config.build())
}

/// Changes the one object whose key ends so; what it was before.
pub(crate) async fn change(
    stack: &Stack,
    end: &str,
    change: impl FnOnce(&[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let objects: Vec<_> = stack
        .objects()
        .await
        .into_iter()
        .filter(|object| object.ends_with(end))
        .collect();
    let [key] = objects.as_slice() else {
        panic!("{objects:?}")
    };
    let s3 = s3(stack);
    let stored = s3
        .get_object()
        .bucket(BUCKET)
        .key(key)
        .send()
        .await
        .expect("the object");
    let before = stored.body.collect().await.expect("the object").to_vec();
    let put = s3
        .put_object()
        .bucket(BUCKET)
        .key(key)
        .body(change(&before).into());
    put.send().await.expect("written");
    before
}
