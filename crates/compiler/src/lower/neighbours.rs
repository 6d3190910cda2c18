//! Nearest neighbours: a ranking of distances from constant points, of which the server gives away
//! nothing but sums.
//!
//! A sum over the `k` nearest points of a function of the point is a sum over all points of the
//! function times a *vote*, which is 1 for the nearest and 0 for the others:
//!
//! ```text
//! sum over nearest i of f(i) = k (c + sum over j of (f(j) - c) vote(j) / sum over j of vote(j))
//! ```
//!
//! The sum of the votes is k. Where distances are equal once they are rounded, more points have a
//! vote, and the quotient is the mean over these. `c` keeps the weighted sum small.

use super::emitter::{Emitter, Operand, reshaped};
use crate::error::CompileError;
use crate::ir::{Function, NearestPoints, RankedPoints};
use crate::read::onnx::tensor::{Constant, Element};
use cipherfn_program::{
    BinaryFunction, EntryKind, MAX_LEN, Op, ProgramBuilder, ReduceFunction, Tensor, TensorType,
    UnaryFunction, ValueId,
};
use std::collections::HashMap;

/// What can be made of a ranking, for errors.
pub(super) const SUPPORTED: &str = "sums and means over the nearest points of functions of one point \
    each, as of KNeighborsClassifier and KNeighborsRegressor with weights=\"uniform\"";
/// Most entries of all steps of functions of a point, over all points and functions: seconds of work.
const MAX_WORK: usize = 1 << 26;
/// Added to what stands for places, so that no step of a model is the same.
const UNLIKE: i64 = 0x6b6e_6e00;

/// What the error of a row without enough votes says is known, and what it says was found.
const ENOUGH: &str = "as many votes as neighbours";
const TOO_FEW: &str = "fewer votes than neighbours (noise: ask for this row again)";

/// For each entry of a value, which of the nearest points it is a function of; `None` for what
/// follows from none.
type Slots = Vec<Option<u32>>;

impl Emitter<'_> {
    /// The `kept` points of the smallest distances: what stands for distances and places.
    pub(super) fn nearest_points(
        &mut self,
        data: &Operand,
        kept: usize,
        takes_largest: bool,
    ) -> Result<[Operand; 2], CompileError> {
        if kept == 0 {
            return Err(self
                .node
                .invalid("\"k\" is 0: it ranks for no nearest point"));
        }
        let (distances, falls) = self.squared(data.id);
        if takes_largest != falls {
            return Err(self.node.unsupported(
                "it ranks the points that are farthest away",
                "the nearest ones",
            ));
        }
        let points = data.len();
        let node = self.node.name.name.clone();
        let estimated = self.ir.estimate(
            &node,
            distances,
            Function::Nearest(NearestPoints {
                node: node.clone(),
                points,
                kept,
            }),
        )?;
        let rankings = self.ir.rankings.len() as i64;
        let stand_in = |emitter: &mut Self, element: Element, unlike: i64| {
            let unlike = UNLIKE + 2 * rankings + unlike;
            let source = ValueId(0);
            let entries = vec![0; kept];
            let program = &mut emitter.ir.program;
            let own = program.push(&node, Op::Select { source, entries })?;
            let own = program.cast(&node, own, EntryKind::I64)?;
            let right = program.constant(&node, Tensor::I64(vec![unlike]))?;
            let own = program.push(
                &node,
                Op::Binary {
                    function: BinaryFunction::Add,
                    left: own,
                    right,
                },
            )?;
            let id = program.cast(&node, own, element.kind())?;
            let shape = vec![1, kept];
            Ok::<_, CompileError>(Operand { id, element, shape })
        };
        let values = stand_in(self, data.element, 1)?;
        let places = stand_in(self, Element::Int, 0)?;
        self.ir.rankings.push(RankedPoints {
            node,
            points,
            kept,
            places: places.id,
            distances: values.id,
            votes: estimated,
            work: 0,
        });
        Ok([values, places])
    }

    /// What a value orders entries as, and whether it orders them the other way round: roots,
    /// conversions and signs are passed over.
    fn squared(&self, mut id: ValueId) -> (ValueId, bool) {
        let mut falls = false;
        while let Some(step) = self.ir.step(id) {
            id = match &step.op {
                Op::Unary {
                    function: UnaryFunction::Sqrt,
                    argument,
                } => *argument,
                Op::Unary {
                    function: UnaryFunction::Neg,
                    argument,
                } => {
                    falls = !falls;
                    *argument
                }
                Op::Cast {
                    source,
                    kind: EntryKind::F32 | EntryKind::F64,
                } => *source,
                _ => break,
            };
        }
        (id, falls)
    }

    /// A reduction over the nearest points; `None` where it is one of something else.
    pub(super) fn over_nearest(
        &mut self,
        function: ReduceFunction,
        operand: &Operand,
        axes: &[usize],
        keep: bool,
    ) -> Result<Option<Operand>, CompileError> {
        if self.ir.rankings.is_empty() {
            return Ok(None);
        }
        let ancestors = self.ir.ancestors([operand.id]);
        let mut own = (0..self.ir.rankings.len()).filter(|&at| {
            let ranking = &self.ir.rankings[at];
            ancestors[ranking.places.index()] || ancestors[ranking.distances.index()]
        });
        let Some(at) = own.next() else {
            return Ok(None);
        };
        if own.next().is_some() {
            return Err(self
                .node
                .unsupported("it joins the nearest points of two rankings", SUPPORTED));
        }
        let ranking = self.ir.rankings[at].clone();
        if ancestors[ranking.distances.index()] {
            return Err(self.node.unsupported(
                "it weighs neighbours by their distance, which no vote tells",
                SUPPORTED,
            ));
        }
        let factor = match function {
            ReduceFunction::Sum => ranking.kept as f64,
            ReduceFunction::Mean => 1.0,
            _ => {
                return Err(self
                    .node
                    .unsupported("another reduction over the nearest points", SUPPORTED));
            }
        };
        let (moved, group, shape) = self.grouped(operand, axes, keep)?;
        self.check_groups(&ranking, moved.id, group)?;
        let functions = self.functions_of_points(at, moved.id, group)?;
        let mean = self.mean_by_votes(&ranking, &functions)?;
        let value = self.against(BinaryFunction::Mul, &mean, factor)?;
        let value = self.cast(&value, operand.element)?;
        Ok(Some(reshaped(&value, shape)))
    }

    /// Each group has to be of all nearest points, each once.
    fn check_groups(
        &self,
        ranking: &RankedPoints,
        value: ValueId,
        group: usize,
    ) -> Result<(), CompileError> {
        let slots = self.slots(ranking, value)?;
        let is_whole = |own: &[Option<u32>]| {
            let mut seen: Vec<u32> = own.iter().copied().flatten().collect();
            seen.sort_unstable();
            seen.into_iter().eq(0..ranking.kept as u32) && own.len() == ranking.kept
        };
        if group == ranking.kept && slots.chunks(group.max(1)).all(is_whole) {
            return Ok(());
        }
        Err(self
            .node
            .unsupported("it reduces some of the nearest points", SUPPORTED))
    }

    fn slots(&self, ranking: &RankedPoints, value: ValueId) -> Result<Slots, CompileError> {
        let ir = &self.ir;
        let ancestors = ir.ancestors([value]);
        let mut known: HashMap<ValueId, Slots> = HashMap::new();
        known.insert(ranking.places, (0..ranking.kept as u32).map(Some).collect());
        let first = ranking.places.index() + 1;
        let later = ancestors.iter().enumerate().skip(first);
        for (index, _) in later.filter(|(_, is_ancestor)| **is_ancestor) {
            let id = ValueId(index as u32);
            let Some(step) = ir.step(id) else {
                continue;
            };
            if !step
                .op
                .arguments()
                .iter()
                .any(|own| known.contains_key(own))
            {
                continue;
            }
            let len = ir.program.tensor_type(id).len;
            let of = |own: ValueId| known.get(&own);
            let slots: Option<Slots> = match &step.op {
                Op::Select { source, entries } => {
                    of(*source).map(|slots| entries.iter().map(|&at| slots[at as usize]).collect())
                }
                Op::Concat(parts) => Some(
                    parts
                        .iter()
                        .flat_map(|part| match of(*part) {
                            Some(slots) => slots.clone(),
                            None => vec![None; ir.program.tensor_type(*part).len],
                        })
                        .collect(),
                ),
                Op::Pick {
                    table,
                    index,
                    inner,
                } if of(*table).is_none() => of(*index)
                    .map(|slots| slots.iter().flat_map(|slot| vec![*slot; *inner]).collect()),
                Op::OneHot {
                    argument,
                    categories,
                    ..
                } => of(*argument).map(|slots| {
                    let count = categories.len();
                    slots.iter().flat_map(|slot| vec![*slot; count]).collect()
                }),
                Op::Cast { source: own, .. }
                | Op::Unary { argument: own, .. }
                | Op::Encode { argument: own, .. } => of(*own).cloned(),
                Op::Binary { left, right, .. } => {
                    let entry = |own: ValueId, at: usize| {
                        let slots = of(own)?;
                        slots[if slots.len() == 1 { 0 } else { at }]
                    };
                    (0..len)
                        .map(|at| match (entry(*left, at), entry(*right, at)) {
                            (Some(one), Some(other)) if one != other => None,
                            (one, other) => Some(one.or(other)),
                        })
                        .collect()
                }
                _ => None,
            };
            let slots = slots.ok_or_else(|| {
                ir.unsupported(id, "it mixes the places of the nearest points", SUPPORTED)
            })?;
            known.insert(id, slots);
        }
        known
            .remove(&value)
            .ok_or_else(|| ir.invalid(value, "its nearest points are not known"))
    }

    /// For each group the function of a point whose values are reduced, one row a group, one entry a
    /// point.
    fn functions_of_points(
        &mut self,
        at: usize,
        value: ValueId,
        group: usize,
    ) -> Result<Vec<Vec<f64>>, CompileError> {
        let ir = &self.ir;
        let ranking = &ir.rankings[at];
        let points = ranking.points;
        let len = ir.program.tensor_type(value).len;
        let mut builder = ProgramBuilder::new(vec![TensorType {
            kind: EntryKind::I64,
            len: ranking.kept,
        }])?;
        let mut values = HashMap::from([(ranking.places, builder.input(0))]);
        // What places stand for is no step of it.
        let before = ir.ancestors([ranking.places]);
        let needed = ir.ancestors([value]);
        for (step, index) in ir.program.steps().iter().zip(ir.first_step()..) {
            let id = ValueId(index as u32);
            let is_constant = ir.program.constant_value(id).is_some();
            if !needed[index] || before[index] && !is_constant {
                continue;
            }
            let mut op = step.op.clone();
            if op.arguments().iter().any(|own| !values.contains_key(own)) {
                return Err(ir.unsupported(
                    id,
                    "it joins the nearest points with the row",
                    SUPPORTED,
                ));
            }
            op.rename(|own| values[&own]);
            values.insert(id, builder.push(&step.node, op)?);
        }
        let of_row = values.values();
        let of_row = of_row.filter(|own| builder.constant_value(**own).is_none());
        let entries: usize = of_row.map(|own| builder.tensor_type(*own).len).sum();
        // Of all reductions together: a file may have any number of them.
        let own = entries.saturating_mul(points);
        let work = ir.rankings.iter().map(|ranking| ranking.work);
        let work = work.fold(own, usize::saturating_add);
        if work > MAX_WORK || (len / group).saturating_mul(points) > MAX_LEN {
            return Err(self
                .node
                .unsupported("functions of too many points and classes", SUPPORTED));
        }
        let program = builder.finish(&[values[&value]])?;
        let kept = ranking.kept;
        self.ir.rankings[at].work += own;
        let mut functions = vec![Vec::with_capacity(points); len / group];
        for point in 0..points as i64 {
            let outputs = program.run(vec![Tensor::I64(vec![point; kept])])?;
            let numbers = outputs.first().and_then(Tensor::to_f64).unwrap_or_default();
            for (function, own) in functions.iter_mut().zip(numbers.chunks(group)) {
                let first = own.first().copied().unwrap_or(f64::NAN);
                if own.iter().any(|other| other.to_bits() != first.to_bits()) {
                    return Err(self
                        .node
                        .unsupported("it weighs neighbours by their rank", SUPPORTED));
                }
                if !first.is_finite() {
                    return Err(self
                        .node
                        .invalid(format!("the value of training point {point} is {first}")));
                }
                function.push(first);
            }
        }
        Ok(functions)
    }

    /// Means over the points that have a vote, of shape `[1, functions]` in 64 bits.
    fn mean_by_votes(
        &mut self,
        ranking: &RankedPoints,
        functions: &[Vec<f64>],
    ) -> Result<Operand, CompileError> {
        let (points, count) = (ranking.points, functions.len());
        let votes = Operand {
            id: ranking.votes,
            element: Element::F64,
            shape: vec![1, points],
        };
        let centres: Vec<f64> = functions.iter().map(|own| centre(own)).collect();
        let entry = |point: usize, own: usize| functions[own][point] - centres[own];
        let entries = (0..points).flat_map(|point| (0..count).map(move |own| (point, own)));
        let weights = self.constant(Constant {
            element: Element::F64,
            shape: vec![points, count],
            value: Tensor::F64(entries.map(|(point, own)| entry(point, own)).collect()),
        })?;
        let sums = self.mat_mul(&votes, &weights)?;
        let total = self.reduce(ReduceFunction::Sum, &votes, &[1], true)?;
        let total = self.unary(UnaryFunction::Round, &total)?;
        // Fewer than k votes, or none at all, are an error of noise: such a row has no answer, rather
        // than the mean of fewer points.
        let least = ranking.kept as f64 - 0.5;
        let is_short = self.against(BinaryFunction::Less, &total, least)?;
        let names = self.vector(Tensor::Text(vec![ENOUGH.into(), TOO_FEW.into()]))?;
        let name = self.pick(&names, &is_short, 1, is_short.shape.clone())?;
        let op = Op::Encode {
            argument: name.id,
            keys: Tensor::Text(vec![ENOUGH.into()]),
            values: Tensor::F64(vec![0.0]),
            default: None,
        };
        let sound = self.push(op, Element::F64, name.shape)?;
        let total = self.binary(BinaryFunction::Add, &total, &sound)?;
        let mean = self.binary(BinaryFunction::Div, &sums, &total)?;
        let centres = self.vector(Tensor::F64(centres))?;
        self.binary(BinaryFunction::Add, &mean, &centres)
    }
}

/// What is taken off the values of a function before they are weighted: the middle of its range;
/// nothing off indicators, whose sums are whole.
fn centre(values: &[f64]) -> f64 {
    let is_indicator = |own: &f64| [0.0_f64, 1.0].map(f64::to_bits).contains(&own.to_bits());
    if values.iter().all(is_indicator) {
        return 0.0;
    }
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    f64::midpoint(low, high)
}
