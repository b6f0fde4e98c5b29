//! `init DIR`: writes a campaign from the nearest template, to be read and changed, and says what it will cost.

use super::output::{self, Table, say};
use super::site::site_of;
use super::{cluster, dry_run};
use crate::config::{self, Fill, Template};
use crate::data;
use crate::problem::{Class, Problem, Result};
use crate::slurm;
use crate::sys::{env, fs, shell};
use crate::units::Bytes;
use clap::Args;
use std::path::{Path, PathBuf};

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Folder to write campaign.toml into; made where it is missing
    #[arg(required_unless_present = "list")]
    folder: Option<PathBuf>,
    /// What it is to be like: a template's name, or a word such as csv, text, cnn, gpt [default: by --data, else digits-mlp]
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Your data: a .csv table with a header (with --target), or a text
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Column of the table that is to be predicted
    #[arg(long, value_name = "COLUMN", requires = "data")]
    target: Option<String>,
    /// Ask the SLURM cluster here about itself and write site.toml too, for the campaign's attempts to be its jobs
    #[arg(long)]
    site: bool,
    /// What you want to find out, in a sentence: a language model writes the campaign, or without one the nearest template
    /// asks it
    #[arg(long, value_name = "SENTENCE", conflicts_with = "list")]
    goal: Option<String>,
    /// Language model to ask and to plan with, as its service calls it; keys and addresses as in docs/llm.md [default:
    /// NANORESEARCH_MODEL]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// List the templates
    #[arg(long)]
    list: bool,
}

/// Name of the file that is written.
const FILE: &str = "campaign.toml";
const SITE: &str = "site.toml";

/// Writes it.
pub fn run(args: &InitArgs) -> Result<()> {
    let Some(folder) = args.folder.as_deref().filter(|_| !args.list) else {
        let mut table = Table::new(&["template", "about"]);
        config::templates().iter().for_each(|t| table.row(vec![t.name.into(), t.about().into()]));
        output::print(&table.render());
        return Ok(());
    };
    let file = folder.join(FILE);
    let site = if args.site { Some(proposed_site(folder)?) } else { None };
    if file.exists() {
        if let Some(text) = site {
            return only_site(folder, &text);
        }
        return Err(Problem::usage("there is a campaign here already; nothing was changed")
            .at(file.display().to_string())
            .remedy(format!("look at it with `nanoresearch check {}`, or choose another folder", shell::path(&file))));
    }
    let (mut template, mut fill, subject) = chosen(args)?;
    fill.name = name(folder);
    if let Some(goal) = &args.goal {
        (template, fill) = super::goal::campaign(goal, args.model.as_deref(), folder, template, fill, fixed(args))?;
    }
    if site.is_some() {
        fill.execution = vec![line("site", SITE), "parallel = 4".to_string()];
        // Minutes are reserved around each job, and given back.
        fill.hours = Some(2.0);
    }
    // Refused before anything is written, as far as it can be told without the folder.
    config::parse_campaign(&template.fill(&fill), FILE, &[])?;
    fs::create_named_dir(folder)?;
    if let (Some(data), Some(lines)) = (&args.data, &mut fill.data) {
        let way = fs::relative(folder, data.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        let path = way.join(data.file_name().unwrap_or_default()).display().to_string();
        lines.iter_mut().filter(|l| l.starts_with("path")).for_each(|l| *l = line("path", &path));
    }
    fs::write_atomic(&file, template.fill(&fill).as_bytes())?;
    if let Some(text) = &site {
        fs::write_atomic(&folder.join(SITE), text.as_bytes())?;
        output::print(&format!("written    {} from what the cluster says of itself\n", folder.join(SITE).display()));
    }
    output::print(&match subject {
        Some(subject) => format!(
            "written    {} for {subject}\n           model, space and budget are those of the template {}\n",
            file.display(),
            template.name
        ),
        None => format!("written    {} from the template {}: {}\n", file.display(), template.name, template.about()),
    });
    price(&file)?;
    let (campaign, runs) = (shell::path(&file), &fill.name);
    if site.is_some() {
        let file = folder.join(SITE);
        output::print(&format!("\nread it    {0}\ncheck it   nanoresearch check {0} --cluster", shell::path(&file)));
    }
    output::print(&format!(
        "\nread it    {campaign}\ntry it     nanoresearch run {campaign} --smoke\nrun it     nanoresearch run {campaign}\n\
         look       nanoresearch status --in {runs}\n"
    ));
    Ok(())
}

/// The site that the cluster here proposes.
fn proposed_site(folder: &Path) -> Result<String> {
    let file = folder.join(SITE);
    if file.exists() {
        return Err(Problem::usage("there is a site here already; nothing was changed")
            .at(file.display().to_string())
            .remedy(format!("compare it with the cluster: `nanoresearch check {} --cluster`", shell::path(&file))));
    }
    let text = slurm::propose(&cluster::read()?);
    config::parse_site(&text, SITE, &[]).map_err(|p| {
        let what = format!("what the cluster says makes no site: {}", p.what);
        Problem { what, ..p }.class(Class::Unavailable)
    })?;
    Ok(text)
}

/// A site beside a campaign that is there.
fn only_site(folder: &Path, text: &str) -> Result<()> {
    let file = folder.join(SITE);
    fs::write_atomic(&file, text.as_bytes())?;
    output::print(&format!(
        "written    {0} from what the cluster says of itself\nread it    {0}\ncheck it   nanoresearch check {0} --cluster\n\
         use it     execution.site = \"{SITE}\" in {1}\n",
        shell::path(&file),
        folder.join(FILE).display()
    ));
    Ok(())
}

/// Whether the template is the person's choice: by its name or by the data.
fn fixed(args: &InitArgs) -> bool {
    args.template.is_some() || args.data.is_some()
}

/// What it will cost; data that are not here yet make no campaign wrong.
fn price(file: &Path) -> Result<()> {
    let mut loaded = config::load_campaign(file, &[])?;
    site_of(&mut loaded.value, &loaded.base)?;
    match dry_run::run(&loaded).map(drop) {
        Err(problem) if problem.class == Class::Unavailable => {
            say(&format!("its price cannot be told yet: {problem}"));
            Ok(())
        }
        priced => priced.map_err(|p| loaded.places.locate(p)),
    }
}

/// The template, what its data lines are, and what a person's own data are in some words.
fn chosen(args: &InitArgs) -> Result<(Template, Fill, Option<String>)> {
    let mut fill = Fill::default();
    let (by_data, subject) = match args.data.as_deref() {
        None => (None, None),
        Some(path) => {
            let (name, subject) = about_data(path, args.target.as_deref(), &mut fill)?;
            (Some(name), Some(subject))
        }
    };
    let template = match (&args.template, by_data) {
        (Some(word), None) => config::template(word)?,
        (None, name) => config::template(name.unwrap_or(config::templates()[0].name))?,
        (Some(word), Some(name)) if config::template(word)?.name == name => config::template(name)?,
        (Some(word), Some(name)) => {
            return Err(Problem::usage(format!("the template {word} has no place for these data"))
                .at("command line: --template")
                .remedy(format!("leave --template out; {name} is the one for them")));
        }
    };
    Ok((template, fill, subject))
}

/// The template for a data file and what the file is; fills in the lines of `[baseline.data]` (the path is put in once the
/// folder is there) and what follows from its size.
fn about_data(path: &Path, target: Option<&str>, fill: &mut Fill) -> Result<(&'static str, String)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let shown = path.display().to_string();
    if !path.is_file() {
        return Err(Problem::usage("there is no such file").at(shown).remedy("check the path given with --data"));
    }
    if !name.trim_end_matches(".gz").ends_with(".csv") {
        if target.is_some() {
            return Err(Problem::usage("only a table has a target column")
                .at("command line: --target")
                .remedy("leave it out, or name a .csv file with --data"));
        }
        let text = fs::read_text(path).map_err(|p| p.class(Class::Usage))?;
        fill.data = Some(vec![line("kind", "text"), line("path", &shown), line("tokens", "char")]);
        fill.question = Some(format!(
            "Which changes to a very small transformer predict the characters of {name} best at equal steps?"
        ));
        let size = Bytes(text.len() as u64);
        return Ok(("shakespeare-gpt", format!("{shown}: a text of {size}, whose characters are predicted")));
    }
    let data::TableSummary { rows, columns } = data::table_summary(path)?;
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    let wanted = target.ok_or_else(|| {
        Problem::usage("which column is to be predicted?")
            .at(&*shown)
            .remedy(format!("add --target with one of {}", names.join(", ")))
    })?;
    let Some(column) = columns.iter().find(|c| c.name == wanted) else {
        return Err(Problem::usage(format!("there is no column \"{wanted}\""))
            .at(&*shown)
            .remedy(format!("use one of {}", names.join(", "))));
    };
    // A number with many values is a quantity; few values, or words, are classes.
    let task = if column.numeric && column.distinct > 20 { "regression" } else { "classification" };
    let mut lines = vec![
        line("kind", "csv"),
        line("path", &shown),
        line("target", wanted),
        format!("# A guess from its {} different values: \"regression\" or \"classification\".", column.distinct),
        line("task", task),
    ];
    let ignored: Vec<&str> =
        columns.iter().filter(|c| !c.numeric && c.name != wanted).map(|c| c.name.as_str()).collect();
    if !ignored.is_empty() {
        lines.push("# Features are numbers; these columns are not.".to_string());
        lines.push(format!("ignore = {}", serde_json::json!(ignored)));
    }
    fill.data = Some(lines);
    fill.question = Some(format!("How well can a small network predict {wanted} of {name}, and what limits it?"));
    fill.metric = (task == "classification").then_some("accuracy");
    batches(rows, fill);
    let features = columns.len() - 1 - ignored.len();
    let left_out = if ignored.is_empty() { String::new() } else { format!("; left out: {}", ignored.join(", ")) };
    let what = match task {
        "regression" => format!("the number {wanted}"),
        _ => format!("{wanted}, one of {} classes,", column.distinct),
    };
    Ok((
        "csv-regression",
        format!("{shown}: {rows} rows, {what} predicted from {features} column(s) of numbers{left_out}"),
    ))
}

/// Batches that a small table can fill: the template's go up to 120 of its 240 training rows.
fn batches(rows: usize, fill: &mut Fill) {
    let training = rows - rows / 5;
    if training >= 240 {
        return;
    }
    let (low, high) = ((training / 16).max(1), (training / 2).max(2));
    fill.settings.push(("training".to_string(), format!("batch_size = {}", (training / 5).clamp(low, high))));
    fill.ranges.push(format!("\"training.batch_size\" = {{ type = \"int\", low = {low}, high = {high}, log = true }}"));
}

fn line(key: &str, value: &str) -> String {
    format!("{key} = {}", serde_json::Value::from(value))
}

/// The campaign's name, which is also the folder that its runs go to: not this one.
fn name(folder: &Path) -> String {
    let whole = env::current_dir().join(folder);
    let mut last = whole.components().filter_map(|c| match c {
        std::path::Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    let own: String = last.next_back().unwrap_or_default().chars().map(legal).take(50).collect();
    format!("{}-runs", own.trim_start_matches('-'))
}
