//! Shaped values on top of the flat steps of the program.

use super::{Emitter, Operand, reshaped};
use crate::error::CompileError;
use crate::lower::shapes::{View, broadcast, broadcast_shape, permuted};
use crate::read::onnx::tensor::{Constant, ELEMENTS, Element, entries};
use cipherfn_program::{BinaryFunction, EntryKind, Op, ReduceFunction, Tensor, UnaryFunction};

impl Emitter<'_> {
    /// Adds a step whose result has this element type and shape.
    pub(crate) fn push(
        &mut self,
        op: Op,
        element: Element,
        shape: Vec<usize>,
    ) -> Result<Operand, CompileError> {
        if entries(&shape).is_none() {
            return Err(self
                .node
                .invalid(format!("its result of shape {shape:?} is too large")));
        }
        let program = &mut self.ir.program;
        let id = program.push(&self.node.name.name, op)?;
        let result = program.tensor_type(id);
        if result.kind != element.kind() || Some(result.len) != entries(&shape) {
            return Err(self
                .node
                .invalid(format!("its result {result} does not have shape {shape:?}")));
        }
        Ok(Operand { id, element, shape })
    }

    pub(crate) fn constant(&mut self, constant: Constant) -> Result<Operand, CompileError> {
        self.push(
            Op::Constant(constant.value),
            constant.element,
            constant.shape,
        )
    }

    /// A constant vector.
    pub(crate) fn vector(&mut self, value: Tensor) -> Result<Operand, CompileError> {
        let element = match value.kind() {
            EntryKind::F32 => Element::F32,
            EntryKind::F64 => Element::F64,
            EntryKind::I64 => Element::Int,
            EntryKind::Text => Element::Text,
        };
        let shape = vec![value.len()];
        self.constant(Constant {
            element,
            shape,
            value,
        })
    }

    /// One number as a float of `element`'s kind.
    pub(crate) fn number(&mut self, element: Element, x: f64) -> Result<Operand, CompileError> {
        let value = match element {
            Element::F32 => Tensor::F32(vec![x as f32]),
            Element::F64 => Tensor::F64(vec![x]),
            _ => Tensor::I64(vec![x as i64]),
        };
        self.constant(Constant {
            element,
            shape: Vec::new(),
            value,
        })
    }

    pub(crate) fn select(
        &mut self,
        operand: &Operand,
        view: View,
    ) -> Result<Operand, CompileError> {
        if view.entries.iter().copied().eq(0..operand.len() as u32) {
            return Ok(reshaped(operand, view.shape));
        }
        self.push(
            Op::Select {
                source: operand.id,
                entries: view.entries,
            },
            operand.element,
            view.shape,
        )
    }

    /// Entries of several operands of one element type, one after the other.
    pub(crate) fn join(&mut self, parts: &[Operand]) -> Result<Operand, CompileError> {
        if let [only] = parts {
            return Ok(only.clone());
        }
        let element = parts.first().map_or(Element::F32, |part| part.element);
        if parts.iter().any(|part| part.element != element) {
            return Err(self.node.invalid("it joins values of different types"));
        }
        let len = parts.iter().map(Operand::len).sum();
        self.push(
            Op::Concat(parts.iter().map(|part| part.id).collect()),
            element,
            vec![len],
        )
    }

    pub(crate) fn cast(
        &mut self,
        operand: &Operand,
        element: Element,
    ) -> Result<Operand, CompileError> {
        if operand.element == element {
            return Ok(operand.clone());
        }
        if element == Element::Bool {
            if operand.element == Element::Text {
                return Err(self.node.unsupported("it converts text to bool", ELEMENTS));
            }
            let zero = self.number(operand.element, 0.0)?;
            return self.binary(BinaryFunction::NotEqual, operand, &zero);
        }
        if element.kind() == operand.element.kind() {
            return Ok(Operand {
                element,
                ..operand.clone()
            });
        }
        if element == Element::Text
            && (operand.element.is_float() || operand.element == Element::Bool)
        {
            return Err(self
                .node
                .unsupported("it converts floats or bools to text", "integers to text"));
        }
        self.push(
            Op::Cast {
                source: operand.id,
                kind: element.kind(),
            },
            element,
            operand.shape.clone(),
        )
    }

    /// The operand repeated to `shape`.
    pub(crate) fn spread(
        &mut self,
        operand: &Operand,
        shape: &[usize],
    ) -> Result<Operand, CompileError> {
        let view = View {
            shape: shape.to_vec(),
            entries: broadcast(&operand.shape, shape),
        };
        self.select(operand, view)
    }

    fn common_shape(&self, left: &[usize], right: &[usize]) -> Result<Vec<usize>, CompileError> {
        broadcast_shape(left, right).ok_or_else(|| {
            self.node
                .invalid(format!("shapes {left:?} and {right:?} do not fit together"))
        })
    }

    pub(crate) fn unary(
        &mut self,
        function: UnaryFunction,
        operand: &Operand,
    ) -> Result<Operand, CompileError> {
        let predicate = matches!(
            function,
            UnaryFunction::Not | UnaryFunction::IsNan | UnaryFunction::IsInf
        );
        let element = if predicate {
            Element::Bool
        } else {
            operand.element
        };
        self.push(
            Op::Unary {
                function,
                argument: operand.id,
            },
            element,
            operand.shape.clone(),
        )
    }

    /// Entrywise function with broadcasting; the operands have one kind.
    pub(crate) fn binary(
        &mut self,
        function: BinaryFunction,
        left: &Operand,
        right: &Operand,
    ) -> Result<Operand, CompileError> {
        use BinaryFunction::{Add, Div, Max, Min, Mod, Mul, Pow, Sub};
        let shape = self.common_shape(&left.shape, &right.shape)?;
        let mut sides = [left.clone(), right.clone()];
        for side in &mut sides {
            // A step repeats single entries by itself.
            if side.len() != 1 && side.shape != shape {
                *side = self.spread(side, &shape)?;
            }
        }
        let arithmetic = matches!(function, Add | Sub | Mul | Div | Pow | Mod | Min | Max);
        let element = if arithmetic {
            left.element
        } else {
            Element::Bool
        };
        let [left, right] = sides;
        if entries(&shape) != Some(left.len().max(right.len())) {
            // An empty operand.
            return self.constant(Constant {
                element,
                shape,
                value: empty(element.kind()),
            });
        }
        self.push(
            Op::Binary {
                function,
                left: left.id,
                right: right.id,
            },
            element,
            shape,
        )
    }

    /// A function of a value and one number.
    pub(crate) fn against(
        &mut self,
        function: BinaryFunction,
        operand: &Operand,
        number: f64,
    ) -> Result<Operand, CompileError> {
        let number = self.number(operand.element, number)?;
        self.binary(function, operand, &number)
    }

    /// Reduction over `axes`; none means over all.
    pub(crate) fn reduce(
        &mut self,
        function: ReduceFunction,
        operand: &Operand,
        axes: &[usize],
        keep: bool,
    ) -> Result<Operand, CompileError> {
        let (rows, group, shape) = self.grouped(operand, axes, keep)?;
        self.push(
            Op::Reduce {
                function,
                argument: rows.id,
                group,
            },
            operand.element,
            shape,
        )
    }

    /// Moves `axes` (none means all) to the end. Gives the moved operand, the length of a group and
    /// the shape of one entry a group.
    pub(crate) fn grouped(
        &mut self,
        operand: &Operand,
        axes: &[usize],
        keep: bool,
    ) -> Result<(Operand, usize, Vec<usize>), CompileError> {
        let rank = operand.shape.len();
        let reduced = |axis: &usize| axes.is_empty() || axes.contains(axis);
        let (kept, dropped): (Vec<usize>, Vec<usize>) = (0..rank).partition(|axis| !reduced(axis));
        let group: usize = dropped.iter().map(|&axis| operand.shape[axis]).product();
        let order: Vec<usize> = kept.iter().chain(&dropped).copied().collect();
        let moved = self.select(operand, permuted(&operand.shape, &order))?;
        let shape = (0..rank)
            .filter_map(|axis| match (reduced(&axis), keep) {
                (false, _) => Some(operand.shape[axis]),
                (true, true) => Some(1),
                (true, false) => None,
            })
            .collect();
        Ok((moved, group, shape))
    }

    /// Index of the largest of all entries, the first one of equal ones; of shape `[1]`.
    pub(crate) fn largest(&mut self, operand: &Operand) -> Result<Operand, CompileError> {
        let op = Op::ArgMax {
            argument: operand.id,
            group: operand.len(),
            last: false,
        };
        self.push(op, Element::Int, vec![1])
    }

    /// Blocks of `inner` entries of `table` by number.
    pub(crate) fn pick(
        &mut self,
        table: &Operand,
        index: &Operand,
        inner: usize,
        shape: Vec<usize>,
    ) -> Result<Operand, CompileError> {
        let op = Op::Pick {
            table: table.id,
            index: index.id,
            inner,
        };
        self.push(op, table.element, shape)
    }

    /// `yes` where `condition` holds, else `no`, broadcast together.
    pub(crate) fn choose(
        &mut self,
        condition: &Operand,
        yes: &Operand,
        no: &Operand,
    ) -> Result<Operand, CompileError> {
        let shape = self.common_shape(&condition.shape, &yes.shape)?;
        let shape = self.common_shape(&shape, &no.shape)?;
        let [condition, yes, no] = [
            self.spread(condition, &shape)?,
            self.spread(yes, &shape)?,
            self.spread(no, &shape)?,
        ];
        let element = yes.element;
        self.push(
            Op::Where {
                condition: condition.id,
                yes: yes.id,
                no: no.id,
            },
            element,
            shape,
        )
    }
}

fn empty(kind: EntryKind) -> Tensor {
    match kind {
        EntryKind::F32 => Tensor::F32(Vec::new()),
        EntryKind::F64 => Tensor::F64(Vec::new()),
        EntryKind::I64 => Tensor::I64(Vec::new()),
        EntryKind::Text => Tensor::Text(Vec::new()),
    }
}
