//! A plan against the schemas of the frames that it names: what every column of its result is.

mod clear;
mod column;
mod condition;
mod domains;
mod expression;
mod group;
mod literal;
mod merge;
mod missing;
mod score;
mod table;
mod weight;

use crate::answer::ResultType;
use crate::diagram::{Diagram, Diagrams, RowBit, TooLarge};
use crate::plain::PlainTable;
use crate::plan::{Expression, Plan, PlanError, PlanStep, StepName};
use crate::schema::{Duplicates, Schema};
use clear::is_chosen_by;
pub(crate) use column::{Atom, Key, Linear, Presence, TableColumn};
pub(crate) use domains::{ResultColumn, ResultRows};
pub(crate) use group::{Grouped, MAX_GROUPS, Measure, Shown};
pub(crate) use weight::Weight;

/// What a plan is for frames of certain schemas.
#[derive(Clone, Debug)]
pub struct Resolved<'a> {
    /// The frames: the scanned one, then that of each join.
    pub(crate) frames: Vec<&'a Schema>,
    /// Of each frame the cells, where it is a table in the clear and they are at hand.
    pub(crate) cells: Vec<Option<&'a PlainTable>>,
    pub(crate) joins: Vec<Joined>,
    /// Conditions, each on bits of one of the frames: where all are 1 a row remains. Of a joined
    /// frame's bits none is 1 where there is no row.
    pub(crate) filters: Vec<Option<Diagram>>,
    pub(crate) diagrams: Diagrams,
    /// The columns of the rows, as far as no group is made.
    pub(crate) columns: Vec<TableColumn>,
    pub(crate) grouped: Option<Grouped>,
    /// What each step leaves: for people.
    pub(crate) outline: Vec<Outline>,
}

/// What a step is and leaves.
#[derive(Clone, Debug)]
pub(crate) struct Outline {
    pub(crate) step: StepName,
    pub(crate) detail: String,
    pub(crate) columns: Vec<(String, ResultType)>,
}

/// Rows of another frame beside those of the first one.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    pub(crate) step: StepName,
    /// Its look-up.
    pub(crate) lookup: Option<usize>,
    /// Key columns of the first frame, in the look-up's order.
    pub(crate) keys: Vec<usize>,
    /// Key columns of the other frame.
    pub(crate) right_keys: Vec<usize>,
    /// Whether rows without one are left out.
    pub(crate) inner: bool,
}

impl Resolved<'_> {
    /// Whether a joined frame adds rows of equal keys, so that a row may have several partners.
    pub(crate) fn adds_rows(&self, join: usize) -> bool {
        let lookup = self.joins[join].lookup;
        let lookup = lookup.map(|lookup| &self.frames[join + 1].lookups()[lookup]);
        lookup.is_some_and(|lookup| lookup.duplicates == Duplicates::Sum)
    }

    /// How many rows an entry of a joined frame's tables may be the sum of.
    pub(crate) fn added(&self, join: usize) -> i128 {
        let lookup = self.joins[join].lookup;
        lookup.map_or(1, |lookup| {
            self.frames[join + 1].lookups()[lookup].added().into()
        })
    }
}

/// A plan while it is resolved.
struct Resolver<'a> {
    schemas: &'a [Schema],
    step: StepName,
    done: Resolved<'a>,
}

impl Plan {
    /// Checks the plan against the schemas of its frames, which it finds by name.
    pub fn resolve<'a>(&self, schemas: &'a [Schema]) -> Result<Resolved<'a>, PlanError> {
        self.check_size()?;
        let mut resolver = Resolver::scan(&self.scan, schemas)?;
        for (index, step) in self.steps.iter().enumerate() {
            resolver.step = StepName {
                number: index + 1,
                what: step.name(),
            };
            resolver.step(step)?;
            resolver.note(step.to_string());
        }
        Ok(resolver.done)
    }
}

impl<'a> Resolver<'a> {
    fn scan(name: &str, schemas: &'a [Schema]) -> Result<Self, PlanError> {
        let step = StepName {
            number: 0,
            what: "scan",
        };
        for (index, schema) in schemas.iter().enumerate() {
            let mut others = schemas[..index].iter();
            if others.any(|other| other.name() == schema.name()) {
                return Err(PlanError::Invalid {
                    step,
                    problem: format!(
                        "two frames are named {:?}, so a plan could mean either; give one of them alone, or encrypt one under another name",
                        schema.name()
                    ),
                });
            }
        }
        let base = frame(schemas, name, &step)?;
        if base.cells().is_some() {
            return Err(PlanError::Invalid {
                step,
                problem: format!(
                    "{name:?} is a table that the server has in the clear, whose rows nobody goes over; scan an encrypted frame and merge {name:?} from the left or by \"inner\""
                ),
            });
        }
        if base.owners().is_some() {
            return Err(PlanError::Invalid {
                step,
                problem: format!(
                    "{name:?} is what owners' rows add up to, and has none that could be gone over; have it decrypted as it is, or scan another frame and merge {name:?} from the left or by \"inner\""
                ),
            });
        }
        let mut resolver = Self {
            schemas,
            step,
            done: Resolved {
                frames: vec![base],
                cells: vec![None],
                joins: Vec::new(),
                filters: vec![None],
                diagrams: Diagrams::default(),
                columns: base
                    .columns()
                    .iter()
                    .enumerate()
                    .map(column::stored)
                    .collect(),
                grouped: None,
                outline: Vec::new(),
            },
        };
        if base.rows().padded {
            resolver.restrict_to_rows(0)?;
        }
        resolver.note(name.to_owned());
        Ok(resolver)
    }

    fn note(&mut self, detail: String) {
        let columns = if let Some(grouped) = &self.done.grouped {
            grouped.columns()
        } else {
            let columns = self.done.columns.iter();
            let named = columns.map(|column| (column.name.clone(), column.kind.clone()));
            named.collect()
        };
        self.done.outline.push(Outline {
            step: self.step.clone(),
            detail,
            columns,
        });
    }

    fn step(&mut self, step: &PlanStep) -> Result<(), PlanError> {
        if let Some(grouped) = &mut self.done.grouped {
            return match step {
                PlanStep::Select(names) => grouped.select(names, &self.step),
                PlanStep::Rename(names) => grouped.rename(names, &self.step),
                _ => Err(self.not_levelled(
                    "it works on groups, which the server has summed",
                    "have the groups decrypted, encrypt them as a frame, and ask that",
                )),
            };
        }
        match step {
            PlanStep::Merge(merge) => self.merge(merge),
            PlanStep::Filter(condition) => self.filter(condition),
            PlanStep::Select(names) => {
                let columns: Result<Vec<_>, _> = names
                    .iter()
                    .map(|name| self.column(name).cloned())
                    .collect();
                self.done.columns = columns?;
                self.check_names()
            }
            PlanStep::Rename(names) => {
                // All at once: two columns may exchange their names.
                let places = names.iter().map(|renaming| self.position(&renaming.from));
                let places: Vec<usize> = places.collect::<Result<_, _>>()?;
                for (place, renaming) in places.into_iter().zip(names) {
                    self.done.columns[place].name.clone_from(&renaming.to);
                }
                self.check_names()
            }
            PlanStep::WithColumn(named) => {
                let mut column = self.expression(&named.of)?;
                column.name.clone_from(&named.name);
                let columns = &mut self.done.columns;
                match columns.iter().position(|other| other.name == named.name) {
                    Some(place) => columns[place] = column,
                    None => columns.push(column),
                }
                self.check_names()
            }
            PlanStep::GroupBy(group) => self.group(group),
            PlanStep::Sort(_) => Err(self.not_levelled(
                "it orders rows by their cells",
                "the key holder sorts the decrypted rows",
            )),
            PlanStep::Distinct => Err(self.not_levelled(
                "it compares the cells of all rows",
                "the key holder takes the decrypted rows once",
            )),
            PlanStep::Slice(_) => Err(self.not_levelled(
                "it counts the rows that are left",
                "the key holder counts the decrypted rows",
            )),
        }
    }

    fn filter(&mut self, condition: &Expression) -> Result<(), PlanError> {
        if let Expression::And(parts) = condition {
            return parts.iter().try_for_each(|part| self.filter(part));
        }
        let truth = self.truth(condition)?;
        match self.done.sides(truth)[..] {
            [] => self.restrict(0, truth),
            [side] => self.restrict(side, truth),
            _ => Err(self.not_levelled(
                "a condition mixes columns of two frames",
                "split it into conditions on one frame each, joined by \"and\"; or have the merged columns decrypted and encrypted as a frame",
            )),
        }
    }

    fn restrict(&mut self, side: usize, truth: Diagram) -> Result<(), PlanError> {
        let so_far = self.done.filters[side].unwrap_or(Diagram::Terminal(1));
        let both = self.done.diagrams.both(so_far, truth, |one, other| {
            i64::from(one == 1 && other == 1)
        });
        self.done.filters[side] = Some(both.map_err(|error| self.too_large(error))?);
        Ok(())
    }

    /// Leaves out what pads a frame.
    fn restrict_to_rows(&mut self, side: usize) -> Result<(), PlanError> {
        let live = self.done.diagrams.bit(side, RowBit::Live);
        let live = live.map_err(|error| self.too_large(error))?;
        self.restrict(side, live)
    }

    /// A function of the codes of a column: from each start on it has that value; of a missing cell
    /// another one.
    fn steps(
        &mut self,
        (side, index): (usize, usize),
        mut steps: Vec<(u64, i64)>,
        missing: i64,
    ) -> Result<Diagram, PlanError> {
        let column = &self.done.frames[side].columns()[index];
        if self.done.may_be_missing(side, index) {
            steps.push((column.domain.size(), missing));
        }
        let bits = self.done.code_bits(side, index);
        let diagram = self.done.diagrams.steps((side, index), bits, &steps);
        diagram.map_err(|error| self.too_large(error))
    }

    fn position(&self, name: &str) -> Result<usize, PlanError> {
        let columns = &self.done.columns;
        let place = columns.iter().position(|column| column.name == name);
        place.ok_or_else(|| PlanError::UnknownColumn {
            step: self.step.clone(),
            name: name.into(),
            known: listed(columns.iter().map(|column| column.name.as_str())),
        })
    }

    fn column(&self, name: &str) -> Result<&TableColumn, PlanError> {
        Ok(&self.done.columns[self.position(name)?])
    }

    fn check_names(&self) -> Result<(), PlanError> {
        let columns = &self.done.columns;
        for (index, column) in columns.iter().enumerate() {
            if columns[..index]
                .iter()
                .any(|other| other.name == column.name)
            {
                return Err(self.invalid(format!(
                    "two columns are named {:?}; rename one",
                    column.name
                )));
            }
        }
        Ok(())
    }

    fn invalid(&self, problem: impl Into<String>) -> PlanError {
        PlanError::Invalid {
            step: self.step.clone(),
            problem: problem.into(),
        }
    }

    fn not_levelled(&self, problem: impl Into<String>, refresh: impl Into<String>) -> PlanError {
        PlanError::NotLevelled {
            step: self.step.clone(),
            problem: problem.into(),
            refresh: refresh.into(),
        }
    }

    fn too_large(&self, _: TooLarge) -> PlanError {
        self.invalid(
            "its conditions take more than 16384 choices a row; compare fewer or narrower columns",
        )
    }

    fn base(&self) -> &'a Schema {
        self.done.frames[0]
    }
}

fn frame<'a>(schemas: &'a [Schema], name: &str, step: &StepName) -> Result<&'a Schema, PlanError> {
    let found = schemas.iter().find(|schema| schema.name() == name);
    found.ok_or_else(|| PlanError::UnknownFrame {
        step: step.clone(),
        name: name.into(),
        known: listed(schemas.iter().map(Schema::name)),
    })
}

/// Names for people.
pub(crate) fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    const SHOWN: usize = 12;
    let names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
    match names.len() {
        0 => "none".into(),
        count if count > SHOWN => {
            format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN)
        }
        _ => names.join(", "),
    }
}
