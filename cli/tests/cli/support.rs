//! Running the command in a directory of its own.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{LazyLock, Mutex};
use tempfile::TempDir;

/// A temporary working directory.
pub(crate) struct Sandbox(TempDir);

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Permission bits of a file.
    pub(crate) fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o777
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Compiles a real model into a bundle.
    pub(crate) fn compile(&self, model: &str, bundle: &str, more: &[&str]) -> Output {
        let model = library_model(model);
        let (onnx, train) = (model.join("model.onnx"), model.join("train.csv"));
        let (onnx, train) = (onnx.to_str().unwrap(), train.to_str().unwrap());
        let of = ["compile", onnx, "--calibration", train];
        let to = ["--target", "target", "-o", bundle];
        self.run(&[&of, &to, more].concat())
    }

    /// Predicts `rows.csv` by a bundle, without a service, into `local.csv`.
    pub(crate) fn predict_here(&self, bundle: &str) {
        success(&self.run(&[
            "predict",
            "--bundle",
            bundle,
            "--input",
            "rows.csv",
            "-o",
            "local.csv",
        ]));
    }

    /// The first column of a file of predictions.
    pub(crate) fn labels(&self, name: &str) -> Vec<String> {
        let text = self.read(name);
        let lines = text.lines();
        lines
            .map(|line| line.split(',').next().unwrap().to_owned())
            .collect()
    }

    /// Runs with `input` on standard input; the command must succeed.
    pub(crate) fn pipe(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        writer.join().unwrap().unwrap();
        output
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cipherfn"));
        command.args(arguments).current_dir(self.0.path());
        // Nothing of the user's is read or written.
        command.env("HOME", self.0.path());
        command
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_CACHE_HOME");
        command
    }
}

/// Standard output of a run that succeeded.
#[track_caller]
pub(crate) fn success(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error of a run that failed with exit code 1.
#[track_caller]
pub(crate) fn failure(output: &Output) -> String {
    error_of(output, 1)
}

/// Standard error of a run that was refused as wrong usage, with exit code 2.
#[track_caller]
pub(crate) fn usage(output: &Output) -> String {
    error_of(output, 2)
}

#[track_caller]
fn error_of(output: &Output, code: i32) -> String {
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(error.contains("error: "), "{error}");
    error
}

/// The header and the first `rows` rows of a CSV text.
pub(crate) fn lines(csv: &str, rows: usize) -> String {
    csv.lines()
        .take(rows + 1)
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// Directory of a real model.
pub(crate) fn library_model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/libraries")
        .join(name)
}

/// A bundle of a real model, compiled once a test run.
pub(crate) fn compiled(name: &str) -> &'static str {
    static BUNDLES: LazyLock<Mutex<HashMap<String, &'static str>>> = LazyLock::new(Mutex::default);
    let mut bundles = BUNDLES.lock().unwrap();
    if let Some(path) = bundles.get(name) {
        return path;
    }
    let bundle = format!("{}/{name}.cfn", env!("CARGO_TARGET_TMPDIR"));
    let compiled = Sandbox::new().compile(name, &bundle, &["--name", name, "--force"]);
    success(&compiled);
    bundles.entry(name.to_owned()).or_insert(bundle.leak())
}
