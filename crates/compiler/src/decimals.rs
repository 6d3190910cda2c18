//! Decimals of the features, as they are declared or as the calibration rows have them.

use crate::error::CompileError;
use crate::features::Features;
use crate::model::Model;
use crate::options::Decimals;
use cipherfn_program::{MAX_DECIMALS, has_decimals};
use cipherfn_protocol::specs::InputColumn;

/// Most decimals that are looked for in calibration rows: with more, 32-bit values are hardly told
/// from any others.
const MOST_FOUND: u32 = 4;

impl Features {
    /// Takes note of declared decimals. Features that are computed from a column and have others are
    /// left as they are.
    pub(crate) fn with_decimals(
        mut self,
        declared: &Decimals,
        model: &Model,
        columns: &[InputColumn],
    ) -> Result<Self, CompileError> {
        for (name, decimals) in &declared.columns {
            self.declare(name, *decimals, model, columns)?;
        }
        if declared.auto {
            self.decimals = self.decimals_of_rows();
        }
        Ok(self)
    }

    /// Decimals of all features: the declared ones, and where there are none those of the calibration
    /// rows. Rows without a value say nothing about how many there are.
    pub(crate) fn decimals_of_rows(&self) -> Vec<Option<u32>> {
        let found = |feature: usize| {
            self.finite_values(feature).next()?;
            (0..=MOST_FOUND).find(|decimals| self.exception(feature, *decimals).is_none())
        };
        let declared = self.decimals.iter().enumerate();
        declared
            .map(|(feature, own)| own.or_else(|| found(feature)))
            .collect()
    }

    fn declare(
        &mut self,
        name: &str,
        decimals: u32,
        model: &Model,
        columns: &[InputColumn],
    ) -> Result<(), CompileError> {
        let bad = |problem: String| CompileError::Decimals {
            column: name.to_owned(),
            decimals,
            problem,
        };
        if decimals > MAX_DECIMALS {
            return Err(bad(format!("at most {MAX_DECIMALS} can be declared")));
        }
        let column = columns.iter().position(|column| column.name == name);
        let column = column.ok_or_else(|| {
            let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            bad(format!(
                "the model has no such column, but {}",
                names.join(", ")
            ))
        })?;
        let origin = |feature: &usize| {
            let origin = model.origins.get(*feature).copied().flatten();
            origin.is_some_and(|origin| origin as usize == column)
        };
        let own: Vec<usize> = (0..self.names.len()).filter(origin).collect();
        let (fitting, others): (Vec<usize>, Vec<usize>) = own
            .into_iter()
            .partition(|feature| self.exception(*feature, decimals).is_none());
        if fitting.is_empty() {
            let exception = others
                .first()
                .and_then(|feature| self.exception(*feature, decimals));
            return Err(bad(match exception {
                Some(value) => format!(
                    "the model's trees get {value} of it in the calibration rows; declare as many \
                     as it has, and none for a column that the model scales"
                ),
                None => "the model's trees do not ask for its values".to_owned(),
            }));
        }
        for feature in fitting {
            self.decimals[feature] = Some(decimals);
        }
        Ok(())
    }

    /// A value of the calibration rows that has more decimals.
    fn exception(&self, feature: usize, decimals: u32) -> Option<f32> {
        self.finite_values(feature)
            .find(|value| !has_decimals(*value, decimals))
    }
}
