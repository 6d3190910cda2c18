//! Scores of published models in plans, in the clear: what is said without weights is what is made with them.

use super::form;
use super::interpreter::{Data, run};
use cipherfn_circuit::bundle::SetFacts;
use cipherfn_circuit::circuit::Node;
use cipherfn_circuit::{Bundle, BundleError, Dimensions};
use cipherfn_frame::Passes;
use cipherfn_frame::plan::{Cardinality, Expression, ModelScore, Plan, PlanStep, PublishedScore};
use cipherfn_frame::query::{Query, col};
use cipherfn_frame::schema::{Rows, Schema};
use cipherfn_protocol::frame::{self, FrameKind};
use cipherfn_protocol::specs::{Encoding, SpecsDocument};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

/// A logistic regression of 30 columns, compiled long ago.
fn bundle() -> Bundle {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/v2/linear.cfn");
    let bytes = std::fs::read(path).expect("a bundle");
    let frame = frame::decode(&bytes, FrameKind::Bundle, &[2], 1 << 24).expect("a frame");
    let facts = SetFacts {
        dimensions: Dimensions {
            glwe_dimension: 1,
            polynomial_size: 2048,
            bootstrap_table: None,
        },
        tag: frame.parameter_set,
    };
    Bundle::from_bytes::<BundleError>(&bytes, |_| Ok(facts)).expect("a bundle")
}

/// Columns with two decimals over ten times the model's ranges, one of which may be missing, and a key.
fn schema(names: &[String]) -> Schema {
    let mut toml = "format = 1\nname = \"rows\"\n".to_owned();
    for (place, name) in names.iter().enumerate() {
        write!(
            toml,
            "[[column]]\nname = \"{name}\"\ntype = \"decimal\"\nplaces = 2\nmin = -250\nmax = 250\nnulls = {}\nroles = [\"value\"]\n",
            place == 3
        )
        .expect("memory");
    }
    toml.push_str(
        "[[column]]\nname = \"ward\"\ntype = \"integer\"\nmin = 0\nmax = 1\nroles = [\"key\"]\n",
    );
    Schema::from_toml(&toml).expect("a schema")
}

/// What the specs and the circuit's integers say of a row: the decision for the second class.
fn scored(bundle: &Bundle, row: &[f64]) -> f64 {
    let document = SpecsDocument::from_json_bytes(&bundle.specs).expect("specs");
    let [Encoding::Linear(encoding)] = &document.specs().inputs[..] else {
        panic!("a linear model")
    };
    let decoding = &document.specs().decoding.scores[0];
    let Node::Product(product) = &bundle.circuit.nodes[0] else {
        panic!("a product")
    };
    let unit = decoding.scale.get() * encoding.delta.get();
    let terms = product.weights[0].iter().zip(row).enumerate();
    let terms = terms.map(|(column, (weight, x))| {
        let (centre, half) = (encoding.centre[column], encoding.half_width[column]);
        unit * *weight as f64 * (x - centre) / half
    });
    // Its exporter's score speaks for the first class, the column for the second.
    -(decoding.offset.get() + terms.sum::<f64>())
}

fn plan(steps: &str, score: &PublishedScore) -> Plan {
    let json = format!(r#"{{"format": 3, "scan": "rows", "steps": [{steps}]}}"#);
    let plan = Plan::from_json(json.as_bytes()).expect("a plan");
    let score = ModelScore::Published(Arc::new(score.clone()));
    let scores = BTreeMap::from([("risk".to_owned(), score)]);
    plan.with_scores(&scores).expect("a plan")
}

#[test]
fn published_scores_have_one_form_with_and_without_weights() {
    let bundle = bundle();
    let document = SpecsDocument::from_json_bytes(&bundle.specs).expect("specs");
    let public = PublishedScore::new("risk", &document).expect("a score");
    let score = public.with_weights(&bundle.circuit).expect("weights");
    let schema = schema(public.columns());
    let rows: Vec<Vec<Option<i64>>> = (0..10)
        .map(|row| {
            let cells = (0..30).map(|column| {
                let units = ((row * 31 + column) * 7919 % 50_001) - 25_000;
                (row != 4 || column != 3).then_some(units)
            });
            cells.chain([Some(row % 2)]).collect()
        })
        .collect();
    let schemas = [schema.with_rows(Rows {
        count: Some(rows.len() as u64),
        padded: false,
    })];
    let lowered = |steps: &str, score: &PublishedScore| -> Passes {
        let plan = plan(steps, score);
        let resolved = plan.resolve(&schemas).expect("resolved");
        resolved.lower(&form()).expect("levelled")
    };
    let answered = |steps: &str| -> Vec<Vec<String>> {
        let (said, own) = (lowered(steps, &public), lowered(steps, &score));
        assert_eq!(said.answer, own.answer);
        assert!(said.passes[0].is_assumed() && !own.passes[0].is_assumed());
        assert!(said.passes[0].is_alike(&own.passes[0]));
        let data = Data {
            schema: &schemas[0],
            rows: &rows,
            padding: 0,
        };
        let columns = own.answer.columns.len();
        let cells = said.answer.decode(&run(&own, &[data]), &vec![0.0; columns]);
        let texts = cells.iter().map(|row| row.iter().map(ToString::to_string));
        texts.map(Iterator::collect).collect()
    };

    let wanted = |row: &Vec<Option<i64>>| {
        let cells = row[..30].iter().map(|cell| Some((*cell)? as f64 / 100.0));
        Some(scored(&bundle, &cells.collect::<Option<Vec<f64>>>()?))
    };
    let scored = r#"{"with_column": {"name": "score", "of": {"model": ["risk", []]}}}"#;
    let found = answered(&format!(r#"{scored}, {{"select": ["score"]}}"#));
    assert_eq!(found.len(), rows.len());
    let allowed = 0.25 * score.precision();
    for (row, found) in rows.iter().zip(&found) {
        let found: Option<f64> = found[0].parse().ok();
        match (found, wanted(row)) {
            (Some(found), Some(wanted)) => {
                assert!((found - wanted).abs() <= allowed, "{found} {wanted}");
            }
            (found, wanted) => assert_eq!((found, wanted), (None, None)),
        }
    }

    // What is computed of the score and of its columns.
    let first = &public.columns()[0];
    let more = answered(&format!(
        r#"{scored}, {{"with_column": {{"name": "more", "of": {{"sub": [{{"add": [{{"mul": [{{"col": "score"}}, {{"lit": -3}}]}}, {{"col": "{first}"}}]}}, {{"lit": 0.5}}]}}}}}}, {{"select": ["more"]}}"#
    ));
    for ((row, cells), more) in rows.iter().zip(&found).zip(&more) {
        let Ok(score) = cells[0].parse::<f64>() else {
            assert_eq!(more[0], "");
            continue;
        };
        let wanted = -3.0 * score + row[0].expect("no nulls") as f64 / 100.0 - 0.5;
        let found: f64 = more[0].parse().expect("a number");
        // Three times what rounding may put the score off, twice.
        assert!((found - wanted).abs() <= 6.0 * allowed, "{found} {wanted}");
    }

    // A condition on a score is the key holder's, who decrypts it.
    let above = plan(
        r#"{"filter": {"gt": [{"model": ["risk", []]}, {"lit": 1}]}}, {"select": ["ward"]}"#,
        &public,
    );
    let stages = above.stages(&schemas, &form()).expect("stages");
    assert_eq!(stages.len(), 1);
    assert!(stages[0].then.iter().any(|step| step.name() == "filter"));
}

/// A feature may be looked up: filled where it is missing, and not added up.
#[test]
fn published_scores_take_looked_up_columns() {
    let bundle = bundle();
    let document = SpecsDocument::from_json_bytes(&bundle.specs).expect("specs");
    let public = PublishedScore::new("risk", &document).expect("a score");
    let score = public.with_weights(&bundle.circuit).expect("weights");
    let rows: Vec<Vec<Option<i64>>> = (0..8)
        .map(|row| {
            let cells = (0..30).map(|column| Some((row * 17 + column) * 4_721 % 2_001 - 1_000));
            cells.chain([Some(row % 2)]).collect()
        })
        .collect();
    let other = |more: &str| {
        let toml = format!(
            "format = 1\nname = \"other\"\n[[column]]\nname = \"ward\"\ntype = \"integer\"\nmin = 0\nmax = 1\nroles = [\"key\"]\n[[column]]\nname = \"extra\"\ntype = \"decimal\"\nplaces = 1\nmin = -3\nmax = 3\n[[lookup]]\nby = [\"ward\"]\ncolumns = [\"extra\"]\n{more}"
        );
        Schema::from_toml(&toml).expect("a schema")
    };
    let plan = |score: &PublishedScore, extra: Expression, validate: Cardinality| {
        let mut features: Vec<Expression> = public.columns().iter().map(col).collect();
        features[1] = extra;
        let mut plan = Query::scan("rows")
            .merge("other")
            .on("ward")
            .left()
            .with_column("score", Expression::model("risk", features))
            .select(["score"])
            .plan();
        let PlanStep::Merge(merge) = &mut plan.steps[0] else {
            panic!("a merge")
        };
        merge.validate = validate;
        let score = ModelScore::Published(Arc::new(score.clone()));
        let scores = BTreeMap::from([("risk".to_owned(), score)]);
        plan.with_scores(&scores).expect("a plan")
    };
    let schemas = |more: &str| {
        let count = |schema: Schema, rows: usize| {
            schema.with_rows(Rows {
                count: Some(rows as u64),
                padded: false,
            })
        };
        [
            count(schema(public.columns()), rows.len()),
            count(other(more), 1),
        ]
    };
    let partners = [vec![Some(0), Some(-17)]];
    for (extra, looked) in [
        (col("extra"), [Some(-1.7), None]),
        (col("extra").fill_null(2), [Some(-1.7), Some(2.0)]),
    ] {
        let schemas = schemas("");
        let lowered = |score: &PublishedScore| -> Passes {
            let plan = plan(score, extra.clone(), Cardinality::ManyToOne);
            let resolved = plan.resolve(&schemas).expect("resolved");
            resolved.lower(&form()).expect("levelled")
        };
        let (said, own) = (lowered(&public), lowered(&score));
        assert!(said.answer == own.answer && said.passes[0].is_alike(&own.passes[0]));
        let data =
            [(&schemas[0], &rows[..]), (&schemas[1], &partners[..])].map(|(schema, rows)| Data {
                schema,
                rows,
                padding: 0,
            });
        let cells = said.answer.decode(&run(&own, &data), &[0.0]);
        let allowed = 0.25 * score.precision();
        for (row, cells) in rows.iter().zip(&cells) {
            let wanted = looked[row[30].expect("a ward") as usize].map(|extra| {
                let own = row[..30]
                    .iter()
                    .map(|cell| cell.expect("no nulls") as f64 / 100.0);
                let mut own: Vec<f64> = own.collect();
                own[1] = extra;
                scored(&bundle, &own)
            });
            let found: Option<f64> = cells[0].to_string().parse().ok();
            match (found, wanted) {
                (Some(found), Some(wanted)) => {
                    assert!((found - wanted).abs() <= allowed, "{found} {wanted}");
                }
                (found, wanted) => assert_eq!(found, wanted),
            }
        }
    }
    let added = schemas("duplicates = \"sum\"\n");
    let plan = plan(&public, col("extra"), Cardinality::ManyToMany);
    let refused = plan.resolve(&added).expect_err("no room").to_string();
    assert!(refused.contains("adds rows of equal keys"), "{refused}");
}

#[test]
fn queries_are_named_by_the_version_of_a_model() {
    let bundle = bundle();
    let document = SpecsDocument::from_json_bytes(&bundle.specs).expect("specs");
    let public = PublishedScore::new("risk", &document).expect("a score");
    let weighted = public.with_weights(&bundle.circuit).expect("weights");
    let step = r#"{"with_column": {"name": "score", "of": {"model": ["risk", []]}}}"#;
    let (said, own) = (plan(step, &public), plan(step, &weighted));
    assert_eq!(format!("{said:?}"), format!("{own:?}"));
    assert!(format!("{said:?}").contains(&document.hash().to_string()));
    assert_eq!(own.without_weights(), said);
    assert_eq!(said.published_models().len(), 1);
    // Weights of another circuit, or beyond the range that specs say.
    let mut other = bundle.circuit.clone();
    let Node::Product(product) = &mut other.nodes[0] else {
        panic!("a product")
    };
    product.weights[0][0] += 1;
    let refused = public.with_weights(&other).expect_err("another circuit");
    assert!(refused.to_string().contains("another circuit"), "{refused}");
    let mut specs = document.specs().clone();
    specs.circuit = other.hash().expect("a hash");
    let scores = &mut specs.decoding.scores[0];
    scores.range.1 = scores.offset;
    scores.range.0 = scores.offset;
    let narrow = SpecsDocument::new(specs).expect("specs");
    let narrow = PublishedScore::new("risk", &narrow).expect("a score");
    let refused = narrow.with_weights(&other).expect_err("larger weights");
    assert!(refused.to_string().contains("larger weights"), "{refused}");
}
