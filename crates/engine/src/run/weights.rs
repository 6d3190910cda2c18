//! Products of plaintext weights and encrypted feature vectors: no evaluation key.

use super::memory::zeroed;
use aligned_vec::AVec;
use cipherfn_circuit::CircuitError;
use cipherfn_circuit::circuit::{Circuit, FeatureInput, Input, InputId, Node, NodeId, Product};
use cipherfn_scheme::carriers::FourierCarriers;
use cipherfn_scheme::fourier::{Transform, c64, multiply_add};
use std::collections::HashMap;

/// Memory for the transforms of all weights, 8 bytes a coefficient. A feature a ciphertext would take
/// 16 KB a weight.
pub const MAX_WEIGHT_BYTES: usize = 1 << 28;

/// The products of a circuit.
#[derive(Debug)]
pub(super) struct WeightProducts(HashMap<NodeId, Weights>);

/// Weights in the Fourier domain.
#[derive(Debug)]
pub(super) struct Weights {
    /// The feature vector.
    pub(super) input: InputId,
    /// One polynomial a ciphertext of the query: `sum of weights[c][i] X^(c spacing - j
    /// feature_spacing)` over scores `c` and the features `i` of the ciphertext, `j` their place in it.
    /// Coefficient `c spacing` of the product with the input is score `c`.
    polynomials: Vec<AVec<c64>>,
}

impl WeightProducts {
    /// Prepares the products of a checked circuit.
    pub(super) fn new(circuit: &Circuit, transform: &Transform) -> Result<Self, CircuitError> {
        let mut products = HashMap::new();
        let mut bytes = 0_usize;
        for (node, product) in (0..).map(NodeId).zip(&circuit.nodes) {
            let Node::Product(product) = product else {
                continue;
            };
            let Input::Features(input) = &circuit.inputs[product.input.index()] else {
                unreachable!("checked: a product is of a feature vector")
            };
            let ciphertexts = input.features.div_ceil(input.block) as usize;
            bytes = bytes.saturating_add(ciphertexts * transform.fourier_size() * size_of::<c64>());
            if bytes > MAX_WEIGHT_BYTES {
                return Err(CircuitError::TooLarge {
                    unit: "bytes of weights",
                    limit: MAX_WEIGHT_BYTES as u64,
                });
            }
            products.insert(node, Weights::new(product, input, transform));
        }
        Ok(Self(products))
    }

    pub(super) fn get(&self, node: NodeId) -> &Weights {
        &self.0[&node]
    }

    /// Bytes of memory that they take.
    pub(super) fn memory_len(&self) -> usize {
        let polynomials = self.0.values().flat_map(|weights| &weights.polynomials);
        polynomials
            .map(|polynomial| size_of_val(polynomial.as_slice()))
            .sum()
    }
}

impl Weights {
    fn new(product: &Product, input: &FeatureInput, transform: &Transform) -> Self {
        let mut scratch = transform.scratch();
        let polynomial_size = transform.polynomial_size();
        let block = input.block as usize;
        let (up, down) = (input.spacing() as usize, input.feature_spacing() as usize);
        let polynomials = (0..input.features as usize).step_by(block).map(|first| {
            let mut polynomial = vec![0; polynomial_size];
            for (score, weights) in product.weights.iter().enumerate() {
                for (place, weight) in weights[first..].iter().take(block).enumerate() {
                    // X^(-e) = -X^(N - e). The stride is more than what stands together, so no two
                    // exponents are equal.
                    let (score, place) = (score * up, place * down);
                    let (position, weight) = match score.checked_sub(place) {
                        Some(position) => (position, *weight),
                        None => (polynomial_size + score - place, -*weight),
                    };
                    polynomial[position] = weight as u64;
                }
            }
            let mut out = zeroed(transform.fourier_size());
            transform.forward_integer(&mut out, &polynomial, &mut scratch);
            out
        });
        Self {
            input: product.input,
            polynomials: polynomials.collect(),
        }
    }

    /// `out = sum of weights * ciphertexts`.
    pub(super) fn multiply(&self, out: &mut [c64], ciphertexts: &FourierCarriers) {
        out.fill(c64::new(0.0, 0.0));
        for (index, weights) in self.polynomials.iter().enumerate() {
            let components = ciphertexts.get(index).chunks_exact(weights.len());
            for (out, component) in out.chunks_exact_mut(weights.len()).zip(components) {
                multiply_add(out, component, weights);
            }
        }
    }
}
