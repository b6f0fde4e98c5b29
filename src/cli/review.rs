//! `review`: a campaign's paper before its reviewers: rule checks, and a language model in several roles where there is one.

use super::folder;
use super::output::{self, Format, Table, say};
use crate::campaign::{Desk, State};
use crate::llm;
use crate::problem::{Problem, Result};
use crate::review::{self, Manuscript, Review, Reviser};
use crate::sys::clock::SystemClock;
use crate::sys::http::Network;
use crate::sys::shell;
use crate::sys::{env, fs};
use clap::Args;
use std::path::{Path, PathBuf};

/// The paper's text in a campaign's folder.
const PAPER_FILE: &str = "paper/paper.md";

/// Arguments of `review`.
#[derive(Debug, Args)]
pub struct ReviewArgs {
    /// The campaign's folder, with its paper
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Ask no language model: the rule checks alone are the review
    #[arg(long)]
    without_model: bool,
    /// Play the language model's reviews again from the campaign's tape; asks nobody and writes nothing
    #[arg(long, conflicts_with = "without_model")]
    from_tape: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A paper that is reviewed by itself is not revised.
struct AsItIs;

impl Reviser for AsItIs {
    fn revise(&mut self, _: &Review, _: Option<&mut Desk>) -> Result<Option<Manuscript>> {
        Ok(None)
    }
}

/// Reviews, writes the review beside the paper and prints it; 1 where the paper does not pass.
pub fn run(args: &ReviewArgs) -> Result<u8> {
    let state = folder::load(&args.folder)?;
    let file = args.folder.join(PAPER_FILE);
    if !file.exists() {
        return Err(Problem::usage("this campaign has no paper yet")
            .at(file.display().to_string())
            .remedy(format!("write it with `nanoresearch paper {}`", shell::path(&args.folder))));
    }
    let paper = Manuscript::of(&fs::read_text(&file)?);
    let clock = SystemClock::default();
    let mut desk = match args.from_tape {
        true => Some(Desk::playing(&args.folder, &Network, &clock)?),
        false => desk(&args.folder, &state, args.without_model, &clock)?,
    };
    let reviews = review::rounds(&state, paper, desk.as_mut(), &mut AsItIs, 1)?;
    let written = match args.from_tape {
        true => Vec::new(),
        false => review::write(&args.folder.join("paper"), &reviews)?,
    };
    let passes = reviews.last().is_some_and(|r| r.passes);
    print(&reviews, args.format);
    for path in written {
        say(&format!("{}", path.display()));
    }
    Ok(u8::from(!passes))
}

/// Where reviewers are asked; none where the campaign has no model or it cannot be reached, which is said.
pub fn desk<'a>(folder: &Path, state: &State, without: bool, clock: &'a SystemClock) -> Result<Option<Desk<'a>>> {
    let Some(spec) = state.campaign.llm.as_ref().filter(|_| !without) else { return Ok(None) };
    let Some(access) = llm::access(spec, &env::var) else {
        say("no key and no address of a language model is at hand: the rule checks alone are the review");
        return Ok(None);
    };
    Desk::open(folder, access, &Network, clock).map(Some)
}

fn print(reviews: &[Review], format: Format) {
    let Some(review) = reviews.last() else { return };
    if format == Format::Json {
        return output::print_json(review);
    }
    let mut table = Table::new(&["reviewer", ">soundness", ">statistics", ">clarity"]);
    let row = |name: &str, s: &review::Scores| {
        vec![
            name.to_string(),
            format!("{:.1}", s.soundness),
            format!("{:.1}", s.statistics),
            format!("{:.1}", s.clarity),
        ]
    };
    for opinion in &review.opinions {
        table.row(row(&opinion.by, &opinion.scores));
    }
    if review.opinions.len() > 1 {
        table.row(row("median", &review.scores));
    }
    output::print(&table.render());
    for silent in &review.silent {
        output::print(&format!("of no use: {silent}\n"));
    }
    for opinion in &review.opinions {
        for demand in &opinion.demands {
            let quote = if demand.quote.is_empty() { String::new() } else { format!("\n    \"{}\"", demand.quote) };
            output::print(&format!("{} ({}): {}{quote}\n", demand.severity.name(), opinion.by, demand.what));
        }
    }
    let cost =
        if review.dollars.micro > 0 { format!("; {} for the language model", review.dollars) } else { String::new() };
    output::print(&format!("{}{cost}\n", if review.passes { "passes" } else { "does not pass" }));
}
