//! Groups: every row is moved to its group's place, and rows are added.

use super::atoms::recombined;
use super::load::Load;
use super::rows::no_lookup;
use super::{RowGraph, no_room};
use crate::answer::{Answer, AnswerColumn, AnswerShape, Content, GroupKey, Lane, Statistic};
use crate::pass::{CircuitForm, Collect, POLYNOMIAL_SIZE, Pass};
use crate::plan::PlanError;
use crate::resolve::{
    Atom, Grouped, Key, Linear, MAX_GROUPS, Measure, Presence, Resolved, Shown, TableColumn,
};
use crate::schema::KeyLayout;
use cipherfn_circuit::circuit::NodeId;

/// Rows that one sum takes at most: what limbs have room for.
pub(super) const MAX_ROWS: u64 = 1 << 11;

/// Places to which rows are moved.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    pub(super) keys: Vec<Key>,
    pub(super) layout: KeyLayout,
}

/// A number that is summed by places.
#[derive(Clone, Debug)]
pub(super) struct Summand {
    pub(super) what: Origin,
    /// Which spread.
    pub(super) spread: usize,
    /// What has to hold of a row.
    pub(super) masks: Vec<Presence>,
    /// Column, for people.
    pub(super) name: String,
}

/// Where a number comes from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// It is made of a row's columns.
    Loaded(Load),
    /// It is a node, whose lane is like this one.
    Made(NodeId, Lane),
}

/// What is summed, and how it becomes columns.
pub(super) struct Sums {
    pub(super) spreads: Vec<Spread>,
    pub(super) summands: Vec<Summand>,
    /// A column a measure; lanes are places among the summands.
    contents: Vec<Planned>,
}

/// The content of a measure's column, by places of summands.
enum Planned {
    Count(usize),
    Sum(Linear, Vec<(usize, u32)>, Option<usize>),
    Mean(Linear, Vec<(usize, u32)>, usize),
    Distribution(usize, Key, u8, Statistic),
}

pub(super) fn lower(
    resolved: &Resolved<'_>,
    grouped: &Grouped,
    form: &CircuitForm,
) -> Result<(Vec<Pass>, Answer), PlanError> {
    let mut rows = RowGraph::new(resolved, 0);
    let sums = Sums::new(&rows, grouped, true)?;
    super::pairs::check(resolved, grouped)?;
    let limit = rows_of(resolved, 0)
        .min(form.rows_per_sum.into())
        .clamp(1, MAX_ROWS) as u32;
    let collected = rows.collect(&sums, resolved.filters[0], &[], limit, grouped)?;
    let pass = rows.finish(
        &collected.outputs,
        Collect::Sum {
            rows: collected.rows,
        },
        form,
    );
    Ok((vec![pass], sums.answer(resolved, grouped, &collected.lanes)))
}

/// Rows of a frame, or what limbs have room for where they are not known.
pub(super) fn rows_of(resolved: &Resolved<'_>, side: usize) -> u64 {
    resolved.frames[side]
        .rows()
        .count
        .unwrap_or(MAX_ROWS)
        .max(1)
}

impl Spread {
    /// Summands whose places share a ciphertext.
    pub(super) fn summands_together(&self) -> usize {
        (u64::from(POLYNOMIAL_SIZE) / self.layout.places).max(1) as usize
    }
}

impl Sums {
    /// Ciphertexts that the summands take at least.
    pub(super) fn outputs(&self) -> usize {
        let spreads = self.spreads.iter().enumerate();
        let taken = spreads.map(|(index, spread)| {
            let own = self.summands.iter().filter(|own| own.spread == index);
            own.count().div_ceil(spread.summands_together())
        });
        taken.sum()
    }

    /// What the measures of groups are made of. `direct` if rows are those of the first frame, so that
    /// looked-up numbers are at hand.
    pub(super) fn new(
        rows: &RowGraph<'_>,
        grouped: &Grouped,
        direct: bool,
    ) -> Result<Self, PlanError> {
        let resolved = rows.resolved;
        let keys: Vec<Key> = grouped.keys.iter().filter_map(|key| key.key).collect();
        let mut sums = Self {
            spreads: Vec::new(),
            summands: Vec::new(),
            contents: Vec::new(),
        };
        let spread = sums.spread(resolved, grouped, &keys)?;
        let inner = resolved
            .joins
            .iter()
            .enumerate()
            .filter(|(_, join)| join.inner && direct);
        let inner: Vec<Presence> = inner.map(|(join, _)| Presence::Matched(join)).collect();
        sums.count(rows, grouped, &inner, "len", spread)?;
        for measure in &grouped.measures {
            let planned = match measure {
                Measure::Len => Planned::Count(0),
                Measure::Count(column) => {
                    let presence = [inner.as_slice(), &column.presence].concat();
                    Planned::Count(sums.count(rows, grouped, &presence, &column.name, spread)?)
                }
                Measure::Sum(column) => {
                    let (linear, parts) = sums.value(rows, grouped, (column, &inner), spread)?;
                    let count = if linear.constant == 0 {
                        None
                    } else {
                        let presence = [inner.as_slice(), &column.presence].concat();
                        Some(sums.count(rows, grouped, &presence, &column.name, spread)?)
                    };
                    Planned::Sum(linear, parts, count)
                }
                Measure::Mean(column) => {
                    let (linear, parts) = sums.value(rows, grouped, (column, &inner), spread)?;
                    let presence = [inner.as_slice(), &column.presence].concat();
                    let count = sums.count(rows, grouped, &presence, &column.name, spread)?;
                    Planned::Mean(linear, parts, count)
                }
                Measure::Distribution(column, statistic) => {
                    let Some(key) = column.key else {
                        continue;
                    };
                    let all: Vec<Key> = keys.iter().copied().chain([key]).collect();
                    let spread = sums.spread(resolved, grouped, &all)?;
                    let count = sums.count(rows, grouped, &inner, &column.name, spread)?;
                    let places = column.value.as_ref().map_or(0, |value| value.places);
                    Planned::Distribution(count, key, places, *statistic)
                }
            };
            sums.contents.push(planned);
        }
        Ok(sums)
    }

    fn spread(
        &mut self,
        resolved: &Resolved<'_>,
        grouped: &Grouped,
        keys: &[Key],
    ) -> Result<usize, PlanError> {
        if let Some(known) = self.spreads.iter().position(|spread| spread.keys == keys) {
            return Ok(known);
        }
        let sizes = keys.iter().map(|key| key.codes(resolved)).collect();
        let layout = KeyLayout::of(sizes);
        let error = |problem: String| PlanError::Invalid {
            step: grouped.step.clone(),
            problem,
        };
        if layout.places > MAX_GROUPS {
            return Err(error(format!(
                "there are {} combinations of keys' values, at most {MAX_GROUPS} are possible; cut a key into intervals, or narrow its range",
                layout.places
            )));
        }
        let is_computed = |key: &Key| match key {
            Key::Stored(side, _) => resolved.is_clear(*side),
            Key::Function { .. } => true,
        };
        if layout.blocks() > 1 && keys.iter().any(is_computed) {
            return Err(error(format!(
                "there are {} combinations of keys' values, with a computed key or one of a table in the clear at most {POLYNOMIAL_SIZE} are possible; make fewer intervals",
                layout.places
            )));
        }
        self.spreads.push(Spread {
            keys: keys.to_vec(),
            layout,
        });
        Ok(self.spreads.len() - 1)
    }

    /// The same summands at other places, and where each of them is: counts that differed by their
    /// places alone are one.
    pub(super) fn of(spread: Spread, others: &Self) -> (Self, Vec<usize>) {
        let mut sums = Self {
            spreads: vec![spread],
            summands: Vec::with_capacity(others.summands.len()),
            contents: Vec::new(),
        };
        let summands = others.summands.iter().cloned();
        let places = summands.map(|summand| {
            sums.summand(Summand {
                spread: 0,
                ..summand
            })
        });
        let places = places.collect();
        (sums, places)
    }

    /// The number of rows of which something holds.
    fn count(
        &mut self,
        rows: &RowGraph<'_>,
        grouped: &Grouped,
        presence: &[Presence],
        name: &str,
        spread: usize,
    ) -> Result<usize, PlanError> {
        let (masks, carriers) = conditions(rows.resolved, presence)?;
        let load = match carriers[..] {
            [] => Load::one(),
            [only] => Load::conditions(rows, &[only.atom()]),
            _ => return Err(two_looked_up(grouped, name)),
        };
        Ok(self.summand(Summand {
            what: Origin::Loaded(load),
            spread,
            masks,
            name: name.into(),
        }))
    }

    /// The sum of a column.
    fn value(
        &mut self,
        rows: &RowGraph<'_>,
        grouped: &Grouped,
        (column, inner): (&TableColumn, &[Presence]),
        spread: usize,
    ) -> Result<(Linear, Vec<(usize, u32)>), PlanError> {
        let resolved = rows.resolved;
        let Some(linear) = &column.value else {
            return Err(PlanError::Invalid {
                step: grouped.step.clone(),
                problem: format!(
                    "column {:?} cannot be summed: no look-up by the merge's keys has it, and it has no role \"value\"",
                    column.name
                ),
            });
        };
        let presence = [inner, &column.presence].concat();
        let (mut masks, carriers) = conditions(resolved, &presence)?;
        if let Some((only, more)) = carriers.split_first() {
            let is_zero = |atom: &Atom| own_presence(resolved, atom) == Some(*only);
            if !more.is_empty() || !linear.terms.iter().all(|(atom, _)| is_zero(atom)) {
                return Err(two_looked_up(grouped, &column.name));
            }
        }
        // A missing value is zero as it is.
        if let ([(Atom::Limbs(index), _)], [Presence::Stored(own)]) =
            (&linear.terms[..], &masks[..])
            && index == own
        {
            masks.clear();
        }
        let mut parts = Vec::new();
        let loads = Load::split(rows, linear);
        let loads = loads.ok_or_else(|| no_room(&grouped.step, &column.name))?;
        for (shift, load) in loads {
            let place = self.summand(Summand {
                what: Origin::Loaded(load),
                spread,
                masks: masks.clone(),
                name: column.name.clone(),
            });
            parts.push((place, shift));
        }
        Ok((linear.clone(), parts))
    }

    /// A summand's place; the same count is not made twice.
    fn summand(&mut self, summand: Summand) -> usize {
        let is_count =
            |own: &Summand| matches!(&own.what, Origin::Loaded(load) if load.is_constant());
        let known = self.summands.iter().position(|own| {
            is_count(own)
                && is_count(&summand)
                && own.spread == summand.spread
                && own.masks == summand.masks
        });
        known.unwrap_or_else(|| {
            self.summands.push(summand);
            self.summands.len() - 1
        })
    }

    /// How lanes, one a summand, become columns.
    pub(super) fn answer(
        &self,
        resolved: &Resolved<'_>,
        grouped: &Grouped,
        lanes: &[Lane],
    ) -> Answer {
        let value = |linear: &Linear, parts: &[(usize, u32)]| {
            let parts = parts.iter();
            let parts = parts.map(|(place, shift)| (lanes[*place], *shift));
            recombined(linear, parts.collect(), 1.0)
        };
        let places = self.spreads[0].layout.places;
        let content = |shown: Shown| match shown {
            Shown::Key(key) => Content::Key(key),
            Shown::Measure(measure) => match &self.contents[measure] {
                Planned::Count(place) => Content::Count(lanes[*place]),
                Planned::Sum(linear, parts, count) => Content::Sum {
                    value: value(linear, parts),
                    count: count.map(|place| lanes[place]),
                },
                Planned::Mean(linear, parts, count) => Content::Mean {
                    value: value(linear, parts),
                    count: lanes[*count],
                },
                Planned::Distribution(place, key, places, statistic) => Content::Distribution {
                    lane: lanes[*place],
                    strides: self.spreads[self.summands[*place].spread]
                        .layout
                        .strides
                        .clone(),
                    size: key.size(&resolved.frames),
                    min: key.min(resolved),
                    places: *places,
                    statistic: *statistic,
                },
            },
        };
        let columns = grouped.shown().iter().map(|(name, shown)| AnswerColumn {
            name: name.clone(),
            kind: grouped.kind(*shown),
            content: content(*shown),
        });
        let spread = &self.spreads[0];
        let keys = spread
            .keys
            .iter()
            .zip(&spread.layout.strides)
            .map(|(key, stride)| GroupKey {
                size: key.size(&resolved.frames),
                min: key.min(resolved),
                stride: *stride,
                null: key.has_null(resolved),
            });
        Answer {
            shape: AnswerShape::Groups {
                keys: keys.collect(),
                places,
                len: lanes[0],
            },
            columns: columns.collect(),
        }
    }
}

impl Key {
    /// Number of codes, that of missing cells included.
    fn codes(self, resolved: &Resolved<'_>) -> u64 {
        self.size(&resolved.frames) + u64::from(self.has_null(resolved))
    }

    /// Units of code 0.
    fn min(self, resolved: &Resolved<'_>) -> i64 {
        match self {
            Self::Stored(side, column) => resolved.frames[side].columns()[column].domain.range().0,
            Self::Function { min, .. } => min,
        }
    }
}

/// What a cell needs in order to be there: bits of the row, and what is looked up. Duplicates and
/// what follows from others are left out.
fn conditions(
    resolved: &Resolved<'_>,
    presence: &[Presence],
) -> Result<(Vec<Presence>, Vec<Presence>), PlanError> {
    let (mut masks, mut carriers) = (Vec::new(), Vec::new());
    for own in presence {
        match own {
            Presence::Stored(_) | Presence::Function(_) if !masks.contains(own) => masks.push(*own),
            Presence::Matched(join) | Presence::Looked { join, .. }
                if resolved.joins[*join].lookup.is_none() =>
            {
                return Err(no_lookup(resolved, *join));
            }
            Presence::Matched(join)
                if presence.iter().any(
                    |other| matches!(other, Presence::Looked { join: own, .. } if own == join),
                ) => {}
            Presence::Matched(_) | Presence::Looked { .. } if !carriers.contains(own) => {
                carriers.push(*own);
            }
            _ => {}
        }
    }
    Ok((masks, carriers))
}

/// What an atom of another frame is zero without.
fn own_presence(resolved: &Resolved<'_>, atom: &Atom) -> Option<Presence> {
    match atom {
        Atom::Looked { join, column } => {
            let has_nulls = resolved.frames[join + 1].columns()[*column].nulls;
            Some(if has_nulls {
                Presence::Looked {
                    join: *join,
                    column: *column,
                }
            } else {
                Presence::Matched(*join)
            })
        }
        Atom::Matched(join) => Some(Presence::Matched(*join)),
        Atom::Product(of, _) => own_presence(resolved, of),
        _ => None,
    }
}

fn two_looked_up(grouped: &Grouped, name: &str) -> PlanError {
    PlanError::NotLevelled {
        step: grouped.step.clone(),
        problem: format!("{name:?} is taken of the rows that a merge keeps or fills, which the server looks up"),
        refresh: "have the merged rows decrypted and encrypt them as a frame; a left merge, or groups by columns of the merged frame alone, need none".into(),
    }
}
