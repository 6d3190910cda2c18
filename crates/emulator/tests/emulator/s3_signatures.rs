//! Who may use the embedded S3: signatures, presigned URLs, clocks.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::primitives::ByteStream;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, sign,
};
use bytes::Bytes;
use cipherfn_emulator::S3Server;
use http::Request;

use crate::s3::{code, put, read, server};
use crate::support::{Answer, BUCKET, get, s3_client, send};

const HELLO: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";

#[tokio::test]
async fn wrong_keys_are_refused() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (server, client) = server(data.path()).await;
    put(&client, "k", b"hello").await;
    let id = server.credentials().0;
    let wrong = s3_client(server.endpoint(), (id, "wrong"))
        .get_object()
        .bucket(BUCKET)
        .key("k")
        .send()
        .await;
    assert_eq!(
        code(&wrong.expect_err("wrong secret")),
        "SignatureDoesNotMatch"
    );
    s3_client(server.endpoint(), ("AKIANONE", "x"))
        .get_object()
        .bucket(BUCKET)
        .key("k")
        .send()
        .await
        .expect_err("unknown key");
    assert_eq!(
        get(format!("{}/{BUCKET}/k", server.endpoint()))
            .await
            .status,
        403
    );
    assert_eq!(get(format!("{}/", server.endpoint())).await.status, 403);
}

fn valid_for(seconds: u64) -> PresigningConfig {
    PresigningConfig::expires_in(Duration::from_secs(seconds)).expect("valid")
}

/// A URL to upload five bytes of one content, once.
async fn upload_url(client: &Client, key: &str, config: PresigningConfig) -> PresignedRequest {
    let put = client
        .put_object()
        .bucket(BUCKET)
        .key(key)
        .content_length(5)
        .if_none_match("*")
        .checksum_sha256(HELLO);
    put.presigned(config).await.expect("presigned")
}

fn request(presigned: &PresignedRequest, body: &'static [u8]) -> Request<Bytes> {
    let mut request = Request::builder()
        .method(presigned.method())
        .uri(presigned.uri());
    for (name, value) in presigned
        .headers()
        .filter(|(name, _)| *name != "content-length")
    {
        request = request.header(name, value);
    }
    request.body(Bytes::from_static(body)).expect("valid")
}

fn error_code(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    text.split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map(|(code, _)| code.to_owned())
        .unwrap_or(text)
}

#[tokio::test]
async fn a_presigned_upload_is_bound_to_size_checksum_and_once() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (_server, client) = server(data.path()).await;
    let presigned = upload_url(&client, "k", valid_for(60)).await;
    for (body, status, expected) in [
        (&b"hell"[..], 403, "SignatureDoesNotMatch"),
        (b"hello world", 403, "SignatureDoesNotMatch"),
        (b"jello", 400, "BadDigest"),
    ] {
        let answer = send(request(&presigned, body)).await.expect("answered");
        assert_eq!(
            (answer.status.as_u16(), error_code(&answer).as_str()),
            (status, expected)
        );
        assert_eq!(read(&client, "k").await, None);
    }
    let mut without = request(&presigned, b"hello");
    without.headers_mut().remove("x-amz-checksum-sha256");
    assert_eq!(send(without).await.expect("answered").status, 403);
    let mut other = request(&presigned, b"hello");
    *other.uri_mut() = presigned
        .uri()
        .replace("/k?", "/j?")
        .parse()
        .expect("valid");
    assert_eq!(send(other).await.expect("answered").status, 403);

    assert_eq!(
        send(request(&presigned, b"hello"))
            .await
            .expect("answered")
            .status,
        200
    );
    let again = send(request(&presigned, b"hello")).await.expect("answered");
    assert_eq!(
        (again.status.as_u16(), error_code(&again).as_str()),
        (412, "PreconditionFailed")
    );
    assert_eq!(read(&client, "k").await.as_deref(), Some(&b"hello"[..]));
}

#[tokio::test]
async fn a_presigned_url_expires() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (_server, client) = server(data.path()).await;
    put(&client, "k", b"hello").await;
    let ago = |seconds| SystemTime::now() - Duration::from_secs(seconds);
    let config = |start, seconds| {
        PresigningConfig::builder()
            .start_time(start)
            .expires_in(Duration::from_secs(seconds))
            .build()
            .expect("valid")
    };
    let url = |config| {
        client
            .get_object()
            .bucket(BUCKET)
            .key("k")
            .presigned(config)
    };
    let expired = get(url(config(ago(3600), 3599)).await.expect("presigned").uri()).await;
    assert_eq!(
        (expired.status.as_u16(), error_code(&expired).as_str()),
        (403, "AccessDenied")
    );
    let valid = get(url(config(ago(3600), 3700)).await.expect("presigned").uri()).await;
    assert_eq!(
        (valid.status.as_u16(), &valid.body[..]),
        (200, &b"hello"[..])
    );
    let early = SystemTime::now() + Duration::from_secs(1000);
    assert_eq!(
        error_code(&get(url(config(early, 60)).await.expect("presigned").uri()).await),
        "RequestTimeTooSkewed"
    );
    let answer = send(request(
        &upload_url(&client, "n", config(ago(120), 60)).await,
        b"hello",
    ))
    .await
    .expect("answered");
    assert_eq!(answer.status, 403);
    assert_eq!(read(&client, "n").await, None);
}

#[tokio::test]
async fn a_refused_upload_is_answered_and_not_cut() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (server, client) = server(data.path()).await;
    let body = Bytes::from(vec![1; 20 << 20]);
    let unsigned = Request::put(format!("{}/{BUCKET}/k", server.endpoint()))
        .body(body.clone())
        .expect("valid");
    assert_eq!(
        send(unsigned).await.expect("an answer, not a reset").status,
        403
    );
    put(&client, "k", b"x").await;
    let conditional = client
        .put_object()
        .bucket(BUCKET)
        .key("k")
        .if_none_match("*")
        .body(ByteStream::from(body.to_vec()));
    assert_eq!(
        code(&conditional.send().await.expect_err("there is one")),
        "PreconditionFailed"
    );
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let data = tempfile::tempdir().expect("temporary directory");
    let (server, client) = server(data.path()).await;
    let presigned = upload_url(&client, "k", valid_for(60)).await;
    let target = presigned
        .uri()
        .strip_prefix(server.endpoint())
        .expect("the server's");
    let host = server.endpoint().trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(host)
        .await
        .expect("connected");
    let mut head = format!("PUT {target} HTTP/1.1\r\nhost: {host}\r\n");
    for (name, value) in presigned.headers() {
        head = format!("{head}{name}: {value}\r\n");
    }
    stream
        .write_all(format!("{head}\r\nhel").as_bytes())
        .await
        .expect("sent");
    stream.shutdown().await.expect("half closed");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(read(&client, "k").await, None);
    assert_eq!(
        std::fs::read_dir(data.path().join(BUCKET).join("staging"))
            .expect("read")
            .count(),
        0
    );
}

/// A request signed here, for what the client would not do.
fn sign_request(
    server: &S3Server,
    method: &str,
    time: SystemTime,
    body: &[u8],
) -> http::request::Builder {
    let url = format!("{}/{BUCKET}/k", server.endpoint());
    let (id, secret) = server.credentials();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = aws_credential_types::Credentials::new(id, secret, None, None, "test").into();
    let builder = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("s3");
    let parameters = builder
        .time(time)
        .settings(settings)
        .build()
        .expect("complete");
    let signable = SignableRequest::new(
        method,
        url.as_str(),
        std::iter::empty(),
        SignableBody::Bytes(body),
    )
    .expect("valid");
    let (instructions, _) = sign(signable, &parameters.into())
        .expect("signed")
        .into_parts();
    let request = Request::builder().method(method).uri(&url);
    instructions
        .headers()
        .fold(request, |request, (name, value)| {
            request.header(name, value)
        })
}

#[tokio::test]
async fn a_signed_body_cannot_be_exchanged() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (server, client) = server(data.path()).await;
    let upload = |body: &'static [u8]| {
        let request = sign_request(&server, "PUT", SystemTime::now(), b"hello")
            .body(Bytes::from_static(body));
        send(request.expect("valid"))
    };
    let answer = upload(b"jello").await.expect("answered");
    assert_eq!(
        (answer.status.as_u16(), error_code(&answer).as_str()),
        (400, "XAmzContentSHA256Mismatch")
    );
    assert_eq!(read(&client, "k").await, None);
    assert_eq!(upload(b"hello").await.expect("answered").status, 200);
}

#[tokio::test]
async fn clocks_may_be_off_by_fifteen_minutes() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (server, client) = server(data.path()).await;
    put(&client, "k", b"hello").await;
    let signed = |time: SystemTime| {
        send(
            sign_request(&server, "GET", time, b"")
                .body(Bytes::new())
                .expect("valid"),
        )
    };
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let now = SystemTime::now();
    assert_eq!(
        signed(now - minutes(14)).await.expect("answered").status,
        200
    );
    assert_eq!(
        signed(now + minutes(14)).await.expect("answered").status,
        200
    );
    for time in [now - minutes(16), now + minutes(16)] {
        let answer = signed(time).await.expect("answered");
        assert_eq!(
            (answer.status.as_u16(), error_code(&answer).as_str()),
            (403, "RequestTimeTooSkewed")
        );
    }
}
