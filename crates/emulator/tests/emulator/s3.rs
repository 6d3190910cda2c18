//! Objects of the embedded S3, through the real client.

use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, Delete, MetadataDirective, ObjectIdentifier,
};
use cipherfn_emulator::{Lifecycle, S3Server};

use crate::support::{BUCKET, s3_client};

/// SHA-256 of `hello`, base64.
const HELLO: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
const OTHER: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

pub(crate) async fn server(data: &Path) -> (S3Server, Client) {
    let rule = Lifecycle {
        prefix: "tmp/".to_owned(),
        expire_after: Some(Duration::from_hours(1)),
        abort_multipart_after: Some(Duration::from_hours(2)),
    };
    let server = S3Server::start(data, 0, BUCKET, vec![rule], Duration::from_hours(1))
        .await
        .expect("starts");
    let client = s3_client(server.endpoint(), server.credentials());
    (server, client)
}

pub(crate) async fn put(client: &Client, key: &str, body: &[u8]) -> String {
    let output = client
        .put_object()
        .bucket(BUCKET)
        .key(key)
        .body(ByteStream::from(body.to_vec()))
        .send()
        .await
        .expect("put");
    output.e_tag.expect("ETag")
}

pub(crate) async fn read(client: &Client, key: &str) -> Option<Vec<u8>> {
    let output = client.get_object().bucket(BUCKET).key(key).send().await;
    match output {
        Ok(output) => Some(output.body.collect().await.expect("whole").to_vec()),
        Err(error) => {
            assert_eq!(code(&error), "NoSuchKey");
            None
        }
    }
}

/// S3's error code, or the status where the answer has no body.
pub(crate) fn code<E, R>(error: &SdkError<E, R>) -> String
where
    R: std::fmt::Debug,
    E: ProvideErrorMetadata + std::fmt::Debug,
{
    error
        .code()
        .map_or_else(|| format!("{error:?}"), str::to_owned)
}

pub(crate) fn status<E>(error: &SdkError<E>) -> u16 {
    error.raw_response().expect("an answer").status().as_u16()
}

#[tokio::test]
async fn objects_are_put_read_and_deleted() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (_server, client) = server(data.path()).await;
    client
        .put_object()
        .bucket(BUCKET)
        .key("a/b c/ä+%")
        .body(ByteStream::from_static(b"hello"))
        .content_type("text/x")
        .metadata("owner", "alice")
        .send()
        .await
        .expect("put");
    let got = client
        .get_object()
        .bucket(BUCKET)
        .key("a/b c/ä+%")
        .send()
        .await
        .expect("get");
    assert_eq!(got.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    assert_eq!(
        (got.content_type(), got.content_length()),
        (Some("text/x"), Some(5))
    );
    assert_eq!(
        got.metadata()
            .and_then(|metadata| metadata.get("owner"))
            .map(String::as_str),
        Some("alice")
    );
    assert_eq!(got.body.collect().await.expect("whole").to_vec(), b"hello");
    let head = client
        .head_object()
        .bucket(BUCKET)
        .key("a/b c/ä+%")
        .send()
        .await
        .expect("head");
    assert_eq!(
        (head.content_length(), head.content_type()),
        (Some(5), Some("text/x"))
    );

    // A key may be the directory of another.
    put(&client, "a", b"file").await;
    assert_eq!(read(&client, "a").await.as_deref(), Some(&b"file"[..]));
    assert_eq!(
        status(
            &client
                .head_object()
                .bucket(BUCKET)
                .key("a/b c")
                .send()
                .await
                .expect_err("a prefix")
        ),
        404
    );

    client
        .delete_object()
        .bucket(BUCKET)
        .key("a")
        .send()
        .await
        .expect("deleted");
    client
        .delete_object()
        .bucket(BUCKET)
        .key("a")
        .send()
        .await
        .expect("an absent object is deleted too");
    assert_eq!(read(&client, "a").await, None);
    assert!(read(&client, "a/b c/ä+%").await.is_some());
    put(&client, "empty", b"").await;
    assert_eq!(read(&client, "empty").await.as_deref(), Some(&b""[..]));
    let error = client
        .get_object()
        .bucket("other-bucket")
        .key("a")
        .send()
        .await
        .expect_err("no bucket");
    assert_eq!(code(&error), "NoSuchBucket");
}

#[tokio::test]
async fn an_upload_that_fails_its_checksum_leaves_nothing() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (_server, client) = server(data.path()).await;
    let upload = |key: &'static str, sum: &'static str| {
        client
            .put_object()
            .bucket(BUCKET)
            .key(key)
            .checksum_sha256(sum)
            .body(ByteStream::from_static(b"hello"))
            .send()
    };
    assert_eq!(
        code(&upload("k", OTHER).await.expect_err("wrong checksum")),
        "BadDigest"
    );
    assert_eq!(read(&client, "k").await, None);

    let put = upload("k", HELLO).await.expect("right checksum");
    assert_eq!(put.checksum_sha256(), Some(HELLO));
    assert_eq!(
        code(&upload("k", OTHER).await.expect_err("wrong checksum")),
        "BadDigest"
    );
    assert_eq!(
        read(&client, "k").await.as_deref(),
        Some(&b"hello"[..]),
        "what was there is still there"
    );
    let head = client
        .head_object()
        .bucket(BUCKET)
        .key("k")
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .expect("head");
    assert_eq!(head.checksum_sha256(), Some(HELLO));
    let plain = client
        .head_object()
        .bucket(BUCKET)
        .key("k")
        .send()
        .await
        .expect("head");
    assert_eq!(plain.checksum_sha256(), None);

    for algorithm in [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Crc64Nvme,
    ] {
        let put = client
            .put_object()
            .bucket(BUCKET)
            .key("sums")
            .checksum_algorithm(algorithm.clone());
        put.body(ByteStream::from_static(b"hello"))
            .send()
            .await
            .unwrap_or_else(|error| panic!("{algorithm}: {error:?}"));
        // The client verifies what it reads.
        assert_eq!(
            read(&client, "sums").await.as_deref(),
            Some(&b"hello"[..]),
            "{algorithm}"
        );
    }
    // A body that is not in memory has its checksum in a trailer.
    let file = data.path().join("body");
    std::fs::write(&file, vec![b'x'; 300_000]).expect("written");
    let body = ByteStream::from_path(&file).await.expect("opened");
    let put = client
        .put_object()
        .bucket(BUCKET)
        .key("file")
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .body(body);
    assert!(put.send().await.expect("put").checksum_sha256().is_some());
    assert_eq!(
        read(&client, "file").await.map(|body| body.len()),
        Some(300_000)
    );
    let md5 = client
        .put_object()
        .bucket(BUCKET)
        .key("m")
        .content_md5("AAAAAAAAAAAAAAAAAAAAAA==");
    assert_eq!(
        code(
            &md5.body(ByteStream::from_static(b"x"))
                .send()
                .await
                .expect_err("wrong MD5")
        ),
        "BadDigest"
    );
    assert_eq!(read(&client, "m").await, None);
}

#[tokio::test]
async fn several_objects_are_deleted_at_once() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (_server, client) = server(data.path()).await;
    put(&client, "a", b"1").await;
    put(&client, "b", b"2").await;
    let objects = ["a", "b", "none"].map(|key| {
        ObjectIdentifier::builder()
            .key(key)
            .build()
            .expect("complete")
    });
    let delete = Delete::builder()
        .set_objects(Some(objects.to_vec()))
        .build()
        .expect("complete");
    let output = client
        .delete_objects()
        .bucket(BUCKET)
        .delete(delete)
        .send()
        .await
        .expect("deleted");
    assert_eq!(output.deleted().len(), 3);
    assert_eq!(
        (read(&client, "a").await, read(&client, "b").await),
        (None, None)
    );
}

#[tokio::test]
async fn copies() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (_server, client) = server(data.path()).await;
    let put = client
        .put_object()
        .bucket(BUCKET)
        .key("from/x")
        .checksum_sha256(HELLO)
        .metadata("m", "1");
    let etag = put
        .body(ByteStream::from_static(b"hello"))
        .send()
        .await
        .expect("put")
        .e_tag
        .expect("ETag");
    let copy = |to: &'static str| {
        client
            .copy_object()
            .bucket(BUCKET)
            .key(to)
            .copy_source(format!("{BUCKET}/from/x"))
    };
    let output = copy("to")
        .copy_source_if_match(&etag)
        .send()
        .await
        .expect("copied");
    assert_eq!(
        output
            .copy_object_result()
            .and_then(|result| result.e_tag()),
        Some(etag.as_str())
    );
    let head = client
        .head_object()
        .bucket(BUCKET)
        .key("to")
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .expect("head");
    assert_eq!(
        (
            head.checksum_sha256(),
            head.metadata().expect("metadata")["m"].as_str()
        ),
        (Some(HELLO), "1")
    );
    assert_eq!(read(&client, "to").await.as_deref(), Some(&b"hello"[..]));

    copy("new")
        .metadata_directive(MetadataDirective::Replace)
        .metadata("m", "2")
        .send()
        .await
        .expect("copied");
    let head = client
        .head_object()
        .bucket(BUCKET)
        .key("new")
        .send()
        .await
        .expect("head");
    assert_eq!(head.metadata().expect("metadata")["m"], "2");
    assert_eq!(
        code(
            &copy("to")
                .copy_source_if_match("\"0\"")
                .send()
                .await
                .expect_err("another")
        ),
        "PreconditionFailed"
    );
    assert_eq!(
        code(&copy("from/x").send().await.expect_err("changes nothing")),
        "InvalidRequest"
    );
    let absent = client
        .copy_object()
        .bucket(BUCKET)
        .key("to")
        .copy_source(format!("{BUCKET}/absent"));
    assert_eq!(code(&absent.send().await.expect_err("absent")), "NoSuchKey");
}

#[tokio::test]
async fn keys_cannot_leave_the_data_directory() {
    let parent = tempfile::tempdir().expect("temporary directory");
    let data = parent.path().join("data");
    let (_server, client) = server(&data).await;
    std::fs::write(parent.path().join("secret"), "secret").expect("written");
    for key in [
        "../secret",
        "../../secret",
        "a/../../../secret",
        "..",
        "../credentials.json",
        "x/..",
    ] {
        let error = client
            .get_object()
            .bucket(BUCKET)
            .key(key)
            .send()
            .await
            .expect_err(key);
        assert!(
            matches!(status(&error), 400 | 403 | 404),
            "{key}: {error:?}"
        );
        let body = ByteStream::from_static(b"x");
        client
            .put_object()
            .bucket(BUCKET)
            .key(key)
            .body(body)
            .send()
            .await
            .expect_err(key);
        client
            .copy_object()
            .bucket(BUCKET)
            .key("y")
            .copy_source(format!("{BUCKET}/{key}"))
            .send()
            .await
            .expect_err(key);
        assert_eq!(read(&client, "y").await, None, "{key}");
    }
    client
        .put_object()
        .bucket(BUCKET)
        .key("a\0b")
        .body(ByteStream::from_static(b"x"))
        .send()
        .await
        .expect_err("NUL");
    let long = "k".repeat(1024);
    put(&client, &long, b"long").await;
    assert_eq!(read(&client, &long).await.as_deref(), Some(&b"long"[..]));
    let error = client
        .get_object()
        .bucket(BUCKET)
        .key("k".repeat(10_000))
        .send()
        .await
        .expect_err("too long");
    assert_eq!(code(&error), "KeyTooLongError");
    put(&client, "/absolute//key/./.", b"as it is").await;
    assert_eq!(
        read(&client, "/absolute//key/./.").await.as_deref(),
        Some(&b"as it is"[..])
    );
    let mut names: Vec<_> = std::fs::read_dir(parent.path())
        .expect("read")
        .map(|entry| entry.expect("entry").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["data", "secret"]);
}
