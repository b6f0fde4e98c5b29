//! `schema experiment|campaign|site`: the JSON Schema generated from the same types that read the files.

use super::output;
use crate::config;
use crate::problem::{Problem, Result};
use clap::Args;

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// `experiment`, `campaign` or `site`
    which: String,
}

/// Prints the schema.
pub fn run(args: &SchemaArgs) -> Result<()> {
    let text = config::schema(&args.which).ok_or_else(|| {
        Problem::usage(format!("there is no schema called \"{}\"", args.which))
            .remedy("use `experiment`, `campaign` or `site`")
    })?;
    output::print(text.trim_end());
    output::print("\n");
    Ok(())
}
