//! The HTTP API: events, routes, callers, responses.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use cipherfn_emulator::{Authorizer, Emulator, EmulatorError, Route, Tenants};
use http::{Method, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{config, emulator, function_of, get, post, send};

const TENANTS: &[u8] = br#"{"tenants": [
    {"name": "alice", "token": "alice-token"},
    {"name": "bob", "access_key_id": "AKIABOB", "secret_access_key": "bob-secret"}
]}"#;

async fn with_tenants(tenants: &[u8]) -> (Emulator, tempfile::TempDir) {
    let tenants = Tenants::from_json(tenants).expect("valid");
    emulator(|config| config.authorizer = Authorizer::Tenants(tenants)).await
}

#[tokio::test]
async fn a_request_becomes_an_event_of_format_2_0() {
    let (emulator, _data) = emulator(|_| {}).await;
    let request = Request::post(format!("{}/event?a=1&b=x%20y&a=2", emulator.url()))
        .header("X-Thing", "one")
        .header("x-thing", "two")
        .header("cookie", "c=1; d=2")
        .header("content-type", "application/json")
        .body(Bytes::from_static(b"{}"))
        .expect("valid");
    let answer = send(request).await.expect("answered");
    assert!(
        answer.headers.contains_key("apigw-requestid")
            && answer.headers.contains_key("x-amzn-trace-id")
    );
    let event = answer.json();
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["routeKey"], "ANY /{rest+}");
    assert_eq!(event["rawPath"], "/event");
    assert_eq!(event["rawQueryString"], "a=1&b=x%20y&a=2");
    assert_eq!(
        event["queryStringParameters"],
        serde_json::json!({ "a": "1,2", "b": "x y" })
    );
    assert_eq!(event["pathParameters"]["rest"], "event");
    assert_eq!(event["headers"]["x-thing"], "one,two");
    assert_eq!(event["headers"]["cookie"], serde_json::Value::Null);
    assert_eq!(event["cookies"], serde_json::json!(["c=1", "d=2"]));
    assert_eq!(
        (&event["body"], &event["isBase64Encoded"]),
        (&"{}".into(), &false.into())
    );
    assert_eq!(event["requestContext"]["http"]["method"], "POST");
    assert_eq!(
        event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"],
        "local"
    );

    let binary = post(format!("{}/event", emulator.url()), vec![0xff, 0])
        .await
        .json();
    assert_eq!(
        (&binary["body"], &binary["isBase64Encoded"]),
        (&"/wA=".into(), &true.into())
    );
    let empty = get(format!("{}/event", emulator.url())).await.json();
    assert_eq!(
        (&empty["body"], &empty["isBase64Encoded"]),
        (&serde_json::Value::Null, &false.into())
    );
}

#[tokio::test]
async fn lambda_http_understands_it() {
    let (emulator, _data) = emulator(|config| {
        let mut function = function_of("http");
        function.environment = vec![("MODE".to_owned(), "http".to_owned())];
        config.functions.push(function);
        config.routes = vec![Route::new(
            Method::POST,
            "/v1/models/{model}/predict",
            "http",
        )];
    })
    .await;
    let body: Vec<u8> = (0..=255).collect();
    let answer = post(
        format!("{}/v1/models/fraud%201/predict?q=z", emulator.url()),
        body.clone(),
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body, body);
    assert_eq!(
        (&answer.headers["x-model"], &answer.headers["x-query"]),
        (&"fraud 1".parse().unwrap(), &"z".parse().unwrap())
    );
    assert_eq!(answer.headers["content-type"], "application/octet-stream");
}

#[tokio::test]
async fn connections_are_kept_until_the_emulator_stops() {
    let (emulator, _data) = emulator(|_| {}).await;
    let address = emulator.url().trim_start_matches("http://").to_owned();
    let stream = tokio::net::TcpStream::connect(&address)
        .await
        .expect("connected");
    let handshake =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.expect("HTTP/1.1");
    let connection = tokio::spawn(connection);
    for _ in 0..2 {
        let request = Request::get("/process")
            .header("host", &address)
            .body(http_body_util::Full::new(Bytes::new()));
        let response = sender
            .send_request(request.expect("valid"))
            .await
            .expect("answered");
        assert_eq!(response.status(), 200);
        http_body_util::BodyExt::collect(response.into_body())
            .await
            .expect("whole");
    }
    emulator.stop().await;
    connection
        .await
        .expect("no panic")
        .expect("closed in order");
    assert!(sender.is_closed());
}

#[tokio::test]
async fn unknown_paths_and_methods_are_404() {
    let (emulator, _data) =
        emulator(|config| config.routes = vec![Route::new(Method::GET, "/process", "f")]).await;
    for answer in [
        get(format!("{}/nothing", emulator.url())).await,
        post(format!("{}/process", emulator.url()), "x").await,
    ] {
        assert_eq!(answer.message(), (404, "Not Found".to_owned()));
    }
    assert!(emulator.process_ids("f").is_empty());
}

#[tokio::test]
async fn responses_carry_status_headers_and_cookies() {
    let (emulator, _data) = emulator(|_| {}).await;
    let answer = get(format!("{}/cookies", emulator.url())).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body[..]),
        (201, &b"text"[..])
    );
    assert_eq!(answer.headers["x-answer"], "yes");
    assert_eq!(
        answer
            .headers
            .get_all("set-cookie")
            .iter()
            .collect::<Vec<_>>(),
        ["a=1", "b=2"]
    );
}

#[tokio::test]
async fn tokens_tell_tenants_apart() {
    let (emulator, _data) = with_tenants(TENANTS).await;
    let call = |token: &'static str| {
        let request = Request::get(format!("{}/event", emulator.url()))
            .header("authorization", token)
            .body(Bytes::new());
        async move { send(request.expect("valid")).await.expect("answered") }
    };
    let event = call("Bearer alice-token").await.json();
    assert_eq!(
        event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"],
        "alice"
    );
    let unknown = call("Bearer bob-secret").await;
    assert_eq!(unknown.message(), (401, "Unauthorized".to_owned()));
    assert_eq!(unknown.headers["www-authenticate"], "Bearer");
    assert_eq!(
        call("alice-token").await.message(),
        (403, "Forbidden".to_owned())
    );
    assert_eq!(
        get(format!("{}/event", emulator.url())).await.message(),
        (403, "Forbidden".to_owned())
    );

    let (emulator, _data) =
        with_tenants(br#"{"tenants": [{"name": "alice", "token": "t"}]}"#).await;
    assert_eq!(
        get(format!("{}/event", emulator.url())).await.message(),
        (401, "Unauthorized".to_owned())
    );
}

/// Signs as a client does: host, date and whatever else is there.
fn signed(
    method: &str,
    url: &str,
    body: &'static [u8],
    secret: &str,
    service: &str,
    time: SystemTime,
) -> Request<Bytes> {
    let identity = Credentials::new("AKIABOB", secret, None, None, "test").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name(service)
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .expect("complete");
    let headers = [("content-type", "application/x-thing")];
    let signable =
        SignableRequest::new(method, url, headers.into_iter(), SignableBody::Bytes(body))
            .expect("valid");
    let (instructions, _) = sign(signable, &parameters.into())
        .expect("signed")
        .into_parts();
    let mut request = Request::builder()
        .method(method)
        .uri(url)
        .header("content-type", "application/x-thing");
    for (name, value) in instructions.headers() {
        request = request.header(name, value);
    }
    request.body(Bytes::from_static(body)).expect("valid")
}

#[tokio::test]
async fn signatures_are_verified() {
    let (emulator, _data) = with_tenants(TENANTS).await;
    let url = format!("{}/event?b=2&a=x%2Fy%20z", emulator.url());
    let now = SystemTime::now();
    let good = || signed("POST", &url, b"body", "bob-secret", "execute-api", now);

    let event = send(good()).await.expect("answered").json();
    let iam = &event["requestContext"]["authorizer"]["iam"];
    assert_eq!(iam["accessKey"], "AKIABOB");
    assert_eq!(iam["userArn"], "arn:aws:iam::000000000000:user/bob");
    assert_eq!(iam["userId"], iam["callerId"]);

    let minutes = |count: u64| Duration::from_secs(60 * count);
    assert_eq!(
        send(signed(
            "POST",
            &url,
            b"body",
            "bob-secret",
            "execute-api",
            now - minutes(4)
        ))
        .await
        .expect("answered")
        .status,
        200
    );
    let mut other_path = good();
    *other_path.uri_mut() = url.replace("b=2", "b=3").parse().expect("valid");
    let mut other_header = good();
    other_header
        .headers_mut()
        .insert("content-type", "application/json".parse().expect("valid"));
    let mut not_signed = good();
    not_signed.headers_mut().remove("authorization");
    let refused = [
        signed("POST", &url, b"body", "wrong", "execute-api", now),
        signed("POST", &url, b"body", "bob-secret", "s3", now),
        signed(
            "POST",
            &url,
            b"body",
            "bob-secret",
            "execute-api",
            now - minutes(6),
        ),
        signed(
            "POST",
            &url,
            b"body",
            "bob-secret",
            "execute-api",
            now + minutes(6),
        ),
        good().map(|_| Bytes::from_static(b"b0dy")),
        other_path,
        other_header,
        not_signed,
    ];
    for (case, request) in refused.into_iter().enumerate() {
        assert_eq!(
            send(request).await.expect("answered").message(),
            (403, "Forbidden".to_owned()),
            "case {case}"
        );
    }
}

#[tokio::test]
async fn paths_are_signed_as_they_are_sent() {
    let (emulator, _data) = with_tenants(TENANTS).await;
    for path in [
        "/event/a%2Fb",
        "/event/%C3%A4",
        "/event/a+b",
        "/event/a%20b",
    ] {
        let url = format!("{}{path}", emulator.url());
        let answer = send(signed(
            "GET",
            &url,
            b"",
            "bob-secret",
            "execute-api",
            SystemTime::now(),
        ))
        .await
        .expect("answered");
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_bad_configuration_does_not_start() {
    let data = tempfile::tempdir().expect("temporary directory");
    let mut unknown = config(&data);
    unknown.routes[0].function = "g".to_owned();
    assert!(matches!(
        Emulator::start(unknown).await,
        Err(EmulatorError::Route { .. })
    ));
    let mut twice = config(&data);
    twice.functions.push(function_of("f"));
    assert!(matches!(
        Emulator::start(twice).await,
        Err(EmulatorError::Function { .. })
    ));
    let mut bucket = config(&data);
    bucket.bucket = "../up".to_owned();
    assert!(matches!(
        Emulator::start(bucket).await,
        Err(EmulatorError::Bucket(_))
    ));
    let running = Emulator::start(config(&data)).await.expect("starts");
    assert!(matches!(
        Emulator::start(config(&data)).await,
        Err(EmulatorError::InUse { .. })
    ));
    running.stop().await;
    Emulator::start(config(&data))
        .await
        .expect("the directory is free again");
}

#[tokio::test]
async fn a_body_that_stops_arriving_is_not_waited_for() {
    let (emulator, _data) = emulator(|config| {
        config.limits.body_timeout = Duration::from_millis(200);
    })
    .await;
    let address = emulator.url().trim_start_matches("http://").to_owned();
    let mut stream = tokio::net::TcpStream::connect(&address)
        .await
        .expect("connects");
    let half = b"POST /event HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nhalf";
    stream.write_all(half).await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\"Request Timeout\"}") {
        let read = stream.read_buf(&mut answer).await.expect("an answer");
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&answer));
    }
    assert!(answer.starts_with(b"HTTP/1.1 408 "));
}
