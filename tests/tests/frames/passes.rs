//! Passes: a join by a look-up in tables, a group-by with a filter.

use super::{Column, GADGET, KEYS, SET, column, encrypt, schema, set};
use cipherfn_circuit::Circuit;
use cipherfn_circuit::circuit::{
    Carrier, Combination, Input, InputId, Lookup, Node, NodeId, Operand, Output, Rotated, Select,
    SelectorForm, SelectorGroup, SelectorId, Sum, Table, TableInput, Turn, ValueInput, Weighted,
};
use cipherfn_client::frames::decrypt_reply;
use cipherfn_frame::pass::{Collect, Pass, TableSource};
use cipherfn_frame::schema::{RowInput, Schema, TablePart};
use cipherfn_protocol::specs::{Bits, Gadget, Transport};
use cipherfn_scheme::Glwe;
use cipherfn_scheme::reply::{self, ReplyShape};
use cipherfn_serving::frames::{
    PassResults, PassRun, StoredFrame, compress, evaluate, pass_noise, precisions,
};

const LEFT: &str = r#"
format = 1
name = "left"
[[column]]
name = "id"
type = "integer"
min = 0
max = 14
roles = ["key"]
"#;

pub(super) const RIGHT: &str = r#"
format = 1
name = "right"
[[column]]
name = "id"
type = "integer"
min = 0
max = 14
roles = ["key"]
[[column]]
name = "a"
type = "integer"
min = 0
max = 65535
roles = ["value"]
[[column]]
name = "b"
type = "integer"
min = -100
max = 100
roles = ["value"]
[[lookup]]
by = ["id"]
columns = ["a", "b"]
"#;

const SALES: &str = r#"
format = 1
name = "sales"
[[column]]
name = "amount"
type = "integer"
min = 0
max = 255
roles = ["value"]
[[column]]
name = "age"
type = "integer"
min = 0
max = 127
roles = ["key"]
[[column]]
name = "region"
type = "integer"
min = 0
max = 7
roles = ["key"]
"#;

/// A circuit of a pass under construction.
#[derive(Default)]
pub(super) struct Builder {
    inputs: Vec<Input>,
    nodes: Vec<Node>,
}

impl Builder {
    pub(super) fn bits(&mut self, gadget: Gadget, count: u32) -> InputId {
        self.inputs.push(Input::Selectors(SelectorGroup {
            count,
            gadget,
            transport: Transport::Packed,
            form: SelectorForm::Bits,
        }));
        InputId(self.inputs.len() as u32 - 1)
    }

    pub(super) fn input(&mut self, input: Input) -> InputId {
        self.inputs.push(input);
        InputId(self.inputs.len() as u32 - 1)
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() as u32 - 1)
    }

    /// 2^shift times a ciphertext of an input.
    pub(super) fn carrier(&mut self, input: InputId, index: u32, shift: u32) -> NodeId {
        let node = self.push(Node::Carrier(Carrier { input, index }));
        let node = Rotated { node, rotation: 0 };
        self.push(Node::Combination(Combination {
            constant: None,
            terms: vec![Weighted {
                node,
                weight: 1 << shift,
            }],
        }))
    }

    /// The node where the code of so many bits is above `least`.
    pub(super) fn above(
        &mut self,
        (input, bits): (InputId, u32),
        least: u32,
        node: NodeId,
    ) -> NodeId {
        let whole = Operand::Node(Rotated { node, rotation: 0 });
        let mut value = Operand::Zero;
        for index in 0..bits {
            let (clear, set) = match least >> index & 1 {
                0 => (value, whole),
                _ => (Operand::Zero, value),
            };
            if clear == set {
                continue;
            }
            let node = self.push(Node::Sum(Sum {
                selects: vec![Select {
                    selector: SelectorId { input, index },
                    clear,
                    set,
                }],
                ..Sum::default()
            }));
            value = Operand::Node(Rotated { node, rotation: 0 });
        }
        match value {
            Operand::Node(rotated) => rotated.node,
            _ => panic!("nothing is above"),
        }
    }

    /// The node turned by the code, forth or back.
    pub(super) fn turned(
        &mut self,
        (input, bits): (InputId, u32),
        node: NodeId,
        back: bool,
    ) -> NodeId {
        let turn = |index: u32| Turn {
            selector: SelectorId { input, index },
            rotation: if back {
                4096 - (1 << index)
            } else {
                1 << index
            },
        };
        self.push(Node::Lookup(Lookup {
            table: Table::Node(node),
            rotation: 0,
            form: (0..bits).map(turn).collect(),
        }))
    }

    pub(super) fn finish(self, outputs: &[(NodeId, u32)]) -> Circuit {
        let output = |(node, coefficients): &(NodeId, u32)| Output {
            node: *node,
            coefficients: *coefficients,
            stride: 1,
            reply_bits: Bits::new(24),
        };
        Circuit {
            parameter_set: SET.into(),
            inputs: self.inputs,
            constants: Vec::new(),
            nodes: self.nodes,
            outputs: outputs.iter().map(output).collect(),
        }
    }
}

/// The looked-up parts of frame 1, by the code of column 0 of frame 0: as torus words 2^11 times
/// those of the tables.
pub(super) fn join(left: &Schema, right: &Schema, gadget: Gadget) -> Pass {
    let lookup = &right.lookups()[0];
    let parts = right.tables(lookup);
    let mut builder = Builder::default();
    let bits = left.bit_count(RowInput::Code(0));
    let key = builder.bits(gadget, bits);
    let tables = builder.input(Input::Tables(TableInput {
        count: parts.len() as u32,
    }));
    let outputs: Vec<_> = (0..parts.len() as u32)
        .map(|index| {
            let table = builder.carrier(tables, index, 11);
            (builder.turned((key, bits), table, true), 1)
        })
        .collect();
    let stored = |part: TablePart| TableSource::Stored {
        frame: 1,
        lookup: 0,
        part,
        block: 0,
    };
    Pass {
        over: 0,
        inputs: vec![RowInput::Code(0)],
        tables: parts.into_iter().map(stored).collect(),
        circuit: builder.finish(&outputs),
        collect: Collect::Rows,
    }
}

/// Sum of column 0, and of 2^-12 for each row, where column 1 is above `least`, by column 2; values
/// times 2^shift.
pub(super) fn group_by(sales: &Schema, gadget: Gadget, least: u32, shift: u32, rows: u32) -> Pass {
    let mut builder = Builder::default();
    let [age_bits, region_bits] = [1, 2].map(|column| sales.bit_count(RowInput::Code(column)));
    let age = (builder.bits(gadget, age_bits), age_bits);
    let region = (builder.bits(gadget, region_bits), region_bits);
    let limbs = sales.limb_count(RowInput::Limbs(0)).unwrap();
    let values = builder.input(Input::Values(ValueInput { count: limbs }));
    let group = |builder: &mut Builder, value| {
        let filtered = builder.above(age, least, value);
        (builder.turned(region, filtered, false), 1 << region_bits)
    };
    let mut outputs = Vec::new();
    for limb in 0..limbs {
        let value = builder.carrier(values, limb, shift);
        outputs.push(group(&mut builder, value));
    }
    Pass {
        over: 0,
        inputs: vec![RowInput::Code(1), RowInput::Code(2), RowInput::Limbs(0)],
        tables: Vec::new(),
        circuit: builder.finish(&outputs),
        collect: Collect::Sum { rows },
    }
}

/// Largest errors of a pass's outputs.
pub(super) fn errors(pass: &Pass, rows: usize) -> Vec<f64> {
    let noise = pass_noise(std::slice::from_ref(pass), &[rows]).unwrap();
    let precisions = precisions(pass, &noise[0]).unwrap();
    precisions.iter().map(|output| output.error).collect()
}

fn opened(glwe: &Glwe) -> Vec<i64> {
    let shape = ReplyShape {
        set: set(),
        coefficients: 2048,
        stride: 1,
        bits: Bits::ALL,
    };
    let row = reply::compress(&shape, &glwe.mask, &glwe.body).unwrap();
    reply::decrypt(&KEYS.0, &shape, &row).unwrap()
}

fn fraction(word: u64) -> f64 {
    word as i64 as f64 / 2f64.powi(64)
}

/// Five keys, one of which the right side does not have, in chunks of two rows. All coefficients of
/// the reply, opened with the secret key: nothing of the tables but the cells that were looked up.
#[test]
fn a_join_gives_the_looked_up_cells_and_nothing_else() {
    let (left, right) = (schema(LEFT), schema(RIGHT));
    let ids: Vec<i64> = vec![3, 14, 0, 9, 3];
    let (a, b) = (|id: i64| 65_535 - 4_097 * id, |id: i64| 13 * id - 100);
    let present: Vec<i64> = (0..15).filter(|id| *id != 9).collect();
    let columns: [Column; 3] = [
        column(present.iter().copied()),
        column(present.iter().map(|id| a(*id))),
        column(present.iter().map(|id| b(*id))),
    ];
    let frames = [
        encrypt(&left, GADGET, &[column(ids.clone())], 2),
        encrypt(&right, GADGET, &columns, 100),
    ];
    let pass = join(&left, &right, GADGET);
    let frames = [&frames[0], &frames[1]];
    let results = evaluate(&KEYS.1, std::slice::from_ref(&pass), &frames).unwrap();
    let reply = compress(&pass, &results[0]).unwrap();
    let errors = errors(&pass, 5);
    let words = decrypt_reply(&KEYS.0, &pass, 5, &errors, &reply).unwrap();
    let integer = |output: usize, row: usize, unit: i32| {
        (fraction(words[0][output][row]) * 2f64.powi(unit)).round() as i64
    };
    for (row, id) in ids.iter().enumerate() {
        let found = *id != 9;
        assert_eq!(integer(0, row, 2), i64::from(found), "matched, row {row}");
        let low = integer(1, row, 9);
        let value = low + (integer(2, row, 9) << 8);
        assert_eq!(value, if found { a(*id) } else { 0 }, "a, row {row}");
        let value = integer(3, row, 9);
        assert_eq!(value, if found { b(*id) } else { 0 }, "b, row {row}");
    }
    // Row r stands at coefficient 32 r.
    for (output, error) in results[0].outputs.iter().zip(errors) {
        for (position, phase) in opened(&output[0]).into_iter().enumerate() {
            if position % 32 != 0 || position >= 160 {
                let rest = fraction(phase as u64).abs();
                assert!(rest < error, "coefficient {position} holds {rest:e}");
            }
        }
    }
}

fn results(pass: &Pass, frame: &StoredFrame, ranges: &[std::ops::Range<usize>]) -> PassResults {
    let run = || PassRun::new(&KEYS.1, (0, pass), &[frame], &[]).unwrap();
    let mut whole = run();
    for range in ranges {
        let mut part = run();
        part.evaluate(range.clone()).unwrap();
        whole.join(part).unwrap();
    }
    whole.finish()
}

/// Sums by group within the stated error, in two sums; the same bits however rows are shared among
/// evaluations and threads.
#[test]
fn a_group_by_is_the_same_in_any_partition() {
    const ROWS: usize = 150;
    let sales = schema(SALES);
    let number = |row: usize, below: usize| (row * 7919 + row * row % 31) % below;
    let columns: [Column; 3] = [
        column((0..ROWS).map(|row| number(row, 256) as i64)),
        column((0..ROWS).map(|row| number(row + 5, 128) as i64)),
        column((0..ROWS).map(|row| number(row + 9, 8) as i64)),
    ];
    let frame = encrypt(&sales, GADGET, &columns, 90);
    let pass = group_by(&sales, GADGET, 30, 3, 128);
    let whole = results(&pass, &frame, &[0..ROWS]);
    assert_eq!((whole.rows, whole.outputs[0].len()), (ROWS, 2));
    let parts = results(&pass, &frame, &[128..150, 0..64, 64..128]);
    assert_eq!(whole.outputs, parts.outputs);
    let single = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let alone = single.install(|| results(&pass, &frame, &[0..ROWS]));
    assert_eq!(whole.outputs, alone.outputs);
    let errors = errors(&pass, ROWS);
    let reply = compress(&pass, &whole).unwrap();
    let words = decrypt_reply(&KEYS.0, &pass, ROWS, &errors, &reply).unwrap();
    for (sum, rows) in [(0, 0..128), (1, 128..150)] {
        for group in 0..8 {
            let exact: i64 = rows
                .clone()
                .filter(|row| number(row + 5, 128) > 30 && number(row + 9, 8) == group)
                .map(|row| number(row, 256) as i64)
                .sum();
            let found = fraction(words[sum][0][group]) * 2f64.powi(17);
            // What is stated, and the rounding to a step of up to four times as much.
            let most = 3.0 * errors[0] * 2f64.powi(17);
            assert!(
                (found - exact as f64).abs() <= most,
                "{found} for {exact}, at most {most} off"
            );
        }
    }
}
