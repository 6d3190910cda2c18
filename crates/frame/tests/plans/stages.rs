//! Stages in the clear, with the key holder between them, against the same worked out row by row.

mod polars;

use super::form;
use super::interpreter::{Data, run};
use cipherfn_frame::answer::Table;
use cipherfn_frame::cells::Units;
use cipherfn_frame::plan::Plan;
use cipherfn_frame::schema::{Rows, Schema};
use cipherfn_frame::stages::Stage;
use proptest::prelude::*;

/// `class` is looked up by `sku`, `weight` by `class`.
const SALES: &str = r#"
format = 1
name = "sales"
[[column]]
name = "sku"
type = "integer"
min = 0
max = 7
nulls = true
roles = ["key"]
[[column]]
name = "a"
type = "integer"
min = -20
max = 300
roles = ["value"]
[[column]]
name = "b"
type = "decimal"
places = 1
min = -5.0
max = 5.0
nulls = true
roles = ["value"]
"#;
const SKUS: &str = r#"
format = 1
name = "skus"
[[column]]
name = "sku"
type = "integer"
min = 0
max = 7
roles = ["key"]
[[column]]
name = "class"
type = "integer"
min = 0
max = 9
[[lookup]]
by = ["sku"]
columns = ["class"]
"#;
/// What rows of sales are grouped and chosen by.
const KINDS: &str = r#"
format = 1
name = "kinds"
[[column]]
name = "sku"
type = "integer"
min = 0
max = 7
nulls = true
roles = ["key"]
[[column]]
name = "kind"
type = "integer"
min = 0
max = 3
roles = ["key"]
[[column]]
name = "rank"
type = "integer"
min = 0
max = 9
roles = ["key"]
[[lookup]]
by = ["sku"]
columns = ["kind", "rank"]
"#;
const CLASSES: &str = r#"
format = 1
name = "classes"
[[column]]
name = "class"
type = "integer"
min = 2
max = 5
roles = ["key"]
[[column]]
name = "weight"
type = "integer"
min = 0
max = 40
[[lookup]]
by = ["class"]
columns = ["weight"]
"#;

/// A frame's schema with its rows.
type Frame = (Schema, Vec<Units>);

fn frame(toml: &str, rows: Vec<Units>) -> Frame {
    let schema = Schema::from_toml(toml).expect("a schema");
    let count = Some(rows.len() as u64);
    let rows_said = Rows {
        count,
        padded: false,
    };
    (schema.with_rows(rows_said), rows)
}

/// The rows of a plan as texts, and how many stages it took.
fn carried_out(sql: &str, frames: Vec<Frame>) -> (Vec<String>, usize) {
    let schemas: Vec<Schema> = frames.iter().map(|frame| frame.0.clone()).collect();
    let plan = Plan::from_sql(sql, &schemas).unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert_eq!(
        Plan::from_json(&plan.to_json().expect("JSON")).as_ref(),
        Ok(&plan)
    );
    followed(&plan, frames)
}

/// The rows of a plan's last stage, and the number of stages.
fn followed(plan: &Plan, frames: Vec<Frame>) -> (Vec<String>, usize) {
    let schemas: Vec<Schema> = frames.iter().map(|frame| frame.0.clone()).collect();
    let stages = plan
        .stages(&schemas, &form())
        .unwrap_or_else(|error| panic!("{plan:?}: {error}"));
    followed_by(plan, &stages, frames)
}

fn followed_by(plan: &Plan, stages: &[Stage], mut frames: Vec<Frame>) -> (Vec<String>, usize) {
    let mut table = None;
    for stage in stages {
        let rows = evaluated(&stage.plan, &frames);
        let mut own = rows;
        assert!(stage.take(&mut own), "{plan:?}");
        if let Some(refresh) = &stage.refresh {
            let refreshed = refresh.rows(&own);
            assert_eq!(refreshed.wrong, None, "{plan:?}");
            frames.push((refresh.schema.clone(), refreshed.rows));
        }
        table = Some(own);
    }
    let rows = table.expect("a stage").rows.into_iter();
    let rows = rows.map(|row| {
        let cells: Vec<String> = row.iter().map(ToString::to_string).collect();
        cells.join(",")
    });
    (rows.collect(), stages.len())
}

fn evaluated(plan: &Plan, frames: &[Frame]) -> Table {
    let schemas: Vec<Schema> = frames.iter().map(|frame| frame.0.clone()).collect();
    let query = plan.resolve(&schemas).expect("resolved");
    let query = query.lower(&form()).expect("levelled");
    let data = query.frames.iter().map(|name| {
        let mut all = frames.iter();
        let (schema, rows) = all.find(|frame| frame.0.name() == name).expect("a frame");
        let count = schema.rows().count.expect("rows") as usize;
        Data {
            schema,
            rows,
            padding: count - rows.len(),
        }
    });
    let data: Vec<Data<'_>> = data.collect();
    let exact = vec![0.0; query.answer.columns.len()];
    query.answer.table(&run(&query, &data), &exact)
}

fn sales() -> impl Strategy<Value = Vec<Units>> {
    let row = (
        proptest::option::weighted(0.8, 0..8i64),
        -20..=300i64,
        proptest::option::weighted(0.8, -50..=50i64),
    );
    let row = row.prop_map(|(sku, a, b)| vec![sku, Some(a), b]);
    proptest::collection::vec(row, 0..9)
}

fn looked(keys: std::ops::RangeInclusive<i64>, most: i64) -> impl Strategy<Value = Vec<Units>> {
    let row = move |key| {
        proptest::option::of(0..=most)
            .prop_map(move |value| value.map(|value| vec![Some(key), Some(value)]))
    };
    let rows: Vec<_> = keys.map(row).collect();
    rows.prop_map(|rows| rows.into_iter().flatten().collect())
}

fn value(rows: &[Units], key: Option<i64>) -> Option<i64> {
    let row = rows.iter().find(|row| row[0].is_some() && row[0] == key);
    row.and_then(|row| row[1])
}

fn shown(cell: Option<i64>) -> String {
    cell.map_or_else(String::new, |cell| cell.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn stages_answer_as_their_steps_say(
        sales in sales(),
        skus in looked(0..=7, 9),
        classes in looked(2..=5, 40),
    ) {
        let all = || vec![
            frame(SALES, sales.clone()),
            frame(SKUS, skus.clone()),
            frame(CLASSES, classes.clone()),
        ];
        let class = |row: &Units| value(&skus, row[0]);

        // A filter on a looked-up column.
        let sql = "SELECT a, class FROM sales LEFT JOIN skus ON sales.sku = skus.sku WHERE class > 4";
        let kept = sales.iter().filter(|row| class(row).is_some_and(|own| own > 4));
        let wanted: Vec<String> =
            kept.map(|row| format!("{},{}", shown(row[1]), shown(class(row)))).collect();
        prop_assert_eq!(carried_out(sql, all()), (wanted, 1));

        // A filter on a sum of values, which is no column of the answer.
        let sql = "SELECT a FROM sales WHERE a + b > 100";
        let kept = sales.iter().filter(|row| row[2].is_some_and(|b| row[1].unwrap() * 10 + b > 1000));
        let wanted: Vec<String> = kept.map(|row| shown(row[1])).collect();
        prop_assert_eq!(carried_out(sql, all()), (wanted, 1));

        // A merge by a looked-up column, whose keys have another range than it.
        let sql = "SELECT a, weight FROM sales LEFT JOIN skus ON sales.sku = skus.sku LEFT JOIN classes ON skus.class = classes.class";
        let weight = |row: &Units| value(&classes, class(row));
        let wanted: Vec<String> =
            sales.iter().map(|row| format!("{},{}", shown(row[1]), shown(weight(row)))).collect();
        prop_assert_eq!(carried_out(sql, all()), (wanted, 2));

        // Groups by a looked-up column, in order.
        let sql = "SELECT class, SUM(a) AS total FROM sales INNER JOIN skus ON sales.sku = skus.sku WHERE a + b > 0 GROUP BY class ORDER BY class DESC";
        let mut groups = std::collections::BTreeMap::new();
        for row in &sales {
            if let (Some(class), Some(b)) = (class(row), row[2])
                && row[1].unwrap() * 10 + b > 0
            {
                *groups.entry(class).or_insert(0) += row[1].unwrap();
            }
        }
        let wanted: Vec<String> =
            groups.iter().rev().map(|(class, total)| format!("{class},{total}")).collect();
        let (found, _) = carried_out(sql, all());
        prop_assert_eq!(found, wanted);

        // The key holder's conditions are those of SQL; groups are cut, in order.
        let sql = "SELECT sku, COUNT(*) AS n, AVG(a) AS m FROM sales GROUP BY sku HAVING (AVG(a) > 20.5 OR sku IS NULL) AND NOT SUM(a) IN (7, 100) ORDER BY sku LIMIT 2 OFFSET 1";
        let mut groups: std::collections::BTreeMap<Option<i64>, Vec<i64>> = std::collections::BTreeMap::new();
        for row in &sales {
            groups.entry(row[0]).or_default().push(row[1].unwrap());
        }
        let mean = |cells: &[i64]| cells.iter().sum::<i64>() as f64 / cells.len() as f64;
        let kept = groups.iter().filter(|(sku, cells)| {
            let sum: i64 = cells.iter().sum();
            (mean(cells) > 20.5 || sku.is_none()) && sum != 7 && sum != 100
        });
        let wanted: Vec<String> = kept
            .skip(1)
            .take(2)
            .map(|(sku, cells)| format!("{},{},{}", shown(*sku), cells.len(), mean(cells)))
            .collect();
        prop_assert_eq!(carried_out(sql, all()), (wanted, 1));

        // A product of values, filtered; then each row once.
        let sql = "SELECT DISTINCT sku FROM sales WHERE a * b < 50";
        let mut wanted = Vec::new();
        for row in &sales {
            let sku = shown(row[0]);
            if row[2].is_some_and(|b| row[1].unwrap() * b < 500) && !wanted.contains(&sku) {
                wanted.push(sku);
            }
        }
        let (found, _) = carried_out(sql, all());
        prop_assert_eq!(found, wanted);

        // A product of values is no column that the server makes; one stage and the key holder.
        let sql = "SELECT a * b AS product FROM sales ORDER BY product";
        let mut products: Vec<Option<i64>> =
            sales.iter().map(|row| row[2].map(|b| row[1].unwrap() * b)).collect();
        products.sort_unstable();
        let (found, stages) = carried_out(sql, all());
        let found: Vec<Option<f64>> = found.iter().map(|cell| cell.parse().ok()).collect();
        let wanted: Vec<Option<f64>> =
            products.iter().map(|own| own.map(|own| own as f64 / 10.0)).collect();
        prop_assert_eq!((found, stages), (wanted, 1));
    }
}

/// What is pushed down in one query takes a stage more where no pass may read another one's sums.
#[test]
fn aggregates_over_merges_need_no_sums_that_are_read() {
    let frames = || {
        let sales = [(1, 10, 2), (2, 20, 3), (3, 5, 4), (2, 7, 5), (6, 9, 2)];
        let sales = sales.map(|(sku, a, b)| vec![Some(sku), Some(a), Some(b)]);
        let kinds = [(1, 0, 3), (2, 1, 4), (3, 0, 5), (4, 1, 6), (6, 1, 9)];
        let kinds = kinds.map(|(sku, kind, rank)| vec![Some(sku), Some(kind), Some(rank)]);
        vec![frame(SALES, sales.to_vec()), frame(KINDS, kinds.to_vec())]
    };
    let schemas: Vec<Schema> = frames().iter().map(|frame| frame.0.clone()).collect();
    let sql = "SELECT kind, SUM(a) AS total, COUNT(*) AS n FROM sales JOIN kinds ON sales.sku = kinds.sku WHERE rank < 8 GROUP BY kind";
    let plan = Plan::from_sql(sql, &schemas).expect("a plan");
    let pushed = plan.stages(&schemas, &form()).expect("stages");
    let decrypted = plan.stages_of_one_pass(&schemas, &form()).expect("stages");
    let (rows, stages) = followed_by(&plan, &pushed, frames());
    assert_eq!(stages, 1);
    let (again, stages) = followed_by(&plan, &decrypted, frames());
    assert_eq!(stages, 2);
    assert_eq!(rows, again);
    assert_eq!(rows, ["0,15,2", "1,27,2"]);
}

#[test]
fn what_no_refresh_helps_against_is_named() {
    let frames = [frame(SALES, vec![vec![None, Some(1), None]])];
    let schemas = [frames[0].0.clone()];
    let refused = |json: &str| {
        let plan = Plan::from_json(json.as_bytes()).expect("a plan");
        plan.stages(&schemas, &form())
            .expect_err("refused")
            .to_string()
    };
    // The mean is a column of the groups that are grouped.
    let means = r#"{"format": 1, "scan": "sales", "steps": [
        {"group_by": {"keys": ["sku"], "aggregates": [{"name": "m", "of": {"mean": "a"}}, {"name": "n", "of": "len"}]}},
        {"group_by": {"keys": ["n"], "aggregates": [{"name": "m", "of": {"sum": "m"}}]}}]}"#;
    let error = refused(means);
    assert!(
        error.contains("step 2 (group_by)") && error.contains("holds means"),
        "{error}"
    );
    // Conditions that the key holder would have to decide are held to what the server decides.
    for (of, problem) in [
        (
            r#"{"gt": [{"col": "n"}, {"lit": "x"}]}"#,
            "give a value of its type",
        ),
        (r#"{"gt": [{"lit": 2}, {"lit": 1}]}"#, "compare a column"),
        (r#"{"not": {"col": "n"}}"#, "is no condition"),
        (r#"{"is_in": [{"col": "z"}, [1]]}"#, "no column \"z\""),
    ] {
        let plan = means.replace(
            r#"{"group_by": {"keys": ["n"], "aggregates": [{"name": "m", "of": {"sum": "m"}}]}}"#,
            &format!(r#"{{"filter": {of}}}"#),
        );
        let error = refused(&plan);
        assert!(
            error.contains("step 2 (filter)") && error.contains(problem),
            "{error}"
        );
    }
    let unknown = r#"{"format": 2, "scan": "sales", "steps": [{"sort": [{"column": "c"}]}]}"#;
    let error = refused(unknown);
    assert!(
        error.contains("step 1 (sort)") && error.contains("no column \"c\""),
        "{error}"
    );
    let old = unknown.replace("\"format\": 2", "\"format\": 1");
    let error = Plan::from_json(old.as_bytes())
        .expect_err("an old format")
        .to_string();
    assert!(error.contains("\"format\": 2"), "{error}");
}

/// Rows are told apart by all of their columns, and counted by none.
#[test]
fn distinct_rows_are_counted() {
    let rows = [1, 1, 2].map(|sku| vec![Some(sku), Some(5), None]);
    let plan = r#"{"format": 2, "scan": "sales", "steps": ["distinct",
        {"group_by": {"keys": [], "aggregates": [{"name": "n", "of": "len"}]}}]}"#;
    let plan = Plan::from_json(plan.as_bytes()).expect("a plan");
    let found = followed(&plan, vec![frame(SALES, rows.to_vec())]);
    assert_eq!(found, (vec!["2".to_owned()], 2));
}
