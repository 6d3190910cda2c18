//! Groups over an inner merge with a frame that adds rows of equal keys.

use crate::answer::Statistic;
use crate::plan::PlanError;
use crate::resolve::{Grouped, Measure, Presence, Resolved, TableColumn};

/// Refuses numbers of rows that would be numbers of pairs: a row whose key the other frame has several
/// times is one row with sums in it, and all that the server has of its partners is how many they are.
pub(super) fn check(resolved: &Resolved<'_>, grouped: &Grouped) -> Result<(), PlanError> {
    let mut joins = resolved.joins.iter().enumerate();
    let adds = joins.find(|(join, own)| own.inner && resolved.adds_rows(*join));
    let Some((join, _)) = adds else {
        return Ok(());
    };
    let is_partners = |column: &TableColumn| {
        let mut presence = column.presence.iter();
        presence.any(|own| match own {
            Presence::Matched(other) | Presence::Looked { join: other, .. } => *other == join,
            Presence::Stored(_) | Presence::Function(_) => false,
        })
    };
    let counts_pairs = |measure: &Measure| match measure {
        Measure::Len => true,
        Measure::Count(column) => !is_partners(column),
        Measure::Distribution(_, statistic) => matches!(statistic, Statistic::Quantile(_)),
        // Of other columns than looked-up ones the server has none.
        Measure::Sum(_) | Measure::Mean(_) => false,
    };
    if !grouped.measures.iter().any(counts_pairs) {
        return Ok(());
    }
    Err(PlanError::Invalid {
        step: grouped.step.clone(),
        problem: format!(
            "it counts rows of which {0:?} has the key, and {0:?} adds rows of equal keys, so that pairs would be counted: count a column that is looked up in {0:?}, merge it from the left, or encrypt it with duplicates = \"refuse\"",
            resolved.frames[join + 1].name()
        ),
    })
}
