//! Whose specs are taken, and what a key ring remembers of models.

use crate::echo;
use crate::server::{Answer, Server, response};
use crate::{model, service};
use cipherfn_client::{Accept, TrustError, Verdict};
use cipherfn_client_http::{Fetched, KeyRing, KeyRingError, ServiceError};
use cipherfn_protocol::api::{SPECS, STATEMENT};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::statement::{Serial, Statement};
use cipherfn_signing::SigningKey;
use http::header::ETAG;
use std::fs;
use std::sync::{Arc, LazyLock, Mutex};
use tempfile::TempDir;

static DEVELOPER: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().unwrap());
static STRANGER: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().unwrap());

/// What the service has: a name for specs, and the statement beside them.
type Offered = (&'static str, Option<String>);

/// What no client can read has no name.
fn specs(name: &str) -> Vec<u8> {
    match name {
        "" => b"no specs".to_vec(),
        name => echo::specs(name),
    }
}

fn signed(key: &SigningKey, name: &'static str, serial: u64) -> Offered {
    let statement = key.sign(Statement {
        model: model(),
        specs: Hash::of(&specs(name)),
        serial: Serial(serial),
    });
    (name, Some(statement.to_json().unwrap()))
}

/// A service whose offer changes, and a client's key ring.
struct Scene {
    server: Server,
    offered: Arc<Mutex<Offered>>,
    directory: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let offered = Arc::new(Mutex::new(("echo", None::<String>)));
        let served = Arc::clone(&offered);
        let server = Server::start(move |_| -> Answer {
            let (name, statement) = served.lock().unwrap().clone();
            let specs = specs(name);
            let tag = format!("\"{}\"", Hash::of(&specs));
            let mut response = response(200, SPECS, specs);
            let headers = response.headers_mut();
            headers.insert(ETAG, tag.parse().unwrap());
            if let Some(statement) = statement {
                headers.insert(STATEMENT, statement.parse().unwrap());
            }
            response.into()
        })
        .await;
        let directory = tempfile::tempdir().unwrap();
        Self {
            server,
            offered,
            directory,
        }
    }

    async fn fetch(&self, offered: Offered, accept: &Accept) -> Result<Fetched, ServiceError> {
        *self.offered.lock().unwrap() = offered;
        let ring = KeyRing::at(self.directory.path());
        service(&self.server).client(&model(), &ring, accept).await
    }

    async fn verdict(&self, offered: Offered) -> Verdict {
        let fetched = self.fetch(offered, &Accept::Pinned).await;
        fetched.unwrap().verdict
    }

    async fn refusal(&self, offered: Offered) -> TrustError {
        let error = self.fetch(offered, &Accept::Pinned).await.unwrap_err();
        match error {
            ServiceError::KeyRing(error) => match *error {
                KeyRingError::Trust(error) => error,
                error => panic!("{error}"),
            },
            error => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn the_first_developer_is_remembered_and_no_other_is_taken() {
    let scene = Scene::new().await;
    let key = &*DEVELOPER;
    assert_eq!(scene.verdict(signed(key, "echo", 5)).await, Verdict::First);
    assert_eq!(scene.verdict(signed(key, "echo", 5)).await, Verdict::Known);
    let than = Hash::of(&echo::specs("echo"));
    let newer = scene.fetch(signed(key, "newer", 6), &Accept::Pinned).await;
    let newer = newer.unwrap();
    assert_eq!(newer.verdict, Verdict::Newer { than });
    assert_eq!(newer.developer, Some(key.public()));

    let refused = scene.refusal(signed(key, "echo", 5)).await;
    assert!(matches!(refused, TrustError::Older { .. }));
    let refused = scene.refusal(signed(&STRANGER, "other", 9)).await;
    assert!(matches!(refused, TrustError::OtherDeveloper { .. }));
    let refused = scene.refusal(("other", None)).await;
    assert!(matches!(refused, TrustError::Unsigned { .. }));
    let refused = scene.refusal(("other", signed(key, "newer", 9).1)).await;
    assert!(matches!(refused, TrustError::OtherStatement { .. }));
    // A refusal changes nothing.
    assert_eq!(scene.verdict(signed(key, "newer", 6)).await, Verdict::Known);

    // Accepted, the others' are those that are remembered.
    let accepted = scene.fetch(signed(&STRANGER, "other", 1), &Accept::Offered);
    assert_eq!(accepted.await.unwrap().verdict, Verdict::Accepted);
    let known = scene.verdict(signed(&STRANGER, "other", 1)).await;
    assert_eq!(known, Verdict::Known);
    let refused = scene.refusal(signed(key, "newer", 9)).await;
    assert!(matches!(refused, TrustError::OtherDeveloper { .. }));
    let trusted = Accept::Developer(key.public());
    let trusted = scene.fetch(signed(key, "newer", 9), &trusted).await;
    assert_eq!(trusted.unwrap().verdict, Verdict::Accepted);
    assert_eq!(scene.verdict(signed(key, "newer", 9)).await, Verdict::Known);
}

#[tokio::test]
async fn specs_are_judged_before_they_are_read() {
    let (scene, key) = (Scene::new().await, &*DEVELOPER);
    scene.verdict(signed(key, "echo", 1)).await;
    let refused = scene.refusal(signed(&STRANGER, "", 9)).await;
    assert!(matches!(refused, TrustError::OtherDeveloper { .. }));
    // Those that cannot be read are not remembered either.
    let unreadable = scene.fetch(signed(key, "", 9), &Accept::Pinned).await;
    assert!(matches!(unreadable, Err(ServiceError::Client(_))));
    let verdict = scene.verdict(signed(key, "other", 2)).await;
    assert!(matches!(verdict, Verdict::Newer { .. }));
}

#[tokio::test]
async fn specs_may_be_named() {
    let scene = Scene::new().await;
    let hash = Hash::of(&echo::specs("echo"));
    let named = Accept::Specs(hash);
    scene.fetch(("echo", None), &named).await.unwrap();
    assert!(scene.fetch(("other", None), &named).await.is_err());
    // The service is asked for them, whichever are current.
    let query = scene.server.seen()[0].uri().query().map(str::to_owned);
    assert_eq!(query, Some(format!("specs={hash}")));
}

#[tokio::test]
async fn what_is_remembered_is_kept_by_service_and_model() {
    let scene = Scene::new().await;
    assert_eq!(scene.verdict(("echo", None)).await, Verdict::First);
    let refused = scene.refusal(("other", None)).await;
    assert!(matches!(refused, TrustError::Changed { .. }));
    let refused = scene.refusal(signed(&STRANGER, "other", 1)).await;
    assert!(matches!(refused, TrustError::Changed { .. }));

    // Another service has models of its own.
    let elsewhere = Scene::new().await;
    let ring = KeyRing::at(scene.directory.path());
    *elsewhere.offered.lock().unwrap() = ("other", None);
    let service = service(&elsewhere.server);
    let fetched = service.client(&model(), &ring, &Accept::Pinned).await;
    assert_eq!(fetched.unwrap().verdict, Verdict::First);

    let path = scene.directory.path().join("models.json");
    let text = fs::read_to_string(&path).unwrap();
    for (url, name) in [
        (&scene.server.url, "echo"),
        (&elsewhere.server.url, "other"),
    ] {
        let hash = Hash::of(&echo::specs(name)).to_string();
        assert!(text.contains(url) && text.contains(&hash), "{text}");
    }
    // What cannot be read is not taken for nothing.
    for damaged in ["", "{}", "{\"format\": 9, \"models\": []}", &text[1..]] {
        fs::write(&path, damaged).unwrap();
        let refused = scene.fetch(("echo", None), &Accept::Pinned).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("models.json"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
    }
}
