//! Relations between features.

use super::validate::{check, count, name};
use super::{Relation, SpecsError, v3};

/// Most relations between features.
const MAX_RELATIONS: usize = 1 << 10;
/// Most terms of all relations together.
const MAX_TERMS: usize = 1 << 16;
/// Most names of a relation.
const MAX_NAMES: usize = 3;

/// Checks the relations of a document of `format`.
pub(super) fn validate(relations: &[Relation], format: u16) -> Result<(), SpecsError> {
    check(format >= v3::RELATIONS || relations.is_empty(), || {
        let problem = format!("are there, which format {format} does not know");
        ("relations".into(), problem)
    })?;
    count("relations", relations.len(), 0, MAX_RELATIONS)?;
    let terms: usize = relations.iter().map(|own| own.terms.len()).sum();
    check(terms <= MAX_TERMS, || {
        let problem = format!("have {terms} terms together, more than {MAX_TERMS}");
        ("relations".into(), problem)
    })?;
    for (index, own) in relations.iter().enumerate() {
        let field = |part: &str| format!("relations[{index}].{part}");
        count(&field("terms"), own.terms.len(), 1, MAX_TERMS)?;
        check(own.terms.is_sorted_by(|one, other| one.0 < other.0), || {
            (field("terms"), "are not in order of the features".into())
        })?;
        check(
            own.terms.iter().all(|(_, weight)| weight.is_finite()),
            || (field("terms"), "hold a number that is not finite".into()),
        )?;
        check(own.centre.is_finite(), || {
            (field("centre"), format!("{} is not finite", own.centre))
        })?;
        check(own.limit.is_finite() && own.limit > 0.0, || {
            let problem = format!("{} is not a positive number", own.limit);
            (field("limit"), problem)
        })?;
        count(&field("names"), own.names.len(), 1, MAX_NAMES)?;
        for (place, text) in own.names.iter().enumerate() {
            name(&format!("{}[{place}]", field("names")), text)?;
        }
    }
    Ok(())
}
