//! Memory of selectors.
//!
//! The selectors of a row take up to gigabytes, and a CMUX reads a quarter of a megabyte of them. In
//! pages of 4 KB it waits for the processor to find each page more than for its contents, so where
//! the system has pages of 2 MB it is asked for those.

use crate::fourier::c64;
use crate::glev::zeroed;
use aligned_vec::AVec;
use memmap2::MmapMut;
use pulp::bytemuck;
use std::ops::{Deref, DerefMut};

/// What is smaller comes from the allocator: it would leave most of a page of 2 MB empty.
const LARGE: usize = 8 << 20;

/// Values that are aligned for vectors.
#[derive(Debug)]
pub(crate) enum Pages {
    Small(AVec<c64>),
    /// Of a mapping of its own, so many values from the start.
    Large(MmapMut, usize),
}

impl Pages {
    /// `len` zeros.
    pub(crate) fn zeroed(len: usize) -> Self {
        let bytes = len * size_of::<c64>();
        if bytes < LARGE {
            return Self::Small(zeroed(len));
        }
        // Without mappings (browsers), or where the system refuses one, the allocator decides.
        let Ok(map) = MmapMut::map_anon(bytes) else {
            return Self::Small(zeroed(len));
        };
        // A wish: without it, values are the same.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Self::Large(map, len)
    }

    /// Makes room for `len` values, in the same memory where that is enough. They are whatever was
    /// there.
    pub(crate) fn resize(&mut self, len: usize) {
        match self {
            Self::Small(values) if len * size_of::<c64>() < LARGE => {
                values.resize(len, c64::new(0.0, 0.0));
            }
            Self::Large(map, held) if len * size_of::<c64>() <= map.len() => *held = len,
            _ => *self = Self::zeroed(len),
        }
    }
}

impl Deref for Pages {
    type Target = [c64];

    fn deref(&self) -> &[c64] {
        match self {
            Self::Small(values) => values,
            Self::Large(map, len) => &bytemuck::cast_slice(map)[..*len],
        }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [c64] {
        match self {
            Self::Small(values) => values,
            Self::Large(map, len) => &mut bytemuck::cast_slice_mut(map)[..*len],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LARGE, Pages};
    use crate::fourier::c64;

    #[test]
    fn sizes_change_between_allocator_and_mapping() {
        let large = LARGE / size_of::<c64>();
        let mut pages = Pages::zeroed(10);
        for len in [3, large - 1, large, 2 * large, large + 7, 5, 0] {
            pages.resize(len);
            assert_eq!(pages.len(), len);
            assert_eq!(pages.as_ptr().align_offset(64), 0, "aligned for vectors");
            let filled = c64::new(1.0, len as f64);
            pages.fill(filled);
            assert!(pages.iter().all(|value| *value == filled));
        }
        let zero = c64::new(0.0, 0.0);
        assert!(Pages::zeroed(large).iter().all(|value| *value == zero));
    }
}
