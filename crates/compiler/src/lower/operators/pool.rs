//! Means of windows: `AveragePool` and `GlobalAveragePool`.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand, reshaped};
use crate::lower::registry::{Operator, standard};
use crate::lower::shapes::View;
use crate::lower::windows::Windows;
use cipherfn_program::{BinaryFunction, MAX_LEN, ReduceFunction, Tensor};

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("AveragePool", 7, average_pool),
    standard("GlobalAveragePool", 1, |node| {
        let data = node.input(0)?;
        let axes: Vec<usize> = (2..data.shape.len()).collect();
        if axes.is_empty() {
            return Err(flat(node, &data));
        }
        Ok(vec![node.reduce(
            ReduceFunction::Mean,
            &data,
            &axes,
            true,
        )?])
    }),
];

fn average_pool(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let data = emitter.input(0)?;
    let &[_, channels, ref input @ ..] = data.shape.as_slice() else {
        return Err(flat(emitter, &data));
    };
    let kernel = emitter.node.ints("kernel_shape")?;
    let kernel = kernel
        .iter()
        .map(|&size| usize::try_from(size).unwrap_or(0));
    let windows = Windows::of(emitter, input, kernel.collect())?;
    let len = windows.len();
    if channels.saturating_mul(windows.count()).saturating_mul(len) > MAX_LEN {
        let problem = format!("its windows have more than {MAX_LEN} entries");
        return Err(emitter.node.invalid(problem));
    }
    let size: usize = input.iter().product();
    let places = windows.places();
    let entry = |channel: usize, place: Option<usize>| match place {
        Some(place) => (channel * size + place) as u32,
        None => data.len() as u32,
    };
    let entries = (0..channels).flat_map(|c| places.iter().map(move |&place| entry(c, place)));
    let view = View {
        shape: vec![channels * windows.count(), len],
        entries: entries.collect(),
    };
    let is_padded = places.contains(&None);
    let source = if is_padded {
        emitter.with_zero(&data)?
    } else {
        data
    };
    let windowed = emitter.select(&source, view)?;
    let sums = emitter.reduce(ReduceFunction::Mean, &windowed, &[1], false)?;
    let shape = [&[1, channels], windows.output.as_slice()].concat();
    let mut means = reshaped(&sums, shape);
    if is_padded && emitter.node.int("count_include_pad", 0)? == 0 {
        // Of the entries that are there.
        let there = |window: &[Option<usize>]| window.iter().flatten().count().max(1);
        let factors = places
            .chunks(len)
            .map(|window| len as f64 / there(window) as f64);
        let factors = emitter.vector(Tensor::F64(factors.collect()))?;
        let factors = emitter.cast(&factors, means.element)?;
        let shape = [&[1, 1], windows.output.as_slice()].concat();
        means = emitter.binary(BinaryFunction::Mul, &means, &reshaped(&factors, shape))?;
    }
    Ok(vec![means])
}

fn flat(emitter: &Emitter<'_>, data: &Operand) -> CompileError {
    let problem = format!("its input has shape {:?}", data.shape);
    emitter
        .node
        .unsupported(problem, "[rows, channels, spatial axes]")
}
