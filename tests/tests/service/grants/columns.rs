//! Columns that one tenant lets another add beside the rows of a frame.

use super::{add, grant, more, refused, revocation};
use crate::frames::{Owner, Table, query, stack, sums};
use cipherfn_frame::cells::Units;
use cipherfn_frame::schema::{Rows, Schema};
use cipherfn_protocol::api::ProblemType;
use cipherfn_protocol::api::grant::{GrantTarget, GrantedColumns};

const CLASSES: &str = r#"
format = 1
name = "sales"
[[column]]
name = "class"
type = "integer"
min = 0
max = 3
roles = ["key"]
"#;
const BY_CLASS: &str =
    "SELECT class, SUM(amount) AS total FROM sales WHERE age > 30 GROUP BY class";

/// A class for each of so many rows.
fn classes(count: i64) -> Table {
    Table {
        schema: Schema::from_toml(CLASSES).expect("a schema"),
        rows: (0..count).map(|row| vec![Some(row * 5 % 4)]).collect(),
    }
}

/// What a grant of columns of this schema says of a frame.
fn granted(schema: &str, parts: &[u64]) -> GrantedColumns {
    let schema = Schema::from_toml(schema).expect("a schema");
    let rows = Rows {
        count: Some(parts.iter().sum()),
        padded: false,
    };
    let json = schema.with_rows(rows).to_json().expect("JSON");
    GrantedColumns {
        schema: String::from_utf8(json).expect("text"),
        parts: parts.to_vec(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_others_add_are_asked_like_the_owner_s() {
    let stack = stack(|_| ()).await;
    let alice = Owner::new(&stack, "alice-token").await;
    let bob = stack.service_of("bob-token");
    let (table, class) = (Table::sales(100), classes(100));
    let stored = alice.upload(&table.encrypted(&alice.secret, 64)).await;
    let (id, parts) = (stored.frame, [64, 36]);
    assert_eq!(stored.parts, parts);
    let offer = async |number, schema: &str, parts: &[u64]| {
        let columns = GrantTarget::Columns(id, granted(schema, parts));
        let own = grant(&alice.service, id, number, |grant| grant.target = columns).await;
        (alice.service.offer_grant(&own).await, own)
    };

    // Columns that do not go beside the frame.
    for (schema, parts, wanted) in [
        (
            CLASSES.replace("\"class\"", "\"age\""),
            &parts[..],
            "\"age\"",
        ),
        (
            CLASSES.replace("\"sales\"", "\"other\""),
            &parts[..],
            "another frame",
        ),
        (
            format!("{CLASSES}[[lookup]]\nby = [\"class\"]\n"),
            &parts[..],
            "lookup",
        ),
        (CLASSES.to_owned(), &[100, 1], "others than the frame's"),
    ] {
        let (refusal, _) = offer(1, &schema, parts).await;
        refused(refusal, ProblemType::MalformedRequest, wanted);
    }
    let (refusal, _) = offer(1, CLASSES, &[36, 64]).await;
    refused(refusal, ProblemType::MalformedFrame, "other rows");

    let (offered, own) = offer(2, CLASSES, &parts).await;
    offered.expect("a grant");
    // Rows by a grant of columns, a part of the rows, and then what was granted.
    let rows = more(&alice.secret, 100).pieces;
    let tried = add(&bob, &own, &rows).await;
    refused(tried, ProblemType::MalformedFrame, "another schema");
    let (offered, own) = offer(3, CLASSES, &parts).await;
    offered.expect("a grant");
    let encrypted = class.encrypted(&alice.secret, 64);
    let tried = add(&bob, &own, &encrypted.pieces[..1]).await;
    refused(tried, ProblemType::MalformedFrame, "not all rows");
    let added = add(&bob, &own, &encrypted.pieces).await.expect("added");
    assert_eq!(
        (added.rows, &added.columns[..]),
        (0, &["class".to_owned()][..])
    );
    let again = add(&bob, &own, &encrypted.pieces).await.expect("known");
    assert_eq!(again, added);

    // The owner asks them like its own, in a request and by several invocations.
    let shown = alice.service.frame(id).await.expect("a status");
    assert_eq!((shown.rows, shown.pieces), (100, 4));
    let schema = serde_json::to_vec(&shown.schema).expect("JSON");
    let both = table.rows.iter().zip(&class.rows);
    let whole = Table {
        schema: Schema::from_json(&schema).expect("a schema"),
        rows: both
            .map(|(row, class)| [&row[..], class].concat())
            .collect(),
    };
    let whole = whole.encrypted(&alice.secret, 100);
    let asked = query(BY_CLASS, &[&whole], &[id]);
    let cell = |row: &Units, column: usize| row[column].expect("no nulls");
    let rows = table.rows.iter().zip(&class.rows);
    let expected = rows.filter(|(row, _)| cell(row, 1) > 30);
    let expected = sums(expected.map(|(row, class)| (cell(class, 0), cell(row, 2))));
    let request = alice.service.query_frames(&asked).await;
    let request = request.expect("an answer");
    assert_eq!(alice.open(BY_CLASS, &[&whole], &request), expected);
    let job = alice.service.query_frames_as_job(&asked, 64).await;
    assert!(job.expect("an answer") == request);

    // More rows would have no class, and a second class no name.
    let rows = grant(&alice.service, id, 4, |_| ()).await;
    let refusal = alice.service.offer_grant(&rows).await;
    refused(
        refusal,
        ProblemType::MalformedRequest,
        "columns that others added",
    );
    let (refusal, _) = offer(5, CLASSES, &parts).await;
    refused(refusal, ProblemType::MalformedRequest, "\"class\"");

    // Without them, and with others whose rows share ciphertexts otherwise: nothing is made of these.
    let left = alice
        .service
        .revoke_grant(id, &revocation(&own, true))
        .await;
    assert_eq!(left.expect("revoked").pieces, 2);
    let refusal = alice.service.query_frames(&asked).await;
    refused(refusal, ProblemType::PlanRefused, "class");
    let (offered, own) = offer(6, CLASSES, &parts).await;
    offered.expect("a grant");
    let otherwise = classes(100).encrypted(&alice.secret, 50);
    add(&bob, &own, &otherwise.pieces).await.expect("added");
    let refusal = alice.service.query_frames(&asked).await;
    refused(
        refusal,
        ProblemType::MalformedFrame,
        "rows 1 to 64 lie otherwise",
    );
}
