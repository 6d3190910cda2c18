//! The data directory of the embedded S3: restarts, other files in it, lifecycle rules.

use std::time::{Duration, SystemTime};

use cipherfn_emulator::S3Server;

use crate::s3::{put, read, server};
use crate::support::BUCKET;

#[tokio::test]
async fn a_restart_keeps_objects_and_credentials() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (first, client) = server(data.path()).await;
    put(&client, "kept", b"hello").await;
    put(&client, "gone", b"hello").await;
    client
        .delete_object()
        .bucket(BUCKET)
        .key("gone")
        .send()
        .await
        .expect("deleted");
    let credentials = (
        first.credentials().0.to_owned(),
        first.credentials().1.to_owned(),
    );
    first.stop().await;

    // What a crash may leave.
    std::fs::write(data.path().join(BUCKET).join("objects/damaged"), "x").expect("written");
    std::fs::write(data.path().join(BUCKET).join("staging/half"), "x").expect("written");
    let (second, client) = server(data.path()).await;
    assert_eq!(
        second.credentials(),
        (credentials.0.as_str(), credentials.1.as_str())
    );
    assert_eq!(read(&client, "kept").await.as_deref(), Some(&b"hello"[..]));
    assert_eq!(read(&client, "gone").await, None);
    assert_eq!(
        client
            .list_objects_v2()
            .bucket(BUCKET)
            .send()
            .await
            .expect("listed")
            .contents()
            .len(),
        1
    );
    assert!(!data.path().join(BUCKET).join("staging/half").exists());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(data.path().join("credentials.json"))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn directories_that_are_not_ours_are_left_alone() {
    let data = tempfile::tempdir().expect("temporary directory");
    let precious = data.path().join("other-bucket/staging/precious");
    std::fs::create_dir_all(precious.parent().expect("a parent")).expect("made");
    std::fs::write(&precious, "x").expect("written");
    let (first, client) = server(data.path()).await;
    client
        .list_objects_v2()
        .bucket("other-bucket")
        .send()
        .await
        .expect_err("it is no bucket");
    first.stop().await;
    let refused = S3Server::start(
        data.path(),
        0,
        "other-bucket",
        Vec::new(),
        Duration::from_hours(1),
    )
    .await;
    assert!(
        refused
            .expect_err("not ours")
            .to_string()
            .contains("files that are not the embedded S3's")
    );
    assert!(precious.exists());
}

#[tokio::test]
async fn lifecycle_rules_expire_objects_and_uploads() {
    let data = tempfile::tempdir().expect("temporary directory");
    let (server, client) = server(data.path()).await;
    put(&client, "tmp/a", b"1").await;
    put(&client, "kept/a", b"1").await;
    for key in ["tmp/b", "kept/b"] {
        client
            .create_multipart_upload()
            .bucket(BUCKET)
            .key(key)
            .send()
            .await
            .expect("begun");
    }
    let uploads = || async {
        client
            .list_multipart_uploads()
            .bucket(BUCKET)
            .send()
            .await
            .expect("listed")
            .uploads()
            .len()
    };
    let later = |seconds| SystemTime::now() + Duration::from_secs(seconds);
    server.sweep(SystemTime::now());
    assert!(read(&client, "tmp/a").await.is_some());
    server.sweep(later(3601));
    assert_eq!((read(&client, "tmp/a").await, uploads().await), (None, 2));
    server.sweep(later(7201));
    assert_eq!(uploads().await, 1);
    assert!(read(&client, "kept/a").await.is_some());
}
