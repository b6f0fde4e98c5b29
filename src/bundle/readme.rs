//! `README.md` of a bundle.

use super::listing::Replay;
use crate::campaign::State;

/// What a README is about.
pub(super) struct About<'a> {
    /// The campaign's end.
    pub state: &'a State,
    /// Its replay here.
    pub replay: Option<&'a Replay>,
    /// Whether a paper goes along.
    pub paper: bool,
    /// Whether weights do.
    pub weights: bool,
    /// Name of the folder in the archive.
    pub name: &'a str,
}

/// The text.
pub(super) fn readme(about: &About) -> String {
    let state = about.state;
    let finding = state.conclusion.as_ref().map_or("The campaign was not concluded.", |c| c.sentence.as_str());
    let (question, finding) = (plain(&state.campaign.question), plain(finding));
    let name = about.name;
    let version = env!("CARGO_PKG_VERSION");
    let ran = state.runs.iter().filter(|r| r.result.is_some()).count();
    let check = match about.replay {
        Some(replay) => format!(
            "It holds every file against its SHA-256 in `bundle.json`, then derives all {} decisions of the campaign again \
             from what was observed, without a network, a GPU or a language model: questions are answered from the tape in \
             `llm/`. It must end with\n\n```\ndigest    {}\n```\n",
            replay.decisions, replay.digest
        ),
        None => "It holds every file against its SHA-256 in `bundle.json`. Then it says that the campaign cannot be replayed, \
                 as it did where the bundle was made.\n"
            .to_string(),
    };
    let paper =
        if about.paper { "- `paper/`: the paper, its sources and the facts that its numbers come from\n" } else { "" };
    let weights = if about.weights { ", trained weights" } else { "" };
    format!(
        "# {name}\n\n{question}\n\n{finding}\n\n\
         ## Check it\n\nWith `nanoresearch` {version}:\n\n```\nnanoresearch run {name} --replay\n```\n\n{check}\n\
         To train a run again: `nanoresearch train {name}/runs/0001/config.toml --out again`. Equal fingerprints (see \
         `environment.json`) give equal bits.\n\n\
         ## What is here\n\n{paper}\
         - `campaign.toml`: the question, the space, the budget\n\
         - `events.jsonl`: the journal, one checksummed event a line; everything else about the campaign follows from it\n\
         - `prices.jsonl`, `llm/`: what was asked of the cost model and of language models, with the answers\n\
         - `runs/`: {ran} runs with config, manifest, metrics, outcome{weights}\n\
         - `environment.json`: programs, fingerprints and machines that computed them\n\
         - `bundle.json`: all files with their SHA-256\n\n\
         Left out: keys, owners' and sites' files, checkpoints{}.\n",
        if about.weights { "" } else { ", weights" }
    )
}

/// A person's text on one line, in which Markdown and HTML read nothing of their own.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            c if c.is_control() => out.push(' '),
            '<' => out.push_str("&lt;"),
            '*' | '_' | '`' | '[' | ']' | '#' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}
