//! Tables that the service has in the clear: published as models are, merged with encrypted frames,
//! never shown. No model is published anywhere here.

use crate::frames::{Encrypted, Owner, Table, kind, stack};
use crate::stack::{Stack, name, statement};
use cipherfn_client::frames::Tables;
use cipherfn_client::{Accept, TrustError};
use cipherfn_client_http::{FetchedTable, KeyRingError, ServiceError};
use cipherfn_frame::plain::{PlainTable, SALT_LEN};
use cipherfn_frame::plan::Plan;
use cipherfn_frame::reply::Reply;
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::api::frames::{FrameId, FrameQuery};
use cipherfn_protocol::api::{ProblemType, PublishedKind};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::statement::{Serial, Statement};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_service::bucket::{Bucket, Condition};
use cipherfn_service::registry::{Model, Published};
use cipherfn_serving::frames::{PreparedQuery, StoredFrame, SumRows};
use cipherfn_signing::SigningKey;
use std::num::NonZeroUsize;
use time::OffsetDateTime;

const PRICES: &str = r#"
format = 1
name = "prices"
[[column]]
name = "sku"
type = "integer"
min = 0
max = 15
[[column]]
name = "price"
type = "integer"
min = 0
max = 65535
limb-bits = 4
nulls = true
[[column]]
name = "kind"
type = "text"
dictionary = ["bread", "wine", "salt"]
[[lookup]]
by = ["sku"]
columns = ["price", "kind"]
"#;
/// Groups and conditions by columns of the table.
const BY_KIND: &str = "SELECT kind, SUM(amount) AS total, COUNT(*) AS n FROM sales INNER JOIN prices ON sales.sku = prices.sku WHERE price > 9000 OR kind = 'bread' GROUP BY kind";
const JOINED: &str =
    "SELECT sales.sku, amount, price FROM sales LEFT JOIN prices ON sales.sku = prices.sku";
const MATCHED: &str =
    "SELECT sales.sku, price FROM sales INNER JOIN prices ON sales.sku = prices.sku";

/// Twelve of sixteen keys, one of which has no price; `first` tells versions apart.
fn price(first: i64, sku: i64) -> Option<i64> {
    (sku != 3).then_some(first + sku * 4_099)
}

fn table(first: i64) -> PlainTable {
    let schema = Schema::from_toml(PRICES).expect("a schema");
    let mut tables = Tables::new(&schema, &schema.lookups()[0]);
    for sku in 0..12 {
        tables
            .add(&vec![Some(sku), price(first, sku), Some(sku % 3)])
            .expect("a row");
    }
    let entries = vec![tables.into_entries()];
    PlainTable::new(schema, 12, [first as u8; SALT_LEN], entries).expect("a table")
}

fn published(table: &PlainTable) -> Published {
    let document = table.document().expect("JSON");
    Published {
        hash: Hash::of(&document),
        bundle: Some(table.to_bytes().expect("a file").into()),
        specs: document.into(),
        specs_v1: None,
        report: None,
        kind: PublishedKind::Table,
    }
}

async fn publish(stack: &Stack, table: &PlainTable) -> Model {
    let sign = |_: Option<&Model>, specs| Some(statement(&name("prices"), specs));
    let keep = NonZeroUsize::new(2).expect("two");
    let (named, version) = (name("prices"), published(table));
    let (registry, now) = (stack.registry(), OffsetDateTime::now_utc());
    let model = registry.publish(&named, &version, &sign, keep, now);
    model.await.expect("published")
}

/// A query over the caller's sales and a table, and what it becomes here.
fn asked(
    owner: &Owner,
    (sales, id): (&Encrypted, FrameId),
    table: &FetchedTable,
    sql: &str,
) -> (FrameQuery, PreparedQuery) {
    let schemas = [sales.head.schema.clone(), table.schema.clone()];
    let plan = Plan::from_sql(sql, &schemas).expect("a plan");
    let query = FrameQuery {
        frames: vec![id],
        tables: vec![table.version.clone()],
        models: Vec::new(),
        plan: serde_json::from_slice(&plan.to_json().expect("JSON")).expect("JSON"),
        rows_per_sum: 64,
        min_bits: 8.0,
    };
    assert_eq!(sales.head.key, owner.secret.id());
    let heads = [(sales.head.clone(), sales.stored.rows())];
    let tables = std::slice::from_ref(&table.schema);
    let prepared = PreparedQuery::new(plan, &heads, tables, SumRows::Given(64));
    (query, prepared.expect("a query"))
}

async fn fetched(owner: &Owner) -> Result<FetchedTable, ServiceError> {
    let prices = name("prices");
    owner
        .service
        .table(&prices, &owner.ring, &Accept::Pinned)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_keys_are_looked_up_in_a_published_table() {
    let stack = stack(|_| ()).await;
    let alice = Owner::new(&stack, "alice-token").await;
    let rows = Table::sales(100);
    let sales = rows.encrypted(&alice.secret, 64);
    let frame = alice.upload(&sales).await.frame;
    let error = fetched(&alice).await.expect_err("nothing is published");
    assert!(
        error.to_string().contains(" has no table prices;"),
        "{error}"
    );
    let first = table(1);
    publish(&stack, &first).await;
    let shown = fetched(&alice).await.expect("what is public");
    assert_eq!(shown.schema, *first.schema());
    let listed = alice.service.models().await.expect("a list").models;
    assert_eq!(listed[0].kind, PublishedKind::Table);

    // In a request, and by several invocations: the same bits, the cells of polars' left join.
    let cells = |first: i64, inner: bool| -> Vec<Vec<String>> {
        let rows = rows.rows.iter().map(|row| row.iter().flatten().copied());
        let rows = rows.map(Iterator::collect::<Vec<i64>>);
        let text = |price: Option<i64>| price.map_or_else(String::new, |price| price.to_string());
        rows.filter(|row| !inner || row[0] < 12)
            .map(|row| {
                let price = (row[0] < 12).then(|| price(first, row[0])).flatten();
                let (sku, price) = (row[0].to_string(), text(price));
                if inner {
                    vec![sku, price]
                } else {
                    vec![sku, row[2].to_string(), price]
                }
            })
            .collect()
    };
    let set = ParameterSet::by_tag(sales.head.parameter_set, "data frame").expect("the set");
    for (sql, inner) in [(JOINED, false), (MATCHED, true)] {
        let (query, prepared) = asked(&alice, (&sales, frame), &shown, sql);
        let stored = StoredFrame::plain(set, table(1));
        let here = alice.evaluated_here(&prepared, &[&sales.stored, &stored]);
        let figures = alice.service.explain_query(&query).await.expect("figures");
        assert!(figures.columns.iter().all(|column| column.bits.is_none()));
        let answer = alice.service.query_frames(&query).await.expect("an answer");
        assert!(answer == here, "{sql}: one process");
        let shared = alice.service.query_frames_as_job(&query, 64).await;
        assert!(shared.expect("an answer") == here, "{sql}: several");
        assert_eq!(alice.opened(&prepared, &answer), cells(1, inner), "{sql}");
    }

    // Groups and conditions by its columns: the server has its cells, the client says what they are worth
    // without.
    let grouped = |first: i64| {
        let mut groups = [(0, 0); 3];
        for row in &rows.rows {
            let (sku, amount) = (row[0].expect("no nulls"), row[2].expect("no nulls"));
            let kind = sku % 3;
            let is_dear = price(first, sku).is_some_and(|price| price > 9000);
            if sku < 12 && (is_dear || kind == 0) {
                let group = &mut groups[kind as usize];
                *group = (group.0 + amount, group.1 + 1);
            }
        }
        let groups = ["bread", "wine", "salt"].into_iter().zip(groups);
        let shown = |(kind, (total, n)): (&str, (i64, i64))| {
            vec![kind.to_owned(), total.to_string(), n.to_string()]
        };
        groups.map(shown).collect::<Vec<_>>()
    };
    let (query, prepared) = asked(&alice, (&sales, frame), &shown, BY_KIND);
    let figures = alice.service.explain_query(&query).await.expect("figures");
    assert!(
        figures.columns.iter().all(|column| column.bits.is_none()),
        "{figures:?}"
    );
    let stored = StoredFrame::plain(set, table(1));
    let here = alice.evaluated_here(&prepared, &[&sales.stored, &stored]);
    let answer = alice.service.query_frames(&query).await.expect("an answer");
    assert!(answer == here, "one process");
    let shared = alice.service.query_frames_as_job(&query, 64).await;
    assert!(shared.expect("an answer") == here, "several");
    assert_eq!(alice.opened(&prepared, &answer), grouped(1));

    // Other cells are another version; both answer, each with its own.
    publish(&stack, &table(2)).await;
    let second = fetched(&alice).await.expect("a newer version");
    assert_ne!(second.version, shown.version);
    for (version, first) in [(&shown, 1), (&second, 2)] {
        let (query, prepared) = asked(&alice, (&sales, frame), version, JOINED);
        let answer = alice.service.query_frames(&query).await.expect("an answer");
        assert_eq!(alice.opened(&prepared, &answer), cells(first, false));
    }
    // An answer of one version is none of the other.
    let (_, prepared) = asked(&alice, (&sales, frame), &shown, JOINED);
    let (query, _) = asked(&alice, (&sales, frame), &second, JOINED);
    let answer = alice.service.query_frames(&query).await.expect("an answer");
    let reply = Reply::from_bytes(&answer).expect("an answer");
    assert_ne!(reply.query, prepared.hash);

    // Rolled back by its developer, and the first one is current again.
    let sign = |_: Option<&Model>, specs| Some(statement(&name("prices"), specs));
    let (registry, prices) = (stack.registry(), name("prices"));
    let rolled = registry.roll_back(&prices, None, &sign).await;
    assert!(rolled.expect("rolled back").is_some());
    assert_eq!(
        fetched(&alice).await.expect("a table").version,
        shown.version
    );

    // A table predicts nothing.
    let cost = format!("/v2/models/prices/cost?specs={}", shown.version.specs);
    let headers = [("authorization", "Bearer alice-token")];
    let cost = stack.send("GET", &cost, &headers, "").await.problem();
    assert_eq!(cost.kind, ProblemType::UnknownModel, "{cost:?}");

    // Removed: no query is answered, in a request or as a job.
    let gone = Some(second.version.specs);
    let removed = registry.remove(&prices, gone, &sign).await;
    assert!(removed.expect("removed").1);
    let error = alice.service.query_frames(&query).await.unwrap_err();
    assert_eq!(kind(&error), Some(ProblemType::StaleSpecs), "{error}");
    let current = error.problem().and_then(|problem| problem.current_specs);
    assert_eq!(current, Some(shown.version.specs));
    let removed = registry.remove(&prices, None, &sign).await;
    removed.expect("removed");
    for error in [
        alice.service.query_frames(&query).await.unwrap_err(),
        alice
            .service
            .query_frames_as_job(&query, 64)
            .await
            .unwrap_err(),
        alice.service.explain_query(&query).await.unwrap_err(),
    ] {
        assert_eq!(kind(&error), Some(ProblemType::UnknownTable), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_what_its_developer_signed_is_refused() {
    let stack = stack(|_| ()).await;
    let alice = Owner::new(&stack, "alice-token").await;
    let sales = Table::sales(8).encrypted(&alice.secret, 64);
    let frame = alice.upload(&sales).await.frame;
    let model = publish(&stack, &table(1)).await;
    let shown = fetched(&alice).await.expect("what is public");
    let (query, _) = asked(&alice, (&sales, frame), &shown, JOINED);

    // Other cells under the same document: what it commits to is not there.
    let mut objects = stack.objects().await.into_iter();
    let bundle = objects.rfind(|key| key.ends_with("bundle.cfn"));
    let bundle = bundle.expect("the table's file");
    let registry = stack.registry();
    let put = registry.bucket().put(
        &bundle,
        table(5).to_bytes().expect("a file").into(),
        "application/octet-stream",
        Condition::Always,
    );
    put.await.expect("written");
    let refused = stack.send(
        "POST",
        "/v2/frames/query",
        &[
            ("content-type", "application/json"),
            ("authorization", "Bearer alice-token"),
        ],
        serde_json::to_vec(&query).expect("JSON"),
    );
    assert_eq!(refused.await.problem().kind, ProblemType::Internal);

    // Somebody else's version: the key ring knows whose the table is.
    let stranger = SigningKey::generate().expect("a key");
    let sign = |_: Option<&Model>, specs| {
        Some(stranger.sign(Statement {
            model: name("prices"),
            specs,
            serial: Serial(u64::MAX),
        }))
    };
    let (keep, now) = (NonZeroUsize::MIN, OffsetDateTime::now_utc());
    let version = published(&table(6));
    let published = registry
        .publish(&name("prices"), &version, &sign, keep, now)
        .await;
    published.expect("published");
    let error = fetched(&alice).await.unwrap_err();
    let ServiceError::KeyRing(error) = error else {
        panic!("{error}");
    };
    assert!(
        matches!(
            *error,
            KeyRingError::Trust(TrustError::OtherDeveloper { .. })
        ),
        "{error}"
    );
    assert_eq!(model.name, name("prices"));

    // A version that is gone, and a name that stands for two things.
    let mut twice = query.clone();
    twice.tables.push(twice.tables[0].clone());
    let error = alice.service.query_frames(&twice).await.unwrap_err();
    assert_eq!(kind(&error), Some(ProblemType::StaleSpecs), "{error}");
    let prices = name("prices");
    let newest = alice.service.table(&prices, &alice.ring, &Accept::Offered);
    let newest = newest.await.expect("accepted");
    twice.tables = vec![newest.version.clone(), newest.version.clone()];
    let error = alice.service.query_frames(&twice).await.unwrap_err();
    assert_eq!(kind(&error), Some(ProblemType::MalformedRequest), "{error}");
}
