//! Buckets: one suite over every implementation.

use crate::stack::{BUCKET, REGION};
use crate::wire;
use bytes::Bytes;
use cipherfn_emulator::S3Server;
use cipherfn_protocol::hash::Sha256;
use cipherfn_service::bucket::{Bucket, Condition, Etag, Memory, Piece, Presigned};
use cipherfn_service::{S3, StorageError};
use sha2::Digest;
use std::time::Duration;
use tempfile::TempDir;

/// How long presigned requests work.
const LIFETIME: Duration = Duration::from_mins(5);

/// An embedded S3 without a service.
pub(crate) async fn server() -> (S3Server, S3, TempDir) {
    let data = tempfile::tempdir().expect("a directory");
    let interval = Duration::from_hours(1);
    let server = S3Server::start(data.path(), 0, BUCKET, Vec::new(), interval)
        .await
        .expect("starts");
    server.set_part_minimum(1);
    let (id, secret) = server.credentials();
    let bucket = S3::at(server.endpoint(), REGION, id, secret, BUCKET);
    (server, bucket, data)
}

/// Sends a presigned request; the status of the answer.
pub(crate) async fn send(request: &Presigned, bytes: Bytes) -> u16 {
    let headers = request.headers.iter();
    let headers: Vec<_> = headers
        .filter(|(name, _)| !matches!(name.as_str(), "host" | "content-length"))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let (address, target) = wire::split(&request.url);
    let request = wire::request(&request.method, target, &headers, bytes);
    wire::send(address, request)
        .await
        .expect("S3 answers")
        .status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_s3() {
    let (_server, bucket, _data) = server().await;
    objects(&bucket).await;
    uploads(&bucket, send).await;
    let request = bucket.presign_get("presigned/whole", LIFETIME).await;
    assert_eq!(send(&request.expect("presigned"), Bytes::new()).await, 200);
}

#[tokio::test]
async fn a_bucket_in_memory() {
    let bucket = Memory::default();
    objects(&bucket).await;
    uploads(&bucket, async |request: &Presigned, bytes| {
        bucket.upload(request, bytes)
    })
    .await;
}

async fn put(
    bucket: &impl Bucket,
    key: &str,
    text: &str,
    condition: Condition<'_>,
) -> Option<Etag> {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let put = bucket.put(key, bytes, "text/plain", condition);
    put.await.expect("an answer")
}

async fn text(bucket: &impl Bucket, key: &str) -> Option<String> {
    let object = bucket.get(key, 100).await.expect("an answer")?;
    Some(String::from_utf8(object.bytes.to_vec()).expect("text"))
}

/// Objects, conditions, ranges and listings.
async fn objects(bucket: &impl Bucket) {
    // Nothing is there.
    assert_eq!(text(bucket, "a/one").await, None);
    assert_eq!(bucket.size("a/one").await.expect("an answer"), None);
    assert!(bucket.delete("a/one", None).await.expect("an answer"));
    assert!(bucket.list("").await.expect("a listing").is_empty());

    // Writes with a condition.
    let unchanged = Condition::Unchanged;
    let first = put(bucket, "a/one", "1", Condition::Absent).await;
    let first = first.expect("nothing was there");
    assert_eq!(put(bucket, "a/one", "2", Condition::Absent).await, None);
    let second = put(bucket, "a/one", "2", unchanged(&first)).await;
    let second = second.expect("it was unchanged");
    assert_ne!(first, second);
    assert_eq!(put(bucket, "a/one", "3", unchanged(&first)).await, None);
    assert_eq!(put(bucket, "a/none", "3", unchanged(&first)).await, None);
    assert_eq!(text(bucket, "a/one").await.as_deref(), Some("2"));
    let third = put(bucket, "a/one", "3", Condition::Always).await;
    let third = third.expect("no condition");
    let read = bucket.get("a/one", 1).await.expect("an answer");
    assert_eq!(read.expect("an object").etag, third);

    // Deletions with a condition.
    let delete = async |etag| bucket.delete("a/one", etag).await.expect("an answer");
    assert!(!delete(Some(&second)).await);
    assert_eq!(text(bucket, "a/one").await.as_deref(), Some("3"));
    assert!(delete(Some(&third)).await);
    assert!(!delete(Some(&third)).await, "it is gone");
    assert_eq!(text(bucket, "a/one").await, None);

    put(bucket, "b/empty", "", Condition::Always).await;
    assert_eq!(text(bucket, "b/empty").await.as_deref(), Some(""));

    // Sizes and ranges; large objects come in several.
    let large: Vec<u8> = (0..20_u32 << 20).map(|index| (index >> 12) as u8).collect();
    let large = Bytes::from(large);
    let written = bucket.put("b/large", large.clone(), "text/plain", Condition::Always);
    let etag = written.await.expect("an answer").expect("no condition");
    let bytes = large.len() as u64;
    assert_eq!(bucket.size("b/large").await.expect("a size"), Some(bytes));
    let whole = bucket.get("b/large", bytes).await.expect("an answer");
    assert_eq!(whole.expect("an object").bytes, large);
    let too_large = bucket.get("b/large", bytes - 1).await;
    assert!(matches!(too_large, Err(StorageError::TooLarge { .. })));
    let range = bucket.range("b/large", 5000, 9000, Some(&etag)).await;
    let range = range.expect("an answer").expect("an object");
    assert_eq!(
        (range.object.bytes, range.total),
        (large.slice(5000..14_000), bytes)
    );
    let range = bucket.range("b/large", bytes - 10, 100, None).await;
    assert_eq!(
        range
            .expect("an answer")
            .expect("an object")
            .object
            .bytes
            .len(),
        10
    );
    let other = bucket.range("b/large", 0, 10, Some(&first)).await;
    assert!(other.is_err_and(|error| error.is_transient()));

    // Listings.
    for key in ["a/y/1", "a/x/2", "a/x/1", "a/plain", "ab"] {
        put(bucket, key, "1", Condition::Always).await;
    }
    let entries = bucket.list("a/").await.expect("a listing");
    let keys: Vec<_> = entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["a/plain", "a/x/1", "a/x/2", "a/y/1"]);
    let age = time::OffsetDateTime::now_utc() - entries[0].modified;
    assert!(age.abs() < Duration::from_mins(10) && entries[0].bytes == 1);
    let folders = bucket.folders("a/").await.expect("a listing");
    assert_eq!(folders, ["x", "y"]);
}

fn piece(number: u32, offset: u64, bytes: &'static [u8]) -> (Piece, Bytes) {
    let piece = Piece {
        number,
        offset,
        bytes: bytes.len() as u64,
        sha256: Sha256::from_bytes(sha2::Sha256::digest(bytes).into()),
    };
    (piece, Bytes::from_static(bytes))
}

/// Presigned uploads, whole and in pieces.
async fn uploads(bucket: &impl Bucket, send: impl AsyncFn(&Presigned, Bytes) -> u16) {
    // Exactly these bytes, and only once.
    let (whole, content) = piece(1, 0, b"content");
    let key = "presigned/whole";
    let request = bucket.presign_put(key, &whole, LIFETIME).await;
    let request = request.expect("presigned");
    for wrong in [&b"content!"[..], b"conten", b"CONTENT"] {
        let status = send(&request, Bytes::from_static(wrong)).await;
        assert!(matches!(status, 400 | 403), "{status}");
    }
    assert_eq!(text(bucket, key).await, None);
    assert_eq!(send(&request, content.clone()).await, 200);
    assert_eq!(send(&request, content).await, 412);
    assert_eq!(text(bucket, key).await.as_deref(), Some("content"));

    // In pieces, in any order.
    let key = "presigned/pieces";
    let upload = bucket.begin_upload(key).await.expect("begun");
    let pieces = [piece(1, 0, b"one "), piece(2, 4, b"two")];
    let mut requests = Vec::new();
    for (piece, _) in &pieces {
        let request = bucket.presign_piece(key, &upload, piece, LIFETIME).await;
        requests.push(request.expect("presigned"));
    }
    let arrived = async || bucket.arrived(key, &upload).await.expect("an answer");
    assert_eq!(arrived().await, Some(Vec::new()));
    let status = send(&requests[1], Bytes::from_static(b"TWO")).await;
    assert!(matches!(status, 400 | 403), "{status}");
    assert_eq!(send(&requests[1], pieces[1].1.clone()).await, 200);
    let there = arrived().await.expect("an upload");
    assert!(matches!(&there[..], [only] if only.is(&pieces[1].0) && !only.is(&pieces[0].0)));
    assert_eq!(send(&requests[0], pieces[0].1.clone()).await, 200);
    let there = arrived().await.expect("an upload");
    assert_eq!(text(bucket, key).await, None, "not joined");
    assert!(bucket.join(key, &upload, &there).await.expect("an answer"));
    assert_eq!(text(bucket, key).await.as_deref(), Some("one two"));
    assert_eq!(arrived().await, None);
    let again = bucket.join(key, &upload, &there).await;
    assert!(!again.expect("an answer"), "it is over");
    assert_eq!(send(&requests[0], pieces[0].1.clone()).await, 404);

    // Given up.
    let upload = bucket.begin_upload(key).await.expect("begun");
    let other = bucket.begin_upload(key).await.expect("begun");
    assert_ne!(upload, other);
    for _ in 0..2 {
        bucket.abort(key, &upload).await.expect("an answer");
    }
    assert_eq!(bucket.arrived(key, &upload).await.expect("an answer"), None);
    assert!(
        bucket
            .arrived(key, &other)
            .await
            .expect("an answer")
            .is_some()
    );
}
