//! Where features and scores stand in ciphertexts, and the circuit that computes them.
//!
//! *Plain*: all scores of a product side by side, features as far apart as there are scores. No key,
//! and a query of `features x scores` coefficients.
//!
//! *Packed*: `s` scores a product, far apart, and features together. A query of `features x s`
//! coefficients, and a key switch a product, which brings the scores of all products into one
//! ciphertext and clears what stands between them.

use crate::backend::Backend;
use crate::cost::{Costs, LinearWork, Takes};
use crate::options::Options;
use cipherfn_circuit::Circuit;
use cipherfn_circuit::circuit::{Input, InputId, Node, NodeId, Output, Pack, Product, Rotated};
use cipherfn_protocol::specs::{Bits, FeatureForm, LinearEncoding};
use cipherfn_scheme::noise::Variance;
use cipherfn_scheme::operations::pack;
use cipherfn_scheme::query::LinearQueryShape;

/// Bytes of a query up to which no evaluation key is asked for.
const KEYLESS_QUERY: usize = 64 << 10;

/// Where everything stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    polynomial_size: usize,
    features: usize,
    scores: usize,
    /// Scores of a product: a power of two where products are packed.
    a_product: usize,
    packed: bool,
}

impl Layout {
    /// The cheapest one.
    pub(super) fn choose(
        backend: Backend,
        (features, scores): (usize, usize),
        options: &Options,
    ) -> Self {
        let polynomial_size = backend.set.ring.polynomial_size;
        let plain = Self {
            polynomial_size,
            features,
            scores,
            a_product: scores.min(polynomial_size),
            packed: false,
        };
        let query = |layout: &Self| {
            let bits = backend.set.ring.body_bits;
            layout.query_shape(backend, bits).row_bytes()
        };
        let Some(packing) = backend.set.packing() else {
            return plain;
        };
        if query(&plain) <= KEYLESS_QUERY {
            return plain;
        }
        let costs = Costs::of(backend.set);
        let price = |layout: &Self| {
            let stages = costs.linear_stages(layout.work());
            let takes = Takes {
                time: stages.iter().map(|stage| stage.1).sum(),
                memory: 0.0,
                query: query(layout) as f64,
            };
            let key = if layout.packed {
                backend.key_bytes()
            } else {
                0
            };
            takes.price((options.profile, options.prefer), key)
        };
        let least = polynomial_size >> packing.depth().levels();
        let sizes = std::iter::successors(Some(least.max(1)), |size| Some(2 * size));
        let packed = sizes
            .take_while(|size| *size < plain.a_product)
            .map(|a_product| Self {
                a_product,
                packed: true,
                ..plain
            });
        std::iter::once(plain)
            .chain(packed)
            .min_by(|a, b| price(a).total_cmp(&price(b)))
            .unwrap_or(plain)
    }

    /// Whether results are packed, which takes an evaluation key.
    pub(super) const fn is_packed(&self) -> bool {
        self.packed
    }

    /// Features in one ciphertext.
    fn block(&self) -> usize {
        let room = self.polynomial_size / self.a_product;
        self.features.min(room)
    }

    /// Distance of features, or of the scores of a product.
    const fn stride(&self) -> usize {
        if self.packed {
            self.polynomial_size / self.a_product
        } else {
            self.a_product
        }
    }

    const fn form(&self) -> FeatureForm {
        if self.packed {
            FeatureForm::Together
        } else {
            FeatureForm::Apart
        }
    }

    /// Scores of each reply ciphertext.
    pub(super) fn outputs(&self) -> impl Iterator<Item = usize> {
        let (scores, size) = (self.scores, self.polynomial_size);
        (0..scores)
            .step_by(size)
            .map(move |first| size.min(scores - first))
    }

    /// For each reply ciphertext, the scores of its products. Score `c` of the reply is one of product
    /// `c` modulo their number, so that scores come out in order.
    pub(super) fn products(&self) -> impl Iterator<Item = Vec<Vec<usize>>> {
        let outputs = (0..self.scores).step_by(self.polynomial_size);
        outputs.zip(self.outputs()).map(|(first, scores)| {
            let products = if self.packed {
                scores.div_ceil(self.a_product).next_power_of_two()
            } else {
                1
            };
            let product = |index| (first + index..first + scores).step_by(products).collect();
            (0..products.min(scores)).map(product).collect()
        })
    }

    /// What packing adds to a score's variance.
    pub(super) fn packing_variance(&self, backend: Backend) -> Variance {
        match backend.set.packing() {
            Some(packing) if self.packed => {
                pack::variance_spaced(backend.set, packing, self.stride().ilog2())
            }
            _ => Variance::default(),
        }
    }

    /// What a row takes.
    pub(super) fn work(&self) -> LinearWork {
        let ciphertexts = self.features.div_ceil(self.block());
        let products: usize = self.products().map(|products| products.len()).sum();
        let clearing = self.outputs().count() * self.stride().ilog2() as usize;
        LinearWork {
            ciphertexts,
            products,
            key_switches: if self.packed { products + clearing } else { 0 },
        }
    }

    /// Dimensions of a query row.
    pub(super) fn query_shape(&self, backend: Backend, body_bits: Bits) -> LinearQueryShape {
        LinearQueryShape {
            set: backend.set,
            features: self.features,
            block: self.block(),
            stride: self.stride(),
            form: self.form(),
            body_bits,
        }
    }

    /// Bytes of a reply row.
    pub(super) fn reply_bytes(&self, backend: Backend, bits: Bits) -> usize {
        let outputs = self.outputs();
        outputs
            .map(|scores| backend.reply_bytes(scores, bits))
            .sum()
    }

    /// The circuit over features of this encoding: rows of integer weights, one a score.
    pub(super) fn circuit(
        &self,
        backend: Backend,
        encoding: &LinearEncoding,
        weights: &[Vec<i64>],
        reply_bits: Bits,
    ) -> Circuit {
        let mut nodes = Vec::new();
        let mut push = |node| {
            nodes.push(node);
            NodeId(nodes.len() as u32 - 1)
        };
        let mut outputs = Vec::new();
        for (coefficients, products) in self.outputs().zip(self.products()) {
            let mut product = |scores: Vec<usize>| Rotated {
                node: push(Node::Product(Product {
                    input: InputId(0),
                    weights: scores.into_iter().map(|own| weights[own].clone()).collect(),
                    constant: None,
                })),
                rotation: 0,
            };
            let products: Vec<Rotated> = products.into_iter().map(&mut product).collect();
            let (node, stride) = if self.packed {
                let pack = Pack {
                    items: products,
                    coefficients: self.a_product as u32,
                };
                let stride = pack.stride(self.polynomial_size as u32);
                (push(Node::Pack(pack)), stride)
            } else {
                (products[0].node, 1)
            };
            outputs.push(Output {
                node,
                coefficients: coefficients as u32,
                stride,
                reply_bits,
            });
        }
        Circuit {
            parameter_set: backend.set.name.to_owned(),
            bootstrap: None,
            inputs: vec![Input::Features(encoding.into())],
            constants: Vec::new(),
            nodes,
            outputs,
        }
    }
}
