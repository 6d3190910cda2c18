//! Plans that are not levelled, in stages that are: between two of them the key holder decrypts rows
//! and encrypts them as a frame whose columns the server can choose by.
//!
//! ```text
//! plan --> stage: a levelled plan --> answer --> decrypted, sorted, multiplied --> Refresh: a frame --> stage ...
//! ```

mod client;
mod condition;
mod hoist;
mod needs;
mod refresh;

pub use refresh::{Refresh, RefreshError, RefreshedRows};

use crate::answer::Table;
use crate::pass::CircuitForm;
use crate::plan::{Plan, PlanError, PlanStep, StepName};
use crate::resolve::Resolved;
use crate::schema::{Rows, Schema};
use client::Shape;
use needs::{Live, Uses};
use refresh::{Refreshed, is_alike};
use std::collections::BTreeSet;

/// A part of a plan that the server evaluates, and what the key holder does with its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// What the server evaluates.
    pub plan: Plan,
    /// Steps of the key holder.
    pub then: Vec<PlanStep>,
    /// What becomes of the rows: a frame that the next stage scans. The last stage's are the answer.
    pub refresh: Option<Refresh>,
    /// Why the server cannot go on: the step and its problem; nothing of the last stage.
    pub because: Option<String>,
}

impl Stage {
    /// A plan that the server evaluates as it is.
    pub const fn levelled(plan: Plan) -> Self {
        Self {
            plan,
            then: Vec::new(),
            refresh: None,
            because: None,
        }
    }

    /// Whether decrypted cells decide about something, so that they have to be exact.
    pub fn needs_exact_cells(&self) -> bool {
        let is_free = |step: &PlanStep| {
            matches!(
                step,
                PlanStep::Select(_) | PlanStep::Rename(_) | PlanStep::Slice(_)
            )
        };
        self.refresh.is_some() || !self.then.iter().all(is_free)
    }

    /// Takes the key holder's steps with decrypted rows; `false` where a number has no room, which no
    /// answer of the plan has.
    #[must_use]
    pub fn take(&self, table: &mut Table) -> bool {
        self.then
            .iter()
            .all(|step| client::take(step, table).is_some())
    }
}

/// A step with its number in the plan that was given.
#[derive(Clone, Debug)]
struct PendingStep {
    number: usize,
    step: PlanStep,
    /// Whether what it computes was taken out.
    is_hoisted: bool,
}

/// A plan on its way into stages.
struct Planner<'f> {
    form: &'f CircuitForm,
    /// Whether no pass of the server reads what another one added.
    has_one_pass: bool,
    /// Whether the plan takes more than one stage.
    is_staged: bool,
    /// Of the frames that were given, then of those that refreshes make.
    schemas: Vec<Schema>,
    /// Columns that stages make for themselves.
    hidden: BTreeSet<String>,
    scan: String,
    rest: Vec<PendingStep>,
    stages: Vec<Stage>,
}

impl Plan {
    /// The plan in stages, of which a plan that is levelled has one.
    ///
    /// # Errors
    /// What no refresh helps against.
    pub fn stages(&self, schemas: &[Schema], form: &CircuitForm) -> Result<Vec<Stage>, PlanError> {
        self.staged(schemas, form, false)
    }

    /// The same without push-down: aggregates over a merge by columns of the merged frame are those of
    /// merged rows that the key holder has decrypted. A stage more, and as exact as sums of one frame,
    /// where errors of what was pushed down add up over all rows that read it.
    ///
    /// # Errors
    /// What no refresh helps against.
    pub fn stages_of_one_pass(
        &self,
        schemas: &[Schema],
        form: &CircuitForm,
    ) -> Result<Vec<Stage>, PlanError> {
        self.staged(schemas, form, true)
    }

    fn staged(
        &self,
        schemas: &[Schema],
        form: &CircuitForm,
        has_one_pass: bool,
    ) -> Result<Vec<Stage>, PlanError> {
        self.check_size()?;
        let steps = self.steps.iter().zip(1..);
        let planner = Planner {
            form,
            has_one_pass,
            is_staged: false,
            schemas: schemas.to_vec(),
            hidden: BTreeSet::new(),
            scan: self.scan.clone(),
            rest: steps
                .map(|(step, number)| PendingStep {
                    number,
                    step: step.clone(),
                    is_hoisted: false,
                })
                .collect(),
            stages: Vec::new(),
        };
        planner.stages()
    }
}

impl Planner<'_> {
    fn stages(mut self) -> Result<Vec<Stage>, PlanError> {
        loop {
            let error = match self.prefix(self.rest.len()) {
                Ok((plan, _)) => {
                    self.stages.push(Stage::levelled(plan));
                    return Ok(self.stages);
                }
                Err(error @ PlanError::NotLevelled { .. }) => error,
                Err(error) => return Err(self.numbered(error)),
            };
            self.is_staged = true;
            let mut counts = (0..self.rest.len()).rev();
            let levelled = counts.find_map(|count| Some((count, self.prefix(count).ok()?)));
            let Some((count, (plan, shape))) = levelled else {
                return Err(self.numbered(error));
            };
            let is_taken = |rest: &PendingStep| client::is_possible(&rest.step);
            if !self.rest.get(count).is_some_and(is_taken) && self.hoist(count) {
                continue;
            }
            if self.cut((count, plan), shape, error)? {
                return Ok(self.stages);
            }
        }
    }

    /// The plan of the first steps, with the columns that the others need, if it is levelled; and what
    /// its answer can be.
    fn prefix(&self, count: usize) -> Result<(Plan, Shape), PlanError> {
        let (first, others) = self.rest.split_at(count);
        if let Some(error) = first.iter().zip(1..).find_map(|own| self.multiplied(own)) {
            return Err(error);
        }
        let mut plan = Plan {
            scan: self.scan.clone(),
            steps: first.iter().map(|rest| rest.step.clone()).collect(),
        };
        let live = Live::before(others.iter().map(|rest| &rest.step));
        let resolved = plan.resolve(&self.schemas)?;
        let rows = Self::rows(&resolved)?;
        let names = resolved.result_columns(rows).into_iter();
        let names: Vec<String> = names.map(|column| column.name).collect();
        let needed = names.iter().filter(|name| live.has(name, &self.hidden));
        let needed: Vec<String> = needed.cloned().collect();
        if needed.len() < names.len() && !needed.is_empty() {
            plan.steps.push(PlanStep::Select(needed));
        }
        let resolved = plan.resolve(&self.schemas)?;
        let lowered = resolved.lower(self.form)?;
        let is_group = |rest: &PendingStep| matches!(rest.step, PlanStep::GroupBy(_));
        let grouped = first.iter().rposition(is_group);
        if let (true, 2.., Some(place)) = (self.has_one_pass, lowered.passes.len(), grouped) {
            return Err(PlanError::NotLevelled {
                step: StepName {
                    number: place + 1,
                    what: first[place].step.name(),
                },
                problem: "it would read sums of the other frame's rows, whose errors add up".into(),
                refresh: "the key holder decrypts the merged rows".into(),
            });
        }
        let shape = Shape {
            columns: resolved.result_columns(rows),
            rows: resolved.result_rows(rows),
        };
        Ok((plan, shape))
    }

    /// Why a step is left to the key holder that the server could take: a product with a key column
    /// takes a choice a step of the column's range, so it is seldom exact (2.5 of 14 bits were measured
    /// for a column of 150 numbers), and what is encrypted again has to be.
    fn multiplied(&self, (rest, number): (&PendingStep, usize)) -> Option<PlanError> {
        let PlanStep::WithColumn(own) = &rest.step else {
            return None;
        };
        (self.is_staged && hoist::multiplies_columns(&own.of)).then(|| PlanError::NotLevelled {
            step: StepName {
                number,
                what: rest.step.name(),
            },
            problem: "it multiplies columns".into(),
            refresh: "the key holder multiplies the decrypted cells".into(),
        })
    }

    /// Rows of the scanned frame.
    fn rows(resolved: &Resolved<'_>) -> Result<u64, PlanError> {
        let frame = resolved.frames[0];
        frame.rows().count.ok_or_else(|| PlanError::Invalid {
            step: scan(),
            problem: format!(
                "the schema of {:?} says no number of rows, from which the ranges of stages follow; ask of the encrypted frame, or give the schema its rows",
                frame.name()
            ),
        })
    }

    /// Takes out what a step computes and chooses by, if it does and that was not done before.
    fn hoist(&mut self, place: usize) -> bool {
        let PendingStep {
            number,
            step,
            is_hoisted: false,
        } = self.rest[place].clone()
        else {
            return false;
        };
        let mut taken = self.names();
        let hidden = &mut self.hidden;
        let hoisted = hoist::hoisted(&step, || unused("computed", &mut taken, hidden));
        let Some((columns, step)) = hoisted else {
            self.rest[place].is_hoisted = true;
            return false;
        };
        let rest = |step: PlanStep, is_hoisted: bool| PendingStep {
            number,
            step,
            is_hoisted,
        };
        let columns = columns.into_iter();
        let columns = columns.map(|column| rest(PlanStep::WithColumn(column), false));
        let steps: Vec<PendingStep> = columns.chain([rest(step, true)]).collect();
        self.rest.splice(place..=place, steps);
        true
    }

    /// Ends a stage after so many steps. Gives back whether it is the last one.
    fn cut(
        &mut self,
        (count, plan): (usize, Plan),
        mut shape: Shape,
        error: PlanError,
    ) -> Result<bool, PlanError> {
        let Some(blocked) = self.rest.get(count) else {
            return Err(self.numbered(error));
        };
        let step = StepName {
            number: blocked.number,
            what: blocked.step.name(),
        };
        let following = self.rest[count..].iter();
        let taken = following.take_while(|rest| client::is_possible(&rest.step));
        let then: Vec<PendingStep> = taken.cloned().collect();
        if count == 0 && then.is_empty() && !self.stages.is_empty() {
            // The frame was refreshed for this step, and it is none of the server's all the same.
            return Err(self.numbered(error));
        }
        let because = self.numbered(error).to_string();
        let mut steps = Vec::with_capacity(then.len());
        for rest in &then {
            if rest.step == PlanStep::Distinct {
                steps.extend(self.without_hidden(&mut shape));
            }
            shape
                .take(&rest.step)
                .map_err(|problem| PlanError::Invalid {
                    step: StepName {
                        number: rest.number,
                        what: rest.step.name(),
                    },
                    problem,
                })?;
            steps.push(rest.step.clone());
        }
        self.rest.drain(..count + then.len());
        if self.rest.is_empty() {
            steps.extend(self.without_hidden(&mut shape));
        }
        let refresh = if self.rest.is_empty() {
            None
        } else {
            Some(self.refresh(&shape, &step)?)
        };
        let is_last = refresh.is_none();
        if let Some(refresh) = &refresh {
            refresh.schema.name().clone_into(&mut self.scan);
            self.schemas.push(refresh.schema.clone());
        }
        self.stages.push(Stage {
            plan,
            then: steps,
            refresh,
            because: Some(because),
        });
        Ok(is_last)
    }

    /// Leaves out columns that stages made for themselves, by a step if there are any.
    fn without_hidden(&self, shape: &mut Shape) -> Option<PlanStep> {
        let count = shape.columns.len();
        shape
            .columns
            .retain(|column| !self.hidden.contains(&column.name));
        let names = shape.columns.iter().map(|column| column.name.clone());
        (shape.columns.len() < count).then(|| PlanStep::Select(names.collect()))
    }

    /// What becomes of decrypted rows: a frame for the steps that are left.
    fn refresh(&mut self, shape: &Shape, step: &StepName) -> Result<Refresh, PlanError> {
        let live = Live::before(self.rest.iter().map(|rest| &rest.step));
        let names = shape.columns.iter().map(|column| column.name.clone());
        let uses = Uses::of(self.rest.iter().map(|rest| &rest.step), names);
        let columns = || shape.columns.iter().enumerate();
        let mut kept: Vec<_> = columns()
            .filter(|(_, column)| live.has(&column.name, &self.hidden))
            .collect();
        if kept.is_empty() {
            // Rows are counted by some column of theirs.
            kept.extend(columns().next());
        }
        let mut made: Vec<Refreshed> = kept
            .into_iter()
            .map(|(source, column)| Refreshed {
                source,
                name: column.name.clone(),
                domain: None,
                is_key: uses.keys.contains(&column.name),
            })
            .collect();
        let mut taken = self.names();
        for (place, pair, name) in &uses.merges {
            let column = shape.columns.iter().position(|own| own.name == *name);
            let (Some(source), Some(domain)) = (column, self.partner(*place, *pair)) else {
                continue;
            };
            let own = &shape.columns[source];
            if own.stored.as_ref() == Some(&domain) || !is_alike(&own.kind, &domain) {
                continue;
            }
            let key = unused("key", &mut taken, &mut self.hidden);
            self.merge_by(*place, *pair, &key);
            made.push(Refreshed {
                source,
                name: key,
                domain: Some(domain),
                is_key: true,
            });
        }
        let rows = Rows {
            count: Some(shape.rows.most),
            padded: !shape.rows.exact,
        };
        let frame = unused("refreshed", &mut taken, &mut BTreeSet::new());
        let mut refresh = Refresh::new(frame, rows, &shape.columns, made, step)?;
        if let Some(hasher) = self.schemas.iter().find_map(Schema::hasher) {
            let hashed = hasher.hash(&refresh.schema);
            refresh.schema = hashed.map_err(|error| PlanError::Invalid {
                step: step.clone(),
                problem: error.to_string(),
            })?;
        }
        Ok(refresh)
    }

    /// What the key of the other frame of a merge can be.
    fn partner(&self, place: usize, pair: usize) -> Option<crate::schema::Domain> {
        let PlanStep::Merge(merge) = &self.rest[place].step else {
            return None;
        };
        let mut schemas = self.schemas.iter();
        let right = schemas.find(|schema| schema.name() == merge.right)?;
        let column = right.position(&merge.on.get(pair)?.right)?;
        Some(right.columns()[column].domain.clone())
    }

    /// Lets a merge be by another column, which is kept up to there.
    fn merge_by(&mut self, place: usize, pair: usize, key: &str) {
        for rest in &mut self.rest[..place] {
            if let PlanStep::Select(names) = &mut rest.step {
                names.push(key.to_owned());
            }
        }
        if let PlanStep::Merge(merge) = &mut self.rest[place].step {
            key.clone_into(&mut merge.on[pair].left);
        }
    }

    /// Names that nothing new may have.
    fn names(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = self.hidden.clone();
        for schema in &self.schemas {
            names.insert(schema.name().to_owned());
            names.extend(schema.columns().iter().map(|column| column.name.clone()));
        }
        for rest in &self.rest {
            match &rest.step {
                PlanStep::WithColumn(own) => {
                    names.insert(own.name.clone());
                }
                PlanStep::Rename(own) => names.extend(own.iter().map(|own| own.to.clone())),
                // A frame that a plan names must not be one that stages make.
                PlanStep::Merge(merge) => {
                    names.insert(merge.right.clone());
                    let columns = self.schemas.iter().flat_map(Schema::columns);
                    names.extend(columns.map(|column| format!("{}{}", column.name, merge.suffix)));
                    names.extend(merge.indicator.clone());
                }
                PlanStep::GroupBy(group) => {
                    names.extend(group.aggregates.iter().map(|own| own.name.clone()));
                }
                _ => {}
            }
        }
        names
    }

    /// An error with the number of its step in the plan that was given.
    fn numbered(&self, error: PlanError) -> PlanError {
        error.renumbered(|number| match number.checked_sub(1) {
            None => 0,
            Some(place) => self.rest.get(place).map_or(number, |rest| rest.number),
        })
    }
}

/// A name that is not taken, which is from here on.
fn unused(stem: &str, taken: &mut BTreeSet<String>, hidden: &mut BTreeSet<String>) -> String {
    let mut number = 1;
    let name = loop {
        let name = format!("{stem} {number}");
        if taken.insert(name.clone()) {
            break name;
        }
        number += 1;
    };
    hidden.insert(name.clone());
    name
}

const fn scan() -> StepName {
    StepName {
        number: 0,
        what: "scan",
    }
}
