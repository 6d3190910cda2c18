//! Every operator that is understood.
//!
//! An operator's name, domain, versions, attributes, shapes and meaning stand in one file of
//! `operators`; adding one touches that file and, for a new file, the list below.

use super::emitter::{Emitter, Operand};
use super::operators as o;
use crate::error::CompileError;
use crate::ir::SUPPORTED;
use crate::read::onnx::graph::Graph;
use crate::read::onnx::node::Node;

/// An operator of ONNX.
pub(crate) struct Operator {
    pub(crate) name: &'static str,
    pub(crate) domain: Domain,
    /// First version of the domain's operator set in which the operator means what `lower` says.
    pub(crate) since: i64,
    /// Adds the steps of a node. Gives its outputs.
    pub(crate) lower: Lower,
}

/// Adds the steps of a node. Gives its outputs.
pub(crate) type Lower = fn(&mut Emitter<'_>) -> Result<Vec<Operand>, CompileError>;

/// A set of operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Domain {
    /// The default domain.
    Standard,
    /// Classical machine learning.
    Ml,
}

impl Domain {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Standard => "ai.onnx",
            Self::Ml => "ai.onnx.ml",
        }
    }

    /// The newest version whose operators were compared with what is lowered here: newer ones may
    /// give a known name another meaning, so they are refused instead of guessed at.
    const fn newest(self) -> i64 {
        match self {
            Self::Standard => 25,
            Self::Ml => 5,
        }
    }
}

/// An operator of the default domain.
pub(crate) const fn standard(name: &'static str, since: i64, lower: Lower) -> Operator {
    Operator {
        name,
        domain: Domain::Standard,
        since,
        lower,
    }
}

/// An operator of the machine-learning domain.
pub(crate) const fn ml(name: &'static str, since: i64, lower: Lower) -> Operator {
    Operator {
        name,
        domain: Domain::Ml,
        since,
        lower,
    }
}

static OPERATORS: &[&[Operator]] = &[
    o::activation::OPERATORS,
    o::arg_max::OPERATORS,
    o::batch_normalization::OPERATORS,
    o::binarizer::OPERATORS,
    o::binary::OPERATORS,
    o::cast::OPERATORS,
    o::clip::OPERATORS,
    o::concat::OPERATORS,
    o::constant::OPERATORS,
    o::convolution::OPERATORS,
    o::gather::OPERATORS,
    o::imputer::OPERATORS,
    o::label_encoder::OPERATORS,
    o::linear::OPERATORS,
    o::mat_mul::OPERATORS,
    o::normalize::OPERATORS,
    o::one_hot_encoder::OPERATORS,
    o::pad::OPERATORS,
    o::pool::OPERATORS,
    o::reduce::OPERATORS,
    o::repeat::OPERATORS,
    o::reshape::OPERATORS,
    o::scaler::OPERATORS,
    o::scan::OPERATORS,
    o::select::OPERATORS,
    o::sequence::OPERATORS,
    o::slice::OPERATORS,
    o::softmax::OPERATORS,
    o::split::OPERATORS,
    o::support_vectors::OPERATORS,
    o::top_k::OPERATORS,
    o::transpose::OPERATORS,
    o::trees::OPERATORS,
    o::unary::OPERATORS,
    o::variadic::OPERATORS,
];

/// A node's operator, and the version of its operator set.
pub(super) fn find(
    node: &Node,
    graph: &Graph<'_>,
) -> Result<(&'static Operator, i64), CompileError> {
    let mut all = OPERATORS.iter().copied().flatten();
    let named =
        |own: &&Operator| own.name == node.name.operator && own.domain.name() == node.name.domain;
    let operator = all.find(named).ok_or_else(|| {
        let problem = if node.has_subgraph() {
            "it has a subgraph"
        } else {
            "this operator"
        };
        node.unsupported(problem, SUPPORTED)
    })?;
    let (domain, newest) = (operator.domain.name(), operator.domain.newest());
    // Files may leave out a set; what they then mean is for the exporter's ONNX to say.
    let version = graph.versions.get(domain).copied().unwrap_or(newest);
    if (operator.since..=newest).contains(&version) {
        return Ok((operator, version));
    }
    Err(node.unsupported(
        format!("it is of version {version} of the operator set {domain}"),
        format!(
            "versions {} to {newest}; export with such a target opset",
            operator.since
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::{Domain, OPERATORS};
    use std::collections::HashSet;

    /// What stands before and behind the list in docs/networks.md.
    const MARKS: [&str; 2] = ["<!-- operators: begin -->\n", "<!-- operators: end -->\n"];

    /// A line a domain: its operators with their first version.
    fn list() -> String {
        let line = |domain: Domain| {
            let all = OPERATORS.iter().copied().flatten();
            let own = all.filter(|operator| operator.domain == domain);
            let mut own: Vec<String> = own
                .map(|operator| format!("`{}` {}", operator.name, operator.since))
                .collect();
            own.sort_by_key(|operator| operator.to_lowercase());
            let (name, newest) = (domain.name(), domain.newest());
            format!("- `{name}`, up to version {newest}: {}\n", own.join(", "))
        };
        [Domain::Standard, Domain::Ml].map(line).concat()
    }

    /// The list in docs/networks.md is this one; `CIPHERFN_WRITE=1` writes it.
    #[test]
    fn the_page_on_networks_lists_all_operators() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/networks.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once(MARKS[0]).unwrap();
        let (found, behind) = rest.split_once(MARKS[1]).unwrap();
        let list = list();
        if std::env::var_os("CIPHERFN_WRITE").is_some() {
            let page = [before, MARKS[0], &list, MARKS[1], behind].concat();
            std::fs::write(path, page).unwrap();
        } else {
            assert_eq!(found, list, "CIPHERFN_WRITE=1 writes the list");
        }
    }

    #[test]
    fn operators_are_listed_once_and_known_from_a_version_on() {
        let mut names = HashSet::new();
        for operator in OPERATORS.iter().copied().flatten() {
            let (name, domain) = (operator.name, operator.domain.name());
            assert!(names.insert((name, domain)), "{name} ({domain})");
            let versions = 1..=operator.domain.newest();
            assert!(versions.contains(&operator.since), "{}", operator.name);
        }
    }
}
