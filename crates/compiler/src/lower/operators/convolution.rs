//! `Conv`: every window times a matrix, whatever the number of spatial axes.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand, reshaped};
use crate::lower::registry::{Operator, standard};
use crate::lower::shapes::{View, permuted};
use crate::lower::windows::Windows;
use cipherfn_program::{BinaryFunction, MAX_LEN};

pub(in crate::lower) const OPERATORS: &[Operator] = &[standard("Conv", 1, convolution)];

fn convolution(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let (data, weights) = (emitter.input(0)?, emitter.input(1)?);
    let (&[_, channels, ref input @ ..], &[filters, own_channels, ref kernel @ ..]) =
        (data.shape.as_slice(), weights.shape.as_slice())
    else {
        return Err(unfit(emitter, &data, &weights));
    };
    let groups = usize::try_from(emitter.node.int("group", 1)?).unwrap_or(0);
    if groups == 0
        || own_channels.checked_mul(groups) != Some(channels)
        || !filters.is_multiple_of(groups)
        || filters == 0
    {
        return Err(unfit(emitter, &data, &weights));
    }
    let stated = emitter.node.ints("kernel_shape")?;
    let is_kernel = |sizes: &[i64]| {
        sizes
            .iter()
            .copied()
            .eq(kernel.iter().map(|&size| size as i64))
    };
    if !stated.is_empty() && !is_kernel(&stated) {
        let problem = format!("it states kernels of {stated:?}, and its filters are of {kernel:?}");
        return Err(emitter.node.invalid(problem));
    }
    let windows = Windows::of(emitter, input, kernel.to_vec())?;
    let inner = own_channels * windows.len();
    if windows.count().saturating_mul(inner) > MAX_LEN {
        let problem = format!("its windows have more than {MAX_LEN} entries");
        return Err(emitter.node.invalid(problem));
    }
    let padded = emitter.with_zero(&data)?;
    let size: usize = input.iter().product();
    let places = windows.places();
    let filters_a_group = filters / groups;
    let mut parts = Vec::with_capacity(groups);
    for group in 0..groups {
        let first = group * own_channels;
        let entry = |channel: usize, place: Option<usize>| match place {
            Some(place) => (channel * size + place) as u32,
            None => data.len() as u32,
        };
        let of_window = |window: &[Option<usize>]| {
            let channels = first..first + own_channels;
            let entries = channels.flat_map(|c| window.iter().map(move |&place| entry(c, place)));
            entries.collect::<Vec<u32>>()
        };
        let view = View {
            shape: vec![windows.count(), inner],
            entries: places.chunks(windows.len()).flat_map(of_window).collect(),
        };
        let left = emitter.select(&padded, view)?;
        let rows = (group * filters_a_group..(group + 1) * filters_a_group).collect::<Vec<_>>();
        let own = View::whole(&weights.shape).along(0, &rows);
        let own = emitter.select(&weights, own)?;
        let own = reshaped(&own, vec![filters_a_group, inner]);
        let right = emitter.select(&own, permuted(&own.shape, &[1, 0]))?;
        let product = emitter.mat_mul(&left, &right)?;
        // Filters first.
        parts.push(emitter.select(&product, permuted(&product.shape, &[1, 0]))?);
    }
    let joined = emitter.join(&parts)?;
    let mut result = reshaped(&joined, vec![filters, windows.count()]);
    if let Some(bias) = emitter.optional(2) {
        let bias = reshaped(&bias, vec![bias.len(), 1]);
        result = emitter.binary(BinaryFunction::Add, &result, &bias)?;
    }
    let shape = [&[1, filters], windows.output.as_slice()].concat();
    Ok(vec![reshaped(&result, shape)])
}

fn unfit(emitter: &Emitter<'_>, data: &Operand, weights: &Operand) -> CompileError {
    emitter.node.invalid(format!(
        "a value of shape {:?} and filters of shape {:?} do not fit together",
        data.shape, weights.shape
    ))
}

impl Emitter<'_> {
    /// The entries of a value and, last, a zero for what lies outside.
    pub(in crate::lower) fn with_zero(&mut self, data: &Operand) -> Result<Operand, CompileError> {
        let zero = self.number(data.element, 0.0)?;
        let flat = reshaped(data, vec![data.len()]);
        self.join(&[flat, reshaped(&zero, vec![1])])
    }
}
