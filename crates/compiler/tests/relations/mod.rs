//! Rows that no calibration row is like, though each of their cells is: what clients mark of them.

use super::support::{library, try_compile};
use super::{Noise, compile_small_for};
use cipherfn_compiler::model::Model;
use cipherfn_compiler::read::read_model;
use cipherfn_compiler::{Compiled, Options};
use cipherfn_engine::ClearCircuit;
use cipherfn_program::{Tensor, broken};
use cipherfn_protocol::specs::{ClientSpecs, Encoding};
use cipherfn_scheme::query::InputValues;
use cipherfn_table::Table;
use std::fs;
use std::path::Path;

/// The float model and the compiled one, without noise.
struct Both {
    model: Model,
    circuit: ClearCircuit,
    compiled: Compiled,
}

impl Both {
    fn of(model: &Path, compiled: Compiled) -> Self {
        Self {
            model: read_model(&fs::read(model).unwrap()).unwrap(),
            circuit: ClearCircuit::new(compiled.bundle.circuit.clone()).unwrap(),
            compiled,
        }
    }

    fn specs(&self) -> &ClientSpecs {
        self.compiled.specs.specs()
    }

    /// The scores of the float model and of the compiled one.
    fn scores(&self, features: &[f32]) -> [Vec<f64>; 2] {
        let values = InputValues::all(&self.specs().inputs, features).unwrap();
        let phases = self.circuit.evaluate(&values).unwrap().into_iter();
        let phases: Vec<i64> = phases.map(|own| own as i64).collect();
        let found = self.specs().decoding.scores(&phases);
        [self.model.raw_scores(features), found]
    }

    fn breaks_a_relation(&self, features: &[f32]) -> bool {
        broken(&self.specs().relations, &self.specs().inputs, features).is_some()
    }

    fn is_limited(&self, features: &[f32]) -> bool {
        let mut inputs = self.specs().inputs.iter();
        inputs.any(|encoding| match encoding {
            Encoding::Integers(own) => own.limited(features).next().is_some(),
            Encoding::Linear(own) => own.limited(features).next().is_some(),
            Encoding::Selectors(_) => false,
        })
    }
}

/// Opening and closing prices are at most 2 % apart, and what they differ by is what a network is made of:
/// a row with prices of different days leaves its tables, though each is in range.
#[test]
fn rows_that_break_a_rule_of_their_columns_are_marked() {
    let what = ("prices", Some("prices_train.csv"), 0);
    let compiled = compile_small_for(what, &Options::new("prices")).unwrap();
    assert_eq!(compiled.specs.format(), 6);
    let relations = &compiled.specs.specs().relations;
    assert!(relations.iter().all(|own| own.names.len() == 2));
    let revealed = &compiled.report.features.revealed;
    assert!(
        revealed.contains("relations between features"),
        "{revealed}"
    );
    let warning = compiled.report.warnings.join(" ");
    assert!(
        warning.contains("Clients mark rows that break"),
        "{warning}"
    );

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/networks");
    let both = Both::of(&folder.join("prices.onnx"), compiled);
    let is_wrong = |row: &[f32; 2]| {
        let [exact, found] = both.scores(row);
        (exact[0] > 0.0) != (found[0] > 0.0)
    };
    let is_marked = |row: &[f32; 2]| both.breaks_a_relation(row);
    let rows = fs::read_to_string(folder.join("prices_train.csv")).unwrap();
    let rows = rows.lines().skip(1).map(|line| {
        let (opening, closing) = line.split_once(',').unwrap();
        [opening.parse().unwrap(), closing.parse().unwrap()]
    });
    let rows: Vec<[f32; 2]> = rows.collect();
    assert_eq!(rows.iter().filter(|row| is_marked(row)).count(), 0);
    let mut noise = Noise(3);
    let others = (0..1000).map(|_| {
        let (opening, apart) = (20.0 + 60.0 * noise.uniform(), 0.04 * noise.uniform() - 0.02);
        [opening as f32, (opening * (1.0 + apart)) as f32]
    });
    assert!(others.filter(is_marked).count() <= 10, "rows like these");
    // Of two days each.
    let apart = rows.iter().zip(rows.iter().rev());
    let apart: Vec<[f32; 2]> = apart.map(|(one, other)| [one[0], other[1]]).collect();
    let wrong: Vec<&[f32; 2]> = apart.iter().filter(|row| is_wrong(row)).collect();
    assert!(wrong.len() >= 20, "{} rows leave the tables", wrong.len());
    let unseen = wrong.iter().filter(|row| !is_marked(row)).count();
    assert!(
        100 * unseen <= apart.len(),
        "{unseen} are wrong and not marked"
    );

    let mut options = Options::new("prices");
    options.relations = false;
    let plain = compile_small_for(what, &options).unwrap();
    assert_eq!(plain.specs.format(), 4);
    let warning = plain.report.warnings.join(" ");
    assert!(
        warning.contains("another answer without a remark"),
        "{warning}"
    );
    assert!(!plain.report.features.revealed.contains("relations"));
}

/// What relations catch, and what they mark of rows that are like the calibration rows: the figures of
/// docs/benchmarks.md.
#[test]
#[ignore = "figures: cargo test --workspace --test networks relations -- --ignored --nocapture"]
fn relations_of_the_libraries_models() {
    for name in [
        "mlp_bc",
        "mlp100_bc",
        "mlp100_diabetes",
        "svc_rbf_bc",
        "svr_rbf_diabetes",
        "gpr_diabetes",
        "torch_mlp_digits",
        "torch_cnn_digits",
        "mlp_two_layers_bc",
        "mlp_three_layers_wine",
        "torch_30_30_30_2_bc",
        "torch_residual_wine",
        "torch_two_conv_digits",
    ] {
        let both = Both::of(
            &library(name).join("model.onnx"),
            try_compile(name, |_| ()).unwrap(),
        );
        let relations = &both.specs().relations;
        println!(
            "{name}: {} relations in {} bytes of specs: {:?}",
            relations.len(),
            both.compiled.specs.bytes().len(),
            relations
                .iter()
                .map(|own| own.names.join("/"))
                .collect::<Vec<_>>()
        );
        for warning in &both.compiled.report.warnings {
            println!("    {warning}");
        }
        let text = fs::read(library(name).join("test.csv")).unwrap();
        let rows = Table::open("test.csv", text.as_slice()).unwrap();
        let specs = both.specs();
        let rows = rows
            .select(&specs.columns, specs.preprocess.inputs())
            .unwrap();
        let rows: Vec<Vec<Tensor>> = rows.map(Result::unwrap).collect();
        let features = |row: &Vec<Tensor>| both.model.features_of(row.clone()).unwrap();
        let test: Vec<Vec<f32>> = rows.iter().map(features).collect();
        let mut noise = Noise(11);
        let [all, one] = [true, false].map(|all| -> Vec<Vec<f32>> {
            let mixed = (0..1000).map(|_| mixed(&rows, all, &mut noise));
            mixed.map(|row| features(&row)).collect()
        });
        for (kind, rows) in [
            ("test rows", test.clone()),
            ("all cells", all),
            ("one cell", one),
        ] {
            println!("    {kind}: {}", both.told(&test, &rows));
        }
    }
}

impl Both {
    /// How many rows are limited, break a relation, are wrong, and how many of the wrong ones have no
    /// remark; wrong is a score that is off by a tenth of its range over `like`.
    fn told(&self, like: &[Vec<f32>], rows: &[Vec<f32>]) -> String {
        let scores: Vec<Vec<f64>> = like.iter().map(|row| self.model.raw_scores(row)).collect();
        let range = |score: usize| {
            let values = || scores.iter().map(|row| row[score]);
            values().fold(f64::NEG_INFINITY, f64::max) - values().fold(f64::INFINITY, f64::min)
        };
        let is_wrong = |row: &Vec<f32>| {
            let [exact, found] = self.scores(row);
            let off = exact.iter().zip(&found).enumerate();
            off.fold(false, |wrong, (score, (exact, found))| {
                wrong || (exact - found).abs() > 0.1 * range(score)
            })
        };
        let inside: Vec<&Vec<f32>> = rows.iter().filter(|row| !self.is_limited(row)).collect();
        let broken = inside
            .iter()
            .filter(|row| self.breaks_a_relation(row))
            .count();
        let wrong: Vec<&&Vec<f32>> = inside.iter().filter(|row| is_wrong(row)).collect();
        let unseen = wrong
            .iter()
            .filter(|row| !self.breaks_a_relation(row))
            .count();
        format!(
            "{} rows, {} limited; of the others {broken} break a relation, {} are wrong, {unseen} of these without a remark",
            rows.len(),
            rows.len() - inside.len(),
            wrong.len()
        )
    }
}

/// A row with all cells, or one, of other rows.
fn mixed(rows: &[Vec<Tensor>], all: bool, noise: &mut Noise) -> Vec<Tensor> {
    let mut below = |count: usize| (noise.uniform() * count as f64) as usize;
    let mut row = rows[below(rows.len())].clone();
    let width: usize = row.iter().map(Tensor::len).sum();
    let only = below(width);
    let mut cell = 0;
    for input in 0..row.len() {
        for entry in 0..row[input].len() {
            let from = &rows[below(rows.len())];
            if let (Tensor::F32(own), Tensor::F32(from)) = (&mut row[input], &from[input])
                && (all || cell == only)
            {
                own[entry] = from[entry];
            }
            cell += 1;
        }
    }
    row
}
