//! Conditions, ranges and listings of the embedded S3, through the real client.

use std::time::SystemTime;

use aws_sdk_s3::primitives::ByteStream;

use crate::s3::{code, put, read, server, status};
use crate::support::BUCKET;

#[tokio::test]
async fn conditions_on_writes() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (_server, client) = server(data.path()).await;
    let upload = || {
        client
            .put_object()
            .bucket(BUCKET)
            .key("k")
            .body(ByteStream::from_static(b"x"))
    };
    let error = upload()
        .if_match("\"0\"")
        .send()
        .await
        .expect_err("nothing to match");
    assert_eq!(code(&error), "NoSuchKey");
    let etag = upload()
        .if_none_match("*")
        .send()
        .await
        .expect("first")
        .e_tag
        .expect("ETag");
    let error = upload()
        .if_none_match("*")
        .send()
        .await
        .expect_err("second");
    assert_eq!(
        (code(&error).as_str(), status(&error)),
        ("PreconditionFailed", 412)
    );
    assert_eq!(
        code(
            &upload()
                .if_match("\"0\"")
                .send()
                .await
                .expect_err("another")
        ),
        "PreconditionFailed"
    );
    upload().if_match(etag).send().await.expect("the same");

    // Of many at once, one wins.
    let attempts = (0..16).map(|number| {
        let put = client
            .put_object()
            .bucket(BUCKET)
            .key("race")
            .if_none_match("*");
        tokio::spawn(put.body(ByteStream::from(vec![number; 10_000])).send())
    });
    let mut won = Vec::new();
    for (number, attempt) in attempts.collect::<Vec<_>>().into_iter().enumerate() {
        if attempt.await.expect("no panic").is_ok() {
            won.push(number as u8);
        }
    }
    assert_eq!(won.len(), 1);
    assert_eq!(read(&client, "race").await, Some(vec![won[0]; 10_000]));
}

#[tokio::test]
async fn conditions_on_reads() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (_server, client) = server(data.path()).await;
    let etag = put(&client, "k", b"hello").await;
    let get = || client.get_object().bucket(BUCKET).key("k");
    assert_eq!(
        status(&get().if_none_match(&etag).send().await.expect_err("known")),
        304
    );
    get()
        .if_none_match("\"0\"")
        .send()
        .await
        .expect("not known");
    get().if_match(&etag).send().await.expect("the same");
    assert_eq!(
        status(&get().if_match("\"0\"").send().await.expect_err("another")),
        412
    );
    let at = |seconds: i64| aws_sdk_s3::primitives::DateTime::from_secs(seconds);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs() as i64;
    assert_eq!(
        status(
            &get()
                .if_modified_since(at(now + 60))
                .send()
                .await
                .expect_err("old")
        ),
        304
    );
    get()
        .if_modified_since(at(now - 60))
        .send()
        .await
        .expect("new");
    assert_eq!(
        status(
            &get()
                .if_unmodified_since(at(now - 60))
                .send()
                .await
                .expect_err("new")
        ),
        412
    );
    let head = client
        .head_object()
        .bucket(BUCKET)
        .key("k")
        .if_none_match(etag)
        .send()
        .await;
    assert_eq!(status(&head.expect_err("known")), 304);
}

#[tokio::test]
async fn ranges() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (_server, client) = server(data.path()).await;
    let body: Vec<u8> = (0..1_000_000u32)
        .map(|number| (number % 251) as u8)
        .collect();
    put(&client, "k", &body).await;
    for (range, expected, header) in [
        ("bytes=0-0", &body[..1], "bytes 0-0/1000000"),
        (
            "bytes=300000-899999",
            &body[300_000..900_000],
            "bytes 300000-899999/1000000",
        ),
        (
            "bytes=999990-",
            &body[999_990..],
            "bytes 999990-999999/1000000",
        ),
        ("bytes=-5", &body[999_995..], "bytes 999995-999999/1000000"),
        (
            "bytes=999999-2000000",
            &body[999_999..],
            "bytes 999999-999999/1000000",
        ),
    ] {
        let got = client
            .get_object()
            .bucket(BUCKET)
            .key("k")
            .range(range)
            .send()
            .await
            .expect(range);
        assert_eq!(got.content_range(), Some(header));
        assert_eq!(
            got.body.collect().await.expect("whole").to_vec(),
            expected,
            "{range}"
        );
    }
    let error = client
        .get_object()
        .bucket(BUCKET)
        .key("k")
        .range("bytes=1000000-")
        .send()
        .await
        .expect_err("past the end");
    assert_eq!(
        (code(&error).as_str(), status(&error)),
        ("InvalidRange", 416)
    );
}

#[tokio::test]
async fn listings() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (_server, client) = server(data.path()).await;
    for key in ["a", "b/1", "b/2", "b/c/3", "d/4", "é"] {
        put(&client, key, key.as_bytes()).await;
    }
    let list = |prefix: &'static str, delimiter: Option<&'static str>, page: i32| {
        let client = client.clone();
        async move {
            let (mut found, mut token) = (Vec::new(), None);
            loop {
                let request = client
                    .list_objects_v2()
                    .bucket(BUCKET)
                    .prefix(prefix)
                    .max_keys(page)
                    .set_continuation_token(token);
                let output = request
                    .set_delimiter(delimiter.map(str::to_owned))
                    .send()
                    .await
                    .expect("listed");
                assert!(output.key_count().expect("count") <= page);
                found.extend(
                    output
                        .contents()
                        .iter()
                        .filter_map(|object| object.key().map(str::to_owned)),
                );
                found.extend(
                    output
                        .common_prefixes()
                        .iter()
                        .filter_map(|group| group.prefix().map(|prefix| format!("({prefix})"))),
                );
                token = output.next_continuation_token().map(str::to_owned);
                if token.is_none() {
                    assert_eq!(output.is_truncated(), Some(false));
                    return found;
                }
            }
        }
    };
    for page in [1, 2, 1000] {
        assert_eq!(
            list("", None, page).await,
            ["a", "b/1", "b/2", "b/c/3", "d/4", "é"]
        );
        assert_eq!(list("b/", None, page).await, ["b/1", "b/2", "b/c/3"]);
        assert_eq!(list("b/", Some("/"), page).await, ["b/1", "b/2", "(b/c/)"]);
        let mut top = list("", Some("/"), page).await;
        top.sort();
        assert_eq!(top, ["(b/)", "(d/)", "a", "é"]);
        assert!(list("x", None, page).await.is_empty());
    }
    let after = client
        .list_objects_v2()
        .bucket(BUCKET)
        .start_after("b/2")
        .send()
        .await
        .expect("listed");
    assert_eq!(after.contents().len(), 3);
}
