//! Models of the libraries, compiled with their own training rows.

use cipherfn_compiler::{Calibration, CompileError, Compiled, Options, compile};
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn library(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/libraries")
        .join(name)
}

pub(crate) fn try_compile(
    name: &str,
    change: impl FnOnce(&mut Options),
) -> Result<Compiled, CompileError> {
    let folder = library(name);
    let model = fs::read(folder.join("model.onnx")).unwrap();
    let rows = fs::read(folder.join("train.csv")).unwrap();
    let mut options = Options::new(name);
    change(&mut options);
    let calibration = Calibration::new("train.csv", rows.as_slice()).with_target("target");
    compile(&model, calibration, &options)
}
