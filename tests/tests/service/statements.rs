//! Developers' signed statements on their way to clients.

use crate::models::{TREE, TREE_2};
use crate::stack::{DEVELOPER, Stack, name, statement};
use cipherfn_protocol::api::STATEMENT;
use cipherfn_protocol::statement::SignedStatement;
use cipherfn_signing::verify;

#[tokio::test(flavor = "multi_thread")]
async fn specs_come_with_the_newest_statement_on_them() {
    let stack = Stack::start(|_| {}).await;
    stack.publish("tree", &TREE.bundle, 2).await;
    stack.publish("tree", &TREE_2.bundle, 2).await;
    let target = "/v2/models/tree";
    let stated = async |target: &str, headers: &[(&str, &str)], status| {
        let answer = stack.send("GET", target, headers, "").await;
        assert_eq!(answer.status, status, "{target}");
        let value = answer.headers.get(STATEMENT)?;
        let signed = SignedStatement::from_json(value.as_bytes()).expect("a statement");
        verify(&signed).expect("signed");
        assert_eq!(signed.key, DEVELOPER.public());
        assert_eq!(signed.statement.model, name("tree"));
        let tag = format!("\"{}\"", signed.statement.specs);
        assert_eq!(
            answer.header("etag"),
            tag,
            "on the document that it is beside"
        );
        Some(signed.statement)
    };
    let newest = stated(target, &[], 200).await.expect("a statement");
    assert_eq!(newest.specs, TREE_2.bundle.specs_hash());
    // Clients that hold the document get its statement all the same.
    let tag = format!("\"{}\"", newest.specs);
    let held = stated(target, &[("if-none-match", &tag)], 304).await;
    assert_eq!(held.as_ref(), Some(&newest));
    // The version before is still stated as it was.
    let version = format!("{target}?specs={}", TREE.bundle.specs_hash());
    let older = stated(&version, &[], 200).await.expect("a statement");
    assert!(older.serial < newest.serial);
    // Version 1 knows of none.
    assert_eq!(stated("/v1/models/tree", &[], 200).await, None);

    // Current again, the version before is stated anew.
    let registry = stack.registry();
    let model = name("tree");
    let sign = |_: Option<&_>, specs| Some(statement(&model, specs));
    registry
        .roll_back(&model, None, &sign)
        .await
        .expect("rolled back");
    let back = stated(target, &[], 200).await.expect("a statement");
    assert_eq!(back.specs, older.specs);
    assert!(back.serial > newest.serial);
    // So is the one that becomes current because the other is removed.
    let removed = registry.remove(&model, Some(back.specs), &sign);
    removed.await.expect("removed");
    let left = stated(target, &[], 200).await.expect("a statement");
    assert_eq!(left.specs, newest.specs);
    assert!(left.serial > back.serial);
}
