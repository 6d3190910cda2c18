//! `cipherfn-bindgen MODULE.wasm FOLDER`: the module with its JavaScript glue and types, as an ES module.

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (module, folder) = arguments
        .next()
        .zip(arguments.next())
        .context("give a module and a folder")?;
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(module)
        .web(true)?
        .typescript(true)
        .out_name("core");
    bindgen.generate(folder)
}
