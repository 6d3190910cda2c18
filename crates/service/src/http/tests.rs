use super::{body, id, route};
use cipherfn_protocol::api::{ApiVersion, Function, ModelName, ProblemType, Route};
use lambda_http::http::{Method, header};
use lambda_http::request::LambdaRequest;
use lambda_http::{Body, Request};

fn request(method: &str, path: &str) -> Request {
    let event = serde_json::json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": {}, "isBase64Encoded": false,
        "requestContext": {"accountId": "1", "apiId": "a", "domainName": "d", "domainPrefix": "d", "requestId": "r", "routeKey": "$default",
            "stage": "$default", "time": "t", "timeEpoch": 0,
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "::1", "userAgent": ""}}
    });
    serde_json::from_value::<LambdaRequest>(event)
        .unwrap()
        .into()
}

#[test]
fn routes_are_found() {
    let complete = request("POST", "/v2/keys/ab/complete");
    let found = route(Function::RegisterKey, &complete).unwrap();
    assert_eq!(
        (found.version, found.route, found.parameter),
        (ApiVersion::V2, Route::CompleteKey, "ab")
    );
    let models = request("GET", "/v1/models");
    let found = route(Function::Specs, &models).unwrap();
    assert_eq!(
        (found.version, found.route, found.parameter),
        (ApiVersion::V1, Route::Models, "")
    );
}

#[test]
fn other_routes_and_methods_are_refused() {
    for path in [
        "/",
        "",
        "/v1",
        "/v1/models/a/b",
        "/v1/keys/a/complete/",
        "//v1/models",
        "/v3/models",
    ] {
        assert_eq!(
            route(Function::Specs, &request("GET", path))
                .unwrap_err()
                .kind,
            ProblemType::UnknownRoute,
            "{path}"
        );
    }
    let problem = route(Function::RegisterKey, &request("PUT", "/v1/keys/ab")).unwrap_err();
    assert_eq!(problem.kind, ProblemType::WrongMethod);
    assert!(
        problem.detail.contains("GET or DELETE"),
        "{}",
        problem.detail
    );
    // Of another function.
    assert_eq!(
        route(Function::Infer, &request("GET", "/v1/models"))
            .unwrap_err()
            .kind,
        ProblemType::WrongMethod
    );
}

#[test]
fn ids_do_not_leave_their_place() {
    for bad in ["", "..", "%2e%2e", "a/../b", "a\0", &"a".repeat(10_000)] {
        let problem = id::<ModelName>("model", bad).unwrap_err();
        assert_eq!(problem.kind, ProblemType::MalformedRequest, "{bad:?}");
        assert!(problem.detail.len() < 300);
    }
}

#[test]
fn bodies_have_a_type_and_a_limit() {
    let mut request = request("POST", "/v1/keys");
    *request.method_mut() = Method::POST;
    *request.body_mut() = Body::Binary(vec![0; 11]);
    assert_eq!(
        body(&request, "a/b", 11).unwrap_err().kind,
        ProblemType::WrongContentType
    );
    request
        .headers_mut()
        .insert(header::CONTENT_TYPE, "A/b; charset=x".parse().unwrap());
    assert_eq!(body(&request, "a/b", 11).unwrap().len(), 11);
    assert_eq!(
        body(&request, "a/b", 10).unwrap_err().kind,
        ProblemType::BodyTooLarge
    );
}
