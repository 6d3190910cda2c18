use super::Dimensions;
use crate::circuit::{
    Bootstrap, Carrier, Choice, Circuit, Combination, Constant, ConstantId, FeatureInput, Input,
    InputId, Lookup, Node, NodeId, Operand, Pack, Product, Rotated, SelectorForm, SelectorGroup,
    Sum, Table, ValueInput,
};
use crate::samples::{
    DIMENSIONS, bootstraps, carriers, choices, levelled, linear, lookups, mixture, packed_scores,
    select,
};
use cipherfn_protocol::specs::{BaseLog, Bits, Gadget, Levels};

/// What is wrong with a circuit after a change.
fn broken(mut circuit: Circuit, change: impl FnOnce(&mut Circuit)) -> String {
    change(&mut circuit);
    circuit.validate(DIMENSIONS).unwrap_err().to_string()
}

fn sum(circuit: &mut Circuit, node: usize) -> &mut Sum {
    match &mut circuit.nodes[node] {
        Node::Sum(sum) => sum,
        other => panic!("node {node} is no sum but {other}"),
    }
}

fn product(circuit: &mut Circuit) -> &mut Product {
    match &mut circuit.nodes[0] {
        Node::Product(product) => product,
        other => panic!("node 0 is no product but {other}"),
    }
}

fn lookup(circuit: &mut Circuit) -> &mut Lookup {
    let mut lookups = circuit.nodes.iter_mut().filter_map(|node| match node {
        Node::Lookup(lookup) => Some(lookup),
        _ => None,
    });
    lookups.next().expect("a look-up")
}

fn combination(circuit: &mut Circuit) -> &mut Combination {
    match &mut circuit.nodes[2] {
        Node::Combination(combination) => combination,
        other => panic!("node 2 is no combination but {other}"),
    }
}

fn pack(circuit: &mut Circuit) -> &mut Pack {
    match &mut circuit.nodes[3] {
        Node::Pack(pack) => pack,
        other => panic!("node 3 is not packed but {other}"),
    }
}

fn bootstrap(circuit: &mut Circuit) -> &mut Bootstrap {
    match &mut circuit.nodes[3] {
        Node::Bootstrap(bootstrap) => bootstrap,
        other => panic!("node 3 is no bootstrap but {other}"),
    }
}

fn choice(circuit: &mut Circuit) -> &mut Choice {
    match &mut circuit.nodes[4] {
        Node::Choice(choice) => choice,
        other => panic!("node 4 is no choice but {other}"),
    }
}

fn group(circuit: &mut Circuit) -> &mut SelectorGroup {
    match &mut circuit.inputs[0] {
        Input::Selectors(group) => group,
        other => panic!("input 0 is no group but {other}"),
    }
}

fn features(circuit: &mut Circuit) -> &mut FeatureInput {
    match &mut circuit.inputs[0] {
        Input::Features(input) => input,
        other => panic!("input 0 is no feature vector but {other}"),
    }
}

#[test]
fn circuits_of_every_kind_are_valid() {
    for circuit in [
        levelled(),
        linear(),
        mixture(),
        lookups(),
        bootstraps(),
        choices(),
        packed_scores(),
    ] {
        circuit.validate(DIMENSIONS).unwrap();
    }
    // Positions and rotations that fit 512 coefficients do not fit 4.
    let small = Dimensions {
        polynomial_size: 4,
        ..DIMENSIONS
    };
    assert!(levelled().validate(small).is_err());
}

#[test]
fn every_rule_of_sums_has_its_error() {
    let turned = |node, rotation| Rotated {
        node: NodeId(node),
        rotation,
    };
    assert_eq!(
        broken(levelled(), |c| sum(c, 1).selects[0].clear =
            Operand::Node(turned(1, 0))),
        "node 1 uses node 1, which does not come before it (a cycle)"
    );
    assert!(
        broken(levelled(), |c| sum(c, 0).addends.push(turned(u32::MAX, 0)))
            .starts_with("node 0 uses node 4294967295")
    );
    assert_eq!(
        broken(levelled(), |c| sum(c, 2).addends[0].rotation = 1024),
        "node 2 rotates by 1024, which is not below 1024"
    );
    assert_eq!(
        broken(levelled(), |c| sum(c, 0).constant = Some(ConstantId(2))),
        "node 0 uses constant 2 of 2"
    );
    assert_eq!(
        broken(levelled(), |c| sum(c, 0).selects[0].set =
            Operand::Constant(ConstantId(9))),
        "node 0 uses constant 9 of 2"
    );
    assert_eq!(
        broken(levelled(), |c| sum(c, 0).selects[0].selector.index = 3),
        "node 0 uses selector 3 of 3 of input 0"
    );
    assert_eq!(
        broken(levelled(), |c| sum(c, 1).selects[1].selector.index = 1),
        "node 1 selects twice by selector 1 of input 0"
    );
    for input in [1, 2, 3] {
        assert_eq!(
            broken(mixture(), |c| sum(c, 0).selects[0].selector.input =
                InputId(input)),
            format!("node 0 uses input {input}, which is no group of bits")
        );
    }
}

#[test]
fn every_rule_of_products_has_its_error() {
    assert!(broken(linear(), |c| product(c).weights.clear()).starts_with("score count is 0"));
    assert!(
        broken(linear(), |c| product(c).weights.push(vec![0; 3]))
            .starts_with("score count is 3, it must be between 1 and 2")
    );
    assert_eq!(
        broken(linear(), |c| product(c).weights[1].truncate(1)),
        "score 1 of node 0 has 1 weights for 3 features"
    );
    assert!(
        broken(linear(), |c| product(c).weights[0][0] = i64::MIN).starts_with("largest weight")
    );
    assert_eq!(
        broken(linear(), |c| product(c).constant = Some(ConstantId(1))),
        "node 0 uses constant 1 of 1"
    );
    assert_eq!(
        broken(linear(), |c| product(c).input = InputId(1)),
        "node 0 uses input 1, which is no feature vector"
    );
}

#[test]
fn every_rule_of_lookups_has_its_error() {
    assert_eq!(
        broken(lookups(), |c| lookup(c).table =
            Table::Constant(ConstantId(2))),
        "node 0 uses constant 2 of 2"
    );
    assert_eq!(
        broken(lookups(), |c| lookup(c).rotation = 1024),
        "node 0 rotates by 1024, which is not below 1024"
    );
    assert_eq!(
        broken(lookups(), |c| lookup(c).form[1].rotation = u32::MAX),
        "node 0 rotates by 4294967295, which is not below 1024"
    );
    assert_eq!(
        broken(lookups(), |c| lookup(c).form[1].selector.index = 3),
        "node 0 uses selector 3 of 3 of input 0"
    );
    assert_eq!(
        broken(lookups(), |c| lookup(c).form[1].selector.index = 0),
        "node 0 selects twice by selector 0 of input 0"
    );
    assert_eq!(
        broken(lookups(), |c| group(c).form =
            SelectorForm::Digits { log2_values: 3 }),
        "node 0 uses input 0, which is no group of bits"
    );
    assert_eq!(
        broken(lookups(), |c| lookup(c).form[0].selector.input = InputId(1)),
        "node 0 uses input 1, which is no group of bits"
    );
}

#[test]
fn every_rule_of_values_and_tables_has_its_error() {
    assert_eq!(
        broken(carriers(), |c| lookup(c).table = Table::Node(NodeId(3))),
        "node 2 uses node 3, which does not come before it (a cycle)"
    );
    let carrier = |input, index| {
        broken(carriers(), |c| {
            c.nodes[0] = Node::Carrier(Carrier {
                input: InputId(input),
                index,
            });
        })
    };
    assert_eq!(carrier(1, 5), "node 0 uses ciphertext 5 of 5 of input 1");
    assert_eq!(carrier(2, 2), "node 0 uses ciphertext 2 of 2 of input 2");
    assert_eq!(
        carrier(0, 0),
        "node 0 uses input 0, which is no group of values or tables"
    );
    assert!(
        broken(carriers(), |c| c.inputs[1] =
            Input::Values(ValueInput { count: 1 << 17 }))
        .starts_with("value and table count is 131074")
    );
}

#[test]
fn every_rule_of_combinations_and_packed_values_has_its_error() {
    assert_eq!(
        broken(lookups(), |c| combination(c).constant = Some(ConstantId(2))),
        "node 2 uses constant 2 of 2"
    );
    assert_eq!(
        broken(lookups(), |c| combination(c).terms[0].node.node = NodeId(2)),
        "node 2 uses node 2, which does not come before it (a cycle)"
    );
    assert_eq!(
        broken(lookups(), |c| combination(c).terms[0].node.rotation = 1024),
        "node 2 rotates by 1024, which is not below 1024"
    );
    let weight = |weight| broken(lookups(), |c| combination(c).terms[0].weight = weight);
    assert!(weight(i64::MIN).starts_with("sum of absolute weights is 9223372036854775810"));
    assert!(weight(1 << 32).starts_with("sum of absolute weights is 4294967298"));
    assert!(
        broken(lookups(), |c| pack(c).items.clear())
            .starts_with("packed item count of a node is 0, it must be between 1 and 512")
    );
    assert!(
        broken(lookups(), |c| pack(c).items = vec![pack(c).items[0]; 513])
            .starts_with("packed item count of a node is 513")
    );
    assert_eq!(
        broken(lookups(), |c| pack(c).items[2].node = NodeId(3)),
        "node 3 uses node 3, which does not come before it (a cycle)"
    );
}

/// More than one coefficient of a look-up, or of what sums make of it, would be its table.
#[test]
fn tables_do_not_travel() {
    let revealed =
        "would show the key holder the rest of its table: pack the coefficients that travel";
    for node in [0, 1, 2] {
        let all = broken(lookups(), |c| {
            c.outputs[0].node = NodeId(node);
        });
        assert_eq!(
            all,
            format!(
                "output 0 has 3 coefficients of node {node}, a look-up or a sum of some, which {revealed}"
            )
        );
        let mut one = lookups();
        one.outputs[0].node = NodeId(node);
        one.outputs[0].coefficients = 1;
        one.validate(DIMENSIONS).unwrap();
    }
    let turned = broken(lookups(), |c| {
        let side = |node| {
            Operand::Node(Rotated {
                node: NodeId(node),
                rotation: 1,
            })
        };
        c.nodes.push(Node::Sum(Sum {
            selects: vec![select(0, side(3), side(0))],
            ..Sum::default()
        }));
        c.outputs[0].node = NodeId(4);
    });
    assert!(turned.contains("node 4"), "{turned}");
}

#[test]
fn every_rule_of_bootstraps_has_its_error() {
    assert_eq!(
        broken(bootstraps(), |c| bootstrap(c).of.node = NodeId(3)),
        "node 3 uses node 3, which does not come before it (a cycle)"
    );
    assert_eq!(
        broken(bootstraps(), |c| bootstrap(c).of.rotation = 1024),
        "node 3 rotates by 1024, which is not below 1024"
    );
    assert_eq!(
        broken(bootstraps(), |c| bootstrap(c).table = ConstantId(2)),
        "node 3 uses constant 2 of 2"
    );
    assert_eq!(
        broken(bootstraps(), |c| c.constants[1] = Constant(vec![(256, 1)])),
        "node 3 uses constant 1 as a table: it has position 256, and a table has 256 entries"
    );
    assert_eq!(
        broken(bootstraps(), |c| c.bootstrap = None),
        "node 3 is a bootstrap, and the circuit does not say of which key part"
    );
    assert_eq!(
        broken(lookups(), |c| c.bootstrap = Some("bootstrap".into())),
        "the circuit names the key part \"bootstrap\", and has no bootstrap"
    );
    let without = Dimensions {
        bootstrap_table: None,
        ..DIMENSIONS
    };
    assert_eq!(
        bootstraps().validate(without).unwrap_err().to_string(),
        "the circuit's bootstraps take the key part \"bootstrap\", which is no bootstrap of the parameter set \"cipherfn-128-n512k4-v1\""
    );
}

#[test]
fn every_rule_of_choices_has_its_error() {
    let turned = |node, rotation| Rotated {
        node: NodeId(node),
        rotation,
    };
    let gadget = |base_log, levels| Gadget::new(BaseLog::new(base_log), Levels::new(levels));
    assert_eq!(
        broken(choices(), |c| choice(c).of.node = NodeId(4)),
        "node 4 uses node 4, which does not come before it (a cycle)"
    );
    assert_eq!(
        broken(choices(), |c| choice(c).of.rotation = 1024),
        "node 4 rotates by 1024, which is not below 1024"
    );
    assert_eq!(
        broken(choices(), |c| choice(c).set = Operand::Node(turned(5, 0))),
        "node 4 uses node 5, which does not come before it (a cycle)"
    );
    assert_eq!(
        broken(choices(), |c| choice(c).clear =
            Operand::Constant(ConstantId(9))),
        "node 4 uses constant 9 of 2"
    );
    assert!(
        broken(choices(), |c| choice(c).gadget = gadget(0, 2))
            .starts_with("gadget base (log2) is 0")
    );
    assert!(
        broken(choices(), |c| choice(c).gadget = gadget(8, 7)).starts_with("gadget levels is 7")
    );
    let few = Dimensions {
        bootstrap_table: Some(1),
        ..DIMENSIONS
    };
    let few = choices().validate(few).unwrap_err().to_string();
    assert!(few.starts_with("levels of a choice is 2"), "{few}");
    assert_eq!(
        broken(choices(), |c| c.bootstrap = None),
        "node 3 is a bootstrap, and the circuit does not say of which key part"
    );
    // What the number is made of does not travel; tables that are chosen would.
    choices().validate(DIMENSIONS).unwrap();
    let shown = broken(choices(), |c| choice(c).clear = Operand::Node(turned(0, 0)));
    assert!(
        shown.starts_with("output 0 has 2 coefficients of node 4"),
        "{shown}"
    );
}

/// A file of some megabytes cannot ask for hours.
#[test]
fn the_parts_of_all_nodes_together_are_limited() {
    let many = |node: usize, times: usize| {
        broken(lookups(), |c| {
            let node = c.nodes[node].clone();
            c.nodes.splice(0..0, std::iter::repeat_n(node, times));
        })
    };
    assert!(many(0, 1 << 21).starts_with("look-up turn count is 4194307"));
    let terms = broken(lookups(), |c| {
        let term = combination(c).terms[0];
        combination(c).terms = vec![term; (1 << 22) + 1];
    });
    assert!(
        terms.starts_with("weighted term count is 4194305"),
        "{terms}"
    );
    assert!(many(3, 1 << 15).starts_with("packed item count is 98307"));
    let bootstraps = broken(bootstraps(), |c| {
        let node = c.nodes[3].clone();
        c.nodes.extend(std::iter::repeat_n(node, 1 << 16));
    });
    assert!(
        bootstraps.starts_with("bootstrap count is 65538"),
        "{bootstraps}"
    );
    let choices = broken(choices(), |c| {
        let node = c.nodes[3].clone();
        c.nodes.extend(std::iter::repeat_n(node, 1 << 16));
    });
    assert!(choices.starts_with("bootstrap count is 65538"), "{choices}");
}

#[test]
fn every_rule_of_inputs_has_its_error() {
    assert!(broken(levelled(), |c| c.inputs.clear()).starts_with("input count is 0"));
    assert!(
        broken(levelled(), |c| group(c).count = u32::MAX)
            .starts_with("selector count is 4294967295")
    );
    let gadget = |base_log, levels| {
        let gadget = Gadget::new(BaseLog::new(base_log), Levels::new(levels));
        broken(levelled(), |c| group(c).gadget = gadget)
    };
    assert!(gadget(0, 2).starts_with("gadget base"));
    assert!(gadget(12, 5).starts_with("gadget levels is 5"));
    assert!(gadget(12, u32::MAX).starts_with("gadget levels"));
    assert!(
        broken(levelled(), |c| group(c).form =
            SelectorForm::Digits { log2_values: 10 })
        .starts_with("digit values (log2) is 10, it must be between 1 and 9")
    );
    assert!(broken(linear(), |c| features(c).features = 0).starts_with("feature count is 0"));
    assert!(broken(linear(), |c| features(c).stride = 0).starts_with("feature stride is 0"));
    assert!(broken(linear(), |c| features(c).block = 0).starts_with("block is 0"));
    assert!(broken(linear(), |c| features(c).block = 257).starts_with("block is 257"));
    assert!(
        broken(linear(), |c| features(c).body_bits = Bits::new(0)).starts_with("body bits is 0")
    );
}

#[test]
fn every_rule_of_packed_scores_has_its_error() {
    let packed = |change: fn(&mut Pack)| {
        broken(packed_scores(), |c| match &mut c.nodes[2] {
            Node::Pack(pack) => change(pack),
            other => panic!("node 2 is not packed but {other}"),
        })
    };
    assert_eq!(
        packed(|pack| pack.coefficients = 3),
        "node 2 packs 3 coefficients of each item, which is no power of two"
    );
    assert!(packed(|pack| pack.coefficients = 0).starts_with("packed coefficient count is 0"));
    assert!(
        packed(|pack| pack.coefficients = 512).starts_with("packed item count of a node is 2"),
        "two items have no room"
    );
    assert!(broken(packed_scores(), |c| features(c).block = 257).starts_with("block is 257"));
    // Two scores are 256 apart: there is no room for a third.
    let third = broken(packed_scores(), |c| product(c).weights.push(vec![1, 2, 3]));
    assert!(third.starts_with("score count is 3"), "{third}");
    // Several coefficients of a table's turn are a table.
    let mut shown = lookups();
    pack(&mut shown).coefficients = 2;
    let shown = shown.validate(DIMENSIONS).unwrap_err().to_string();
    assert!(shown.contains("would show the key holder"), "{shown}");
}

#[test]
fn every_rule_of_constants_and_outputs_has_its_error() {
    let position = |at: usize, position| broken(levelled(), |c| c.constants[1].0[at].0 = position);
    assert!(position(1, 512).starts_with("constant 1 has position 512"));
    assert!(position(1, 0).starts_with("constant 1 has position 0"));
    assert_eq!(
        broken(levelled(), |c| c.nodes.clear()),
        "node count is 0, it must be between 1 and 4194304"
    );
    assert!(broken(levelled(), |c| c.outputs.clear()).starts_with("output count is 0"));
    assert_eq!(
        broken(levelled(), |c| c.outputs[0].node = NodeId(3)),
        "output 0 is node 3 of 3"
    );
    let output =
        |change: fn(&mut crate::circuit::Output)| broken(levelled(), |c| change(&mut c.outputs[0]));
    assert!(output(|o| o.coefficients = 0).starts_with("result coefficient count is 0"));
    assert!(output(|o| o.stride = 0).starts_with("stride is 0"));
    assert!(output(|o| o.stride = 512).starts_with("last result position is 512"));
    assert!(output(|o| o.reply_bits = Bits::new(65)).starts_with("reply bits is 65"));
}
