//! Multipart uploads of the embedded S3, through the real client.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart};

use crate::s3::{code, put, read, server};
use crate::support::BUCKET;

const PART: usize = 5 << 20;

async fn begin(client: &Client, key: &str) -> String {
    let create = client
        .create_multipart_upload()
        .bucket(BUCKET)
        .key(key)
        .checksum_algorithm(ChecksumAlgorithm::Sha256);
    create
        .metadata("m", "1")
        .send()
        .await
        .expect("begun")
        .upload_id
        .expect("id")
}

async fn part(client: &Client, key: &str, id: &str, number: i32, body: Vec<u8>) -> CompletedPart {
    let upload = client
        .upload_part()
        .bucket(BUCKET)
        .key(key)
        .upload_id(id)
        .part_number(number);
    let output = upload
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .body(ByteStream::from(body))
        .send()
        .await
        .expect("part");
    CompletedPart::builder()
        .part_number(number)
        .set_e_tag(output.e_tag)
        .set_checksum_sha256(output.checksum_sha256)
        .build()
}

fn list(parts: &[&CompletedPart]) -> CompletedMultipartUpload {
    CompletedMultipartUpload::builder()
        .set_parts(Some(parts.iter().map(|part| (*part).clone()).collect()))
        .build()
}

#[tokio::test]
async fn parts_become_one_object() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (first, client) = server(data.path()).await;
    let id = begin(&client, "k").await;
    let tail = part(&client, "k", &id, 7, b"tail".to_vec()).await;
    part(&client, "k", &id, 2, vec![9; PART]).await;
    first.stop().await;

    // A restart keeps what has arrived; a part can be sent again.
    let (_second, client) = server(data.path()).await;
    let head = part(&client, "k", &id, 2, vec![1; PART]).await;
    let listed = client
        .list_parts()
        .bucket(BUCKET)
        .key("k")
        .upload_id(&id)
        .send()
        .await
        .expect("listed");
    let numbers: Vec<_> = listed
        .parts()
        .iter()
        .map(|part| (part.part_number(), part.size(), part.e_tag()))
        .collect();
    assert_eq!(
        numbers,
        [
            (Some(2), Some(PART as i64), head.e_tag()),
            (Some(7), Some(4), tail.e_tag())
        ]
    );
    let page = client
        .list_parts()
        .bucket(BUCKET)
        .key("k")
        .upload_id(&id)
        .max_parts(1)
        .send()
        .await
        .expect("listed");
    assert_eq!(
        (page.is_truncated(), page.next_part_number_marker()),
        (Some(true), Some("2"))
    );
    let uploads = client
        .list_multipart_uploads()
        .bucket(BUCKET)
        .send()
        .await
        .expect("listed");
    assert_eq!(
        uploads
            .uploads()
            .iter()
            .map(|upload| upload.upload_id())
            .collect::<Vec<_>>(),
        [Some(id.as_str())]
    );
    assert_eq!(
        read(&client, "k").await,
        None,
        "not there before it is complete"
    );

    let complete = client
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key("k")
        .upload_id(&id);
    let output = complete
        .multipart_upload(list(&[&head, &tail]))
        .send()
        .await
        .expect("complete");
    assert!(
        output.e_tag().is_some_and(|etag| etag.ends_with("-2\"")),
        "{output:?}"
    );
    assert!(
        output
            .checksum_sha256()
            .is_some_and(|sum| sum.ends_with("-2")),
        "{output:?}"
    );
    let mut whole = vec![1; PART];
    whole.extend(b"tail");
    assert_eq!(read(&client, "k").await, Some(whole));
    let head = client
        .head_object()
        .bucket(BUCKET)
        .key("k")
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .expect("head");
    assert_eq!(head.checksum_sha256(), output.checksum_sha256());
    assert_eq!(head.metadata().expect("metadata")["m"], "1");
    let error = client
        .list_parts()
        .bucket(BUCKET)
        .key("k")
        .upload_id(&id)
        .send()
        .await
        .expect_err("it is complete");
    assert_eq!(code(&error), "NoSuchUpload");
}

#[tokio::test]
async fn wrong_completions_are_refused_and_can_be_repeated() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (_server, client) = server(data.path()).await;
    let id = begin(&client, "k").await;
    let (a, b) = (
        part(&client, "k", &id, 1, vec![1; PART]).await,
        part(&client, "k", &id, 2, vec![2; 10]).await,
    );
    let small = part(&client, "k", &id, 3, vec![3; 10]).await;
    let unknown = CompletedPart::builder()
        .part_number(4)
        .e_tag("\"0\"")
        .build();
    let other = CompletedPart::builder()
        .part_number(1)
        .set_e_tag(b.e_tag.clone())
        .build();
    let complete = |parts: CompletedMultipartUpload| {
        client
            .complete_multipart_upload()
            .bucket(BUCKET)
            .key("k")
            .upload_id(&id)
            .multipart_upload(parts)
    };
    for (parts, expected) in [
        (list(&[&b, &a]), "InvalidPartOrder"),
        (list(&[&a, &a]), "InvalidPartOrder"),
        (list(&[&a, &unknown]), "InvalidPart"),
        (list(&[&other]), "InvalidPart"),
        (list(&[&a, &b, &small]), "EntityTooSmall"),
    ] {
        assert_eq!(
            code(&complete(parts).send().await.expect_err(expected)),
            expected
        );
    }
    assert_eq!(
        code(
            &complete(list(&[&a]))
                .mpu_object_size(1)
                .send()
                .await
                .expect_err("size")
        ),
        "InvalidRequest"
    );
    assert_eq!(
        code(
            &complete(list(&[&a]))
                .checksum_sha256("AA==-1")
                .send()
                .await
                .expect_err("sum")
        ),
        "BadDigest"
    );
    put(&client, "k", b"first").await;
    let error = complete(list(&[&a, &b]))
        .if_none_match("*")
        .send()
        .await
        .expect_err("there is one");
    assert_eq!(code(&error), "PreconditionFailed");
    assert_eq!(read(&client, "k").await.as_deref(), Some(&b"first"[..]));
    complete(list(&[&a, &b]))
        .send()
        .await
        .expect("nothing was lost");
    assert_eq!(
        read(&client, "k").await.map(|body| body.len()),
        Some(PART + 10)
    );
}

#[tokio::test]
async fn a_part_that_fails_its_checksum_is_not_kept() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (_server, client) = server(data.path()).await;
    let id = begin(&client, "k").await;
    let upload = |key: &'static str, id: &str, number| {
        client
            .upload_part()
            .bucket(BUCKET)
            .key(key)
            .upload_id(id)
            .part_number(number)
            .body(ByteStream::from_static(b"x"))
    };
    let wrong = upload("k", &id, 1).checksum_sha256("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    assert_eq!(
        code(&wrong.send().await.expect_err("wrong checksum")),
        "BadDigest"
    );
    assert!(
        client
            .list_parts()
            .bucket(BUCKET)
            .key("k")
            .upload_id(&id)
            .send()
            .await
            .expect("listed")
            .parts()
            .is_empty()
    );
    assert_eq!(
        code(
            &upload("other", &id, 1)
                .send()
                .await
                .expect_err("another key")
        ),
        "NoSuchUpload"
    );
    assert_eq!(
        code(
            &upload("k", "../../x", 1)
                .send()
                .await
                .expect_err("no upload")
        ),
        "NoSuchUpload"
    );
    assert_eq!(
        code(&upload("k", &id, 10_001).send().await.expect_err("number")),
        "InvalidArgument"
    );
}

#[tokio::test]
async fn aborted_uploads_leave_nothing() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (_server, client) = server(data.path()).await;
    let id = begin(&client, "k").await;
    let sent = part(&client, "k", &id, 1, vec![1; 10]).await;
    client
        .abort_multipart_upload()
        .bucket(BUCKET)
        .key("k")
        .upload_id(&id)
        .send()
        .await
        .expect("aborted");
    let complete = client
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key("k")
        .upload_id(&id)
        .multipart_upload(list(&[&sent]));
    assert_eq!(
        code(&complete.send().await.expect_err("aborted")),
        "NoSuchUpload"
    );
    assert_eq!(
        std::fs::read_dir(data.path().join(BUCKET).join("uploads"))
            .expect("read")
            .count(),
        0
    );
    let again = client
        .abort_multipart_upload()
        .bucket(BUCKET)
        .key("k")
        .upload_id(&id)
        .send()
        .await;
    assert_eq!(code(&again.expect_err("gone")), "NoSuchUpload");
}
