//! Linear models on an encrypted feature vector: one product with plaintext polynomials, no
//! evaluation key.

use aligned_vec::{AVec, CACHELINE_ALIGN};
use cipherfn_circuit::circuit::LinearCircuit;
use cipherfn_scheme::Glwe;
use cipherfn_scheme::fourier::{Transform, c64, multiply_add};

/// A linear circuit with its weights in the Fourier domain.
#[derive(Debug)]
pub(crate) struct Linear {
    transform: Transform,
    /// One polynomial a ciphertext of the query: `sum of weights[c][i] X^(c - j stride)` over
    /// scores `c` and the features `i` of the ciphertext, `j` their place in it. Coefficient
    /// `c` of the product with the input is score `c`.
    weights: Vec<AVec<c64>>,
    bias: Vec<u64>,
}

impl Linear {
    /// Bytes of memory that the prepared circuit takes.
    pub(crate) fn memory_len(&self) -> usize {
        self.weights
            .iter()
            .map(|weights| size_of_val(weights.as_slice()))
            .sum()
    }

    /// Prepares a checked circuit.
    pub(crate) fn new(circuit: &LinearCircuit, polynomial_size: usize) -> Self {
        let transform = Transform::new(polynomial_size);
        let mut scratch = transform.scratch();
        let (block, stride) = (circuit.block as usize, circuit.stride as usize);
        let features = circuit.weights[0].len();
        let weights = (0..features).step_by(block).map(|first| {
            let mut polynomial = vec![0; polynomial_size];
            for (score, weights) in circuit.weights.iter().enumerate() {
                for (place, weight) in weights[first..].iter().take(block).enumerate() {
                    // X^(-e) = -X^(N - e). Exponents differ in their remainder modulo the stride or
                    // in their place: each is hit once.
                    let (position, weight) = match score.checked_sub(place * stride) {
                        Some(position) => (position, *weight),
                        None => (polynomial_size + score - place * stride, -*weight),
                    };
                    polynomial[position] = weight as u64;
                }
            }
            let mut out = zeroed(transform.fourier_size());
            transform.forward_integer(&mut out, &polynomial, &mut scratch);
            out
        });
        Self {
            weights: weights.collect(),
            bias: circuit.bias.clone(),
            transform,
        }
    }

    /// Evaluates on one row's ciphertexts.
    pub(crate) fn evaluate(&self, ciphertexts: &[Glwe], out: &mut Glwe) {
        let size = self.transform.polynomial_size();
        let components = ciphertexts.first().map_or(1, |glwe| glwe.mask.len() / size);
        out.mask.resize(components * size, 0);
        out.body.resize(size, 0);
        let mut scratch = self.transform.scratch();
        let [mut input, mut sum] = [(); 2].map(|()| zeroed(self.transform.fourier_size()));
        for (component, out) in out
            .mask
            .chunks_exact_mut(size)
            .chain([out.body.as_mut_slice()])
            .enumerate()
        {
            sum.fill(c64::new(0.0, 0.0));
            for (glwe, weights) in ciphertexts.iter().zip(&self.weights) {
                let polynomial = glwe
                    .mask
                    .chunks_exact(size)
                    .chain([glwe.body.as_slice()])
                    .nth(component)
                    .unwrap_or_default();
                self.transform
                    .forward_torus(&mut input, polynomial, &mut scratch);
                multiply_add(&mut sum, &input, weights);
            }
            self.transform
                .backward_torus_in_place(out, &mut sum, &mut scratch);
        }
        for (body, bias) in out.body.iter_mut().zip(&self.bias) {
            *body = body.wrapping_add(*bias);
        }
    }
}

fn zeroed(len: usize) -> AVec<c64> {
    AVec::from_iter(
        CACHELINE_ALIGN,
        std::iter::repeat_n(c64::new(0.0, 0.0), len),
    )
}
