//! A word of four blocks each, side by side.

pub(crate) trait Lanes: Copy {
    fn of(words: [u32; 4]) -> Self;

    fn words(self) -> [u32; 4];

    #[inline(always)]
    fn splat(word: u32) -> Self {
        Self::of([word; 4])
    }

    /// The sums modulo 2^32.
    fn plus(self, other: Self) -> Self;

    fn xor(self, other: Self) -> Self;

    fn rotate_left<const BY: u32>(self) -> Self;
}

/// Where there are no vectors, and for tests.
#[cfg(not(target_feature = "simd128"))]
#[derive(Clone, Copy)]
pub(crate) struct Words([u32; 4]);

#[cfg(not(target_feature = "simd128"))]
impl Lanes for Words {
    fn of(words: [u32; 4]) -> Self {
        Self(words)
    }

    fn words(self) -> [u32; 4] {
        self.0
    }

    fn plus(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| {
            self.0[lane].wrapping_add(other.0[lane])
        }))
    }

    fn xor(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] ^ other.0[lane]))
    }

    fn rotate_left<const BY: u32>(self) -> Self {
        Self(self.0.map(|word| word.rotate_left(BY)))
    }
}
