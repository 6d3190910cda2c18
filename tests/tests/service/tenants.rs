//! Tenants see nothing of each other.

use crate::models::{Caller, TREE, fetch};
use crate::stack::{REGION, Stack, tenants, tenants_of, wait_until};
use crate::wire::Answer;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use cipherfn_client_http::{Authentication, Service, ServiceError};
use cipherfn_emulator::faults::Fault;
use cipherfn_protocol::api::{KeyState, ProblemType, QUERY};
use cipherfn_protocol::message::KeyId;
use cipherfn_service::config;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

/// What an answer tells, without the names of the request and of the key.
fn told(answer: &Answer, key: KeyId) -> (u16, Vec<(String, String)>, String) {
    let mut body = answer.json();
    assert!(
        body.as_object_mut()
            .is_some_and(|body| body.remove("request_id").is_some())
    );
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| {
            !["date", "apigw-requestid", "x-amzn-trace-id"].contains(&name.as_str())
        })
        .map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()))
        .collect();
    headers.sort();
    (
        answer.status,
        headers,
        body.to_string().replace(&key.to_string(), "KEY"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_key_is_as_unknown_as_one_that_never_was() {
    let stack = Stack::start(|setup| setup.authorizer = tenants(&["alice", "bob"])).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let alice = Caller::registered(stack.service_of("alice-token"), "tree").await;
    TREE.check(
        0,
        1,
        &alice
            .predict(TREE.rows(0, 1))
            .await
            .expect("warm with alice's key"),
    );
    let nobody = Caller::new(stack.service_of("alice-token"), "tree").await;

    let as_bob = async |method: &str, target: &str, body: Vec<u8>| {
        let headers = [
            ("authorization", "Bearer bob-token"),
            ("content-type", QUERY),
        ];
        stack.send(method, target, &headers, body).await
    };
    for (method, rest) in [("GET", ""), ("DELETE", ""), ("POST", "/complete")] {
        let of = async |key| {
            told(
                &as_bob(method, &format!("/v1/keys/{key}{rest}"), Vec::new()).await,
                key,
            )
        };
        let (alices, nobodys) = (of(alice.key()).await, of(nobody.key()).await);
        assert_eq!(alices, nobodys, "{method} {rest}");
        assert_eq!(alices.0, 404);
        assert!(alices.2.contains(ProblemType::UnknownKey.slug()));
    }
    let of = async |caller: &Caller| {
        let answer = as_bob(
            "POST",
            "/v1/models/tree/predict",
            caller.query(&TREE.rows(0, 1)),
        )
        .await;
        told(&answer, caller.key())
    };
    let (alices, nobodys) = (of(&alice).await, of(&nobody).await);
    assert_eq!(alices, nobodys, "predict");
    assert_eq!(alices.0, 404);

    // Nothing happened to it, and bob can register the same id for himself without touching hers.
    assert_eq!(
        alice.key_state().await.expect("still there"),
        KeyState::Active
    );
    let bob = stack.service_of("bob-token");
    bob.register(&alice.ring, &alice.client, |_| ())
        .await
        .expect("registered");
    let keys = async |service: &Service| {
        let list = service.keys().await.expect("a list");
        assert!(list.unreadable.is_empty());
        list.keys
            .iter()
            .map(|status| status.key)
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&bob).await, [alice.key()]);
    bob.delete_key(alice.key()).await.expect("bob's is deleted");
    assert_eq!(keys(&bob).await, []);
    assert_eq!(keys(&alice.service).await, [alice.key()]);
    TREE.check(
        0,
        2,
        &alice
            .predict(TREE.rows(0, 2))
            .await
            .expect("alice's is not"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_an_identity() {
    let stack = Stack::start(|setup| setup.authorizer = tenants(&["alice"])).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    for authorization in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer alice-token2",
        "Basic YTpi",
        "alice-token",
    ] {
        for (method, target) in [
            ("GET", "/v1/models"),
            ("POST", "/v1/keys"),
            ("POST", "/v1/models/tree/predict"),
        ] {
            let answer = stack
                .send(method, target, &[("authorization", authorization)], "")
                .await;
            assert_eq!(answer.status, 401, "{authorization:?} {target}");
        }
    }
    assert!(
        stack.emulator.process_ids("specs").is_empty(),
        "no function was asked"
    );
    for service in [stack.service(|_| {}), stack.service_of("wrong")] {
        let error = service.models().await.expect_err("refused");
        assert!(
            matches!(error, ServiceError::Denied { status: 401, .. }),
            "{error}"
        );
    }
    assert_eq!(
        (
            stack.statuses("GET /v1/models").len(),
            stack.statuses("GET /v2/models").len()
        ),
        (7, 2),
        "a refusal is not tried again"
    );
    stack
        .service_of("alice-token")
        .models()
        .await
        .expect("alice gets in");
}

const KEY_ID: &str = "AKIACAROL";
const SECRET: &str = "carols-secret";

async fn signed_stack() -> Stack {
    let entries = [
        json!({ "name": "carol", "access_key_id": KEY_ID, "secret_access_key": SECRET }),
        json!({ "name": "dave", "access_key_id": "AKIADAVE", "secret_access_key": "daves-secret" }),
    ];
    let stack = Stack::start(|setup| setup.authorizer = tenants_of(&entries)).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    stack
}

fn signing(id: &str, secret: &str) -> Authentication {
    Authentication::SigV4 {
        credentials: SharedCredentialsProvider::new(Credentials::new(
            id, secret, None, None, "test",
        )),
        region: Some(REGION.to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_name_tenants() {
    let stack = signed_stack().await;
    let service = |id: &str, secret: &str| {
        stack.service(|options| options.authentication = signing(id, secret))
    };
    let carol = Caller::registered(service(KEY_ID, SECRET), "tree").await;
    TREE.check(
        0,
        3,
        &carol.predict(TREE.rows(0, 3)).await.expect("answers"),
    );
    let dave = service("AKIADAVE", "daves-secret");
    assert!(matches!(
        dave.key_status(carol.key()).await,
        Err(ServiceError::UnknownKey { .. })
    ));
    for (id, secret) in [(KEY_ID, "daves-secret"), ("AKIANOBODY", SECRET)] {
        let error = fetch(&service(id, secret), "tree").await;
        let error = error.expect_err("refused");
        assert!(
            matches!(error, ServiceError::Denied { status: 403, .. }),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_of_a_wrong_clock_are_refused() {
    let stack = signed_stack().await;
    let signed = async |time: SystemTime| {
        let identity = Credentials::new(KEY_ID, SECRET, None, None, "test").into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name("execute-api")
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .expect("complete");
        let url = format!("{}/v1/models", stack.url());
        let request =
            SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::Bytes(b""))
                .expect("signable");
        let (instructions, _) = sign(request, &parameters.into())
            .expect("signed")
            .into_parts();
        let (headers, _) = instructions.into_parts();
        let headers: Vec<_> = headers
            .iter()
            .map(|header| (header.name(), header.value()))
            .collect();
        stack.send("GET", "/v1/models", &headers, "").await.status
    };
    let (now, minute) = (SystemTime::now(), Duration::from_mins(1));
    for (time, status) in [
        (now, 200),
        (now - 3 * minute, 200),
        (now + 3 * minute, 200),
        (now - 10 * minute, 403),
        (now + 10 * minute, 403),
        (now - 60 * 24 * 365 * minute, 403),
    ] {
        assert_eq!(signed(time).await, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_name_requests_and_no_secrets() {
    let stack = Stack::start(|setup| {
        setup.authorizer = tenants(&["alice"]);
        setup.faulty = true;
        // Whatever is asked for.
        setup.environment.push((config::LOG, "trace".to_owned()));
    })
    .await;
    stack.publish("tree", &TREE.bundle, 2).await;
    let alice = Caller::registered(stack.service_of("alice-token"), "tree").await;
    alice.predict(TREE.rows(0, 2)).await.expect("answers");
    let as_alice = async |target: &str| {
        stack
            .send(
                "GET",
                target,
                &[("authorization", "Bearer alice-token")],
                "",
            )
            .await
    };
    let mut ids = vec![
        as_alice("/v1/models/%2e%2e%2fsecret").await,
        as_alice("/v1/keys/secret").await,
    ];
    stack.faults().always("model.json", Fault::InternalError);
    ids.push(as_alice("/v1/models/tree").await);
    let ids = ids
        .iter()
        .map(|answer| answer.problem().request_id.expect("an id"));
    let ids: Vec<_> = ids.collect();
    // A line may come later than the answer.
    wait_until("every request is in the logs", || {
        ids.iter()
            .all(|id| stack.logs().iter().any(|line| line.contains(id)))
    })
    .await;

    for line in stack.logs() {
        let entry: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(entry.is_object(), "{line}");
        for secret in [
            "alice",
            "X-Amz-Signature",
            "X-Amz-Credential",
            "secret",
            "Bearer",
            stack.emulator.credentials().0,
        ] {
            assert!(!line.contains(secret), "{secret} is in {line}");
        }
    }
    let metrics = stack
        .logs()
        .into_iter()
        .filter(|line| line.contains("CloudWatchMetrics"));
    assert_eq!(
        metrics.count(),
        stack.statuses("").len(),
        "one line of metrics a request"
    );
}
