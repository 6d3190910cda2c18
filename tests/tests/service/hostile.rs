//! Requests that no client of ours makes: each gets its documented status and problem.

mod queries;

use crate::contract::{CONTRACT, is_of_gateway};
use crate::models::TREE;
use crate::stack::Stack;
use crate::wire::{Answer, request};
use bytes::Bytes;
use cipherfn_protocol::api::{JSON, ProblemType, QUERY};
use http::HeaderMap;
use serde_json::{Value, json};

/// Nothing but an id is an id.
fn hostile_ids() -> Vec<String> {
    let long = "a".repeat(10_000);
    let ids = [
        "..%2f..%2fmodels",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "%2E%2E%5C",
        "..",
        "%2e%2e",
        "a%00",
        "%00",
        "tree%00.json",
        "tree%2f",
        "%74ree",
        "TREE",
        "tree%20",
        "tree.json",
        "*",
        "%",
        "%zz",
        "%f0%9f%8c%b2",
        "{model}",
        "00000000000000000000000000000000%2frecord.json",
        "0000000000000000000000000000000G",
        "ABCDEF00000000000000000000000000",
        long.as_str(),
    ];
    ids.map(str::to_owned).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_lead_elsewhere() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    for id in hostile_ids() {
        for (method, target, content_type) in [
            ("GET", format!("/v1/models/{id}"), ""),
            ("POST", format!("/v1/models/{id}/predict"), QUERY),
            ("GET", format!("/v1/keys/{id}"), ""),
            ("DELETE", format!("/v1/keys/{id}"), ""),
            ("POST", format!("/v1/keys/{id}/complete"), ""),
        ] {
            let answer = stack
                .send(method, &target, &[("content-type", content_type)], "x")
                .await;
            let problem = answer.problem();
            assert_eq!(
                (problem.status, problem.kind),
                (400, ProblemType::MalformedRequest),
                "{method} {target:.100}"
            );
            assert!(problem.detail.len() < 300, "{}", problem.detail);
        }
    }
    for id in ["0".repeat(31), "0".repeat(33), "tree".to_owned()] {
        let answer = stack.send("GET", &format!("/v1/keys/{id}"), &[], "").await;
        assert_eq!(answer.problem().kind, ProblemType::MalformedRequest);
    }
    // Slashes make other routes of them, which there are not.
    for target in [
        "/v1/models/../../etc/passwd",
        "/v1/keys/../models/tree/predict",
        "/v1/models//predict",
        "/../v1/models",
    ] {
        let answer = stack.send("GET", target, &[], "").await;
        assert!(
            answer.status == 404 && is_of_gateway(&answer),
            "{target}: {answer:?}"
        );
    }
    let version = stack
        .send("GET", "/v1/models/tree?specs=../../keys", &[], "")
        .await;
    assert_eq!(version.problem().kind, ProblemType::MalformedRequest);
    let unknown = "0".repeat(64);
    let version = stack
        .send("GET", &format!("/v1/models/tree?specs={unknown}"), &[], "")
        .await;
    assert_eq!(version.problem().kind, ProblemType::StaleSpecs);
    assert_eq!(
        stack
            .send("GET", "/v1/models/other", &[], "")
            .await
            .problem()
            .kind,
        ProblemType::UnknownModel
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_and_methods_that_there_are_not() {
    let stack = Stack::start(|_| {}).await;
    // API Gateway knows the routes, and asks no function.
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/v1"),
        ("GET", "/v1/models/"),
        ("GET", "/v3/models"),
        ("GET", "/v1/keys"),
        ("PUT", "/v1/models/tree"),
        ("DELETE", "/v1/models/tree"),
        ("GET", "/v1/models/tree/predict"),
        ("PATCH", "/v1/keys/00000000000000000000000000000000"),
        ("OPTIONS", "/v1/models"),
        ("BREW", "/v1/models"),
    ] {
        let answer = stack.send(method, target, &[], "").await;
        assert!(
            answer.status == 404 && is_of_gateway(&answer),
            "{method} {target}: {answer:?}"
        );
    }
    // A function that is asked all the same, by a function URL or by a route that does not fit,
    // says what is wrong.
    for (function, method, path, kind) in [
        ("specs", "GET", "/", ProblemType::UnknownRoute),
        ("specs", "GET", "/v1/models/a/b", ProblemType::UnknownRoute),
        (
            "register-key",
            "GET",
            "/v1/keys/a/b/c",
            ProblemType::UnknownRoute,
        ),
        ("infer", "POST", "/v1/predict", ProblemType::UnknownRoute),
        ("specs", "POST", "/v1/models", ProblemType::WrongMethod),
        (
            "specs",
            "DELETE",
            "/v1/models/tree",
            ProblemType::WrongMethod,
        ),
        ("register-key", "GET", "/v1/keys", ProblemType::WrongMethod),
        (
            "register-key",
            "PUT",
            "/v1/keys/00",
            ProblemType::WrongMethod,
        ),
        (
            "infer",
            "GET",
            "/v1/models/tree/predict",
            ProblemType::WrongMethod,
        ),
    ] {
        let answer = invoke(&stack, function, method, path, true).await;
        assert_eq!(answer.problem().kind, kind, "{function} {method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_are_asked_without_the_gateway_want_an_identity() {
    let stack = Stack::start(|_| {}).await;
    for (function, method, path) in [
        ("specs", "GET", "/v1/models"),
        ("specs", "GET", "/v1/models/tree"),
        ("specs", "GET", "/v1/openapi.json"),
        ("register-key", "POST", "/v1/keys"),
        (
            "register-key",
            "GET",
            "/v1/keys/00000000000000000000000000000000",
        ),
        (
            "register-key",
            "DELETE",
            "/v1/keys/00000000000000000000000000000000",
        ),
        (
            "register-key",
            "POST",
            "/v1/keys/00000000000000000000000000000000/complete",
        ),
        ("infer", "POST", "/v1/models/tree/predict"),
    ] {
        let answer = invoke(&stack, function, method, path, false).await;
        assert_eq!(
            (answer.status, answer.problem().kind),
            (401, ProblemType::Unauthenticated),
            "{method} {path}"
        );
        let violation = CONTRACT.check(&request(method, path, &[], ""), &answer);
        assert_eq!(violation, Ok(()), "{method} {path}");
    }
}

/// Asks a function directly.
async fn invoke(stack: &Stack, function: &str, method: &str, path: &str, caller: bool) -> Answer {
    let mut event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": {}, "isBase64Encoded": false,
        "requestContext": {"accountId": "1", "apiId": "a", "domainName": "d", "domainPrefix": "d", "requestId": "r", "routeKey": "$default",
            "stage": "$default", "time": "t", "timeEpoch": 0,
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "::1", "userAgent": ""}}
    });
    if caller {
        event["requestContext"]["authorizer"] =
            json!({ "jwt": { "claims": { "sub": "local", "iss": "local" }, "scopes": null } });
    }
    let payload = stack
        .emulator
        .invoke(function, event.to_string())
        .await
        .expect("an answer");
    let payload: Value = serde_json::from_slice(&payload).expect("JSON");
    let mut headers = HeaderMap::new();
    let content_type = payload["headers"]["content-type"]
        .as_str()
        .expect("a content type");
    headers.insert(
        "content-type",
        content_type.parse().expect("a content type"),
    );
    Answer {
        status: payload["statusCode"].as_u64().expect("a status") as u16,
        headers,
        body: Bytes::copy_from_slice(payload["body"].as_str().expect("a text").as_bytes()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_another_type() {
    let stack = Stack::start(|_| {}).await;
    for content_type in [
        "",
        "text/plain",
        "application/octet-stream",
        "application/vnd.cipherfn.reply",
        "multipart/form-data; boundary=x",
    ] {
        for (target, own) in [("/v1/models/tree/predict", QUERY), ("/v1/keys", JSON)] {
            let answer = stack
                .send("POST", target, &[("content-type", content_type)], "x")
                .await;
            let problem = answer.problem();
            assert_eq!(
                (problem.status, problem.kind),
                (415, ProblemType::WrongContentType),
                "{content_type}"
            );
            assert!(problem.detail.contains(own), "{}", problem.detail);
            let swapped = if own == QUERY { JSON } else { QUERY };
            let answer = stack
                .send("POST", target, &[("content-type", swapped)], "{}")
                .await;
            assert_eq!(answer.problem().kind, ProblemType::WrongContentType);
        }
    }
    let long = format!("text/{}", "x".repeat(5000));
    let answer = stack
        .send("POST", "/v1/keys", &[("content-type", &long)], "x")
        .await;
    assert!(answer.problem().detail.len() < 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_that_is_no_declaration() {
    let stack = Stack::start(|_| {}).await;
    let hash = "0".repeat(64);
    let good = json!({
        "key": "0".repeat(32), "parameter_set": { "name": "s", "hash": hash }, "bytes": 3, "sha256": hash,
    });
    let send = async |body: String| {
        stack
            .send("POST", "/v1/keys", &[("content-type", JSON)], body)
            .await
            .problem()
    };
    assert_eq!(
        send(good.to_string()).await.kind,
        ProblemType::WrongParameterSet,
        "well formed"
    );
    let change = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        changed.to_string()
    };
    let without = |name: &str| {
        let mut changed = good.clone();
        changed.as_object_mut().expect("an object").remove(name);
        changed.to_string()
    };
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "{".to_owned(),
        "\u{0}".to_owned(),
        deep,
        good.to_string().replace('}', "},"),
        change("tenant", json!("other")),
        change("key", json!("../../../other/00000000000000000000")),
        change("key", json!("A".repeat(32))),
        change("key", json!(1)),
        change("bytes", json!(-1)),
        change("bytes", json!(1.5)),
        change("bytes", json!("3")),
        change("sha256", json!(hash[1..])),
        change("parameter_set", json!("s")),
        change(
            "parameter_set",
            json!({ "name": "s", "hash": hash, "more": 1 }),
        ),
        change("parts", json!({ "bytes": 5 })),
        change("parts", json!({ "bytes": 5, "sha256": [1] })),
        without("key"),
        without("parameter_set"),
        without("bytes"),
        without("sha256"),
    ] {
        let problem = send(body.clone()).await;
        assert_eq!(
            (problem.status, problem.kind),
            (400, ProblemType::MalformedRequest),
            "{body:.200}"
        );
        assert!(problem.detail.len() < 400, "{}", problem.detail);
    }
    assert!(stack.objects().await.is_empty());
}
