//! ONNX graphs to the typed model.
//!
//! ```text
//! nodes in order --evaluate--> before | scores | behind --outputs--> Model
//! ```
//!
//! [`evaluate`] is a partial evaluator: steps before the estimator and behind it go to two row
//! programs, with constants folded and shapes resolved for one row; what lies between is affine in
//! the estimator's sums.

mod emitter;
mod estimator;
mod estimators;
mod evaluate;
mod exact;
mod facts;
mod linear;
mod ml;
mod origins;
mod outputs;
mod range;
mod scores;
mod standard;
mod trees;
mod value;
mod views;

use crate::error::CompileError;
use crate::model::Model;
use crate::read::onnx::graph::Graph;
use crate::read::onnx::node;

/// What can be compiled, for errors.
const SUPPORTED: &str = "tree ensembles (TreeEnsembleClassifier, TreeEnsembleRegressor, TreeEnsemble), linear models (LinearClassifier, \
    LinearRegressor, SVMClassifier and SVMRegressor with a linear kernel, MatMul, Gemm), with preparation of the row before them and link \
    functions, normalisation and labels behind them";

/// The typed intermediate representation of an ONNX graph.
pub(crate) fn model(graph: &Graph) -> Result<Model, CompileError> {
    let mut evaluator = evaluate::Evaluator::new(graph)?;
    evaluator.run(graph)?;
    outputs::finish(evaluator, graph)
}

/// Every operator that is understood, with its domain, sorted: for documentation and reports.
pub(crate) fn operators() -> Vec<String> {
    let standard = standard::OPERATORS
        .iter()
        .chain(views::OPERATORS)
        .chain(scores::OPERATORS)
        .copied();
    let of_ml = ["ArrayFeatureExtractor", "FeatureVectorizer", "ZipMap"];
    let ml = ml::OPERATORS
        .iter()
        .chain(estimators::OPERATORS)
        .copied()
        .chain(of_ml);
    let named = |domain: &'static str| move |operator: &str| format!("{operator} ({domain})");
    let standard = standard
        .filter(|operator| !of_ml.contains(operator))
        .map(named("ai.onnx"));
    let mut all: Vec<String> = standard.chain(ml.map(named(node::ML))).collect();
    all.sort();
    all.dedup();
    all
}
