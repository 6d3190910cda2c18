//! What tables give for every bin of the numbers that they are looked up by.

use super::axis::{Axis, EdgeComparison};
use crate::ir::Ir;
use cipherfn_program::{EntryKind, Op, Tensor, ValueId, evaluate};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Most entries that are computed, over all bins and steps.
const MAX_WORK: usize = 1 << 27;
/// Most cells of a table: what a tree may be asked to tell apart.
const MAX_CELLS: usize = 1 << 16;

/// What a looked-up value is, by bins.
pub(super) struct BinTable {
    /// One or two numbers of the row.
    pub(super) axes: Vec<Axis>,
    /// The value in each cell, all bins of the second axis for the first one's first bin first.
    pub(super) cells: Vec<Vec<f64>>,
}

impl BinTable {
    /// Entries of the value.
    pub(super) fn entries(&self) -> usize {
        self.cells.first().map_or(0, Vec::len)
    }
}

/// All tables of floats that are looked up by bins, in the order of steps: but for those from which
/// another one is looked up.
pub(super) fn tables(ir: &Ir) -> Vec<(ValueId, BinTable)> {
    let mut pass = BinPass::new(ir);
    let roots = pass.roots();
    // Numbers that the trees ask are known before any of them is evaluated.
    let behind = ir.descendants(roots.iter().copied());
    let mut tables = Vec::new();
    for root in &roots {
        let table = pass.table(*root, &roots);
        let is_before = |axis: &Axis| !behind[axis.source.index()];
        let table = table.filter(|table| table.axes.iter().all(is_before));
        tables.extend(table.map(|table| (*root, table)));
    }
    tables
}

struct BinPass<'a> {
    ir: &'a Ir,
    /// Whether a value follows from constants and the answers of comparisons alone, by id.
    is_binned: Vec<bool>,
    budget: usize,
}

/// What a step asks of the row.
enum BinQuestion<'a> {
    Compare(EdgeComparison<'a>),
    /// Which of these integers a category is.
    Encode(Vec<i64>),
}

/// A value for each bin of the axes that it depends on.
struct PerBin {
    /// Bit `k`: whether it depends on axis `k`.
    on: u8,
    values: Vec<Tensor>,
}

impl<'a> BinPass<'a> {
    fn new(ir: &'a Ir) -> Self {
        let mut pass = Self {
            ir,
            is_binned: vec![false; ir.first_step()],
            budget: MAX_WORK,
        };
        for (step, index) in ir.program.steps().iter().zip(ir.first_step()..) {
            let arguments = step.op.arguments();
            let follows = arguments.iter().all(|id| pass.is_binned[id.index()]);
            let is_binned = follows || pass.question(ValueId(index as u32)).is_some();
            pass.is_binned.push(is_binned);
        }
        pass
    }

    /// What a step asks of the row, if it is the row that it asks.
    fn question(&self, id: ValueId) -> Option<BinQuestion<'a>> {
        let ir = self.ir;
        let op = &ir.step(id)?.op;
        let is_of_row = |id: ValueId| !self.is_binned[id.index()];
        if let Op::Encode {
            argument,
            values: Tensor::I64(values),
            default,
            ..
        } = op
        {
            let mut all = values.clone();
            if let Some(Tensor::I64(default)) = default {
                all.extend(default);
            }
            let is_single = ir.program.tensor_type(id).len == 1;
            return (is_single && is_of_row(*argument)).then_some(BinQuestion::Encode(all));
        }
        let comparison = EdgeComparison::of(ir, op)?;
        is_of_row(comparison.number).then_some(BinQuestion::Compare(comparison))
    }

    /// Looked-up floats that are used for anything but another look-up in them.
    fn roots(&self) -> BTreeSet<ValueId> {
        let ir = self.ir;
        let outputs: Vec<ValueId> = ir.outputs.iter().map(|output| output.value).collect();
        let needed = ir.ancestors(outputs.iter().copied());
        let mut used: BTreeSet<ValueId> = outputs.into_iter().collect();
        for (step, index) in ir.program.steps().iter().zip(ir.first_step()..) {
            let table = match &step.op {
                Op::Pick { table, .. } if self.is_binned[index] => Some(*table),
                _ => None,
            };
            let arguments = step.op.arguments().into_iter();
            if needed[index] {
                used.extend(arguments.filter(|id| Some(*id) != table));
            }
        }
        let is_root = |id: &ValueId| {
            let kind = ir.program.tensor_type(*id).kind;
            let op = ir.step(*id).map(|step| &step.op);
            self.is_binned[id.index()]
                && matches!(op, Some(Op::Pick { .. }))
                && matches!(kind, EntryKind::F32 | EntryKind::F64)
        };
        used.into_iter().filter(is_root).collect()
    }

    /// A looked-up value by bins; `None` if it depends on more than two numbers, or on what another
    /// table gives.
    fn table(&mut self, root: ValueId, roots: &BTreeSet<ValueId>) -> Option<BinTable> {
        let ir = self.ir;
        let (steps, questions) = self.ancestors(root, roots)?;
        let axes = axes(&questions)?;
        let sizes = axes.iter().map(|(axis, bins)| {
            debug_assert_eq!(
                bins.len(),
                axis.splits.len() + 1 + usize::from(axis.has_missing)
            );
            bins.len()
        });
        let sizes: Vec<usize> = sizes.collect();
        if !(1..=2).contains(&axes.len()) || sizes.iter().product::<usize>() > MAX_CELLS {
            return None;
        }
        let mut known: HashMap<ValueId, PerBin> = HashMap::new();
        for id in steps {
            let step = ir.step(id)?;
            let own = match questions.get(&id) {
                Some(question) => {
                    let source = question.source(id);
                    let axis = axes.iter().position(|(axis, _)| axis.source == source)?;
                    PerBin {
                        on: 1 << axis,
                        values: self.answers(question, &step.op, &axes[axis].1)?,
                    }
                }
                None => self.computed(&step.op, &known, &sizes)?,
            };
            known.insert(id, own);
        }
        let cells = known.remove(&root)?;
        // Every axis counts: without one its numbers would be no part of the table.
        (usize::from(cells.on) == (1 << axes.len()) - 1).then_some(())?;
        let numbers = cells.values.iter().map(Tensor::to_f64);
        let cells: Vec<Vec<f64>> = numbers.collect::<Option<_>>()?;
        let is_finite = cells.iter().flatten().all(|x| x.is_finite());
        is_finite.then(|| BinTable {
            axes: axes.into_iter().map(|(axis, _)| axis).collect(),
            cells,
        })
    }

    /// The steps that a table follows from, in order, and those of them that ask the row.
    fn ancestors(
        &self,
        root: ValueId,
        roots: &BTreeSet<ValueId>,
    ) -> Option<(BTreeSet<ValueId>, BTreeMap<ValueId, BinQuestion<'a>>)> {
        let ir = self.ir;
        let (mut steps, mut questions) = (BTreeSet::from([root]), BTreeMap::new());
        let mut open = vec![root];
        while let Some(id) = open.pop() {
            if id != root && roots.contains(&id) {
                return None;
            }
            if let Some(question) = self.question(id) {
                questions.insert(id, question);
                continue;
            }
            for argument in ir.step(id)?.op.arguments() {
                if ir.program.constant_value(argument).is_none() && steps.insert(argument) {
                    open.push(argument);
                }
            }
        }
        Some((steps, questions))
    }

    /// What a question's step gives in each bin.
    fn answers(&mut self, question: &BinQuestion, op: &Op, bins: &[Tensor]) -> Option<Vec<Tensor>> {
        let BinQuestion::Compare(comparison) = question else {
            return Some(bins.to_vec());
        };
        let arguments = op.arguments();
        let mut answers = Vec::with_capacity(bins.len());
        for bin in bins {
            let argument = |id: &ValueId| {
                let constant = self.ir.program.constant_value(*id);
                constant.or((*id == comparison.number).then_some(bin))
            };
            let arguments: Vec<&Tensor> = arguments.iter().map(argument).collect::<Option<_>>()?;
            let answer = evaluate("bin", op, &arguments).ok()?;
            self.budget = self.budget.checked_sub(answer.len())?;
            answers.push(answer);
        }
        Some(answers)
    }

    /// What any other step gives in each bin of the axes that its arguments depend on.
    fn computed(
        &mut self,
        op: &Op,
        known: &HashMap<ValueId, PerBin>,
        sizes: &[usize],
    ) -> Option<PerBin> {
        let ids = op.arguments();
        let on = ids.iter().filter_map(|id| known.get(id));
        let on = on.fold(0, |on, own| on | own.on);
        let bins = |on: u8| {
            let sizes = sizes.iter().enumerate();
            let own = sizes.filter(move |(axis, _)| on >> axis & 1 == 1);
            own.map(|(_, size)| *size).product::<usize>()
        };
        let mut values = Vec::with_capacity(bins(on));
        for cell in 0..bins(on) {
            let argument = |id: &ValueId| match known.get(id) {
                None => self.ir.program.constant_value(*id),
                Some(own) if own.on == on => own.values.get(cell),
                Some(own) if own.on == 0 => own.values.first(),
                // Of two axes: the second one's bins follow each other.
                Some(own) if own.on == 1 => own.values.get(cell / sizes[1]),
                Some(own) => own.values.get(cell % sizes[1]),
            };
            let arguments: Vec<&Tensor> = ids.iter().map(argument).collect::<Option<_>>()?;
            let value = evaluate("bin", op, &arguments).ok()?;
            self.budget = self.budget.checked_sub(value.len())?;
            values.push(value);
        }
        Some(PerBin { on, values })
    }
}

impl BinQuestion<'_> {
    /// The number that bins are of: for a category the integer that stands for it.
    fn source(&self, id: ValueId) -> ValueId {
        match self {
            Self::Compare(comparison) => comparison.number,
            Self::Encode(_) => id,
        }
    }
}

/// The numbers that are asked for, with one of each bin.
fn axes(questions: &BTreeMap<ValueId, BinQuestion>) -> Option<Vec<(Axis, Vec<Tensor>)>> {
    let mut splits: BTreeMap<ValueId, (EntryKind, Vec<f64>)> = BTreeMap::new();
    let mut axes = Vec::new();
    for (id, question) in questions {
        match question {
            BinQuestion::Compare(comparison) => {
                let own = splits.entry(comparison.number);
                let own = own.or_insert_with(|| (comparison.kind(), Vec::new()));
                own.1.extend(comparison.splits()?);
            }
            BinQuestion::Encode(values) => {
                let last = *values.iter().max()? as f64;
                let axis = Axis::of_category(*id, values.clone())?;
                let bins = axis.representatives(EntryKind::I64, last);
                axes.push((axis, bins));
            }
        }
    }
    for (number, (kind, splits)) in splits {
        let axis = Axis::of_number(number, splits);
        let bins = axis.representatives(kind, f64::INFINITY);
        axes.push((axis, bins));
    }
    axes.sort_by_key(|(axis, _)| axis.source);
    Some(axes)
}
