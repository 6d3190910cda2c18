//! Every shell block of the documentation is run as written, in an empty directory that holds
//! `examples/`.
//!
//! Blocks that build the project (`cargo ...`, `.ci/run`) are left to CI, which runs those commands
//! itself.

use std::path::{Path, PathBuf};
use std::process::Command;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the package lies in the repository")
}

/// The ```` ```sh ```` blocks of a page, each with the line it starts at.
fn shell_blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        match &mut open {
            None if line.trim() == "```sh" => open = Some((index + 1, String::new())),
            None => {}
            Some(_) if line.trim() == "```" => blocks.extend(open.take()),
            Some((_, block)) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    blocks
}

fn run_page(page: &Path) -> usize {
    let text = std::fs::read_to_string(page).expect("a page that was just listed can be read");
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::os::unix::fs::symlink(
        repository().join("examples"),
        directory.path().join("examples"),
    )
    .expect("a link to the examples");
    let binary = Path::new(env!("CARGO_BIN_EXE_cipherfn"))
        .parent()
        .expect("a binary lies in a directory");
    let path = format!(
        "{}:{}",
        binary.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let mut run = 0;
    for (line, block) in shell_blocks(&text) {
        if block.contains("cargo ") || block.contains(".ci/run") {
            continue;
        }
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &block])
            .current_dir(directory.path())
            .env("PATH", &path)
            .env("HOME", directory.path())
            .output()
            .expect("bash runs");
        assert!(
            output.status.success(),
            "{}:{line} failed:\n{block}\n{}\n{}",
            page.display(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        run += 1;
    }
    run
}

#[test]
fn commands_in_the_readme_work() {
    assert!(
        run_page(&repository().join("README.md")) > 0,
        "the README has no command to run"
    );
}

#[test]
fn commands_in_the_documentation_work() {
    let pages = std::fs::read_dir(repository().join("docs")).expect("docs exist");
    for page in pages
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "md"))
    {
        run_page(&page);
    }
}

/// Both numbers are those of the list, which `tests/models/estimators.py` makes.
#[test]
fn pages_count_the_estimators_that_compile_alike() {
    let read = |page: &str| std::fs::read_to_string(repository().join(page)).expect("it exists");
    let list = read("docs/estimators.md");
    let lines = list.lines().filter(|line| line.starts_with("| `"));
    let all = lines.clone().count();
    let compile = lines.filter(|line| line.contains("| yes |")).count();
    assert!(list.contains(&format!("{compile} of {all} compile")));
    let said = format!("{compile} of the {all} estimators that can be exported compile");
    assert!(read("README.md").contains(&said), "README.md: {said}");
}
