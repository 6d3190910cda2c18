//! Passes over rows that came in chunks, as a service's workers make them.

use super::{exact, keys, learned, reference, rows, spec};
use cipherfn_client::training::leaves::{LeafRowsEncryption, decrypt_result};
use cipherfn_protocol::hash::Hash;
use cipherfn_protocol::message::KeyId;
use cipherfn_serving::training::leaves::LeafPass;
use cipherfn_training::leaves::{
    GrownTree, LeafCounts, LeafNode, LeafRowsChunk, LeafSpec, LeafSums, LeafTraining, LeafTree,
    LeafUpload, SumForm, leaf_rows_hash,
};
use std::num::NonZeroUsize;
use std::sync::Arc;

/// A change of what is given, and what is said of it.
type Case<'a, T> = (&'a dyn Fn(&mut T), &'a str);

/// Seven rows a sum.
fn short_sums(training: &LeafTraining) -> LeafTraining {
    let sums = SumForm {
        count_bits: 3,
        ..training.sums()
    };
    training.with_sums(sums).unwrap()
}

fn split(column: u32, above: u32) -> LeafNode {
    LeafNode::Split {
        column,
        cut: 0,
        above,
        below: above + 1,
        missing_above: false,
    }
}

/// A pass in chunks, which goes on elsewhere after its first sum, has the sums of one without interruptions;
/// it takes no state but its own, and no rows but all.
#[test]
fn passes_go_on_where_they_stopped() {
    let reference = reference("forest");
    let mut forest = learned(&reference);
    forest.trees.truncate(1);
    let spec = spec(&reference, "classes = [\"0\", \"1\"]");
    let training = short_sums(&exact(&spec.with(&forest).unwrap()));
    let mut rows = rows(&training, &reference, true);
    rows.truncate(9);
    let (secret, key) = keys();
    let secret = Arc::new(secret);
    let one = Some(NonZeroUsize::MIN);
    let encrypted =
        LeafRowsEncryption::new(Arc::clone(&secret), &training, rows.as_slice().into(), one);
    let encrypted = encrypted.unwrap();
    let bytes = encrypted.file_bytes();
    let chunks: Vec<LeafRowsChunk> = encrypted.map(Result::unwrap).collect();
    assert_eq!(chunks.len(), 2);
    let files = chunks
        .iter()
        .map(|chunk| chunk.to_file_bytes().len() as u64);
    assert_eq!(files.sum::<u64>(), bytes);
    let name = leaf_rows_hash(chunks.iter().map(|chunk| chunk.group.as_slice()));
    let pass = |chunks: &[LeafRowsChunk]| {
        let upload = LeafUpload {
            tree: None,
            chunks: chunks.to_vec(),
        };
        LeafPass::new(&training, &key, upload)
    };
    let mut whole = pass(&chunks).unwrap();
    assert!(whole.step(&key).unwrap());
    let kept = whole.state();
    assert_eq!(whole.progress(), (7, 9));
    assert!(whole.step(&key).unwrap() && !whole.step(&key).unwrap());
    let mut other = pass(&chunks).unwrap();
    other.resume(&kept).unwrap();
    assert!(other.step(&key).unwrap() && !other.step(&key).unwrap());
    assert!(other.state() == whole.state(), "the bits are others");
    let result = |named, state: &[u8]| decrypt_result(&secret, &training, named, state);
    let counts = result((9, name), &whole.state()).unwrap();
    assert_eq!(counts, LeafCounts::of(&training, &rows));
    for (named, state, expected) in [
        ((9, name), &kept, "not those of all rows"),
        ((9, Hash::of(b"others")), &whole.state(), "upload of rows"),
    ] {
        let error = result(named, state).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    let refused = |change: &dyn Fn(&mut LeafSums)| {
        let mut state = LeafSums::from_file_bytes(&kept).unwrap();
        change(&mut state);
        let error = pass(&chunks).unwrap().resume(&state.to_file_bytes());
        error.unwrap_err().to_string()
    };
    let cases: [Case<'_, LeafSums>; 5] = [
        (&|own| own.done += 1, "number of rows"),
        (&|own| own.done = u64::MAX, "number of rows"),
        (&|own| own.sums.truncate(9), "number of rows"),
        (&|own| own.rows = Hash::of(b"others"), "upload of rows"),
        (&|own| own.program = Hash::of(b"another"), "program"),
    ];
    for (change, expected) in cases {
        let error = refused(change);
        assert!(error.contains(expected), "{error}");
    }
    let refused = |change: &dyn Fn(&mut Vec<LeafRowsChunk>)| {
        let mut chunks = chunks.clone();
        change(&mut chunks);
        pass(&chunks).err().expect("they are refused").to_string()
    };
    let other = KeyId::from_bytes([7; 16]);
    let cases: [Case<'_, Vec<LeafRowsChunk>>; 9] = [
        (&Vec::clear, "no chunks"),
        (&|own| own.swap(0, 1), "begins with row 7"),
        (&|own| own.truncate(1), "missing at the end"),
        (&|own| own.push(own[1].clone()), "a multiple of 7"),
        (&|own| own[0].count -= 1, "a multiple of 7"),
        (&|own| own[1].count = u64::MAX, "rows do not have"),
        (&|own| own[1].group.truncate(9), "has 9 bytes"),
        (&|own| own[1].rows += 1, "another number of rows"),
        (&|own| own[1].key = other, "another key"),
    ];
    for (change, expected) in cases {
        let error = refused(change);
        assert!(error.contains(expected), "{error}");
    }
    let upload = LeafUpload {
        tree: Some(GrownTree {
            program: training.hash(),
            tree: training.trees()[0].clone(),
        }),
        chunks,
    };
    let error = LeafPass::new(&training, &key, upload).err().unwrap();
    assert!(error.to_string().contains("trees of its own"), "{error}");
}

/// A sum of more rows than a step takes goes on in its middle, too: the ciphertexts so far are part of the state.
#[test]
fn sums_go_on_in_their_middle() {
    let reference = reference("forest");
    let mut forest = learned(&reference);
    forest.trees.truncate(1);
    let spec = spec(&reference, "classes = [\"0\", \"1\"]");
    let training = exact(&spec.with(&forest).unwrap());
    let rows = &rows(&training, &reference, true)[..20];
    assert!(training.sums().rows() > rows.len());
    let (secret, key) = keys();
    let secret = Arc::new(secret);
    let encrypted = LeafRowsEncryption::new(Arc::clone(&secret), &training, rows.into(), None);
    let chunks: Vec<LeafRowsChunk> = encrypted.unwrap().map(Result::unwrap).collect();
    let name = leaf_rows_hash(chunks.iter().map(|chunk| chunk.group.as_slice()));
    let pass = || {
        let upload = LeafUpload {
            tree: None,
            chunks: chunks.clone(),
        };
        LeafPass::new(&training, &key, upload).unwrap()
    };
    let mut whole = pass();
    assert!(whole.step(&key).unwrap());
    assert_eq!(whole.progress(), (16, 20));
    let kept = whole.state();
    assert!(whole.step(&key).unwrap() && !whole.step(&key).unwrap());
    let mut other = pass();
    other.resume(&kept).unwrap();
    assert!(other.state() == kept, "the state is another");
    assert!(other.step(&key).unwrap() && !other.step(&key).unwrap());
    assert!(other.state() == whole.state(), "the bits are others");
    let counts = decrypt_result(&secret, &training, (20, name), &whole.state()).unwrap();
    assert_eq!(counts, LeafCounts::of(&training, rows));

    let cases: [Case<'_, LeafSums>; 5] = [
        // Of whole sums there would be compressed ones.
        (&|own| own.done = 20, "number of rows"),
        (&|own| own.done = 0, "number of rows"),
        (&|own| own.done = 21, "number of rows"),
        (&|own| own.sums.truncate(9), "number of rows"),
        (&|own| own.sums.push(0), "number of rows"),
    ];
    for (change, expected) in cases {
        let mut state = LeafSums::from_file_bytes(&kept).unwrap();
        change(&mut state);
        let error = pass().resume(&state.to_file_bytes()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// A tree is taken as far as it is grown, and no further: sums are exact for the levels that the program has.
#[test]
fn levels_are_those_of_the_program() {
    let text = "format = 1\nname = \"t\"\nalgorithm = \"tree\"\ndepth = 2\n[[column]]\nname = \"a\"\ncuts = [1.0]\n[[column]]\nname = \"b\"\ncuts = [1.0, 2.0]\n[target]\nname = \"y\"\nclasses = [\"no\", \"yes\"]\n";
    let seed = LeafSpec::from_toml(text).unwrap().seed().unwrap();
    let leaf = LeafNode::Leaf;
    let level = |nodes: &[LeafNode]| {
        let nodes = nodes.to_vec();
        seed.level(LeafTree { nodes })
    };
    assert_eq!(level(&[leaf]).unwrap(), seed);
    let second = level(&[split(1, 1), leaf, leaf]).unwrap();
    assert_eq!(second.counted(), [4, 6]);
    assert_ne!(second.hash(), seed.hash());
    for (nodes, expected) in [
        (
            vec![split(1, 1), split(0, 3), leaf, leaf, leaf],
            "it has 2 levels",
        ),
        (vec![split(2, 1), leaf, leaf], "asks for cut 0 of column 2"),
        (vec![split(1, 1), leaf], "has child 2"),
        (vec![], "no tree"),
    ] {
        let error = level(&nodes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
