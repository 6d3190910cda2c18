//! Tree ensembles: `TreeEnsembleClassifier`, `TreeEnsembleRegressor` and `TreeEnsemble`.

use crate::error::CompileError;
use crate::ir::{Ensemble, Function};
use crate::lower::decision::{Labels, TreeFacts};
use crate::lower::emitter::{Emitter, Operand};
use crate::lower::registry::{Operator, ml};
use crate::lower::trees::{self, Described, MAX_NODES, SourceKind, TreeInput};
use crate::read::onnx::tensor::Element;
use cipherfn_program::{BinaryFunction, Tensor};

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    ml("TreeEnsemble", 5, |node| {
        let features = node.features()?;
        let described = trees::ensemble(node.node, &tree_input(node, &features))?;
        let element = if features.element == Element::F64 {
            Element::F64
        } else {
            Element::F32
        };
        regression(node, &features, described, element)
    }),
    ml("TreeEnsembleClassifier", 1, classifier),
    ml("TreeEnsembleRegressor", 1, |node| {
        let features = node.features()?;
        let described = trees::regressor(node.node, &tree_input(node, &features))?;
        regression(node, &features, described, Element::F32)
    }),
];

fn tree_input(emitter: &Emitter<'_>, features: &Operand) -> TreeInput {
    TreeInput {
        kind: if features.element == Element::F64 {
            SourceKind::Double
        } else {
            SourceKind::Single
        },
        features: features.len(),
        room: MAX_NODES.saturating_sub(emitter.ir.ensembles().map(Ensemble::nodes).sum()),
    }
}

fn regression(
    emitter: &mut Emitter<'_>,
    features: &Operand,
    described: Described,
    element: Element,
) -> Result<Vec<Operand>, CompileError> {
    let mut sums = emitter.estimate(features, Function::Trees(described.ensemble))?;
    // Base values of another number are ignored.
    if described.base.len() == sums.len() {
        let base = emitter.vector(Tensor::F64(described.base))?;
        sums = emitter.binary(BinaryFunction::Add, &sums, &base)?;
    }
    emitter.regression(&sums, described.transform, element)
}

fn classifier(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (features, node) = (emitter.features()?, emitter.node);
    let labels = Labels::read(node, "classlabels_int64s")?;
    let Described {
        ensemble,
        base,
        transform,
    } = trees::classifier(node, &tree_input(emitter, &features), labels.len())?;
    let facts = TreeFacts::of(&ensemble, base);
    let sums = emitter.estimate(&features, Function::Trees(ensemble))?;
    let decision = match labels.len() {
        2 => emitter.two_classes(&sums, transform, &facts)?,
        _ => emitter.many_classes(&sums, transform, &facts)?,
    };
    emitter.classified(&decision, &labels)
}
