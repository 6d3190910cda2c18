//! Passes in the clear, as whoever decrypts would see them: torus words, without noise.

use cipherfn_circuit::circuit::{Circuit, Node, Operand, Rotated, Table};
use cipherfn_frame::Passes;
use cipherfn_frame::pass::{Collect, POLYNOMIAL_SIZE, Pass, ROOM_BITS, TableSource};
use cipherfn_frame::schema::{RowInput, Schema, TablePart};

const N: usize = POLYNOMIAL_SIZE as usize;
/// What tables hold beside their entries.
const NOTHING: u64 = 0x1234_5678_9ABC_DEF0;

/// A frame in the clear: rows of units, some of which pad.
#[derive(Clone, Copy)]
pub(crate) struct Data<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) rows: &'a [Vec<Option<i64>>],
    pub(crate) padding: usize,
}

type Polynomial = Vec<u64>;

/// The words of the last pass, of each of its results.
pub(crate) fn run(query: &Passes, frames: &[Data<'_>]) -> Vec<Vec<Vec<u64>>> {
    let mut sums: Vec<Vec<Polynomial>> = Vec::new();
    let mut last = Vec::new();
    for (index, pass) in query.passes.iter().enumerate() {
        let data = frames[pass.over];
        let tables: Vec<Polynomial> = pass
            .tables
            .iter()
            .map(|table| entries(table, frames, &sums))
            .collect();
        let rows = data
            .rows
            .iter()
            .map(Some)
            .chain(std::iter::repeat_n(None, data.padding));
        let results: Vec<Vec<Polynomial>> =
            rows.map(|row| evaluate(pass, data, row, &tables)).collect();
        let outputs = pass.circuit.outputs.len();
        last = match pass.collect {
            Collect::Rows => vec![
                (0..outputs)
                    .map(|output| results.iter().map(|row| row[output][0]).collect())
                    .collect(),
            ],
            Collect::Sum { rows } => results
                .chunks(rows as usize)
                .map(|rows| total(rows, outputs))
                .collect(),
        };
        if index + 1 < query.passes.len() {
            sums.push(total(&results, outputs));
        }
    }
    last
}

fn total(rows: &[Vec<Polynomial>], outputs: usize) -> Vec<Polynomial> {
    let mut sums = vec![vec![0u64; N]; outputs];
    for row in rows {
        for (sum, own) in sums.iter_mut().zip(row) {
            add(sum, own, 0, 1);
        }
    }
    sums
}

fn entries(table: &TableSource, frames: &[Data<'_>], sums: &[Vec<Polynomial>]) -> Polynomial {
    let (frame, lookup, part, block) = match table {
        TableSource::Summed { pass, output } => return sums[*pass][*output].clone(),
        TableSource::Stored {
            frame,
            lookup,
            part,
            block,
            ..
        } => (frames[*frame], *lookup, part, *block as usize),
    };
    let lookup = &frame.schema.lookups()[lookup];
    let shift = 64 - frame.schema.unit(lookup, *part);
    let layout = frame.schema.lookup_layout(lookup);
    let mut whole = vec![0u64; layout.places as usize];
    for row in frame.rows {
        let keys = lookup.by.iter().zip(&layout.strides).map(|(name, stride)| {
            let column = frame.schema.position(name).expect("a column");
            Some(row[column]?.abs_diff(frame.schema.columns()[column].domain.range().0) * stride)
        });
        let Some(place) = keys.sum::<Option<u64>>() else {
            continue;
        };
        let number = match part {
            TablePart::Matched => 1,
            TablePart::Presence(column) => u64::from(row[*column].is_some()),
            TablePart::Limb(column, limb) => limbs(frame, *column, row[*column])[*limb],
        };
        let word = number << shift;
        let entry = &mut whole[place as usize];
        *entry = entry.wrapping_add(word);
    }
    let mut own: Polynomial = whole.into_iter().skip(block * N).take(N).collect();
    own.resize(N, NOTHING);
    own
}

/// The limbs of a cell, as numbers that wrap around.
fn limbs(data: Data<'_>, column: usize, cell: Option<i64>) -> Vec<u64> {
    let column = &data.schema.columns()[column];
    let limbs = cell.map_or(vec![0; column.limbs().len()], |units| {
        column.domain.split(units, column.limb_bits)
    });
    limbs.into_iter().map(|limb| limb as u64).collect()
}

fn bits(data: Data<'_>, input: RowInput, row: Option<&Vec<Option<i64>>>) -> Vec<bool> {
    match input {
        RowInput::Live => vec![row.is_some()],
        RowInput::Presence(column) => vec![row.is_some_and(|row| row[column].is_some())],
        RowInput::Code(column) => {
            let own = &data.schema.columns()[column];
            let code = match row.map(|row| row[column]) {
                Some(Some(units)) => units.abs_diff(own.domain.range().0),
                Some(None) => own.domain.size(),
                None => 0,
            };
            (0..own.code_bits())
                .map(|bit| code >> bit & 1 == 1)
                .collect()
        }
        RowInput::Limbs(_) => Vec::new(),
    }
}

fn evaluate(
    pass: &Pass,
    data: Data<'_>,
    row: Option<&Vec<Option<i64>>>,
    tables: &[Polynomial],
) -> Vec<Polynomial> {
    let Circuit {
        constants,
        nodes,
        outputs,
        ..
    } = &pass.circuit;
    let bits: Vec<Vec<bool>> = pass
        .inputs
        .iter()
        .map(|input| bits(data, *input, row))
        .collect();
    let constant = |id: usize| {
        let mut polynomial = vec![0; N];
        for (position, word) in &constants[id].0 {
            polynomial[*position as usize] = *word;
        }
        polynomial
    };
    let mut values: Vec<Polynomial> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let bit = |selector: &cipherfn_circuit::circuit::SelectorId| {
            bits[selector.input.index()][selector.index as usize]
        };
        let mut value = vec![0u64; N];
        let rotated = |value: &mut Polynomial, own: Rotated, weight: i64| {
            add(
                value,
                &values[own.node.index()],
                own.rotation as usize,
                weight as u64,
            );
        };
        match node {
            Node::Sum(sum) => {
                for operand in sum.chosen(|selector| bit(&selector)) {
                    match operand {
                        Operand::Zero => {}
                        Operand::Constant(id) => add(&mut value, &constant(id.index()), 0, 1),
                        Operand::Node(own) => rotated(&mut value, own, 1),
                    }
                }
            }
            Node::Combination(combination) => {
                if let Some(id) = combination.constant {
                    add(&mut value, &constant(id.index()), 0, 1);
                }
                for term in &combination.terms {
                    rotated(&mut value, term.node, term.weight);
                }
            }
            Node::Lookup(lookup) => {
                let Table::Node(table) = lookup.table else {
                    panic!("frames turn nodes")
                };
                let turns = lookup
                    .form
                    .iter()
                    .filter(|turn| bit(&turn.selector))
                    .map(|turn| turn.rotation);
                let rotation = lookup.rotation + turns.sum::<u32>();
                add(&mut value, &values[table.index()], rotation as usize, 1);
            }
            Node::Pack(pack) => {
                let stride = pack.stride(POLYNOMIAL_SIZE) as usize;
                for (index, item) in pack.items.iter().enumerate() {
                    let mut own = vec![0; N];
                    rotated(&mut own, *item, 1);
                    value[index * stride % N] = own[0];
                }
            }
            Node::Bootstrap(_) | Node::Choice(_) => panic!("frames have no bootstraps"),
            Node::Carrier(carrier) => match pass.inputs.get(carrier.input.index()) {
                Some(RowInput::Limbs(column)) => {
                    let cell = row.and_then(|row| row[*column]);
                    let unit = ROOM_BITS + data.schema.columns()[*column].limb_bits;
                    let limb = limbs(data, *column, cell)[carrier.index as usize];
                    value[0] = limb << (64 - unit);
                }
                Some(_) => panic!("carriers are limbs"),
                None => value.clone_from(&tables[carrier.index as usize]),
            },
            Node::Product(_) => panic!("frames have no features"),
        }
        values.push(value);
    }
    outputs
        .iter()
        .map(|output| values[output.node.index()].clone())
        .collect()
}

/// Adds `weight * X^rotation * other`.
fn add(value: &mut Polynomial, other: &Polynomial, rotation: usize, weight: u64) {
    for (index, word) in other.iter().enumerate() {
        let place = (index + rotation) % (2 * N);
        let word = word.wrapping_mul(weight);
        let (place, word) = if place < N {
            (place, word)
        } else {
            (place - N, word.wrapping_neg())
        };
        value[place] = value[place].wrapping_add(word);
    }
}
