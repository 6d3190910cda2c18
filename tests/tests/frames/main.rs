//! Encrypted frames: passes on ciphertexts against the same in the clear, and what a reply shows.

mod figures;
mod passes;
mod refusals;

use cipherfn_client::frames::{EncryptedRows, FrameEncryptor};
use cipherfn_frame::schema::Schema;
use cipherfn_protocol::specs::{BaseLog, Gadget, Levels};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::{EvaluationKey, ExpandedEvaluationKey, SecretKey};
use cipherfn_serving::frames::{StoredFrame, StoredRows};
use std::sync::LazyLock;

const SET: &str = "cipherfn-128-n2048-m11-v1";
const GADGET: Gadget = Gadget::new(BaseLog::new(6), Levels::new(4));

static KEYS: LazyLock<(SecretKey, ExpandedEvaluationKey)> = LazyLock::new(|| {
    let secret = SecretKey::generate(set()).unwrap();
    let key = EvaluationKey::generate(&secret).unwrap().expand().unwrap();
    (secret, key)
});

fn set() -> &'static ParameterSet {
    ParameterSet::by_name(SET).unwrap()
}

fn schema(text: &str) -> Schema {
    Schema::from_toml(text).unwrap()
}

type Column = Vec<Option<i64>>;

/// A column without missing cells.
fn column(cells: impl IntoIterator<Item = i64>) -> Column {
    cells.into_iter().map(Some).collect()
}

/// Encrypts columns in chunks of so many rows.
fn encrypt(schema: &Schema, gadget: Gadget, columns: &[Column], chunk: usize) -> StoredFrame {
    let encryptor = FrameEncryptor::new(&KEYS.0, schema, gadget);
    let rows = columns[0].len();
    let chunks = (0..rows).step_by(chunk).map(|first| {
        let part = |column: &Column| column[first..(first + chunk).min(rows)].to_vec();
        let part: Vec<Column> = columns.iter().map(part).collect();
        let EncryptedRows { rows, inputs } = encryptor.rows(&part, first, usize::MAX).unwrap();
        StoredRows { rows, inputs }
    });
    let tables = encryptor.tables(columns).unwrap();
    StoredFrame::new(set(), schema.clone(), chunks.collect(), &tables).unwrap()
}
