//! For which of two classes the one score of a model speaks.

use crate::{OutputField, RowProgram, Tensor};

/// A score far from the boundary of two labels, in both directions: a probability there is 0 or 1 in 32 bits.
const FAR: f64 = 100.0;

/// Whether a model's one raw score speaks for the first of its two classes: the higher it is, the less for the
/// second one, which scikit-learn's `decision_function` speaks for. Exporters write both; labels tell, and
/// where a model has none its probabilities or scores. `program` makes `outputs` of the score.
pub fn speaks_for_first(program: &RowProgram, outputs: &[OutputField]) -> bool {
    let classes = outputs.iter().find_map(|field| match field {
        OutputField::Probabilities(classes) | OutputField::Scores(classes) => Some(classes),
        OutputField::Label | OutputField::Prediction | OutputField::Deviation(_) => None,
    });
    let Some([first, second]) = classes.map(Vec::as_slice) else {
        return false;
    };
    let at = |score: f64| program.run(vec![Tensor::F64(vec![score])]);
    let (Ok(low), Ok(high)) = (at(-FAR), at(FAR)) else {
        return false;
    };
    let label = outputs
        .iter()
        .position(|field| *field == OutputField::Label);
    if let Some(label) = label {
        let named = |own: &[Tensor]| own[label].to_texts().into_iter().next();
        if named(&low).as_ref() == Some(second) && named(&high).as_ref() == Some(first) {
            return true;
        }
        if named(&low).as_ref() == Some(first) && named(&high).as_ref() == Some(second) {
            return false;
        }
    }
    let numbers = outputs.iter().zip(low.iter().zip(&high));
    let mut numbers = numbers.filter_map(|(field, (low, high))| match field {
        OutputField::Probabilities(_) | OutputField::Scores(_) => Some([
            low.to_f64()?.get(1).copied()?,
            high.to_f64()?.get(1).copied()?,
        ]),
        OutputField::Label | OutputField::Prediction | OutputField::Deviation(_) => None,
    });
    numbers.next().is_some_and(|[low, high]| high < low)
}
