//! Campaigns to begin with: the shipped ones, each made one complete file with its baseline inside.
//!
//! Boundary: text from text; nothing here reads or writes a file.

use super::nearest::nearest;
use crate::problem::{Problem, Result};

/// A shipped campaign and its baseline's experiment.
#[derive(Debug, Clone, Copy)]
pub struct Template {
    /// Its name, that of the file in `jobs/campaigns`.
    pub name: &'static str,
    campaign: &'static str,
    experiment: &'static str,
}

macro_rules! template {
    ($name:literal) => {
        Template {
            name: $name,
            campaign: include_str!(concat!("../../jobs/campaigns/", $name, ".toml")),
            experiment: include_str!(concat!("../../jobs/experiments/", $name, ".toml")),
        }
    };
}

const TEMPLATES: [Template; 5] = [
    template!("digits-mlp"),
    template!("digits-cnn"),
    template!("csv-regression"),
    template!("shakespeare-gpt"),
    template!("modular-addition"),
];

/// What people call the things that the templates are about.
const WORDS: [(&str, &str); 20] = [
    ("mlp", "digits-mlp"),
    ("digits", "digits-mlp"),
    ("network", "digits-mlp"),
    ("cnn", "digits-cnn"),
    ("image", "digits-cnn"),
    ("images", "digits-cnn"),
    ("vision", "digits-cnn"),
    ("convolution", "digits-cnn"),
    ("addition", "modular-addition"),
    ("csv", "csv-regression"),
    ("table", "csv-regression"),
    ("tabular", "csv-regression"),
    ("regression", "csv-regression"),
    ("gpt", "shakespeare-gpt"),
    ("text", "shakespeare-gpt"),
    ("language", "shakespeare-gpt"),
    ("transformer", "shakespeare-gpt"),
    ("shakespeare", "shakespeare-gpt"),
    ("grokking", "modular-addition"),
    ("modular", "modular-addition"),
];

/// What stands above a section, for those who read it first.
const ABOUT: [(&str, &str); 7] = [
    ("[llm]", "The language model that helps planning; its key comes from the environment (docs/llm.md)."),
    (
        "[objective]",
        "What is optimised: a metric at a run's last evaluation. `goal = ...` ends the campaign once it is met.",
    ),
    ("[space]", "What may change and between which values; everything else stays as in the baseline."),
    ("[budget]", "Never exceeded: devices held times wall time (on a CPU each process is one), and runs in all."),
    (
        "[seeds]",
        "The baseline's repetitions give the noise floor; the best candidates, chosen on another seed, are repeated on `confirm` of those.",
    ),
    ("[execution]", "How many attempts go on side by side."),
    ("[baseline.data]", "The baseline: the experiment that everything is compared with."),
];

/// All of them, the default first.
pub fn templates() -> &'static [Template] {
    &TEMPLATES
}

/// The template of this name, or the one that a word or a misspelt name means.
///
/// # Errors
/// A usage problem that lists the names.
pub fn template(word: &str) -> Result<Template> {
    let named = |name: &str| TEMPLATES.iter().find(|t| t.name == name).copied();
    let lower = word.to_lowercase();
    let meant = WORDS.iter().find(|(word, _)| *word == lower).and_then(|(_, name)| named(name));
    let near = || nearest(&lower, TEMPLATES.iter().map(|t| t.name)).and_then(named);
    named(&lower).or(meant).or_else(near).ok_or_else(|| {
        let names: Vec<&str> = TEMPLATES.iter().map(|t| t.name).collect();
        Problem::usage(format!("there is no template \"{word}\""))
            .remedy(format!("use one of {}; `nanoresearch init --list` says what they are about", names.join(", ")))
    })
}

/// The template that has most words in common with a goal: words of its own description, and what people call its subject,
/// which count three times. The default where none has any.
pub fn nearest_template(goal: &str) -> Template {
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric()).filter(|w| w.len() > 3).map(str::to_lowercase).collect()
    };
    let goal = words(goal);
    let score = |t: &Template| {
        let own = words(&format!("{} {}", t.about(), t.name));
        let described = goal.iter().filter(|w| own.contains(w)).count();
        let named = |w: &&String| WORDS.iter().any(|(word, name)| *name == t.name && w.starts_with(word));
        described + 3 * goal.iter().filter(named).count()
    };
    let best = TEMPLATES.iter().map(score).max().unwrap_or(0);
    TEMPLATES.iter().find(|t| score(t) == best).copied().unwrap_or(TEMPLATES[0])
}

/// What to put into a template in place of its own.
#[derive(Debug, Clone, Default)]
pub struct Fill {
    /// Name of the campaign.
    pub name: String,
    /// The research question, where it is another.
    pub question: Option<String>,
    /// Lines of `[baseline.data]`, where the data are others.
    pub data: Option<Vec<String>>,
    /// Metric of the objective, where it is another.
    pub metric: Option<&'static str>,
    /// Further lines of `[execution]`.
    pub execution: Vec<String>,
    /// Lines of `[space]`, where it is another.
    pub space: Vec<String>,
    /// Lines of the template's own `[space]` that are others.
    pub ranges: Vec<String>,
    /// Settings of the baseline that are others: section and line.
    pub settings: Vec<(String, String)>,
    /// Device-hours of the budget, where they are others.
    pub hours: Option<f64>,
    /// Lines of `[llm]`, where there is a language model.
    pub llm: Vec<String>,
}

impl Template {
    /// The first line of its campaign's description.
    pub fn about(&self) -> &'static str {
        let line = self.campaign.lines().find_map(|l| l.strip_prefix("# "));
        line.unwrap_or_default()
    }

    /// The whole campaign as commented TOML, its baseline inline.
    pub fn fill(&self, fill: &Fill) -> String {
        let (campaign, overlay): (Vec<Section>, Vec<Section>) =
            sections(self.campaign).into_iter().partition(|s| !s.title.starts_with("[baseline."));
        let mut baseline = sections(self.experiment);
        let about = baseline.first().map(|s| s.comments.clone()).unwrap_or_default();
        baseline.retain(|s| !s.title.is_empty());
        for section in &mut baseline {
            section.title = format!("[baseline.{}", &section.title[1..]);
        }
        for over in overlay {
            match baseline.iter_mut().find(|s| s.title == over.title) {
                Some(section) => over.lines.into_iter().for_each(|line| section.set(line)),
                None => baseline.push(over),
            }
        }
        for (name, line) in &fill.settings {
            let title = format!("[baseline.{name}]");
            match baseline.iter_mut().find(|s| s.title == title) {
                Some(section) => section.set(line.clone()),
                None => baseline.push(Section { title, comments: Vec::new(), lines: vec![line.clone()] }),
            }
        }
        if let Some(data) = baseline.iter_mut().find(|s| s.title == "[baseline.data]") {
            match &fill.data {
                // What the template says of its own data is not true of others.
                Some(lines) => (data.lines, data.comments) = (lines.clone(), Vec::new()),
                None => data.comments.splice(0..0, about).for_each(drop),
            }
        }
        let mut text = format!(
            "# A campaign from the template {}. Read it, change it; every key: `nanoresearch schema campaign`.\n",
            self.name
        );
        for mut section in campaign {
            if section.title.is_empty() {
                section.comments.clear();
                section.lines.retain(|l| !l.starts_with("baseline_file"));
                section.set(format!("name = {:?}", fill.name));
                if let Some(question) = &fill.question {
                    section.set(format!("question = {}", serde_json::Value::from(question.as_str())));
                }
            }
            match (section.title.as_str(), fill.metric) {
                ("[objective]", Some(metric)) => section.lines = vec![format!("metric = \"{metric}\"")],
                ("[space]", _) if !fill.space.is_empty() => section.lines.clone_from(&fill.space),
                ("[space]", _) => fill.ranges.iter().for_each(|line| section.set(line.clone())),
                ("[budget]", _) => fill.hours.iter().for_each(|h| section.set(format!("device_hours = {h}"))),
                // With a language model the planner is the one that asks it.
                ("[planner]", _) if !fill.llm.is_empty() => section.lines.retain(|l| !l.starts_with("kind")),
                ("[execution]", _) => fill.execution.iter().for_each(|line| section.set(line.clone())),
                _ => {}
            }
            section.write(&mut text);
        }
        if !fill.llm.is_empty() {
            let llm = Section { title: "[llm]".into(), comments: Vec::new(), lines: fill.llm.clone() };
            llm.write(&mut text);
        }
        baseline.iter().for_each(|section| section.write(&mut text));
        text
    }
}

/// A section of a TOML file as it is written: comments above, `[title]`, lines.
#[derive(Debug, Default)]
struct Section {
    title: String,
    comments: Vec<String>,
    lines: Vec<String>,
}

impl Section {
    /// Replaces the line that sets the same key, or adds it.
    fn set(&mut self, line: String) {
        let key = |line: &str| line.split('=').next().map(|k| k.trim().to_string());
        match self.lines.iter_mut().find(|l| key(l) == key(&line)) {
            Some(there) => *there = line,
            None => self.lines.push(line),
        }
    }

    fn write(&self, text: &mut String) {
        *text += "\n";
        let about = ABOUT.iter().find(|(title, _)| *title == self.title);
        about.iter().for_each(|(_, about)| *text += &format!("# {about}\n"));
        self.comments.iter().for_each(|line| *text += &format!("{line}\n"));
        if !self.title.is_empty() {
            *text += &format!("{}\n", self.title);
        }
        self.lines.iter().for_each(|line| *text += &format!("{line}\n"));
    }
}

/// Takes a shipped file apart. Comments above a title belong to it; `#:schema` is for editors of this repository.
fn sections(text: &str) -> Vec<Section> {
    let (mut found, mut comments) = (vec![Section::default()], Vec::new());
    for line in text.lines().filter(|l| !l.starts_with("#:") && !l.trim().is_empty()) {
        if line.starts_with('#') {
            comments.push(line.to_string());
            continue;
        }
        let above = std::mem::take(&mut comments);
        if line.starts_with('[') {
            found.push(Section { title: line.to_string(), comments: above, lines: Vec::new() });
        } else if let Some(section) = found.last_mut() {
            let first = section.lines.is_empty() && section.title.is_empty();
            if first {
                section.comments.extend(above)
            } else {
                section.lines.extend(above)
            }
            section.lines.push(line.to_string());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Campaign, load_campaign, parse_campaign};
    use std::path::Path;

    fn read(template: &Template, fill: &Fill) -> (Campaign, String) {
        let text = template.fill(fill);
        let campaign = parse_campaign(&text, template.name, &[]).unwrap_or_else(|p| panic!("{p}\n{text}"));
        (campaign, text)
    }

    /// One file says the same as the two that it was made of.
    #[test]
    fn a_filled_template_is_the_shipped_campaign() {
        for template in templates() {
            let (filled, text) = read(template, &Fill { name: template.name.to_string(), ..Fill::default() });
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("jobs/campaigns/{}.toml", template.name));
            let mut shipped = load_campaign(&file, &[]).unwrap().value;
            // Data paths are relative to the file's folder in both.
            if let (crate::config::DataSpec::Csv(a), crate::config::DataSpec::Csv(b)) =
                (&mut shipped.baseline.data, &filled.baseline.data)
            {
                a.path.clone_from(&b.path);
            }
            assert_eq!(filled, shipped, "{text}");
            assert!(text.matches("\n# ").count() >= 5 && !text.contains("#:schema"), "{text}");
        }
    }

    #[test]
    fn what_is_put_in_replaces_the_template_s_own() {
        let fill = Fill {
            name: "mine".into(),
            question: Some("Is \"this\" it?".into()),
            data: Some(vec![
                "kind = \"csv\"".into(),
                "path = \"a.csv\"".into(),
                "target = \"y\"".into(),
                "task = \"classification\"".into(),
            ]),
            metric: Some("accuracy"),
            execution: vec!["site = \"site.toml\"".into(), "parallel = 4".into()],
            llm: vec!["model = \"m\"".into()],
            ranges: vec!["\"training.batch_size\" = { type = \"int\", low = 2, high = 24 }".into()],
            ..Fill::default()
        };
        let (campaign, text) = read(&template("table").unwrap(), &fill);
        assert_eq!((campaign.name.as_str(), campaign.question.as_str()), ("mine", "Is \"this\" it?"));
        assert_eq!((campaign.execution.site.as_deref(), campaign.execution.parallel), (Some("site.toml"), 4));
        assert_eq!(campaign.objective.metric.name(), "accuracy");
        assert_eq!(campaign.planner.kind, crate::config::PlannerKind::Hybrid);
        assert!(campaign.space["training.batch_size"].domain.contains(&24.into()), "{text}");
        assert_eq!(text.matches("training.batch_size").count(), 1, "{text}");
        assert!(!text.contains("pendulum"), "{text}");
        // Seeds of the baseline are nothing fresh.
        assert!(!text.contains("fresh"), "{text}");
    }

    #[test]
    fn goals_find_the_nearest_template() {
        for (goal, name) in [
            ("Does a wider transformer model language better?", "shakespeare-gpt"),
            ("Find what delays grokking in modular addition", "modular-addition"),
            ("Which convolutions suit small images?", "digits-cnn"),
            ("Make it better", "digits-mlp"),
        ] {
            assert_eq!(nearest_template(goal).name, name, "{goal}");
        }
    }

    #[test]
    fn words_and_misspellings_find_a_template() {
        for (word, name) in [("GPT", "shakespeare-gpt"), ("digits-mpl", "digits-mlp"), ("csv", "csv-regression")] {
            assert_eq!(template(word).unwrap().name, name);
        }
        let problem = template("quantum").unwrap_err();
        assert!(problem.remedy.unwrap().contains("digits-cnn"));
        assert!(templates().iter().all(|t| t.about().len() > 20));
    }
}
