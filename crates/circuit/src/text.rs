//! Circuits as text, one line a part: for golden tests and for people.
//!
//! ```text
//! set cipherfn-128-n512k4-v1
//! i0 = bits 3, gadget 12 x 2, ggsw
//! c0 = 0: 0x1000000000000000
//! n0 = (i0.0 ? c0 : 0)
//! n1 = c0 + n0 X^7 + (i0.2 ? n0 : 0)
//! n2 = X^5 c0 turned by i0.0 9, i0.2 1023
//! n3 = c0 + 3 n2 + -2 n1 X^7
//! n4 = pack n3, n2 X^7
//! n5 = i1.4
//! n6 = n5 turned by i0.1 2
//! o0 = n1, 2 coefficients by 7, 24 bits
//! ```
//!
//! A circuit with bootstraps names their key part behind the set, `bootstrap bootstrap-fast`, and a
//! node is `n5 = c0 at n3`.

use crate::circuit::{
    Bootstrap, Carrier, Choice, Circuit, Combination, Constant, ConstantId, Input, InputId, Lookup,
    Node, NodeId, Operand, Output, OutputId, Pack, Product, Rotated, Select, SelectorForm, Sum,
    Table, Turn, Weighted,
};
use cipherfn_protocol::specs::{FeatureForm, Transport};
use std::fmt::{self, Display, Formatter};

#[cfg(test)]
mod tests;

impl Display for Circuit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "set {}", self.parameter_set)?;
        if let Some(part) = &self.bootstrap {
            writeln!(f, "bootstrap {part}")?;
        }
        for (id, input) in (0..).map(InputId).zip(&self.inputs) {
            writeln!(f, "{id} = {input}")?;
        }
        for (id, constant) in (0..).map(ConstantId).zip(&self.constants) {
            writeln!(f, "{id} = {constant}")?;
        }
        for (id, node) in (0..).map(NodeId).zip(&self.nodes) {
            writeln!(f, "{id} = {node}")?;
        }
        for (id, output) in (0..).map(OutputId).zip(&self.outputs) {
            writeln!(f, "{id} = {output}")?;
        }
        Ok(())
    }
}

impl Display for Input {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Selectors(group) => {
                match group.form {
                    SelectorForm::Bits => write!(f, "bits")?,
                    SelectorForm::Digits { log2_values } => {
                        write!(f, "digits of 2^{log2_values} values")?;
                    }
                }
                let transport = match group.transport {
                    Transport::Packed => "packed",
                    Transport::Ggsw => "ggsw",
                };
                let gadget = group.gadget;
                write!(
                    f,
                    " {}, gadget {} x {}, {transport}",
                    group.count, gadget.base_log, gadget.levels
                )
            }
            Self::Features(input) => write!(
                f,
                "features {}, {} a ciphertext{} by {}, {} bits",
                input.features,
                input.block,
                match input.form {
                    FeatureForm::Apart => "",
                    FeatureForm::Together => " together, scores",
                },
                input.stride,
                input.body_bits
            ),
            Self::Values(input) => write!(f, "values {}", input.count),
            Self::Tables(input) => write!(f, "tables {}", input.count),
        }
    }
}

impl Display for Constant {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        joined(f, ", ", &self.0, |f, (position, value)| {
            write!(f, "{position}: {value:#x}")
        })
    }
}

impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sum(sum) => write!(f, "{sum}"),
            Self::Product(product) => write!(f, "{product}"),
            Self::Lookup(lookup) => write!(f, "{lookup}"),
            Self::Combination(combination) => write!(f, "{combination}"),
            Self::Pack(pack) => write!(f, "{pack}"),
            Self::Carrier(Carrier { input, index }) => write!(f, "{input}.{index}"),
            Self::Bootstrap(bootstrap) => write!(f, "{bootstrap}"),
            Self::Choice(choice) => write!(f, "{choice}"),
        }
    }
}

impl Display for Sum {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let constant = self.constant.iter().map(|id| id as &dyn Display);
        let addends = self.addends.iter().map(|addend| addend as &dyn Display);
        let selects = self.selects.iter().map(|select| select as &dyn Display);
        let terms: Vec<_> = constant.chain(addends).chain(selects).collect();
        joined(f, " + ", &terms, |f, term| write!(f, "{term}"))
    }
}

impl Display for Rotated {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.rotation {
            0 => write!(f, "{}", self.node),
            rotation => write!(f, "{} X^{rotation}", self.node),
        }
    }
}

impl Display for Select {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "({} ? {} : {})", self.selector, self.set, self.clear)
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => write!(f, "0"),
            Self::Constant(id) => write!(f, "{id}"),
            Self::Node(rotated) => write!(f, "{rotated}"),
        }
    }
}

impl Display for Product {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} * [", self.input)?;
        joined(f, "; ", &self.weights, |f, weights| {
            joined(f, " ", weights, |f, weight| write!(f, "{weight}"))
        })?;
        write!(f, "]")?;
        match self.constant {
            Some(constant) => write!(f, " + {constant}"),
            None => Ok(()),
        }
    }
}

impl Display for Lookup {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.rotation > 0 {
            write!(f, "X^{} ", self.rotation)?;
        }
        write!(f, "{} turned by ", self.table)?;
        joined(f, ", ", &self.form, |f, turn| write!(f, "{turn}"))
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(id) => write!(f, "{id}"),
            Self::Node(id) => write!(f, "{id}"),
        }
    }
}

impl Display for Turn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.selector, self.rotation)
    }
}

impl Display for Combination {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let constant = self.constant.iter().map(|id| id as &dyn Display);
        let terms = self.terms.iter().map(|term| term as &dyn Display);
        let terms: Vec<_> = constant.chain(terms).collect();
        joined(f, " + ", &terms, |f, term| write!(f, "{term}"))
    }
}

impl Display for Weighted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.weight, self.node)
    }
}

impl Display for Pack {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.coefficients {
            1 => write!(f, "pack ")?,
            several => write!(f, "pack {several} of each of ")?,
        }
        joined(f, ", ", &self.items, |f, item| write!(f, "{item}"))
    }
}

impl Display for Bootstrap {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.table, self.of)
    }
}

impl Display for Choice {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (base_log, levels) = (self.gadget.base_log.get(), self.gadget.levels.get());
        write!(
            f,
            "({} >= 0 at {base_log}x{levels} ? {} : {})",
            self.of, self.set, self.clear
        )
    }
}

impl Display for Output {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} coefficients by {}, {} bits",
            self.node, self.coefficients, self.stride, self.reply_bits
        )
    }
}

/// Items with a separator between them; `0` if there are none.
fn joined<T>(
    f: &mut Formatter<'_>,
    separator: &str,
    items: &[T],
    mut write: impl FnMut(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    if items.is_empty() {
        return write!(f, "0");
    }
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        write(f, item)?;
    }
    Ok(())
}
