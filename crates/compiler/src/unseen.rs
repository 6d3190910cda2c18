//! Classes that the model gives to no calibration row.

use crate::labels::same_label;
use crate::model::{Estimator, Model};
use crate::simulate::SimulatedRow;
use cipherfn_protocol::specs::OutputField;

/// Classes that are named at most.
const SHOWN: usize = 5;

/// Warns where tables reach as far as the rows of some classes lead, and not to the others: a row of such a class may
/// leave them though each of its cells is in range, and then has another label. A table that is sorted by class,
/// of which the head is taken, is such a case (scikit-learn's iris and wine are sorted).
pub(crate) fn warning(model: &Model, rows: &[SimulatedRow]) -> Option<String> {
    if !model.estimators.iter().any(Estimator::looks_up) {
        return None;
    }
    let mut labels = model.outputs.iter();
    let label = labels.position(|field| *field == OutputField::Label)?;
    if labels.any(|field| *field == OutputField::Label) {
        return None;
    }
    let classes = model.outputs.iter().find_map(|field| match field {
        OutputField::Probabilities(classes) | OutputField::Scores(classes) => Some(classes),
        _ => None,
    })?;
    let mut seen: Vec<String> = Vec::new();
    for row in rows {
        for own in row.exact.get(label)?.to_texts() {
            if !seen.contains(&own) {
                seen.push(own);
            }
        }
    }
    let is_seen = |class: &&String| seen.iter().any(|own| same_label(class, own));
    let (known, unseen): (Vec<&String>, Vec<&String>) = classes.iter().partition(is_seen);
    // Of labels that are none of the classes nothing is known.
    if unseen.is_empty() || known.len() != seen.len() {
        return None;
    }
    let shown = unseen.iter().take(SHOWN).map(|class| format!("{class:?}"));
    let shown = shown.collect::<Vec<_>>().join(", ");
    let more = match unseen.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "the model gives no calibration row the label {shown}{more}: rows of such a class may lead \
         where nothing was calibrated and get another label without a remark; give calibration rows \
         of every class (of a table that is sorted by class not the head alone)"
    ))
}
