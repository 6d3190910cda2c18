//! What `--help` says, word for word: `tests/help/*.trycmd`. `TRYCMD=overwrite cargo test -p
//! cipherfn-cli --test help` writes it anew.

#[test]
fn help() {
    trycmd::TestCases::new().case("tests/help/*.trycmd");
}
