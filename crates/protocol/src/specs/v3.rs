//! Format 3: format 2, and how many decimals values of features may have. It is written only for
//! specs that say so: clients that do not know of it would answer rows that have more.
//!
//! Format 4 has the same layout, and features as integers among its inputs; format 5 has features that
//! stand together in their ciphertexts. Format 6 has relations between features: clients that do not know of
//! it would answer rows without a mark that break them. Format 7 has integers that stand for a few values:
//! clients that do not know of it would answer rows without a mark whose values lie between them.

use super::v2::{DecodingV2, Model, SpecsV2};
use super::wire::{Encoding, InputColumn, OutputField, Relation, Wire};
use super::{ClientSpecs, ParameterSetRef, Quantiser, SpecsError};
use crate::hash::Hash;
use cipherfn_program::{self as program, FeatureForm, RowProgram};
use serde::{Deserialize, Serialize};

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SpecsV3 {
    format: u16,
    model: Model,
    circuit: Hash,
    parameter_set: ParameterSetRef,
    key_parts: Vec<String>,
    columns: Vec<InputColumn>,
    preprocess: RowProgram,
    inputs: Vec<Encoding>,
    /// In order of the inputs' quantisers.
    decimals: Vec<Decimals>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    relations: Vec<Relation>,
    decoding: DecodingV2,
    postprocess: RowProgram,
    outputs: Vec<OutputField>,
}

/// The first format that has decimals.
const DECIMALS: u16 = 3;
/// The first format that has features as integers.
pub(super) const INTEGERS: u16 = 4;
/// The first format that has features together.
pub(super) const TOGETHER: u16 = 5;
/// The first format that has relations between features.
pub(super) const RELATIONS: u16 = 6;
/// The first format that says how far a value may lie from what an integer stands for.
pub(super) const TOLERANCES: u16 = 7;

/// Most decimals of a feature's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decimals {
    feature: u32,
    decimals: u32,
}

impl TryFrom<SpecsV3> for ClientSpecs {
    type Error = SpecsError;

    fn try_from(document: SpecsV3) -> Result<Self, SpecsError> {
        let mut specs = Self::from(SpecsV2 {
            format: document.format,
            model: document.model,
            circuit: document.circuit,
            parameter_set: document.parameter_set,
            key_parts: document.key_parts,
            columns: document.columns,
            preprocess: document.preprocess,
            inputs: document.inputs,
            decoding: document.decoding,
            postprocess: document.postprocess,
            outputs: document.outputs,
        });
        declare(&mut specs, document.decimals)?;
        specs.relations = document.relations.run();
        Ok(specs)
    }
}

impl SpecsV3 {
    pub(super) const fn format(&self) -> u16 {
        self.format
    }

    /// The document of specs that need this format; `None` for others.
    pub(super) fn of(specs: &ClientSpecs) -> Option<Self> {
        let decimals = quantisers(specs).filter_map(|quantiser| {
            Some(Decimals {
                feature: quantiser.feature,
                decimals: quantiser.decimals?,
            })
        });
        let decimals: Vec<Decimals> = decimals.collect();
        let of_inputs = specs.inputs.iter().filter_map(first_format).max();
        let of_decimals = (!decimals.is_empty()).then_some(DECIMALS);
        let of_relations = (!specs.relations.is_empty()).then_some(RELATIONS);
        let format = of_inputs.max(of_decimals).max(of_relations)?;
        let document = SpecsV2::from(specs.clone());
        Some(Self {
            format,
            model: document.model,
            circuit: document.circuit,
            parameter_set: document.parameter_set,
            key_parts: document.key_parts,
            columns: document.columns,
            preprocess: document.preprocess,
            inputs: document.inputs,
            decimals,
            relations: Wire::of(specs.relations.clone()),
            decoding: document.decoding,
            postprocess: document.postprocess,
            outputs: document.outputs,
        })
    }
}

/// The first format that can say an input, where it is one of these.
fn first_format(encoding: &program::Encoding) -> Option<u16> {
    match encoding {
        program::Encoding::Integers(encoding) => {
            let mut features = encoding.features.iter();
            let is_tolerant = features.any(|own| own.tolerance.is_some());
            Some(if is_tolerant { TOLERANCES } else { INTEGERS })
        }
        program::Encoding::Linear(encoding) if encoding.form == FeatureForm::Together => {
            Some(TOGETHER)
        }
        program::Encoding::Linear(_) | program::Encoding::Selectors(_) => None,
    }
}

/// Notes decimals at their quantisers.
fn declare(specs: &mut ClientSpecs, decimals: Vec<Decimals>) -> Result<(), SpecsError> {
    // Both are in one order, so one pass over the quantisers finds all of them.
    let mut quantisers = quantisers_mut(specs);
    for (index, own) in decimals.into_iter().enumerate() {
        let quantiser = quantisers.find(|quantiser| quantiser.feature == own.feature);
        let quantiser = quantiser.ok_or_else(|| SpecsError::Invalid {
            field: format!("decimals[{index}].feature"),
            problem: format!(
                "{} has no quantiser, appears twice or is not in order of the quantisers",
                own.feature
            ),
        })?;
        quantiser.decimals = Some(own.decimals);
    }
    Ok(())
}

fn quantisers(specs: &ClientSpecs) -> impl Iterator<Item = &Quantiser> {
    specs.inputs.iter().flat_map(|encoding| match encoding {
        program::Encoding::Selectors(encoding) => encoding.quantisers.as_slice(),
        program::Encoding::Linear(_) | program::Encoding::Integers(_) => &[],
    })
}

fn quantisers_mut(specs: &mut ClientSpecs) -> impl Iterator<Item = &mut Quantiser> {
    specs.inputs.iter_mut().flat_map(|encoding| match encoding {
        program::Encoding::Selectors(encoding) => encoding.quantisers.as_mut_slice(),
        program::Encoding::Linear(_) | program::Encoding::Integers(_) => &mut [],
    })
}
