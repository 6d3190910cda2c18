//! Options that ask for what a model cannot have: they would be taken for kept.

use super::{Combiner, FeatureMode, Options};
use crate::error::CompileError;
use crate::model::{Estimator, Model};

impl Options {
    /// Refuses options that change nothing of this model.
    pub(crate) fn check_effect(&self, model: &Model) -> Result<(), CompileError> {
        let has = |is_one: fn(&Estimator) -> bool| model.estimators.iter().any(is_one);
        let has_splits = has(|own| matches!(own, Estimator::Trees(_) | Estimator::LinearTrees(_)));
        let no_splits = "and the model has no trees whose split points clients would see";
        let (option, found, expected) = match self.features {
            FeatureMode::Exact { decoys: 1.. } if !has_splits => (
                "decoys",
                format!("given, {no_splits}"),
                "it for tree ensembles only",
            ),
            FeatureMode::Grid { bits } if !has_splits => (
                "features",
                format!("grid:{bits}, {no_splits}"),
                "exact: how fine the steps of other models are, precision and max-error say",
            ),
            _ if !self.decimals.columns.is_empty() && !has_splits => (
                "decimals",
                format!("given, {no_splits}"),
                "it for tree ensembles only",
            ),
            _ if self.max_error.is_some() && !has(Estimator::looks_up) => (
                "max-error",
                "given, and no part of the model is approximate".to_owned(),
                "precision: trees and linear models keep it for every row",
            ),
            _ if self.precision.is_some()
                && model
                    .estimators
                    .iter()
                    .all(|own| matches!(own, Estimator::Neighbours(_))) =>
            {
                (
                    "precision",
                    "given, and the scores are votes, which are whole".to_owned(),
                    "max-error or min-agreement for how far votes may be off",
                )
            }
            _ if self.combiner == Combiner::Server
                && !has(|own| matches!(own, Estimator::Stacked(_))) =>
            {
                (
                    "combiner",
                    "server, and the model has no trees over other estimators' results".to_owned(),
                    "auto",
                )
            }
            _ => return Ok(()),
        };
        Err(CompileError::Option {
            option,
            found,
            expected,
        })
    }
}
