//! Trainings on rows that nobody has all of, and so nobody has simulated: whether their weights have kept to the
//! residuals' table.
//!
//! Weights are kept divided by what the penalty has left of them, so their forms are looked up divided by it, too.
//! Far beyond the table's end residuals have the wrong sign, and further than twice of it forms go around the torus:
//! what such steps lead to may look like weights again once it is multiplied by what the penalty leaves.

use super::simulate::dot;
use super::{DescentStep, FARTHEST, RANGE, Training, WEIGHT};
use crate::error::TrainingError;

impl Training {
    /// That steps leave weights a place in the table, whatever the rows: forms of 1, which tell a class from
    /// another by 73 to 27, must be looked up within it to the end.
    ///
    /// # Errors
    /// [`TrainingError::Shrinks`].
    pub fn require_room(steps: &[DescentStep]) -> Result<(), TrainingError> {
        let shrunk = Self::shrunk_after(steps);
        let (held, largest) = (1.0 / shrunk, 1.0);
        if held <= FARTHEST {
            return Ok(());
        }
        Err(TrainingError::Shrinks {
            shrunk,
            held,
            largest,
            range: FARTHEST,
        })
    }

    /// That decrypted weights, fractions of the torus as the steps have kept them, lie in the table: none leads
    /// beyond twice its range by a unit of its column alone, nor any of the rows that are known beyond what
    /// residuals are right for.
    ///
    /// # Errors
    /// What does not, and not by how much: whoever has run the steps may have chosen it.
    pub fn require_within_table(
        &self,
        fractions: &[Vec<f64>],
        rows: &[(Vec<i32>, usize)],
    ) -> Result<(), TrainingError> {
        for (set, weights) in fractions.iter().enumerate() {
            // A NaN is not within anything.
            let is_within = |weight: &f64| weight.abs() <= 2.0 * RANGE * WEIGHT;
            if let Some(place) = weights.iter().position(|weight| !is_within(weight)) {
                let (name, class) = self.name_of_weight(set, place);
                let what = format!("the weight{name}{class}");
                return Err(TrainingError::Outgrown { what });
            }
            let is_within = |row: &[i32]| Self::form(dot(row, weights)).abs() <= FARTHEST;
            if let Some(row) = rows.iter().position(|(row, _)| !is_within(row)) {
                let what = format!("the form of own row {}", row + 1);
                return Err(TrainingError::Outgrown { what });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{RANGE, WEIGHT};
    use crate::descent::Training;
    use crate::error::TrainingError;

    fn training(rest: &str) -> Training {
        let text = format!(
            "format = 1\nname = \"t\"\nalgorithm = \"logistic\"\nbatch = 16\n{rest}\n[[column]]\nname = \"a\"\nlow = 0\nhigh = 10\n[target]\nname = \"y\"\nclasses = [\"no\", \"yes\"]"
        );
        Training::from_toml(&text).unwrap()
    }

    /// What a penalty makes small is judged as it was kept: 110 units in the table's numbers are a weight of 0.24
    /// where 0.0022 is left.
    #[test]
    fn weights_are_judged_as_they_were_kept() {
        let own = training("epochs = 12\nrate = 1.0\npenalty = 0.05");
        let steps = own.schedule(160).unwrap();
        let fractions = vec![vec![-110.0 * WEIGHT, 42.0 * WEIGHT]];
        let weights = own.weights(&steps, &fractions[0], 0.0);
        assert!(weights[0].abs() < 0.3, "{weights:?}");
        own.start(&[weights]).unwrap();
        let error = own.require_within_table(&fractions, &[]).unwrap_err();
        assert!(
            error.to_string().contains("the weight of column \"a\""),
            "{error}"
        );

        let within = vec![vec![2.0 * WEIGHT, -2.0 * RANGE * WEIGHT]];
        own.require_within_table(&within, &[]).unwrap();
        for weight in [f64::NAN, 33.0 * WEIGHT] {
            let beyond = vec![vec![0.0, weight]];
            let error = own.require_within_table(&beyond, &[]).unwrap_err();
            assert!(error.to_string().contains("the constant"), "{error}");
        }
        // Four steps a unit: forms of 4 and of 28.
        let rows = [(vec![8, 0], 0), (vec![12, -4], 1)];
        let own_rows = |count: usize| {
            let weights = vec![vec![2.0 * WEIGHT, -22.0 * WEIGHT]];
            own.require_within_table(&weights, &rows[..count])
        };
        own_rows(1).unwrap();
        let error = own_rows(2).unwrap_err();
        assert!(error.to_string().contains("own row 2"), "{error}");
    }

    #[test]
    fn steps_that_leave_nothing_are_refused_before_they_are_run() {
        let own = training("epochs = 12\nrate = 1.0\npenalty = 0.05");
        // 24 steps leave 0.29 of a weight, 120 leave 0.0021.
        Training::require_room(&own.schedule(32).unwrap()).unwrap();
        let error = Training::require_room(&own.schedule(160).unwrap()).unwrap_err();
        assert!(matches!(error, TrainingError::Shrinks { .. }), "{error}");
        let plain = training("epochs = 1000\nrate = 1.0");
        Training::require_room(&plain.schedule(160).unwrap()).unwrap();
    }
}
