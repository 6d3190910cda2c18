//! Index arithmetic on shapes.

use crate::read::onnx::tensor::entries;

/// Entries of a value in another order: a shape, and for each entry its place in the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) shape: Vec<usize>,
    pub(crate) entries: Vec<u32>,
}

impl View {
    /// All entries of a value of this shape.
    pub(crate) fn whole(shape: &[usize]) -> Self {
        Self {
            shape: shape.to_vec(),
            entries: (0..shape.iter().product::<usize>() as u32).collect(),
        }
    }

    /// The view of this one that has index `picked` along `axis`.
    pub(crate) fn along(&self, axis: usize, picked: &[usize]) -> Self {
        let places = along(&self.shape, axis, picked);
        Self {
            shape: with(&self.shape, axis, picked.len()),
            entries: places
                .into_iter()
                .map(|place| self.entries[place as usize])
                .collect(),
        }
    }
}

/// Places of the entries with index `picked` along `axis`, row-major.
pub(crate) fn along(shape: &[usize], axis: usize, picked: &[usize]) -> Vec<u32> {
    let inner: usize = shape[axis + 1..].iter().product();
    let outer: usize = shape[..axis].iter().product();
    let block = shape[axis] * inner;
    let row = |start: usize| {
        picked.iter().flat_map(move |&k| {
            (start + k * inner..start + (k + 1) * inner).map(|place| place as u32)
        })
    };
    (0..outer).flat_map(|o| row(o * block)).collect()
}

/// For each entry of `shape`, its place in a tensor of shape `from` that is broadcast to it.
pub(crate) fn broadcast(from: &[usize], shape: &[usize]) -> Vec<u32> {
    let mut places = vec![0_u32];
    let offset = shape.len() - from.len();
    let mut from_len = 1;
    for (axis, &size) in shape.iter().enumerate() {
        let own = if axis < offset {
            1
        } else {
            from[axis - offset]
        };
        from_len *= own;
        places = places
            .iter()
            .flat_map(|&place| {
                (0..size).map(move |k| place * own as u32 + if own == 1 { 0 } else { k as u32 })
            })
            .collect();
    }
    debug_assert!(
        places
            .iter()
            .all(|&place| (place as usize) < from_len.max(1))
    );
    places
}

/// Shape of two tensors broadcast together, as `numpy.broadcast_shapes` does.
pub(crate) fn broadcast_shape(left: &[usize], right: &[usize]) -> Option<Vec<usize>> {
    let rank = left.len().max(right.len());
    let dim = |shape: &[usize], axis: usize| {
        (axis + shape.len())
            .checked_sub(rank)
            .map_or(1, |axis| shape[axis])
    };
    (0..rank)
        .map(|axis| match (dim(left, axis), dim(right, axis)) {
            (l, r) if l == r => Some(l),
            (1, r) => Some(r),
            (l, 1) => Some(l),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()
        .filter(|shape| entries(shape).is_some())
}

/// The shape with another size of one axis.
pub(crate) fn with(shape: &[usize], axis: usize, size: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    shape[axis] = size;
    shape
}

/// The tensor with its axes in another order.
pub(crate) fn permuted(shape: &[usize], order: &[usize]) -> View {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let mut places = vec![0_u32];
    for &axis in order {
        let (size, stride) = (shape[axis], strides[axis]);
        places = places
            .iter()
            .flat_map(|&place| (0..size).map(move |k| place + (k * stride) as u32))
            .collect();
    }
    View {
        shape: order.iter().map(|&axis| shape[axis]).collect(),
        entries: places,
    }
}
