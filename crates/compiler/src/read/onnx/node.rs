//! Nodes with typed access to their attributes.

use super::attribute::{self, Attribute};
use super::fields::Fields;
use super::proto::attribute_type;
use super::subgraph::Subgraph;
use super::tensor::{self, Constant};
use crate::error::{CompileError, NodeName};
use cipherfn_program::Tensor;
use std::collections::HashMap;

/// A node of the graph, in the file's bytes.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    pub(crate) name: NodeName,
    /// Names of its inputs; an empty one is an input that is left out.
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    attributes: HashMap<&'a str, Attribute<'a>>,
}

impl<'a> Node<'a> {
    /// Reads the message of the node in this place of the file.
    pub(super) fn read(message: &'a [u8], position: usize) -> Result<Self, CompileError> {
        let broken = |reason| CompileError::NotOnnx { reason };
        let (mut inputs, mut outputs, mut attributes) = (Vec::new(), Vec::new(), Vec::new());
        let [mut name, mut operator, mut domain_name] = [""; 3];
        for field in Fields::of(message) {
            let (tag, value) = field.map_err(broken)?;
            match tag {
                1 => inputs.push(value.text().map_err(broken)?.to_owned()),
                2 => outputs.push(value.text().map_err(broken)?.to_owned()),
                3 => name = value.text().map_err(broken)?,
                4 => operator = value.text().map_err(broken)?,
                5 => attributes.push(value.bytes().and_then(Attribute::read).map_err(broken)?),
                7 => domain_name = value.text().map_err(broken)?,
                _ => {}
            }
        }
        let name = match (name, outputs.first().map(String::as_str)) {
            ("", Some("") | None) => format!("#{position}"),
            ("", Some(output)) => output.to_owned(),
            (name, _) => name.to_owned(),
        };
        let name = NodeName {
            name,
            operator: operator.to_owned(),
            domain: domain(domain_name.to_owned()),
        };
        let mut by_name = HashMap::new();
        for (key, attribute) in attributes {
            if by_name.insert(key, attribute).is_some() {
                return Err(CompileError::invalid(
                    &name,
                    format!("attribute \"{key}\" is given twice"),
                ));
            }
        }
        Ok(Self {
            name,
            inputs,
            outputs,
            attributes: by_name,
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

    /// The subgraph of that name; `None` for one that is not there or too large to be understood.
    pub(crate) fn subgraph(&self, name: &str) -> Result<Option<Subgraph<'a>>, CompileError> {
        let attribute = self.attribute(name, attribute_type::GRAPH)?;
        match attribute.and_then(|attribute| attribute.graph) {
            Some(message) => Subgraph::read(message, &self.name.to_string()),
            None => Ok(None),
        }
    }

    fn attribute(&self, name: &str, kind: i32) -> Result<Option<&Attribute<'a>>, CompileError> {
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
        if attribute.is_reference {
            return Err(self.invalid(format!(
                "attribute \"{name}\" refers to a function's attribute"
            )));
        }
        Ok(Some(attribute))
    }

    /// An error about an attribute's content.
    fn in_attribute(&self, name: &str) -> impl Fn(String) -> CompileError {
        move |problem| self.invalid(format!("attribute \"{name}\": {problem}"))
    }

    pub(crate) fn int(&self, name: &str, default: i64) -> Result<i64, CompileError> {
        Ok(self
            .attribute(name, attribute_type::INT)?
            .map_or(default, |attribute| attribute.int))
    }

    pub(crate) fn float(&self, name: &str, default: f32) -> Result<f32, CompileError> {
        Ok(self
            .attribute(name, attribute_type::FLOAT)?
            .map_or(default, |attribute| attribute.float))
    }

    pub(crate) fn ints(&self, name: &str) -> Result<Vec<i64>, CompileError> {
        attribute::kept(self.each_int(name)?).map_err(self.in_attribute(name))
    }

    /// The entries one by one, as they lie in the file.
    pub(crate) fn each_int(
        &self,
        name: &str,
    ) -> Result<impl Iterator<Item = Result<i64, String>> + use<'a>, CompileError> {
        let attribute = self.attribute(name, attribute_type::INTS)?;
        Ok(attribute.map(Attribute::each_int).into_iter().flatten())
    }

    pub(crate) fn floats(&self, name: &str) -> Result<Vec<f32>, CompileError> {
        attribute::kept(self.each_float(name)?).map_err(self.in_attribute(name))
    }

    fn each_float(
        &self,
        name: &str,
    ) -> Result<impl Iterator<Item = Result<f32, String>> + use<'a>, CompileError> {
        let attribute = self.attribute(name, attribute_type::FLOATS)?;
        Ok(attribute.map(Attribute::each_float).into_iter().flatten())
    }

    pub(crate) fn text(&self, name: &str, default: &str) -> Result<String, CompileError> {
        match self.attribute(name, attribute_type::STRING)? {
            Some(attribute) => {
                let text = tensor::text(attribute.text).map_err(self.in_attribute(name))?;
                Ok(text.to_owned())
            }
            None => Ok(default.to_owned()),
        }
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, CompileError> {
        let texts = self.each_text(name)?;
        texts.map(|text| text.map(str::to_owned)).collect()
    }

    /// The entries one by one, as they lie in the file.
    pub(crate) fn each_text(
        &self,
        name: &str,
    ) -> Result<impl Iterator<Item = Result<&'a str, CompileError>>, CompileError> {
        let attribute = self.attribute(name, attribute_type::STRINGS)?;
        let texts = attribute.into_iter().flat_map(Attribute::each_text);
        let wrong = self.in_attribute(name);
        Ok(texts.map(move |text| text.and_then(tensor::text).map_err(&wrong)))
    }

    pub(crate) fn tensor(&self, name: &str) -> Result<Option<Constant>, CompileError> {
        let Some(attribute) = self.attribute(name, attribute_type::TENSOR)? else {
            return Ok(None);
        };
        let tensor = attribute.tensor().map_err(self.in_attribute(name))?;
        let tensor =
            tensor.ok_or_else(|| self.invalid(format!("attribute \"{name}\" holds no tensor")))?;
        tensor::read(&tensor, &format!("{}: attribute \"{name}\"", self.name)).map(Some)
    }

    /// Numbers that are given as floats in `name` or as a tensor in `name_as_tensor`.
    pub(crate) fn numbers(&self, name: &str) -> Result<Vec<f64>, CompileError> {
        let numbers = self.any_numbers(name)?;
        self.finite(name, numbers)
    }

    /// The same with NaN and infinities.
    pub(crate) fn any_numbers(&self, name: &str) -> Result<Vec<f64>, CompileError> {
        attribute::kept(self.each_number(name)?).map_err(self.in_attribute(name))
    }

    /// The same one by one, as they lie in the file.
    pub(crate) fn each_number(
        &self,
        name: &str,
    ) -> Result<impl Iterator<Item = Result<f64, String>> + use<'a>, CompileError> {
        let as_tensor = format!("{name}_as_tensor");
        let tensor = match self.tensor(&as_tensor)? {
            Some(_) if self.has(name) => {
                return Err(self.invalid(format!("both \"{name}\" and \"{as_tensor}\" are given")));
            }
            Some(tensor) => self.as_numbers(&as_tensor, &tensor.value)?,
            None => Vec::new(),
        };
        let floats = self.each_float(name)?.map(|number| number.map(f64::from));
        Ok(tensor.into_iter().map(Ok).chain(floats))
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
