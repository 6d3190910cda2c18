//! What is written about the service agrees with what it does.

use crate::contract::CONTRACT;
use crate::stack::Stack;
use cipherfn_function_specs::OPENAPI;
use cipherfn_protocol::api::{ProblemType, Route};
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn the_document_has_the_routes_and_no_others() {
    let documented = CONTRACT.operations();
    let documented: BTreeSet<_> = documented
        .map(|(method, path)| (method, path.to_owned()))
        .collect();
    let routes = Route::everywhere();
    let routes: BTreeSet<_> = routes
        .map(|(version, route)| (route.method(), route.pattern(version)))
        .collect();
    assert_eq!(documented, routes);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_serves_its_document() {
    let stack = Stack::start(|_| {}).await;
    let answer = stack.send("GET", "/v1/openapi.json", &[], "").await;
    assert_eq!(
        (answer.status, answer.body.as_ref()),
        (200, OPENAPI.as_bytes())
    );
}

#[test]
fn every_problem_is_documented() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/common-errors.md");
    let page = std::fs::read_to_string(page).expect("the page");
    for kind in ProblemType::ALL {
        assert!(
            OPENAPI.contains(&format!("Problem: {}", kind.slug()))
                || OPENAPI.contains(&format!(", {}", kind.slug())),
            "{}",
            kind.slug()
        );
        assert!(
            page.contains(kind.slug()),
            "{} is missing in docs/common-errors.md",
            kind.slug()
        );
    }
}
