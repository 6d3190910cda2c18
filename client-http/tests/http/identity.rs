//! Tokens, signatures and addresses.

use crate::echo::answer;
use crate::server::{Answer, Request, Server, reply, response};
use crate::{options, predict, predictions};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{SharedCredentialsProvider, error::CredentialsError, future};
use aws_sigv4::sign::v4;
use cipherfn_client_http::{Authentication, Service, ServiceError, ServiceOptions, Token};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const REGION: &str = "eu-central-1";

fn sigv4(session: Option<&str>) -> Authentication {
    Authentication::SigV4 {
        credentials: SharedCredentialsProvider::new(Credentials::new(
            "AKIDEXAMPLE",
            SECRET,
            session.map(str::to_owned),
            None,
            "test",
        )),
        region: Some(REGION.to_owned()),
    }
}

fn with(url: &str, authentication: Authentication) -> Result<Service, ServiceError> {
    Service::new(
        url,
        ServiceOptions {
            authentication,
            ..options()
        },
    )
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// When a request was signed.
fn signed_at(request: &Request) -> OffsetDateTime {
    let text = request.headers()["x-amz-date"].to_str().unwrap();
    let at = |range| &text[range];
    let (date, time) = (
        [at(0..4), at(4..6), at(6..8)].join("-"),
        [at(9..11), at(11..13), at(13..15)].join(":"),
    );
    OffsetDateTime::parse(&format!("{date}T{time}Z"), &Rfc3339).unwrap()
}

/// Computes a request's signature from AWS's description of it, as a receiver does, and compares.
fn verify(request: &Request) {
    let authorization = request.headers()["authorization"].to_str().unwrap();
    let field = |name: &str| {
        let (_, rest) = authorization.split_once(name).unwrap();
        rest.split(',').next().unwrap()
    };
    let signed = field("SignedHeaders=");
    for needed in ["host", "x-amz-date"] {
        assert!(signed.split(';').any(|name| name == needed), "{signed}");
    }
    let headers = signed.split(';').fold(String::new(), |text, name| {
        text + &format!(
            "{name}:{}\n",
            request.headers()[name].to_str().unwrap().trim()
        )
    });
    let payload = hexadecimal(&Sha256::digest(request.body()));
    let canonical = format!(
        "{}\n{}\n\n{headers}\n{signed}\n{payload}",
        request.method(),
        request.uri().path()
    );
    let when = request.headers()["x-amz-date"].to_str().unwrap();
    let scope = format!("{}/{REGION}/execute-api/aws4_request", &when[..8]);
    assert_eq!(field("Credential="), format!("AKIDEXAMPLE/{scope}"));
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{when}\n{scope}\n{}",
        hexadecimal(&Sha256::digest(canonical))
    );
    let key = v4::generate_signing_key(SECRET, signed_at(request).into(), REGION, "execute-api");
    assert_eq!(
        field("Signature="),
        v4::calculate_signature(key, to_sign.as_bytes())
    );
}

fn date(response: &mut crate::server::Response, at: OffsetDateTime) {
    let text = at.format(&Rfc2822).unwrap().replace("+0000", "GMT");
    response.headers_mut().insert("date", text.parse().unwrap());
}

#[tokio::test]
async fn signatures_can_be_verified_and_are_new_for_every_attempt() {
    for session in [None, Some("session-token")] {
        let server = Server::start(|request| {
            verify(request);
            Answer::from(reply(answer(request.body())))
        })
        .await;
        let service = with(&format!("{}/prod", server.url), sigv4(session)).unwrap();
        assert_eq!(predict(&service, 3).await.unwrap(), predictions(3));
        let seen = server.seen();
        assert_eq!(seen[0].uri().path(), "/prod/v2/models/echo/predict");
        assert_eq!(
            seen[0]
                .headers()
                .get("x-amz-security-token")
                .map(|token| token.to_str().unwrap()),
            session
        );
        let signed = seen[0].headers()["authorization"].to_str().unwrap();
        assert!(signed.contains("content-type"), "{signed}");
        assert_eq!(signed.contains("x-amz-security-token"), session.is_some());
    }
}

#[tokio::test]
async fn a_wrong_clock_is_corrected_once() {
    for hours in [-3, 3] {
        let server = Server::start(move |request| {
            let theirs = OffsetDateTime::now_utc() + time::Duration::hours(hours);
            verify(request);
            if (signed_at(request) - theirs).abs() < time::Duration::minutes(5) {
                return reply(answer(request.body()));
            }
            let mut refusal = response(
                403,
                "application/json",
                r#"{"message":"Signature expired"}"#,
            );
            date(&mut refusal, theirs);
            refusal
        })
        .await;
        let service = with(&server.url, sigv4(None)).unwrap();
        assert_eq!(predict(&service, 1).await.unwrap(), predictions(1));
        assert_eq!(server.seen().len(), 2);
        assert_eq!(predict(&service, 1).await.unwrap(), predictions(1));
        assert_eq!(server.seen().len(), 3, "the correction is remembered");
    }
}

#[tokio::test]
async fn a_refused_signature_tells_of_a_wrong_clock() {
    let server = Server::start(|_| {
        let mut refusal = response(403, "application/json", r#"{"message":"Forbidden"}"#);
        date(
            &mut refusal,
            OffsetDateTime::now_utc() + Duration::from_secs(3605),
        );
        refusal
    })
    .await;
    let error = predict(&with(&server.url, sigv4(None)).unwrap(), 1)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("Forbidden") && error.contains("execute-api:Invoke"),
        "{error}"
    );
    assert!(
        error.ends_with("this machine's clock is 60 minutes behind the service's: set it right"),
        "{error}"
    );
    assert_eq!(server.seen().len(), 2);

    let server =
        Server::start(|_| response(403, "application/json", r#"{"message":"Forbidden"}"#)).await;
    let error = predict(&with(&server.url, sigv4(None)).unwrap(), 1)
        .await
        .unwrap_err()
        .to_string();
    assert!(!error.contains("clock"), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn credentials_that_cannot_be_had_are_an_error() {
    #[derive(Debug)]
    struct Nobody;
    impl aws_credential_types::provider::ProvideCredentials for Nobody {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(Err(CredentialsError::not_loaded(
                "nobody is logged in",
            )))
        }
    }
    let server = Server::start(|_| Answer::Reset).await;
    let authentication = Authentication::SigV4 {
        credentials: SharedCredentialsProvider::new(Nobody),
        region: Some(REGION.to_owned()),
    };
    let error = predict(&with(&server.url, authentication).unwrap(), 1)
        .await
        .unwrap_err();
    assert!(matches!(error, ServiceError::Credentials { .. }), "{error}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn tokens_travel_and_are_never_shown() {
    let server = Server::start(|request| match request.headers().get("authorization") {
        Some(value) if value == "Bearer hunter2" => Answer::from(reply(answer(request.body()))),
        _ => response(401, "application/json", r#"{"message":"Unauthorized"}"#).into(),
    })
    .await;
    let bearer = |text: &str| Authentication::Bearer(Token::new(text).unwrap());
    let service = with(&server.url, bearer("hunter2\n")).unwrap();
    assert_eq!(predict(&service, 1).await.unwrap(), predictions(1));
    for (authentication, advice) in [
        (bearer("hunter3"), "may have expired"),
        (Authentication::None, "give a token"),
    ] {
        let service = with(&server.url, authentication).unwrap();
        let error = predict(&service, 1).await.unwrap_err();
        let text = format!("{error} {error:?} {service:?}");
        assert!(text.contains(advice) && !text.contains("hunter"), "{text}");
    }
    let signing = format!("{:?}", with(&server.url, sigv4(Some("hunter2"))).unwrap());
    assert!(
        !signing.contains(SECRET) && !signing.contains("hunter2"),
        "{signing}"
    );
}

#[test]
fn tokens_are_what_headers_can_hold() {
    for bad in ["", " ", "two words", "line\nbreak", "\u{e4}"] {
        assert!(Token::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn others_must_not_read_along() {
    for url in [
        "http://service.example",
        "http://192.0.2.1:8080",
        "ws://127.0.0.1",
        "service.example",
    ] {
        let error = Service::new(url, options()).unwrap_err();
        assert!(matches!(error, ServiceError::Url { .. }), "{error}");
    }
    for url in [
        "https://service.example/prod",
        "http://localhost:8080",
        "http://[::1]:8080",
    ] {
        Service::new(url, options()).unwrap();
    }
}

#[test]
fn signing_needs_a_region() {
    let authentication = || Authentication::SigV4 {
        credentials: SharedCredentialsProvider::new(Credentials::new(
            "AKIDEXAMPLE",
            SECRET,
            None,
            Some(SystemTime::now()),
            "test",
        )),
        region: None,
    };
    assert!(matches!(
        with("https://service.example", authentication()),
        Err(ServiceError::NoRegion { .. })
    ));
    with(
        "https://abc.execute-api.eu-west-1.amazonaws.com/prod",
        authentication(),
    )
    .unwrap();
}
