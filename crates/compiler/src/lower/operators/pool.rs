//! Means and largest values of windows: `AveragePool`, `MaxPool` and their global forms.

use crate::error::CompileError;
use crate::lower::emitter::{Emitter, Operand, reshaped};
use crate::lower::registry::{Operator, standard};
use crate::lower::shapes::View;
use crate::lower::windows::Windows;
use cipherfn_program::{BinaryFunction, MAX_LEN, ReduceFunction, Tensor};

pub(in crate::lower) const OPERATORS: &[Operator] = &[
    standard("AveragePool", 7, average_pool),
    standard("GlobalAveragePool", 1, |node| {
        global(node, ReduceFunction::Mean)
    }),
    standard("GlobalMaxPool", 1, |node| global(node, ReduceFunction::Max)),
    standard("MaxPool", 8, max_pool),
];

/// Over all spatial axes.
fn global(
    emitter: &mut Emitter<'_>,
    function: ReduceFunction,
) -> Result<Vec<Operand>, CompileError> {
    let data = emitter.input(0)?;
    let axes: Vec<usize> = (2..data.shape.len()).collect();
    if axes.is_empty() {
        return Err(flat(emitter, &data));
    }
    Ok(vec![emitter.reduce(function, &data, &axes, true)?])
}

/// Windows of every channel of a value.
struct Pool {
    data: Operand,
    channels: usize,
    windows: Windows,
    /// Places of the windows' entries among those of one channel; `None` for padding.
    places: Vec<Option<usize>>,
}

impl Pool {
    fn of(emitter: &mut Emitter<'_>) -> Result<Self, CompileError> {
        let data = emitter.input(0)?;
        let &[_, channels, ref input @ ..] = data.shape.as_slice() else {
            return Err(flat(emitter, &data));
        };
        let kernel = emitter.node.ints("kernel_shape")?;
        let kernel = kernel
            .iter()
            .map(|&size| usize::try_from(size).unwrap_or(0));
        let windows = Windows::of(emitter, input, kernel.collect())?;
        let entries = channels
            .saturating_mul(windows.count())
            .saturating_mul(windows.len());
        if entries > MAX_LEN {
            let problem = format!("its windows have more than {MAX_LEN} entries");
            return Err(emitter.node.invalid(problem));
        }
        let places = windows.places();
        Ok(Self {
            data,
            channels,
            windows,
            places,
        })
    }

    /// All windows, one a row; padding reads the entry behind the value's last one.
    fn view(&self, places: &[Option<usize>]) -> View {
        let len = self.data.len();
        let size = len / self.channels.max(1);
        let entry = |channel: usize, place: Option<usize>| match place {
            Some(place) => (channel * size + place) as u32,
            None => len as u32,
        };
        let channels = 0..self.channels;
        let entries = channels.flat_map(|c| places.iter().map(move |&place| entry(c, place)));
        View {
            shape: vec![self.channels * self.windows.count(), self.windows.len()],
            entries: entries.collect(),
        }
    }

    fn shape(&self) -> Vec<usize> {
        [&[1, self.channels], self.windows.output.as_slice()].concat()
    }
}

fn average_pool(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    let pool = Pool::of(emitter)?;
    let (len, places) = (pool.windows.len(), &pool.places);
    let is_padded = places.contains(&None);
    let source = if is_padded {
        emitter.with_zero(&pool.data)?
    } else {
        pool.data.clone()
    };
    let windowed = emitter.select(&source, pool.view(places))?;
    let sums = emitter.reduce(ReduceFunction::Mean, &windowed, &[1], false)?;
    let mut means = reshaped(&sums, pool.shape());
    if is_padded && emitter.node.int("count_include_pad", 0)? == 0 {
        // Of the entries that are there.
        let there = |window: &[Option<usize>]| window.iter().flatten().count().max(1);
        let factors = places
            .chunks(len)
            .map(|window| len as f64 / there(window) as f64);
        let factors = emitter.vector(Tensor::F64(factors.collect()))?;
        let factors = emitter.cast(&factors, means.element)?;
        let shape = [&[1, 1], pool.windows.output.as_slice()].concat();
        means = emitter.binary(BinaryFunction::Mul, &means, &reshaped(&factors, shape))?;
    }
    Ok(vec![means])
}

fn max_pool(emitter: &mut Emitter<'_>) -> Result<Vec<Operand>, CompileError> {
    if emitter
        .node
        .outputs
        .iter()
        .skip(1)
        .any(|name| !name.is_empty())
    {
        let problem = "its second output, where the largest values are";
        return Err(emitter.node.unsupported(problem, "its first output alone"));
    }
    let pool = Pool::of(emitter)?;
    // What is there twice is no larger: padding is the window's first entry.
    let mut places = Vec::with_capacity(pool.places.len());
    for window in pool.places.chunks(pool.windows.len().max(1)) {
        let Some(&first) = window.iter().flatten().next() else {
            return Err(emitter.node.invalid("a window lies in the padding"));
        };
        places.extend(window.iter().map(|place| place.or(Some(first))));
    }
    let windowed = emitter.select(&pool.data, pool.view(&places))?;
    let largest = emitter.reduce(ReduceFunction::Max, &windowed, &[1], false)?;
    Ok(vec![reshaped(&largest, pool.shape())])
}

fn flat(emitter: &Emitter<'_>, data: &Operand) -> CompileError {
    let problem = format!("its input has shape {:?}", data.shape);
    emitter
        .node
        .unsupported(problem, "[rows, channels, spatial axes]")
}
