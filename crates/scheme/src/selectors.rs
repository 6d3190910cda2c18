//! Selectors ready for use: GGSW ciphertexts of bits in the Fourier domain.

use crate::fourier::c64;
use crate::pages::Pages;
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};

/// Dimensions of a GGSW ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GgswShape {
    /// GLWE dimension k.
    pub glwe_dimension: usize,
    /// Polynomial size N.
    pub polynomial_size: usize,
    /// Base and levels.
    pub gadget: Gadget,
}

impl GgswShape {
    /// Complex values of one polynomial.
    pub const fn fourier_size(&self) -> usize {
        self.polynomial_size / 2
    }

    /// Complex values of one row, a GLWE ciphertext: k mask polynomials, then the body.
    pub const fn row_len(&self) -> usize {
        (self.glwe_dimension + 1) * self.fourier_size()
    }

    /// Complex values of one GGSW ciphertext: levels x (k + 1) rows.
    pub const fn ggsw_len(&self) -> usize {
        self.gadget.levels.get() as usize * (self.glwe_dimension + 1) * self.row_len()
    }
}

/// A list of GGSW ciphertexts of bits in the Fourier domain.
///
/// The layout is that of `tfhe`'s `FourierGgswCiphertext`: levels from the last (factor q / B^l) to
/// the first (q / B); in a level k mask rows, then the body row; in a row k mask polynomials, then
/// the body. Values are torus fractions.
#[derive(Debug)]
pub struct FourierSelectors {
    shape: GgswShape,
    count: usize,
    data: Pages,
}

/// None.
impl Default for FourierSelectors {
    fn default() -> Self {
        let shape = GgswShape {
            glwe_dimension: 0,
            polynomial_size: 0,
            gadget: Gadget::new(BaseLog::new(0), Levels::new(0)),
        };
        Self::zeroed(shape, 0)
    }
}

impl FourierSelectors {
    /// `count` selectors, all zero (not encryptions of anything).
    pub fn zeroed(shape: GgswShape, count: usize) -> Self {
        Self {
            shape,
            count,
            data: Pages::zeroed(shape.ggsw_len() * count),
        }
    }

    /// Makes it `count` selectors of another shape, in the same memory where that is enough. Their
    /// values are whatever was there.
    pub fn reset(&mut self, shape: GgswShape, count: usize) {
        self.data.resize(shape.ggsw_len() * count);
        (self.shape, self.count) = (shape, count);
    }

    /// Dimensions of each.
    pub const fn shape(&self) -> GgswShape {
        self.shape
    }

    /// Number of selectors.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of selector `index`, in `tfhe`'s layout.
    pub fn ggsw(&self, index: usize) -> &[c64] {
        let len = self.shape.ggsw_len();
        &self.data[index * len..(index + 1) * len]
    }

    /// Row `row` (0 .. k: mask rows, k: body row) of stored level `level` (0 is the last level,
    /// factor q / B^l).
    pub fn row(&self, index: usize, level: usize, row: usize) -> &[c64] {
        let len = self.shape.row_len();
        let start = (level * (self.shape.glwe_dimension + 1) + row) * len;
        &self.ggsw(index)[start..start + len]
    }

    /// All values, one selector after the other.
    pub(crate) fn values(&self) -> &[c64] {
        &self.data
    }

    /// All values, one selector after the other.
    pub(crate) fn values_mut(&mut self) -> &mut [c64] {
        &mut self.data
    }

    /// Every selector's values, one slice a selector, for writers that fill them in parallel.
    pub fn ggsws_mut(&mut self) -> std::slice::ChunksExactMut<'_, c64> {
        self.data.chunks_exact_mut(self.shape.ggsw_len())
    }
}
