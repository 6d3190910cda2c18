//! CMUXes: of their sides the noisier one counts.

use super::{BootstrapNoise, ErrorOrigin, OutputNoise, Tracker, Value};
use cipherfn_circuit::circuit::{Choice, NodeId, Operand};
use cipherfn_scheme::circuit_bootstrap;
use cipherfn_scheme::noise::{self, Variance};

impl Tracker<'_> {
    /// A CMUX by a number, whose selector has the errors of a circuit bootstrap.
    pub(super) fn chosen(&mut self, node: NodeId, choice: &Choice, values: &[Value]) -> Value {
        let parameters = self
            .parameters
            .expect("checked: it is a bootstrap of the set");
        let number = self.noise(&values[choice.of.node.index()]).value;
        let compared = circuit_bootstrap::comparison_variance(self.set, parameters, choice.gadget);
        let result = self.packing.map(|packing| {
            let selector = circuit_bootstrap::noise(self.set, packing, parameters);
            noise::cmux(self.set, choice.gadget, &selector)
        });
        self.choices.push(BootstrapNoise {
            node,
            number: number + compared,
            result: result.unwrap_or_default(),
        });
        let own = (ErrorOrigin::Choice(self.choices.len() - 1), 1.0);
        let sides = self.worst_side(choice.sides(), values);
        sides.into_iter().chain([own]).collect()
    }

    /// The noisier side of a CMUX, whole.
    pub(super) fn worst_side(
        &mut self,
        sides: [Operand; 2],
        values: &[Value],
    ) -> Option<(ErrorOrigin, f64)> {
        let [clear, set] = sides.map(|operand| match operand {
            Operand::Node(rotated) => self.noise(&values[rotated.node.index()]),
            Operand::Zero | Operand::Constant(_) => OutputNoise::default(),
        });
        self.bound(worse(clear, set))
    }
}

/// The largest variance, and the fewest rows that it can come from.
pub(super) fn worse(a: OutputNoise, b: OutputNoise) -> OutputNoise {
    let most = |noise: OutputNoise| match noise.rows {
        rows if rows > 0.0 => 1.0 / rows * noise.value,
        _ => Variance::default(),
    };
    let (value, most) = (larger(a.value, b.value), larger(most(a), most(b)));
    OutputNoise {
        value,
        reply: Variance::default(),
        rows: if most > Variance::default() {
            value.get() / most.get()
        } else {
            1.0
        },
    }
}

pub(super) fn larger(a: Variance, b: Variance) -> Variance {
    if a > b { a } else { b }
}
