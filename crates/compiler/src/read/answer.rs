//! From raw scores to a library's own predictions: links, probabilities and labels.

use super::library::Library;
use crate::error::CompileError;
use crate::model::Task;
use cipherfn_program::{
    BinaryFunction, EntryKind, Op, ProgramBuilder, RowProgram, SoftmaxKind, Tensor, TensorType,
    UnaryFunction, ValueId,
};
use cipherfn_protocol::specs::OutputField;

#[cfg(test)]
mod tests;

/// An entrywise function of raw scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Link {
    Identity,
    /// `1 / (1 + exp(-slope * x))`.
    Logistic {
        slope: f64,
    },
    Exponential,
    /// `ln(1 + exp(x))`.
    Softplus,
    /// `sign(x) * x * x`.
    SignedSquare,
}

/// What a model answers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// Numbers: a link of every score.
    Values(Link),
    /// A mean, and a variance that is `exp(2 x)` of the second score.
    MeanAndVariance,
    /// One score that decides between two classes: the second if it exceeds `threshold`.
    Binary { link: Link, threshold: f64 },
    /// One score that decides between two classes, without probabilities.
    Sign,
    /// One score a class: softmax, and the class of the largest.
    Softmax,
    /// One score a class, each through a link of its own, and the class of the largest.
    OneVersusAll(Link),
    /// One score a label, which is 1 or 0; labels do not exclude each other.
    Labels(Link),
}

/// Names of classes, and how labels are written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ClassNames {
    /// `0 .. n - 1`.
    Numbered,
    /// Integers.
    Integers(Vec<i64>),
    /// Texts.
    Texts(Vec<String>),
    /// Texts that were given beside the file.
    Given(Vec<String>),
}

impl ClassNames {
    /// The names given by hand, else the file's own.
    pub(crate) fn or_given(self, given: Option<&[String]>) -> Self {
        given.map_or(self, |names| Self::Given(names.to_vec()))
    }

    fn len(&self) -> Option<usize> {
        match self {
            Self::Numbered => None,
            Self::Integers(names) => Some(names.len()),
            Self::Texts(names) | Self::Given(names) => Some(names.len()),
        }
    }

    fn texts(&self, count: usize) -> Vec<String> {
        match self {
            Self::Numbered => (0..count).map(|class| class.to_string()).collect(),
            Self::Integers(names) => names.iter().map(ToString::to_string).collect(),
            Self::Texts(names) | Self::Given(names) => names.clone(),
        }
    }

    /// What is wrong with them: with the call, if they were given with it, else with the file.
    fn invalid(&self, library: Library, found: String, expected: &'static str) -> CompileError {
        match self {
            Self::Given(_) => CompileError::Option {
                option: "classes",
                found,
                expected,
            },
            _ => library.invalid("the classes", format!("{found}; expected {expected}")),
        }
    }
}

/// The program behind the scores, the meaning of its outputs, and the task.
pub(crate) struct Behind {
    pub(crate) postprocess: RowProgram,
    pub(crate) outputs: Vec<OutputField>,
    pub(crate) task: Task,
}

/// Makes the program from `scores` raw scores.
///
/// # Errors
/// Class names whose number is not that of the classes, or of a model that has no classes.
pub(crate) fn behind(
    library: Library,
    scores: usize,
    answer: &Answer,
    classes: &ClassNames,
) -> Result<Behind, CompileError> {
    let count = match answer {
        Answer::Binary { .. } | Answer::Sign => 2,
        Answer::Softmax | Answer::OneVersusAll(_) | Answer::Labels(_) => scores,
        Answer::Values(_) | Answer::MeanAndVariance => 0,
    };
    if let Some(found) = classes.len().filter(|&found| found != count) {
        return Err(classes.invalid(
            library,
            format!("{found} names for a model of {count} classes"),
            match count {
                0 => "none: the model predicts numbers",
                _ => "one name a class, in order",
            },
        ));
    }
    let mut steps = Steps::new(scores)?;
    let raw = steps.builder.input(0);
    let names = classes.texts(count);
    let is_doubtful =
        |(index, name): &(usize, &String)| name.is_empty() || names[..*index].contains(name);
    if let Some((_, name)) = names.iter().enumerate().find(is_doubtful) {
        let found = format!("{name:?} among others, which is no name of its own");
        return Err(classes.invalid(library, found, "each name once, in order"));
    }
    let (task, outputs) = match *answer {
        Answer::Values(link) => (
            Task::Regression,
            vec![(steps.link(link, raw)?, OutputField::Prediction)],
        ),
        Answer::MeanAndVariance => {
            let twice = steps.constants(&[0.0, 2.0])?;
            let scaled = steps.binary(BinaryFunction::Mul, raw, twice)?;
            let exponentials = steps.unary(UnaryFunction::Exp, scaled)?;
            let both = steps.push(Op::Concat(vec![raw, exponentials]))?;
            let values = steps.entries(both, vec![0, 3])?;
            (Task::Regression, vec![(values, OutputField::Prediction)])
        }
        Answer::Binary { link, threshold } => {
            let label = steps.exceeds(raw, threshold, classes)?;
            let second = steps.link(link, raw)?;
            let one = steps.constants(&[1.0])?;
            let first = steps.binary(BinaryFunction::Sub, one, second)?;
            let both = steps.push(Op::Concat(vec![first, second]))?;
            (
                Task::Classification,
                vec![
                    (label, OutputField::Label),
                    (both, OutputField::Probabilities(names)),
                ],
            )
        }
        Answer::Sign => {
            let label = steps.exceeds(raw, 0.0, classes)?;
            (Task::Classification, vec![(label, OutputField::Label)])
        }
        Answer::Softmax => {
            let label = steps.largest(raw, scores, classes)?;
            let all = steps.push(Op::Softmax {
                variant: SoftmaxKind::Softmax,
                argument: raw,
                group: scores,
            })?;
            (
                Task::Classification,
                vec![
                    (label, OutputField::Label),
                    (all, OutputField::Probabilities(names)),
                ],
            )
        }
        Answer::OneVersusAll(link) => {
            let label = steps.largest(raw, scores, classes)?;
            let all = steps.link(link, raw)?;
            (
                Task::Classification,
                vec![
                    (label, OutputField::Label),
                    (all, OutputField::Probabilities(names)),
                ],
            )
        }
        Answer::Labels(link) => {
            let mut outputs = Vec::with_capacity(scores + 1);
            for score in 0..scores as u32 {
                let own = steps.entries(raw, vec![score])?;
                let label = steps.exceeds(own, 0.0, &ClassNames::Numbered)?;
                outputs.push((label, OutputField::Label));
            }
            outputs.push((steps.link(link, raw)?, OutputField::Probabilities(names)));
            (Task::Classification, outputs)
        }
    };
    let (ids, fields): (Vec<ValueId>, Vec<OutputField>) = outputs.into_iter().unzip();
    Ok(Behind {
        postprocess: steps.builder.finish(&ids)?,
        outputs: fields,
        task,
    })
}

/// Emits the program; its steps have one name.
struct Steps {
    builder: ProgramBuilder,
}

impl Steps {
    fn new(scores: usize) -> Result<Self, CompileError> {
        let input = TensorType {
            kind: EntryKind::F64,
            len: scores,
        };
        Ok(Self {
            builder: ProgramBuilder::new(vec![input])?,
        })
    }

    fn push(&mut self, op: Op) -> Result<ValueId, CompileError> {
        Ok(self.builder.push("the link", op)?)
    }

    fn constants(&mut self, values: &[f64]) -> Result<ValueId, CompileError> {
        self.push(Op::Constant(Tensor::F64(values.to_vec())))
    }

    fn entries(&mut self, source: ValueId, entries: Vec<u32>) -> Result<ValueId, CompileError> {
        self.push(Op::Select { source, entries })
    }

    fn unary(
        &mut self,
        function: UnaryFunction,
        argument: ValueId,
    ) -> Result<ValueId, CompileError> {
        self.push(Op::Unary { function, argument })
    }

    fn binary(
        &mut self,
        function: BinaryFunction,
        left: ValueId,
        right: ValueId,
    ) -> Result<ValueId, CompileError> {
        self.push(Op::Binary {
            function,
            left,
            right,
        })
    }

    #[expect(clippy::float_cmp, reason = "a slope of exactly 1 needs no step")]
    fn link(&mut self, link: Link, raw: ValueId) -> Result<ValueId, CompileError> {
        match link {
            Link::Identity => Ok(raw),
            Link::Logistic { slope } => {
                let argument = if slope == 1.0 {
                    raw
                } else {
                    let slope = self.constants(&[slope])?;
                    self.binary(BinaryFunction::Mul, raw, slope)?
                };
                self.unary(UnaryFunction::Sigmoid, argument)
            }
            Link::Exponential => self.unary(UnaryFunction::Exp, raw),
            Link::Softplus => self.unary(UnaryFunction::Softplus, raw),
            Link::SignedSquare => {
                let size = self.unary(UnaryFunction::Abs, raw)?;
                self.binary(BinaryFunction::Mul, raw, size)
            }
        }
    }

    fn exceeds(
        &mut self,
        raw: ValueId,
        threshold: f64,
        classes: &ClassNames,
    ) -> Result<ValueId, CompileError> {
        let threshold = self.constants(&[threshold])?;
        let class = self.binary(BinaryFunction::Greater, raw, threshold)?;
        self.name(class, classes)
    }

    fn largest(
        &mut self,
        raw: ValueId,
        group: usize,
        classes: &ClassNames,
    ) -> Result<ValueId, CompileError> {
        let class = self.push(Op::ArgMax {
            argument: raw,
            group,
            last: false,
        })?;
        self.name(class, classes)
    }

    fn name(&mut self, class: ValueId, classes: &ClassNames) -> Result<ValueId, CompileError> {
        let table = match classes {
            ClassNames::Numbered => return Ok(class),
            ClassNames::Integers(names) if names.iter().copied().eq(0..names.len() as i64) => {
                return Ok(class);
            }
            ClassNames::Integers(names) => Tensor::I64(names.clone()),
            ClassNames::Texts(names) | ClassNames::Given(names) => Tensor::Text(names.clone()),
        };
        let table = self.push(Op::Constant(table))?;
        self.push(Op::Pick {
            table,
            index: class,
            inner: 1,
        })
    }
}
