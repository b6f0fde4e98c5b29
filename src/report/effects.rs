//! The report's section on what the parameters did.

use super::figures::{Drawn, at_the_edge};
use super::html::Page;
use super::summary::effects;
use crate::analysis::{Effect, EffectKind, holm};
use crate::campaign::State;
use crate::campaign::correction::p_value;
use crate::figures;

/// Parameters that are drawn at most; the table has all.
const DRAWN: usize = 6;
/// Characters of a parameter's path that an axis has room for.
const LABEL: usize = 44;

/// Writes the section; nothing before two values of a parameter have been tried.
pub fn section(page: &mut Page, state: &State) {
    let all = effects(state);
    if all.is_empty() {
        return;
    }
    page.heading("What the parameters did");
    let some = match all.len() {
        n if n > DRAWN => format!(" Of {n} parameters the {DRAWN} strongest are drawn; the table has all."),
        _ => String::new(),
    };
    page.paragraph(&format!(
        "First looks at candidates, one seed each, strongest association first. They describe what was tried; a planner that \
         concentrates on good regions makes parameters move together, so they are not causes.{some}"
    ));
    let drawn: Vec<Drawn> = all.iter().take(DRAWN).map(|effect| figure(state, effect)).collect();
    page.figures(&drawn);
    page.table(&["parameter", "kind", ">strength", ">rank correlation", ">p", ">p (Holm)", ">looks"], &rows(&all));
    page.note(
        "Strength: of numbers the size of Spearman's rank correlation, of choices the correlation ratio. p: two-sided, of the rank \
         correlation, by itself and after Holm's correction over the parameters. A rank correlation sees monotone effects only.",
    );
}

/// One parameter's figure, with a caption that says what is drawn.
fn figure(state: &State, effect: &Effect) -> Drawn {
    let (name, label) = (&effect.parameter, short(&effect.parameter));
    let drawn = figures::effect(state, effect, &label);
    let what = match &effect.kind {
        EffectKind::Correlation { rho, p_value: p } => format!(
            "{name}: a point is one candidate's first look (n = {}, without intervals). Spearman's rho {rho:.2}, {} before \
             correction.",
            drawn.n,
            p_words(*p)
        ),
        EffectKind::Groups { .. } => format!(
            "{name}: a point is one candidate's first look (n = {}, without intervals), the stroke the median of a choice, \
             which stands at the right with the number of looks.",
            drawn.n
        ),
    };
    (drawn.chart.titled(&label).svg(), what + &at_the_edge(drawn.outside, drawn.failed))
}

/// The end of a long path, which tells parameters apart; the caption has the whole.
fn short(path: &str) -> String {
    let Some((at, _)) = path.char_indices().rev().nth(LABEL) else { return path.to_string() };
    let rest = &path[at..];
    format!("\u{2026}{}", rest.find('.').map_or(rest, |dot| &rest[dot..]))
}

fn p_words(p: f64) -> String {
    let p = p_value(p);
    p.strip_prefix('<').map_or_else(|| format!("p = {p}"), |bound| format!("p < {bound}"))
}

fn rows(all: &[Effect]) -> Vec<Vec<String>> {
    // A choice counts in the correction as a test that shows nothing, as in papers.
    let own = |effect: &Effect| match effect.kind {
        EffectKind::Correlation { p_value: p, .. } => p,
        EffectKind::Groups { .. } => 1.0,
    };
    let adjusted = holm(&all.iter().map(own).collect::<Vec<_>>());
    let row = |(effect, after): (&Effect, f64)| {
        let [kind, rho, p, after] = match effect.kind {
            EffectKind::Correlation { rho, p_value: p } => {
                ["number".to_string(), format!("{rho:+.2}"), p_value(p), p_value(after)]
            }
            EffectKind::Groups { .. } => ["choice", "-", "-", "-"].map(String::from),
        };
        let strength = format!("{:.2}", effect.strength);
        vec![effect.parameter.clone(), kind, strength, rho, p, after, effect.n.to_string()]
    };
    all.iter().zip(adjusted).map(row).collect()
}
