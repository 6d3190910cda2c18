//! The targets.

use super::Target;
use crate::golden;
use cipherfn_client::frames::decrypt_total;
use cipherfn_client::training::{decrypt_watched, decrypt_weights, open};
use cipherfn_client::{Client, ClientError};
use cipherfn_compiler::read::read_model;
use cipherfn_frame::file::FrameReader;
use cipherfn_frame::pass::CircuitForm;
use cipherfn_frame::plain::PlainTable;
use cipherfn_frame::plan::{Plan, PlanError};
use cipherfn_frame::reply::Reply;
use cipherfn_frame::schema::Schema;
use cipherfn_program::{EntryKind, TensorType};
use cipherfn_protocol::api::grant::SignedGrant;
use cipherfn_protocol::frame::ParameterSetTag;
use cipherfn_protocol::hash::{Hash, Sha256};
use cipherfn_protocol::message::{Chunk, Chunks, QueryChunk};
use cipherfn_protocol::specs::{BaseLog, Bits, ColumnKind, Gadget, InputColumn, Levels};
use cipherfn_protocol::statement::SignedStatement;
use cipherfn_scheme::descent::{BatchShape, decrypt_forms, form_bytes};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::public::PublicKey;
use cipherfn_scheme::{EvaluationKey, SecretKey};
use cipherfn_serving::frames::{FrameTotal, StoredFrame, StoredRows};
use cipherfn_serving::training::{Total, answer_forms};
use cipherfn_serving::{Estimate, Model, Part, Progress, Query};
use cipherfn_signing::{SigningKey, verify, verify_grant};
use cipherfn_table::Table;
use cipherfn_training::descent::{DescentState, Forms, RowsChunk, RowsHead, Training};
use cipherfn_training::leaves::LeafTraining;
use cipherfn_training::{Contribution, StatisticsSpec};
use std::sync::LazyLock;
use std::time::Instant;

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "secret_key",
        seeds: &["golden/v1/secret.cfk", "golden/v2/wide/secret.cfk"],
        run: |bytes| drop(SecretKey::from_file_bytes(bytes)),
        framed: true,
    },
    Target {
        name: "evaluation_key",
        seeds: &["golden/v1/evaluation.cfk", "golden/v2/wide/inverse.cfk"],
        run: |bytes| drop(EvaluationKey::from_file_bytes(bytes)),
        framed: true,
    },
    Target {
        name: "public_key",
        seeds: &["golden/v3/public.cfu"],
        run: |bytes| {
            let _ = PublicKey::from_file_bytes(bytes).map(|key| key.encrypt(&[0; 3]));
        },
        framed: true,
    },
    Target {
        name: "contribution",
        seeds: &["golden/v3/total.cft"],
        run: |bytes| {
            let (spec, secret) = &*STATISTICS;
            if let Ok(total) = Contribution::from_file_bytes(bytes) {
                let _ = Total::new(spec).add(&total);
                drop(open(secret, spec, &total));
            }
        },
        framed: true,
    },
    Target {
        name: "statistics_spec",
        seeds: &["golden/v3/statistics.toml"],
        run: |bytes| {
            if let Ok(text) = std::str::from_utf8(bytes) {
                drop(StatisticsSpec::from_toml(text));
            }
        },
        framed: false,
    },
    Target {
        name: "training_program",
        seeds: &["golden/v3/training.cfn"],
        run: |bytes| {
            let _ = Training::from_json(bytes).map(|training| training.schedule(1000));
        },
        framed: false,
    },
    Target {
        name: "leaf_program",
        seeds: &["golden/v3/leaves.cfn", "golden/v3/boosted-leaves.cfn"],
        run: |bytes| {
            let _ = LeafTraining::from_json(bytes)
                .map(|training| (training.selectors(), training.counted().len()));
        },
        framed: false,
    },
    Target {
        name: "training_rows",
        seeds: &["golden/v3/training.rows.cfd"],
        run: |bytes| {
            // What a service reads of an owner's upload, before all of it is read.
            drop(RowsHead::read(bytes));
            if let Ok(chunk) = RowsChunk::from_file_bytes(bytes) {
                let _ = chunk.hashes(1 << 10).count();
            }
        },
        framed: true,
    },
    Target {
        name: "training_state",
        seeds: &[
            "golden/v3/training.state.cfd",
            "golden/v3/training.watched.cfd",
        ],
        run: |bytes| {
            if let Ok(state) = DescentState::from_file_bytes(bytes) {
                let (program, key) = (state.program, state.key);
                let _ = state.require((program, state.rows), (key, state.parameter_set));
            }
            let (_, secret) = &*STATISTICS;
            let named = (8, Hash::of(bytes));
            drop(decrypt_weights(secret, &PROGRAM, named, bytes));
            drop(decrypt_watched(secret, &PROGRAM, named, bytes));
        },
        framed: true,
    },
    Target {
        name: "forms_query",
        seeds: &["golden/v3/training.forms.cfq"],
        run: |bytes| drop(answer_forms(&WEIGHTS, bytes)),
        framed: true,
    },
    Target {
        name: "forms",
        seeds: &["golden/v3/training.forms.cfr"],
        run: |bytes| {
            let (_, secret) = &*STATISTICS;
            let features = 3;
            if let (Ok(forms), Ok(shape)) = (
                Forms::from_file_bytes(bytes),
                BatchShape::new(secret.parameter_set(), features),
            ) {
                let mut batches = forms.forms.chunks(form_bytes(&shape));
                let _ = batches.all(|batch| decrypt_forms(secret, &shape, batch).is_ok());
            }
        },
        framed: true,
    },
    Target {
        name: "public_query",
        seeds: &["golden/v3/linear.public.cfq"],
        run: |bytes| {
            if let Ok(query) = Query::parse(bytes)
                && query.check(&LINEAR, None).is_ok()
            {
                let estimate = Estimate::default();
                drop(query.answer(&LINEAR, None, &estimate, Instant::now()));
            }
        },
        framed: true,
    },
    Target {
        name: "query",
        seeds: &[
            "golden/v1/linear.cfq",
            "golden/v2/tree.cfq",
            "golden/v3/linear.public.cfq",
        ],
        run: chunks::<QueryChunk>,
        framed: true,
    },
    Target {
        name: "reply",
        seeds: &["golden/v1/tree.cfr", "golden/v1/linear.cfr"],
        run: |bytes| {
            let (client, secret) = &*CLIENT;
            drop(client.decrypt::<ClientError>(secret, None, bytes, |_| Ok(())));
        },
        framed: true,
    },
    Target {
        name: "checkpoint",
        seeds: &["golden/v2/checkpoint.cfc"],
        run: |bytes| {
            let query = Sha256::from_bytes([1; 32]);
            drop(Progress::from_file_bytes(
                bytes,
                query,
                ParameterSetTag::NONE,
            ));
        },
        framed: true,
    },
    Target {
        name: "sums",
        seeds: &["golden/v2/tree.cfs"],
        run: |bytes| {
            let (model, query) = &*PART;
            let digest = Sha256::from_bytes([1; 32]);
            let (estimate, deadline) = (Estimate::default(), Instant::now());
            drop(query.add(model, None, (digest, &[bytes]), &estimate, deadline));
        },
        framed: true,
    },
    Target {
        name: "bundle",
        seeds: &[
            "golden/v1/linear.cfn",
            "golden/v2/tree.cfn",
            "golden/v2/mixture.cfn",
            "golden/v3/lookups.cfn",
        ],
        run: |bytes| drop(cipherfn_engine::bundle::read(bytes)),
        framed: true,
    },
    Target {
        name: "specs",
        seeds: &["golden/v1/linear.specs.json", "golden/v2/tree.specs.json"],
        run: |bytes| drop(Client::from_specs(bytes)),
        framed: false,
    },
    Target {
        name: "statement",
        seeds: &["golden/v2/tree.statement.json"],
        run: |bytes| {
            let _ = SignedStatement::from_json(bytes).map(|signed| verify(&signed));
            let _ = std::str::from_utf8(bytes).map(SigningKey::from_text);
        },
        framed: false,
    },
    Target {
        name: "onnx",
        seeds: &[
            "models/bins_one_hot/model.onnx",
            "models/power_ridge/model.onnx",
            "models/rf_iris/model.onnx",
        ],
        run: model,
        framed: false,
    },
    Target {
        name: "xgboost_json",
        seeds: &[
            "native/xgb-base-score/model.json",
            "native/xgb-linear-classes/model.json",
        ],
        run: model,
        framed: false,
    },
    Target {
        name: "xgboost_ubjson",
        seeds: &["native/xgb-dart/model.ubj"],
        run: model,
        framed: false,
    },
    Target {
        name: "lightgbm",
        seeds: &[
            "native/lgbm-forest/model.txt",
            "native/lgbm-codes/model.txt",
        ],
        run: model,
        framed: false,
    },
    Target {
        name: "catboost",
        seeds: &["native/catboost-labels/model.json"],
        run: model,
        framed: false,
    },
    Target {
        name: "frame_schema",
        seeds: &["frames/sales.toml"],
        run: |bytes| {
            if let Ok(text) = std::str::from_utf8(bytes) {
                let _ = Schema::from_toml(text).map(|schema| schema.to_json());
            }
            drop(Schema::from_json(bytes));
        },
        framed: false,
    },
    Target {
        name: "frame_plan",
        seeds: &["frames/plan.json"],
        run: |bytes| plan(Plan::from_json(bytes)),
        framed: false,
    },
    Target {
        name: "frame_sql",
        seeds: &["frames/query.sql"],
        run: |bytes| {
            if let Ok(text) = std::str::from_utf8(bytes) {
                plan(Plan::from_sql(text, &SCHEMAS));
            }
        },
        framed: false,
    },
    Target {
        name: "frame_file",
        seeds: &["golden/v3/frame.cff"],
        run: frame_file,
        framed: true,
    },
    Target {
        name: "frame_total",
        seeds: &["golden/v3/sums.cff"],
        run: |bytes| {
            if let Ok(reader) = FrameReader::open(bytes) {
                let _ = FrameTotal::default().add(&reader);
                let (_, secret) = &*STATISTICS;
                drop(decrypt_total(secret, reader.head(), reader.tables()));
            }
            frame_file(bytes);
        },
        framed: true,
    },
    Target {
        name: "frame_answer",
        seeds: &["golden/v3/frame.cfa"],
        run: |bytes| drop(Reply::from_bytes(bytes)),
        framed: true,
    },
    Target {
        name: "frame_table",
        seeds: &["golden/v3/prices.cfp"],
        run: |bytes| {
            if let Ok(table) = PlainTable::from_bytes(bytes) {
                assert!(table.to_bytes().is_ok());
            }
        },
        framed: true,
    },
    Target {
        name: "grant",
        seeds: &[
            "golden/v3/rows.grant",
            "golden/v3/training.grant",
            "golden/v3/columns.grant",
        ],
        run: |bytes| drop(SignedGrant::from_json(bytes).map(|signed| verify_grant(&signed))),
        framed: false,
    },
    Target {
        name: "csv",
        seeds: &[
            "cases/csv-files/cal-index-column.csv",
            "libraries/xgb_wine/train.csv",
        ],
        run: table,
        framed: false,
    },
];

/// The client whose replies are read, with its key.
static CLIENT: LazyLock<(Client, SecretKey)> = LazyLock::new(|| {
    let read = |name: &str| std::fs::read(golden().join(name)).expect("golden files exist");
    let client = Client::from_specs(&read("tree.specs.json")).expect("specs");
    let secret = SecretKey::from_file_bytes(&read("secret.cfk")).expect("a key");
    (client, secret)
});

/// A training program.
static PROGRAM: LazyLock<Training> = LazyLock::new(|| {
    let bytes = std::fs::read(golden().with_file_name("v3").join("training.cfn"));
    Training::from_json(&bytes.expect("a golden file")).expect("a program")
});

/// Weights that a training has left.
static WEIGHTS: LazyLock<DescentState> = LazyLock::new(|| {
    let bytes = std::fs::read(golden().with_file_name("v3").join("training.state.cfd"));
    DescentState::from_file_bytes(&bytes.expect("a golden file")).expect("a state")
});

/// What contributions are to, and the key that opens them.
static STATISTICS: LazyLock<(StatisticsSpec, SecretKey)> = LazyLock::new(|| {
    let read = |name: &str| {
        let path = golden().with_file_name(name);
        std::fs::read(path).expect("golden files exist")
    };
    let spec = String::from_utf8(read("v3/statistics.toml")).expect("text");
    let secret = SecretKey::from_file_bytes(&read("v2/wide/secret.cfk")).expect("a key");
    (StatisticsSpec::from_toml(&spec).expect("a spec"), secret)
});

/// A model that takes rows under a public key.
static LINEAR: LazyLock<Model> = LazyLock::new(|| {
    let path = golden().with_file_name("v3").join("linear.public.cfn");
    let file = std::fs::read(path).expect("golden files exist");
    Model::new(&cipherfn_engine::bundle::read(&file).expect("a bundle")).expect("a model")
});

/// The part of a model that sums are of, and their query.
static PART: LazyLock<(Model, Query)> = LazyLock::new(|| {
    let read = |name: &str| {
        let path = golden().with_file_name("v2").join(name);
        std::fs::read(path).expect("golden files exist")
    };
    let file = read("tree.cfn");
    let bundle = cipherfn_engine::bundle::read(&file).expect("a bundle");
    let part = Part { number: 0, of: 1 };
    let model = Model::of_part(bundle, Hash::of(&file), part, 8 << 30).expect("a part");
    (model, Query::parse(&read("tree.cfq")).expect("a query"))
});

/// The frames that plans are of.
static SCHEMAS: LazyLock<Vec<Schema>> = LazyLock::new(|| {
    let path = golden().with_file_name("").join("../frames/sales.toml");
    let text = std::fs::read_to_string(path).expect("a schema");
    vec![Schema::from_toml(&text).expect("a schema")]
});

/// A plan becomes circuits, or is refused.
fn plan(plan: Result<Plan, PlanError>) {
    let form = CircuitForm {
        parameter_set: "cipherfn-128-n2048-m11-v1".into(),
        gadget: Gadget::new(BaseLog::new(6), Levels::new(4)),
        reply_bits: Bits::new(24),
        rows_per_sum: 400,
    };
    let lowered = plan.and_then(|plan| plan.resolve(&SCHEMAS)?.lower(&form));
    drop(lowered);
}

/// A frame's rows and tables, as whoever evaluates takes them.
fn frame_file(bytes: &[u8]) {
    let Ok(mut reader) = FrameReader::open(bytes) else {
        return;
    };
    let head = reader.head().clone();
    let Ok(set) = ParameterSet::by_tag(head.parameter_set, "data frame") else {
        return;
    };
    let mut chunks = Vec::new();
    while let Ok(Some(rows)) = reader.next_rows() {
        chunks.push(StoredRows {
            rows: rows.rows as usize,
            inputs: rows.inputs,
        });
    }
    drop(StoredFrame::new(set, head.schema, chunks, reader.tables()));
}

fn model(bytes: &[u8]) {
    drop(read_model(bytes));
}

fn chunks<C: Chunk>(bytes: &[u8]) {
    for chunk in Chunks::<_, C>::new(bytes) {
        if chunk.is_err() {
            break;
        }
    }
}

/// Every row of a table, by the names in its own header: texts and numbers in turn.
fn table(bytes: &[u8]) {
    let Ok(table) = Table::open("fuzz.csv", bytes) else {
        return;
    };
    let names = table.header().iter().take(8).cloned();
    let column = |(index, name)| InputColumn {
        name,
        kind: if index % 2 == 0 {
            ColumnKind::Float64
        } else {
            ColumnKind::Text
        },
        missing: index % 3 == 0,
    };
    let columns: Vec<InputColumn> = names.enumerate().map(column).collect();
    let input = |column: &InputColumn| TensorType {
        kind: match column.kind {
            ColumnKind::Text => EntryKind::Text,
            _ => EntryKind::F64,
        },
        len: 1,
    };
    let inputs: Vec<TensorType> = columns.iter().map(input).collect();
    let Ok(mut rows) = table.select(&columns, &inputs) else {
        return;
    };
    while let Ok(Some(_)) = rows.next_row() {}
}
