//! Aggregates over a join, seen from the joined frame: the first frame's rows are added by their keys,
//! and each row of the joined frame takes the sum of its own.

use super::groups::{MAX_ROWS, Origin, Spread, Sums, rows_of};
use super::rows::no_lookup;
use super::{RowGraph, no_room};
use crate::answer::{Answer, Lane};
use crate::diagram::Diagram;
use crate::pass::{CircuitForm, Collect, POLYNOMIAL_SIZE, Pass, TableSource};
use crate::plan::PlanError;
use crate::resolve::{Atom, Grouped, Key, Measure, Presence, Resolved, TableColumn};
use crate::schema::Duplicates;

/// Whether groups or conditions are of the joined frame.
pub(super) fn is_needed(resolved: &Resolved<'_>, grouped: &Grouped) -> bool {
    let is_other = |column: &TableColumn| sides(resolved, column).iter().any(|side| *side > 0);
    grouped.keys.iter().any(is_other)
        || resolved.filters.iter().skip(1).any(Option::is_some)
        || grouped
            .measures
            .iter()
            .any(|measure| matches!(measure, Measure::Distribution(column, _) if is_other(column)))
}

/// Whether all that is summed is of the first frame, and all that groups is of the only joined one.
pub(super) fn is_possible(resolved: &Resolved<'_>, grouped: &Grouped) -> bool {
    check(resolved, grouped).is_ok()
}

pub(super) fn lower(
    resolved: &Resolved<'_>,
    grouped: &Grouped,
    form: &CircuitForm,
) -> Result<(Vec<Pass>, Answer), PlanError> {
    check(resolved, grouped)?;
    let join = &resolved.joins[0];
    let mut first = RowGraph::new(resolved, 0);
    let mut sums = Sums::new(&first, grouped, false)?;
    let frame = resolved.frames[1];
    let Some(lookup) = join.lookup else {
        return Err(no_lookup(resolved, 0));
    };
    let layout = frame.lookup_layout(&frame.lookups()[lookup]);
    let (by_key, by_key_places) = Sums::of(
        Spread {
            keys: join.keys.iter().map(|key| Key::Stored(0, *key)).collect(),
            layout: layout.clone(),
        },
        &sums,
    );
    let nulls = |side: usize, keys: &[usize]| -> Vec<Presence> {
        let columns = resolved.frames[side].columns();
        let keys = keys.iter().filter(|key| columns[**key].nulls);
        keys.map(|key| Presence::Stored(*key)).collect()
    };
    // One sum of all rows is the table of the next pass.
    let limit = rows_of(resolved, 0);
    if limit > MAX_ROWS {
        return Err(PlanError::Invalid {
            step: grouped.step.clone(),
            problem: format!(
                "{limit} rows are added by their keys before they are grouped, at most {MAX_ROWS} have room; split {:?} into frames of so many rows and add their answers",
                resolved.frames[0].name()
            ),
        });
    }
    let limit = limit as u32;
    let masks = nulls(0, &join.keys);
    let by_keys = first.collect(&by_key, resolved.filters[0], &masks, limit, grouped)?;
    if by_keys.rows < limit {
        return Err(no_room(&grouped.step, "of the groups"));
    }
    let pass = first.finish(&by_keys.outputs, Collect::Sum { rows: by_keys.rows }, form);

    let mut second = RowGraph::new(resolved, 1);
    for (summand, place) in sums.summands.iter_mut().zip(by_key_places) {
        let lane = &by_keys.lanes[place];
        let blocks = 0..layout.blocks() as usize;
        let tables = blocks.map(|block| TableSource::Summed {
            pass: 0,
            output: lane.output + block,
        });
        let turned = second.turned_by(tables.collect(), &join.right_keys, &layout, 1);
        let node = second.graph.isolated(turned, lane.offset % POLYNOMIAL_SIZE);
        summand.what = Origin::Made(node, Lane { ..*lane });
        summand.masks.clear();
    }
    let masks = nulls(1, &join.right_keys);
    // Every row of the first frame reaches one row of the joined one at most: the sums are no larger.
    let collected = second.collect(&sums, resolved.filters[1], &masks, 1, grouped)?;
    let rows = rows_of(resolved, 1).min(1 << 31) as u32;
    let last = second.finish(&collected.outputs, Collect::Sum { rows }, form);
    Ok((
        vec![pass, last],
        sums.answer(resolved, grouped, &collected.lanes),
    ))
}

fn check(resolved: &Resolved<'_>, grouped: &Grouped) -> Result<(), PlanError> {
    let not_levelled = |problem: String| {
        PlanError::NotLevelled {
        step: grouped.step.clone(),
        problem,
        refresh: "have the merged rows decrypted and encrypt them as a frame, which is one round trip of all their cells".into(),
    }
    };
    let [join] = &resolved.joins[..] else {
        return Err(not_levelled(
            "groups or conditions are of a merged frame, and there are several merges".into(),
        ));
    };
    let merged = resolved.frames[1];
    if merged.cells().is_some() {
        return Err(not_levelled(format!(
            "numbers of rows that are left out or filled are looked up in {:?}, a table in the clear; aggregate columns of {:?}, or those of {0:?} alone",
            merged.name(),
            resolved.frames[0].name()
        )));
    }
    let duplicates = join
        .lookup
        .map(|lookup| resolved.frames[1].lookups()[lookup].duplicates);
    if duplicates != Some(Duplicates::Refuse) {
        return Err(match duplicates {
            None => no_lookup(resolved, 0),
            _ => not_levelled("the merged frame may have several rows of a key".into()),
        });
    }
    if !join.inner && resolved.filters[1].is_none() {
        return Err(not_levelled(
            "groups are of a frame merged from the left, where rows without a partner are a group of their own; merge by \"inner\"".into(),
        ));
    }
    let is_side = |column: &TableColumn, wanted: usize| {
        sides(resolved, column).iter().all(|side| *side == wanted)
    };
    if let Some(key) = grouped.keys.iter().find(|key| !is_side(key, 1)) {
        return Err(not_levelled(format!(
            "column {:?} of the first frame groups beside or instead of those of the merged one",
            key.name
        )));
    }
    for measure in &grouped.measures {
        let is_possible = match measure {
            Measure::Len => true,
            Measure::Count(column) | Measure::Sum(column) | Measure::Mean(column) => {
                is_of_first(resolved, column)
            }
            Measure::Distribution(column, _) => is_side(column, 1),
        };
        if let (
            false,
            Measure::Count(column)
            | Measure::Sum(column)
            | Measure::Mean(column)
            | Measure::Distribution(column, _),
        ) = (is_possible, measure)
        {
            return Err(not_levelled(format!(
                "column {:?} is aggregated over groups of the other frame",
                column.name
            )));
        }
    }
    Ok(())
}

/// Whose bits a key column is of.
fn sides(resolved: &Resolved<'_>, column: &TableColumn) -> Vec<usize> {
    match column.key {
        // A table in the clear is looked up by the first frame's rows.
        Some(Key::Stored(side, _)) if resolved.is_clear(side) => vec![0],
        Some(Key::Stored(side, _)) => vec![side],
        Some(Key::Function { diagram, .. }) => resolved.sides(diagram),
        None => Vec::new(),
    }
}

/// Whether a number is made of the first frame's columns alone.
fn is_of_first(resolved: &Resolved<'_>, column: &TableColumn) -> bool {
    let is_first = |diagram: Diagram| resolved.sides(diagram).iter().all(|side| *side == 0);
    let is_own = |atom: &Atom| {
        let atom = if let Atom::Product(of, _) = atom {
            of
        } else {
            atom
        };
        match atom {
            Atom::Limbs(_) | Atom::Code(_) | Atom::There(_) => true,
            Atom::Function(diagram) => is_first(*diagram),
            Atom::Looked { .. } | Atom::Matched(_) | Atom::Present { .. } | Atom::Product(..) => {
                false
            }
        }
    };
    let is_there = |presence: &Presence| match presence {
        Presence::Stored(_) => true,
        Presence::Function(diagram) => is_first(*diagram),
        Presence::Matched(_) | Presence::Looked { .. } => false,
    };
    column.presence.iter().all(is_there)
        && column
            .value
            .as_ref()
            .is_none_or(|value| value.terms.iter().all(|(atom, _)| is_own(atom)))
}
