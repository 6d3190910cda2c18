//! Answers a query by files: `answer BUNDLE QUERY REPLY [EVALUATION-KEY]`.
//!
//! It links nothing but what computes, so that it is built for another processor in little time and
//! its replies can be held against those of this one (`.ci/arm64`).

use cipherfn_engine::bundle;
use cipherfn_protocol::message::{Chunks, QueryChunk, write_chunk};
use cipherfn_scheme::EvaluationKey;
use cipherfn_serving::{Key, Model};
use std::error::Error;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let ([bundle, query, reply], key) = match arguments.as_slice() {
        [bundle, query, reply] => ([bundle, query, reply], None),
        [bundle, query, reply, key] => ([bundle, query, reply], Some(key)),
        _ => return Err("usage: answer BUNDLE QUERY REPLY [EVALUATION-KEY]".into()),
    };
    let model = Model::new(&bundle::read(&fs::read(bundle)?)?)?;
    let key = match key {
        Some(key) => Some(Key::new(&EvaluationKey::from_file_bytes(&fs::read(key)?)?)?),
        None => None,
    };
    let mut answered = Vec::new();
    for chunk in Chunks::<_, QueryChunk>::new(fs::read(query)?.as_slice()) {
        let (tag, chunk) = chunk?;
        write_chunk(&mut answered, tag, &model.answer(key.as_ref(), &chunk))?;
    }
    fs::write(reply, answered)?;
    Ok(())
}
