//! Plans that are refused, each by its step and with a way out.

use cipherfn_circuit::Dimensions;
use cipherfn_frame::Resolved;
use cipherfn_frame::pass::CircuitForm;
use cipherfn_frame::plan::{
    Cardinality, Expression, JoinType, Literal, NamedAggregate, Plan, PlanError, PlanStep,
};
use cipherfn_frame::query::{Query, col, count, len, max, median, min, sum};
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::specs::{BaseLog, Bits, Gadget, Levels};

const SALES: &str = r#"
format = 1
name = "sales"
rows = 1000
[[column]]
name = "sku"
type = "integer"
min = 0
max = 2047
roles = ["key"]
[[column]]
name = "region"
type = "text"
dictionary = ["north", "south"]
roles = ["key"]
[[column]]
name = "amount"
type = "integer"
min = 0
max = 65535
roles = ["value"]
[[column]]
name = "weight"
type = "integer"
min = 0
max = 65535
roles = ["value"]
"#;

const PRICES: &str = r#"
format = 1
name = "prices"
[[column]]
name = "sku"
type = "integer"
min = 0
max = 2047
roles = ["key"]
[[column]]
name = "price"
type = "integer"
min = 0
max = 255
roles = ["value"]
[[column]]
name = "class"
type = "integer"
min = 0
max = 7
roles = ["key"]
[[lookup]]
by = ["sku"]
columns = ["price", "class"]
"#;

fn schemas() -> Vec<Schema> {
    [SALES, PRICES]
        .map(|text| Schema::from_toml(text).expect("a schema"))
        .into()
}

fn lower(plan: &Plan) -> Result<(), PlanError> {
    check(plan, &schemas())
}

/// Makes circuits of a plan, which obey the rules of circuits.
fn check(plan: &Plan, schemas: &[Schema]) -> Result<(), PlanError> {
    let form = CircuitForm {
        parameter_set: "cipherfn-128-n2048-m11-v1".into(),
        gadget: Gadget::new(BaseLog::new(6), Levels::new(4)),
        reply_bits: Bits::new(24),
        rows_per_sum: 400,
    };
    let resolved: Resolved<'_> = plan.resolve(schemas)?;
    for pass in resolved.lower(&form)?.passes {
        let dimensions = Dimensions {
            glwe_dimension: 1,
            polynomial_size: 2048,
            bootstrap_table: None,
        };
        pass.circuit.validate(dimensions).expect("a circuit");
    }
    Ok(())
}

#[track_caller]
fn refused(query: Query, text: &str) {
    let error = lower(&query.plan()).expect_err("it is refused").to_string();
    assert!(error.contains(text), "{error}");
}

fn sales() -> Query {
    Query::scan("sales")
}

#[test]
fn what_is_not_levelled_says_what_a_refresh_would_be() {
    let price = || sales().merge("prices").on("sku").left();
    refused(
        price().filter(col("price").gt(3)),
        "step 2 (filter): it chooses by column \"price\", which the server computes, which is not levelled: a client refresh would be one round trip: 1000 cells",
    );
    refused(
        price().group_by(["price"]).agg([len()]),
        "step 2 (group_by)",
    );
    refused(
        sales().with_column("x", col("amount").times(col("weight"))),
        "the product of column \"weight\" and column \"amount\" has two values",
    );
    refused(
        price()
            .with_column("sku", col("price").plus(1))
            .merge("prices")
            .on("sku")
            .suffix("_2")
            .left(),
        "step 3 (merge)",
    );
    refused(
        sales()
            .group_by(["region"])
            .agg([sum("amount")])
            .filter(col("amount").gt(3)),
        "step 2 (filter): it works on groups",
    );
    refused(
        price().group_by(["region", "class"]).agg([sum("amount")]),
        "not levelled",
    );
    refused(
        price().group_by(["class"]).agg([sum("amount")]),
        "merge by \"inner\"",
    );
    refused(
        sales()
            .merge("prices")
            .on("sku")
            .inner()
            .filter(col("class").eq(1)),
        "filter the decrypted answer",
    );
}

#[test]
fn names_types_and_ranges_are_checked() {
    refused(
        Query::scan("sale"),
        "scan: there is no frame \"sale\"; the frames are \"sales\", \"prices\"",
    );
    refused(
        sales().select(["amont"]),
        "step 1 (select): there is no column \"amont\"; the columns are \"sku\", \"region\", \"amount\", \"weight\"",
    );
    refused(
        sales().filter(col("amount").gt(3)),
        "give it the role \"key\"",
    );
    refused(
        sales().filter(col("sku").eq("x")),
        "column \"sku\" (integer) is compared with \"x\"",
    );
    refused(
        sales().filter(col("region").eq("west")),
        "is not in its dictionary: \"north\", \"south\"",
    );
    refused(
        sales().filter(col("region").lt("north")),
        "whose order is not kept",
    );
    refused(sales().filter(col("sku")), "is no condition");
    refused(
        sales().with_column("x", col("region").plus(1)),
        "cannot be added",
    );
    refused(
        sales().merge("prices").on("region").left(),
        "there is no column \"region\"",
    );
    refused(
        sales().merge("prices").on_pair("region", "class").left(),
        "have different types, ranges or dictionaries",
    );
    refused(
        sales().rename("sku", "amount"),
        "two columns are named \"amount\"",
    );
    refused(
        sales().with_column("x", col("sku").cut([5, 3])),
        "put breaks in order",
    );
    refused(sales().agg([median("amount")]), "give it the role \"key\"");
    refused(sales().agg([max("region")]), "whose order is not kept");
    refused(sales().agg([sum("region")]), "it is no number");
    let twice = || {
        sales()
            .merge("prices")
            .on("sku")
            .left()
            .merge("prices")
            .on("sku")
            .left()
    };
    refused(
        twice().merge("prices").on("sku").left(),
        "two columns are named",
    );
    refused(
        sales()
            .group_by(["sku"])
            .agg([median("sku").alias("m"), count("amount")]),
        "combinations of keys' values",
    );
}

/// Rows without partner have missing cells, and conditions on them are missing.
#[test]
fn conditions_that_forget_rows_without_partner_are_refused() {
    let joined = || sales().merge("prices").on("sku").left();
    let counted = |condition| joined().filter(condition).agg([len()]);
    let whole = || col("class").ge(0);
    for condition in [
        whole(),
        col("class").lt(0).negated(),
        whole().or(col("sku").gt(3)),
        col("class").gt(3).or(col("class").le(3)),
    ] {
        refused(counted(condition), "rows without partner in \"prices\"");
    }
    refused(
        joined().with_column("all", whole()),
        "rows without partner in \"prices\"",
    );
    lower(&counted(col("class").gt(3)).plan()).unwrap();
    let inner = sales().merge("prices").on("sku").inner();
    lower(&inner.filter(whole()).agg([len()]).plan()).unwrap();
}

#[test]
fn long_chains_of_sql_are_refused_before_they_are_parsed() {
    for operator in ["OR sku = 1 ", "AND NOT sku = 1 ", "OR sku + 1 = 1 "] {
        let sql = format!(
            "SELECT sku FROM sales WHERE sku = 1 {}",
            operator.repeat(3000)
        );
        let error = Plan::from_sql(&sql, &schemas()).unwrap_err().to_string();
        assert!(error.contains("operators"), "{error}");
    }
}

#[test]
fn a_list_is_one_condition_however_long_it_is() {
    let schemas = schemas();
    let passes = |query: Query| {
        let form = CircuitForm {
            parameter_set: "cipherfn-128-n2048-m11-v1".into(),
            gadget: Gadget::new(BaseLog::new(6), Levels::new(4)),
            reply_bits: Bits::new(24),
            rows_per_sum: 400,
        };
        let plan = query.plan();
        let resolved = plan.resolve(&schemas).expect("a plan");
        resolved.lower(&form).expect("passes").passes
    };
    let list: Vec<Literal> = (0..4000_i64)
        .map(|place| Literal::from(place % 7))
        .collect();
    let listed = passes(sales().filter(col("sku").is_in(list)).select(["amount"]));
    let below = passes(sales().filter(col("sku").lt(7)).select(["amount"]));
    assert_eq!(listed, below);
}

#[test]
fn a_result_of_too_many_columns_names_the_step() {
    let column = |number: usize| {
        format!("[[column]]\nname = \"c{number}\"\ntype = \"boolean\"\nroles = [\"value\"]\n")
    };
    let columns: Vec<String> = (0..65).map(column).collect();
    let text = format!("format = 1\nname = \"wide\"\n{}", columns.concat());
    let schemas = [Schema::from_toml(&text).expect("a schema")];
    let plan = Query::scan("wide").plan();
    let error = check(&plan, &schemas).expect_err("it is refused");
    let error = error.to_string();
    assert!(error.starts_with("scan: its result takes 65"), "{error}");
    assert!(error.contains("select fewer columns"), "{error}");
}

#[test]
fn hostile_plans_are_bounded() {
    let mut deep = col("sku").is_null();
    for _ in 0..40 {
        deep = deep.negated();
    }
    refused(sales().filter(deep), "levels of an expression");
    let list: Vec<Literal> = (0..5000).map(Literal::from).collect();
    refused(sales().filter(col("sku").is_in(list)), "entries of a list");
    let nested = format!(
        "{}{{\"col\":\"sku\"}}{}",
        "{\"not\":".repeat(10_000),
        "}".repeat(10_000)
    );
    let text = format!("{{\"format\":1,\"scan\":\"sales\",\"steps\":[{{\"filter\":{nested}}}]}}");
    assert!(matches!(
        Plan::from_json(text.as_bytes()),
        Err(PlanError::Document { .. })
    ));
    assert!(matches!(
        Plan::from_json(&vec![b' '; 2 << 20]),
        Err(PlanError::TooLarge { .. })
    ));
    assert!(matches!(
        Plan::from_json(b"{\"format\":4,\"scan\":\"x\"}"),
        Err(PlanError::Format { found: 4 })
    ));
}

#[test]
fn hostile_width_is_bounded() {
    let steps = (0..65).fold(sales(), |query, _| query.filter(col("sku").gt(3)));
    refused(steps, "65 steps, at most 64");
    let names = |most: usize| (0..most).map(|number| format!("c{number}"));
    let sums = (0..16_384).map(|_| col("sku"));
    let wide = |parts: Vec<Expression>| sales().with_column("x", Expression::Add(parts));
    // The sum itself is a part.
    refused(
        wide(sums.collect()),
        "16385 parts of expressions, at most 16384",
    );
    refused(sales().select(names(4_097)), "4097 columns, at most 4096");
    let aggregates = names(4_097).map(|name| len().alias(name));
    refused(sales().agg(aggregates), "4097 aggregates, at most 4096");
    refused(
        sales().group_by(names(4_097)).agg([len()]),
        "4097 key columns",
    );
    let mut renamed = sales().rename("sku", "c").plan();
    let PlanStep::Rename(renamings) = &mut renamed.steps[0] else {
        panic!("a rename")
    };
    *renamings = vec![renamings[0].clone(); 4_097];
    let mut sorted = sales().sort("sku", false).plan();
    let PlanStep::Sort(keys) = &mut sorted.steps[0] else {
        panic!("a sort")
    };
    *keys = vec![keys[0].clone(); 4_097];
    for plan in [renamed, sorted] {
        let error = lower(&plan).expect_err("it is refused").to_string();
        assert!(error.contains("4097 columns, at most 4096"), "{error}");
        assert!(plan.to_json().is_err());
    }
}

/// Merges upon merges: more columns than a result has are refused, few of them are not, and what is looked
/// up is no key of another merge.
#[test]
fn merges_of_merges_are_bounded() {
    let merged = |merges: usize| {
        (0..merges).fold(sales(), |query, number| {
            let merged = query.merge("prices").on("sku").left();
            merged
                .rename("price", format!("price {number}"))
                .rename("class", format!("class {number}"))
        })
    };
    refused(merged(21), "its result takes");
    lower(&merged(21).select(["price 20", "class 0"]).plan()).expect("two columns");
    refused(merged(22), "66 steps");
    refused(
        merged(1).merge("prices").on_pair("class 0", "class").left(),
        "it chooses by column \"class 0\"",
    );
}

#[test]
fn sql_outside_the_subset_is_refused_where_it_stands() {
    let cases = [
        (
            "SELECT sku FROM sales ORDER BY sku + 1",
            "is no column of the answer",
        ),
        (
            "SELECT sku FROM sales FETCH FIRST 5 ROWS ONLY",
            "more than SELECT, FROM",
        ),
        ("SELECT sku FROM sales LIMIT amount", "is no number of rows"),
        (
            "SELECT sku FROM sales LIMIT 5 OFFSET -1",
            "is no number of rows",
        ),
        (
            "SELECT sku FROM sales LIMIT 1 BY sku",
            "limits rows by a column",
        ),
        (
            "SELECT DISTINCT ON (sku) sku FROM sales",
            "DISTINCT ON (sku) is not supported",
        ),
        (
            "SELECT region, COUNT(*) FROM sales GROUP BY region HAVING sku > 3",
            "sku is neither an aggregate nor a column of GROUP BY",
        ),
        ("SELECT sku FROM sales, prices", "names several tables"),
        (
            "SELECT sku FROM sales FULL JOIN prices ON sales.sku = prices.sku",
            "neither a LEFT nor an INNER JOIN",
        ),
        (
            "SELECT sku FROM sales JOIN prices ON sales.sku > prices.sku",
            "is no equality",
        ),
        (
            "SELECT prices.sku FROM sales LEFT JOIN prices ON sales.sku = prices.sku",
            "line 1, column 8: prices.sku is a key that is missing",
        ),
        ("SELECT sku FROM (SELECT * FROM sales)", "is no table"),
        (
            "SELECT sku, sum(amount) FROM sales GROUP BY region",
            "is neither an aggregate nor a column of GROUP BY",
        ),
        (
            "SELECT sum(amount) OVER () FROM sales",
            "has more than arguments",
        ),
        (
            "SELECT sum(DISTINCT amount) FROM sales",
            "has more than arguments",
        ),
        (
            "SELECT stddev(amount) FROM sales",
            "is no aggregate that is supported",
        ),
        (
            "SELECT amount + 1 AS weight FROM sales",
            "gives what is computed the name of a column",
        ),
        (
            "SELECT sku FROM sales WHERE sku LIKE 'x'",
            "is not supported",
        ),
        (
            "SELECT sku FROM sales WHERE sku IN (SELECT sku FROM prices)",
            "is not supported",
        ),
        (
            "SELECT amount, amount FROM sales",
            "line 1, column 16: amount is selected twice",
        ),
        (
            "SELECT region, region AS r, count(*) FROM sales GROUP BY region",
            "region AS r is selected twice",
        ),
        ("DELETE FROM sales", "is no SELECT"),
        (
            "SELECT sku FROM sales; SELECT sku FROM sales",
            "is no SELECT alone",
        ),
        (
            "SELECT nothing FROM sales",
            "line 1, column 8: nothing is no column of the tables",
        ),
        ("SELECT sku FROM sale", "there is no frame \"sale\""),
        ("SELECT", "SQL: "),
        ("", "there is no query"),
    ];
    for (sql, text) in cases {
        let error = Plan::from_sql(sql, &schemas()).expect_err(sql).to_string();
        assert!(error.contains(text), "{sql}: {error}");
    }
    let deep = format!(
        "SELECT sku FROM sales WHERE {}sku = 1{}",
        "(".repeat(5000),
        ")".repeat(5000)
    );
    assert!(Plan::from_sql(&deep, &schemas()).is_err());
}

/// Extremes of keys over the rows that an inner merge keeps, of either frame: the look-up is so small
/// that both frames' numbers share a ciphertext.
#[test]
fn extremes_over_a_merge_are_circuits() {
    let small = |text: &str| Schema::from_toml(&text.replace("2047", "14")).unwrap();
    let schemas = [SALES, PRICES].map(small);
    for column in ["sku", "class"] {
        let merged = sales().merge("prices").on("sku").inner();
        let plan = merged.agg([min(column), max(column).alias("most"), len()]);
        check(&plan.plan(), &schemas).unwrap_or_else(|error| panic!("{column}: {error}"));
    }
}

#[test]
fn chains_of_sql_are_no_deeper_than_one_of_their_parts() {
    let chain = |operator: &str| {
        let parts: Vec<String> = (0..100).map(|sku| format!("sku = {sku}")).collect();
        format!("SELECT sku FROM sales WHERE {}", parts.join(operator))
    };
    for operator in [" AND ", " OR "] {
        let plan = Plan::from_sql(&chain(operator), &schemas()).unwrap();
        lower(&plan).unwrap();
    }
}

#[test]
fn a_function_of_a_row_is_no_aggregate() {
    let sales = SALES.replace("name = \"amount\"", "name = \"amount\"\nnulls = true");
    let schemas = [Schema::from_toml(&sales).unwrap()];
    let sql = "SELECT sku, coalesce(amount, 0) AS amounts FROM sales";
    let plan = Plan::from_sql(sql, &schemas).unwrap();
    check(&plan, &schemas).unwrap();
    let sql = "SELECT coalesce(amount, 0), sum(amount) FROM sales";
    let error = Plan::from_sql(sql, &schemas).unwrap_err().to_string();
    assert!(
        error.contains("neither an aggregate nor a column"),
        "{error}"
    );
}

#[test]
fn two_frames_of_one_name_are_refused() {
    let schemas = [SALES, PRICES, SALES].map(|text| Schema::from_toml(text).unwrap());
    let plan = sales().select(["sku"]).plan();
    let error = plan.resolve(&schemas).expect_err("two").to_string();
    assert!(error.contains("two frames are named \"sales\""), "{error}");
}

#[test]
fn numbers_and_names_that_are_none_are_named() {
    let toml = |max: &str| {
        let text = SALES.replace("max = 2047", &format!("max = {max}"));
        Schema::from_toml(&text).expect_err(max).to_string()
    };
    let cases = [
        ("1e300", "is not a number of at most 18 digits"),
        ("20.5", "is 20.5, which has more than 0 decimals"),
        ("\"x\"", "is the text \"x\"; write a number"),
        ("2024-01-01", "is the date 2024-01-01; write a number"),
    ];
    for (max, text) in cases {
        let error = toml(max);
        assert!(
            error.contains("column \"sku\": field \"max\" is"),
            "{error}"
        );
        assert!(error.contains(text), "{error}");
    }
    let json = |step: &str| {
        let text = format!("{{\"format\":1,\"scan\":\"sales\",\"steps\":[{step}]}}");
        Plan::from_json(text.as_bytes())
            .expect_err(step)
            .to_string()
    };
    let error = json("{\"filter\":{\"gt\":[{\"col\":\"sku\"},{\"lit\":1e300}]}}");
    assert!(
        error.contains("is not a number of at most 18 digits"),
        "{error}"
    );
    let error = json("{\"rename\":[{\"from\":\"sku\",\"to\":\"a\\nb\"}]}");
    assert!(error.contains("the name \"a\\nb\""), "{error}");
    let nulls = SALES.replace("max = 2047", "max = 2047\nnulls = true");
    let schemas = [Schema::from_toml(&nulls).unwrap()];
    let plan = sales().with_column("x", col("sku").fill_null(5000)).plan();
    let error = plan.resolve(&schemas).expect_err("outside").to_string();
    assert!(
        error.contains("cannot be filled with 5000: its cells are 0 to 2047"),
        "{error}"
    );
    // What stands in place of a cell says nothing of the sum that it was part of.
    let sum = sales().with_column("x", col("sku").plus(1i64));
    let plan = sum.with_column("x", col("x").fill_null(7)).plan();
    let error = plan.resolve(&schemas).expect_err("computed").to_string();
    assert!(
        error.contains("cannot be filled, as it is computed"),
        "{error}"
    );
}

/// The server goes over no row of a table in the clear, and chooses by its columns as far as their keys
/// can be told apart.
#[test]
fn tables_in_the_clear_are_looked_up_and_chosen_by_keys() {
    let looked = "[[lookup]]\nby = [\"sku\"]\ncolumns = [\"price\", \"class\"]\n";
    let (columns, _) = PRICES.split_once("[[lookup]]").unwrap_or((PRICES, ""));
    let of_keys = |most: u32| {
        let widened = |text: &str| text.replace("max = 2047", &format!("max = {most}"));
        let prices = Schema::from_toml(&widened(&format!("{columns}{looked}"))).unwrap();
        let prices = prices.in_the_clear(100, Hash::of(b"cells")).unwrap();
        [Schema::from_toml(&widened(SALES)).unwrap(), prices]
    };
    let (schemas, wide) = (of_keys(2047), of_keys(4096));
    let merged = || Query::scan("sales").merge("prices").on("sku");
    let chosen = [
        merged()
            .inner()
            .group_by(["class"])
            .agg([sum("amount")])
            .plan(),
        merged().inner().filter(col("class").eq(3)).plan(),
        merged()
            .left()
            .filter(col("price").is_null())
            .select(["amount"])
            .plan(),
        merged()
            .inner()
            .group_by(["region"])
            .agg([sum("amount")])
            .plan(),
    ];
    for plan in [
        merged().left().plan(),
        merged().inner().plan(),
        merged()
            .left()
            .group_by(["region"])
            .agg([sum("price")])
            .plan(),
        merged()
            .inner()
            .group_by(["region"])
            .agg([sum("price")])
            .plan(),
    ] {
        check(&plan, &schemas).unwrap();
        check(&plan, &wide).unwrap();
    }
    for plan in &chosen {
        check(plan, &schemas).unwrap();
        let error = check(plan, &wide).unwrap_err();
        assert!(matches!(error, PlanError::NotLevelled { .. }), "{error}");
    }
    let scanned = Query::scan("prices").select(["price"]).plan();
    let error = check(&scanned, &schemas).unwrap_err().to_string();
    assert!(error.contains("scan an encrypted frame"), "{error}");
}

/// A row whose key another frame has several times is one row; how many pairs there are is another number.
#[test]
fn pairs_with_added_rows_are_not_counted_as_rows() {
    let added = PRICES.replace("columns = [", "duplicates = \"sum\"\ncolumns = [");
    let schemas = [SALES, &added].map(|text| Schema::from_toml(text).unwrap());
    let plan = |how: JoinType, aggregates: Vec<NamedAggregate>| {
        let merged = sales().merge("prices").on("sku").left();
        let mut plan = merged.group_by(["region"]).agg(aggregates).plan();
        let PlanStep::Merge(merge) = &mut plan.steps[0] else {
            panic!("a merge")
        };
        (merge.how, merge.validate) = (how, Cardinality::ManyToMany);
        check(&plan, &schemas)
    };
    for aggregate in [len(), count("amount"), median("sku")] {
        let error = plan(JoinType::Inner, vec![sum("price"), aggregate.clone()]);
        let error = error.expect_err("pairs").to_string();
        assert!(
            error.contains("step 2 (group_by)") && error.contains("pairs would be counted"),
            "{error}"
        );
        plan(JoinType::Left, vec![sum("price"), aggregate]).expect("rows");
    }
    plan(
        JoinType::Inner,
        vec![sum("price"), count("price").alias("n"), max("sku")],
    )
    .expect("partners");
}
