//! The fault-injecting proxy, in front of the embedded S3 with the real client.

use std::time::Duration;

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use cipherfn_emulator::faults::{Fault, FaultProxy};

use crate::support::{BUCKET, emulator, s3_client, s3_client_with};

#[tokio::test]
async fn faults_come_and_go() {
    let (emulator, _data) = emulator(|_| {}).await;
    let proxy = FaultProxy::start(emulator.s3_endpoint())
        .await
        .expect("starts");
    let client = s3_client(proxy.url(), emulator.credentials());
    let body = vec![7; 300_000];
    client
        .put_object()
        .bucket(BUCKET)
        .key("k")
        .body(ByteStream::from(body.clone()))
        .send()
        .await
        .expect("signatures stay valid");

    proxy.next(1, "/k", Fault::InternalError);
    let error = client
        .get_object()
        .bucket(BUCKET)
        .key("k")
        .send()
        .await
        .expect_err("500")
        .into_service_error();
    assert_eq!(error.code(), Some("InternalError"));
    proxy.always("/k", Fault::SlowDown);
    for _ in 0..2 {
        let error = client
            .get_object()
            .bucket(BUCKET)
            .key("k")
            .send()
            .await
            .expect_err("503")
            .into_service_error();
        assert_eq!(error.code(), Some("SlowDown"));
    }
    client
        .get_object()
        .bucket(BUCKET)
        .key("other")
        .send()
        .await
        .expect_err("not a fault, but not there");
    proxy.pass();

    proxy.next(1, "", Fault::ResetAfter(100_000));
    let answer = client
        .get_object()
        .bucket(BUCKET)
        .key("k")
        .send()
        .await
        .expect("the head arrives");
    answer.body.collect().await.expect_err("the body does not");
    proxy.next(1, "", Fault::ResetRequestAfter(1000));
    let put = client
        .put_object()
        .bucket(BUCKET)
        .key("k2")
        .body(ByteStream::from(body.clone()))
        .send()
        .await;
    assert!(put.expect_err("no answer").as_service_error().is_none());
    client
        .head_object()
        .bucket(BUCKET)
        .key("k2")
        .send()
        .await
        .expect_err("it did not arrive");
    proxy.next(1, "", Fault::Delay(Duration::from_millis(20)));
    let answer = client
        .get_object()
        .bucket(BUCKET)
        .key("k")
        .send()
        .await
        .expect("late");
    assert_eq!(
        answer.body.collect().await.expect("whole").into_bytes(),
        body
    );
    assert!(
        proxy
            .requests()
            .iter()
            .any(|request| request.starts_with("PUT /test-bucket/k2"))
    );
}

#[tokio::test]
async fn a_client_that_retries_gets_through() {
    let (emulator, _data) = emulator(|_| {}).await;
    let proxy = FaultProxy::start(emulator.s3_endpoint())
        .await
        .expect("starts");
    let retry = RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(1));
    let client = s3_client_with(proxy.url(), emulator.credentials(), retry);
    proxy.next(2, "", Fault::SlowDown);
    client
        .put_object()
        .bucket(BUCKET)
        .key("k")
        .body(ByteStream::from_static(b"x"))
        .send()
        .await
        .expect("third attempt");
    assert_eq!(proxy.requests().len(), 3);
}
