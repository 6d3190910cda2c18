//! Nodes with typed access to their attributes.

use super::proto::{AttributeProto, NodeProto, attribute_type};
use super::tensor::{self, Constant};
use crate::error::{CompileError, NodeName};
use cipherfn_program::Tensor;
use std::collections::HashMap;

/// A node of the graph.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: NodeName,
    /// Names of its inputs; an empty one is an input that is left out.
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    attributes: HashMap<String, AttributeProto>,
}

impl Node {
    pub(crate) fn new(node: NodeProto, position: usize) -> Result<Self, CompileError> {
        let name = if node.name.is_empty() {
            node.output
                .first()
                .filter(|output| !output.is_empty())
                .cloned()
                .unwrap_or_else(|| format!("#{position}"))
        } else {
            node.name
        };
        let name = NodeName {
            name,
            operator: node.op_type,
            domain: domain(node.domain),
        };
        let mut attributes = HashMap::new();
        for attribute in node.attribute {
            let key = attribute.name.clone();
            if attributes.insert(key.clone(), attribute).is_some() {
                return Err(CompileError::invalid(
                    &name,
                    format!("attribute \"{key}\" is given twice"),
                ));
            }
        }
        Ok(Self {
            name,
            inputs: node.input,
            outputs: node.output,
            attributes,
        })
    }

    /// An error about the node's form.
    pub(crate) fn invalid(&self, problem: impl Into<String>) -> CompileError {
        CompileError::invalid(&self.name, problem)
    }

    /// An error about what the node asks for.
    pub(crate) fn unsupported(
        &self,
        problem: impl Into<String>,
        supported: impl Into<String>,
    ) -> CompileError {
        CompileError::Unsupported {
            node: self.name.clone(),
            problem: problem.into(),
            supported: supported.into(),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.attributes.contains_key(name)
    }

    /// Whether a subgraph hangs on the node.
    pub(crate) fn has_subgraph(&self) -> bool {
        self.attributes
            .values()
            .any(|attribute| attribute.kind == attribute_type::GRAPH)
    }

    fn attribute(&self, name: &str, kind: i32) -> Result<Option<&AttributeProto>, CompileError> {
        let Some(attribute) = self.attributes.get(name) else {
            return Ok(None);
        };
        // Files of the first IR versions carry no type.
        if attribute.kind != kind && attribute.kind != 0 {
            return Err(self.invalid(format!(
                "attribute \"{name}\" has type {} instead of {kind}",
                attribute.kind
            )));
        }
        if !attribute.ref_attr_name.is_empty() {
            return Err(self.invalid(format!(
                "attribute \"{name}\" refers to a function's attribute"
            )));
        }
        Ok(Some(attribute))
    }

    pub(crate) fn int(&self, name: &str, default: i64) -> Result<i64, CompileError> {
        Ok(self
            .attribute(name, attribute_type::INT)?
            .map_or(default, |attribute| attribute.i))
    }

    pub(crate) fn float(&self, name: &str, default: f32) -> Result<f32, CompileError> {
        Ok(self
            .attribute(name, attribute_type::FLOAT)?
            .map_or(default, |attribute| attribute.f))
    }

    pub(crate) fn ints(&self, name: &str) -> Result<&[i64], CompileError> {
        Ok(self
            .attribute(name, attribute_type::INTS)?
            .map_or(&[], |attribute| &attribute.ints))
    }

    pub(crate) fn floats(&self, name: &str) -> Result<&[f32], CompileError> {
        Ok(self
            .attribute(name, attribute_type::FLOATS)?
            .map_or(&[], |attribute| &attribute.floats))
    }

    pub(crate) fn text(&self, name: &str, default: &str) -> Result<String, CompileError> {
        match self.attribute(name, attribute_type::STRING)? {
            Some(attribute) => tensor::text(&attribute.s)
                .map_err(|problem| self.invalid(format!("attribute \"{name}\": {problem}"))),
            None => Ok(default.to_owned()),
        }
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, CompileError> {
        let strings = self
            .attribute(name, attribute_type::STRINGS)?
            .map_or(&[][..], |attribute| &attribute.strings);
        strings
            .iter()
            .map(|bytes| {
                tensor::text(bytes)
                    .map_err(|problem| self.invalid(format!("attribute \"{name}\": {problem}")))
            })
            .collect()
    }

    pub(crate) fn tensor(&self, name: &str) -> Result<Option<Constant>, CompileError> {
        let Some(attribute) = self.attribute(name, attribute_type::TENSOR)? else {
            return Ok(None);
        };
        let tensor = attribute
            .t
            .as_ref()
            .ok_or_else(|| self.invalid(format!("attribute \"{name}\" holds no tensor")))?;
        tensor::read(tensor, &format!("{}: attribute \"{name}\"", self.name)).map(Some)
    }

    /// Numbers that are given as floats in `name` or as a tensor in `name_as_tensor`.
    pub(crate) fn numbers(&self, name: &str) -> Result<Vec<f64>, CompileError> {
        let numbers = self.any_numbers(name)?;
        self.finite(name, numbers)
    }

    /// The same with NaN and infinities.
    pub(crate) fn any_numbers(&self, name: &str) -> Result<Vec<f64>, CompileError> {
        let as_tensor = format!("{name}_as_tensor");
        match self.tensor(&as_tensor)? {
            Some(_) if self.has(name) => {
                Err(self.invalid(format!("both \"{name}\" and \"{as_tensor}\" are given")))
            }
            Some(tensor) => self.as_numbers(&as_tensor, &tensor.value),
            None => Ok(self.floats(name)?.iter().map(|&x| f64::from(x)).collect()),
        }
    }

    /// The entries of a numeric tensor.
    pub(crate) fn as_numbers(&self, name: &str, value: &Tensor) -> Result<Vec<f64>, CompileError> {
        value
            .to_f64()
            .ok_or_else(|| self.invalid(format!("\"{name}\" holds text instead of numbers")))
    }

    /// Refuses NaN and infinities.
    pub(crate) fn finite(&self, name: &str, numbers: Vec<f64>) -> Result<Vec<f64>, CompileError> {
        match numbers.iter().position(|x| !x.is_finite()) {
            Some(at) => Err(self.invalid(format!(
                "entry {at} of \"{name}\" is {}, not a finite number",
                numbers[at]
            ))),
            None => Ok(numbers),
        }
    }
}

/// A domain's name; the default domain is written as the empty string.
pub(super) fn domain(name: String) -> String {
    if name.is_empty() {
        "ai.onnx".to_owned()
    } else {
        name
    }
}
