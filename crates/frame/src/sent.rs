//! Plans as they are sent for frames whose names are hashed.

use crate::plan::{
    Aggregate, Expression, GroupBy, JoinType, KeyPair, Literal, Merge, NamedAggregate, Plan,
    PlanStep, Renaming, SortKey,
};
use crate::schema::{Domain, NameHasher, Schema, TokenKind};

/// What is added to names that are taken, of plans that say nothing: it tells nothing.
const SUFFIX: &str = "_right";

impl Plan {
    /// The plan as it is sent: with hashes of the names and texts of frames whose names are hashed, and of
    /// all names that it makes itself. Names of other frames stay, such as tables of the server's.
    ///
    /// The plan is one that these schemas allow ([`Plan::resolve`]); numbers and dates stay as they are.
    #[must_use]
    pub fn sent(&self, schemas: &[Schema]) -> Self {
        let Some(hasher) = schemas.iter().find_map(Schema::hasher) else {
            return self.clone();
        };
        let scanned = schemas.iter().find(|schema| schema.name() == self.scan);
        let mut sender = Sender {
            hasher,
            schemas,
            columns: scanned.map(columns_of).unwrap_or_default(),
        };
        Self {
            scan: sender.frame(&self.scan),
            steps: self.steps.iter().map(|step| sender.step(step)).collect(),
        }
    }
}

/// A column of the table so far.
#[derive(Clone, Debug)]
struct SentColumn {
    name: String,
    sent: String,
    /// Whether texts that it is compared with stay: dates, and texts that are sent as they are.
    keeps_texts: bool,
}

struct Sender<'a> {
    hasher: &'a NameHasher,
    schemas: &'a [Schema],
    columns: Vec<SentColumn>,
}

impl Sender<'_> {
    fn step(&mut self, step: &PlanStep) -> PlanStep {
        match step {
            PlanStep::Merge(merge) => PlanStep::Merge(self.merge(merge)),
            PlanStep::Filter(condition) => PlanStep::Filter(self.expression(condition, false)),
            PlanStep::Select(names) => {
                let sent = names.iter().map(|name| self.column(name)).collect();
                let kept = names.iter().filter_map(|name| self.find(name)).cloned();
                self.columns = kept.collect();
                PlanStep::Select(sent)
            }
            PlanStep::Rename(names) => {
                let sent = names.iter().map(|own| Renaming {
                    from: self.column(&own.from),
                    to: self.made(&own.to),
                });
                let sent: Vec<Renaming> = sent.collect();
                let places = names.iter().map(|own| self.place(&own.from));
                let places: Vec<Option<usize>> = places.collect();
                for ((place, own), sent) in places.into_iter().zip(names).zip(&sent) {
                    if let Some(column) = place.and_then(|place| self.columns.get_mut(place)) {
                        column.name.clone_from(&own.to);
                        column.sent.clone_from(&sent.to);
                    }
                }
                PlanStep::Rename(sent)
            }
            PlanStep::WithColumn(own) => {
                let mut sent = own.clone();
                sent.of = self.expression(&own.of, false);
                sent.name = self.put(&own.name, self.keeps_texts(&own.of));
                PlanStep::WithColumn(sent)
            }
            PlanStep::GroupBy(group) => PlanStep::GroupBy(self.group(group)),
            PlanStep::Sort(keys) => {
                let keys = keys.iter().map(|key| SortKey {
                    column: self.column(&key.column),
                    ..key.clone()
                });
                PlanStep::Sort(keys.collect())
            }
            PlanStep::Distinct | PlanStep::Slice(_) => step.clone(),
        }
    }

    fn merge(&mut self, merge: &Merge) -> Merge {
        let right = self.schemas.iter();
        let right = right.clone().find(|schema| schema.name() == merge.right);
        let others = right.map(columns_of).unwrap_or_default();
        let on = merge.on.iter().map(|pair| KeyPair {
            left: self.column(&pair.left),
            right: find(&others, &pair.right)
                .map_or_else(|| self.made(&pair.right), |own| own.sent.clone()),
        });
        let mut sent = Merge {
            right: self.frame(&merge.right),
            on: on.collect(),
            indicator: None,
            suffix: match merge.suffix.as_str() {
                "" | SUFFIX => merge.suffix.clone(),
                own => self.made(own),
            },
            ..merge.clone()
        };
        let is_key = |name: &String, side: fn(&KeyPair) -> &String| {
            merge.on.iter().any(|pair| side(pair) == name)
        };
        let suffixes = [merge.suffix.as_str(), sent.suffix.as_str()];
        if merge.how == JoinType::Right {
            // The other frame is the one that is looked up from: its columns come behind.
            let looked = std::mem::take(&mut self.columns).into_iter();
            let looked = looked.filter(|own| !is_key(&own.name, |pair| &pair.left));
            self.columns = looked.collect();
            self.append(others.into_iter(), suffixes);
        } else {
            let looked = others.into_iter();
            let looked = looked.filter(|own| !is_key(&own.name, |pair| &pair.right));
            self.append(looked, suffixes);
        }
        sent.indicator = merge.indicator.as_ref().map(|name| self.put(name, true));
        sent
    }

    /// Columns behind those that there are, with a suffix where a name is taken: either name by itself.
    fn append(&mut self, more: impl Iterator<Item = SentColumn>, suffixes: [&str; 2]) {
        let before = self.columns.clone();
        for mut column in more {
            if before.iter().any(|own| own.name == column.name) {
                column.name.push_str(suffixes[0]);
            }
            if before.iter().any(|own| own.sent == column.sent) {
                column.sent.push_str(suffixes[1]);
            }
            self.columns.push(column);
        }
    }

    fn group(&mut self, group: &GroupBy) -> GroupBy {
        let keys = group.keys.iter();
        let mut columns: Vec<SentColumn> = keys
            .clone()
            .filter_map(|key| self.find(key))
            .cloned()
            .collect();
        let keys = keys.map(|key| self.column(key)).collect();
        let mut aggregates = Vec::with_capacity(group.aggregates.len());
        for own in &group.aggregates {
            let (of, source) = self.aggregate(&own.of);
            let name = self.made(&own.name);
            columns.push(SentColumn {
                name: own.name.clone(),
                sent: name.clone(),
                keeps_texts: source.is_some_and(|own| own.keeps_texts),
            });
            aggregates.push(NamedAggregate { name, of });
        }
        self.columns = columns;
        GroupBy { keys, aggregates }
    }

    /// An aggregate, and the column that it is of.
    fn aggregate(&self, of: &Aggregate) -> (Aggregate, Option<&SentColumn>) {
        let mut sent = of.clone();
        let name = match &mut sent {
            Aggregate::Len => return (sent, None),
            Aggregate::Count(name)
            | Aggregate::Sum(name)
            | Aggregate::Mean(name)
            | Aggregate::Min(name)
            | Aggregate::Max(name)
            | Aggregate::Median(name)
            | Aggregate::NUnique(name) => name,
            Aggregate::Quantile(quantile) => &mut quantile.column,
        };
        let column = self.find(name);
        *name = self.column(name);
        (sent, column)
    }

    /// An expression; `keeps` says whether texts that stand in it by themselves stay.
    fn expression(&self, of: &Expression, keeps: bool) -> Expression {
        let beside = |part: &Expression| {
            let keeps = self.keeps_texts(part);
            (Box::new(self.expression(part, keeps)), keeps)
        };
        match of {
            Expression::Col(name) => Expression::Col(self.column(name)),
            Expression::Lit(literal) => Expression::Lit(self.literal(literal, keeps)),
            Expression::IsIn(part, list) => {
                let (part, keeps) = beside(part);
                let list = list.iter().map(|own| self.literal(own, keeps));
                Expression::IsIn(part, list.collect())
            }
            Expression::FillNull(part, own) => {
                let (part, keeps) = beside(part);
                Expression::FillNull(part, self.literal(own, keeps))
            }
            Expression::Cut(part, breaks) => {
                let (part, keeps) = beside(part);
                let breaks = breaks.iter().map(|own| self.literal(own, keeps));
                Expression::Cut(part, breaks.collect())
            }
            Expression::Replace(part, pairs) => {
                let (part, keeps) = beside(part);
                let pairs = pairs.iter();
                let pairs = pairs.map(|(own, number)| (self.literal(own, keeps), *number));
                Expression::Replace(part, pairs.collect())
            }
            other => {
                let keeps = other.as_comparison().is_some() && self.keeps_texts(other);
                let each = |part: Expression| self.expression(&part, keeps);
                other.clone().map_parts(each)
            }
        }
    }

    fn literal(&self, literal: &Literal, keeps: bool) -> Literal {
        match literal {
            Literal::Text(text) if !keeps => {
                Literal::Text(self.hasher.token(TokenKind::Text, text))
            }
            other => other.clone(),
        }
    }

    /// Whether an expression has a column beside which texts stay.
    fn keeps_texts(&self, of: &Expression) -> bool {
        match of {
            Expression::Col(name) => self.find(name).is_some_and(|own| own.keeps_texts),
            other => other.parts().iter().any(|part| self.keeps_texts(part)),
        }
    }

    /// A column that the plan computes, in place of one or behind all.
    fn put(&mut self, name: &str, keeps_texts: bool) -> String {
        if let Some(place) = self.place(name) {
            let own = &mut self.columns[place];
            own.keeps_texts = keeps_texts;
            return own.sent.clone();
        }
        let sent = self.made(name);
        self.columns.push(SentColumn {
            name: name.to_owned(),
            sent: sent.clone(),
            keeps_texts,
        });
        sent
    }

    fn frame(&self, name: &str) -> String {
        let mut schemas = self.schemas.iter();
        let schema = schemas.find(|schema| schema.name() == name);
        let sent = schema.map(|schema| schema.as_sent().name().to_owned());
        sent.unwrap_or_else(|| self.hasher.frame(name))
    }

    fn column(&self, name: &str) -> String {
        let own = self.find(name).map(|own| own.sent.clone());
        own.unwrap_or_else(|| self.made(name))
    }

    /// What is sent of a name that the plan makes.
    fn made(&self, name: &str) -> String {
        self.hasher.token(TokenKind::Column, name)
    }

    fn find(&self, name: &str) -> Option<&SentColumn> {
        find(&self.columns, name)
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|own| own.name == name)
    }
}

fn find<'a>(columns: &'a [SentColumn], name: &str) -> Option<&'a SentColumn> {
    columns.iter().find(|own| own.name == name)
}

fn columns_of(schema: &Schema) -> Vec<SentColumn> {
    let is_hashed = schema.hasher().is_some();
    let sent = schema.as_sent().columns().iter();
    let both = schema.columns().iter().zip(sent);
    let column = both.map(|(own, sent)| SentColumn {
        name: own.name.clone(),
        sent: sent.name.clone(),
        keeps_texts: !is_hashed || matches!(own.domain, Domain::Date { .. }),
    });
    column.collect()
}
