//! Which findings matter to a question: words in common, rare ones most (BM25).

use super::Finding;
use std::collections::BTreeMap;

/// How soon further occurrences of a word stop counting.
const SATURATION: f64 = 1.2;
/// How much longer records are discounted.
const LENGTH: f64 = 0.75;
/// Weight of a word that says what the experiment is: data, model, optimiser, a setting's path.
const SUBJECT: usize = 3;

/// The findings nearest to `query` (any words: the question, paths of the space, kinds of data and model), best first, at most
/// `limit`; none that have no word in common with it. Okapi BM25 (Robertson and Zaragoza 2009); ties keep their order.
pub fn relevant<'f>(findings: &'f [Finding], query: &str, limit: usize) -> Vec<&'f Finding> {
    let documents: Vec<Vec<String>> = findings.iter().map(document).collect();
    let mean = documents.iter().map(Vec::len).sum::<usize>() as f64 / documents.len().max(1) as f64;
    let mut wanted = words(query);
    wanted.sort_unstable();
    wanted.dedup();
    let mut rarity: BTreeMap<&str, f64> = BTreeMap::new();
    for word in &wanted {
        let n = documents.iter().filter(|d| d.contains(word)).count() as f64;
        rarity.insert(word, (1.0 + (documents.len() as f64 - n + 0.5) / (n + 0.5)).ln());
    }
    let score = |document: &Vec<String>| -> f64 {
        let long = 1.0 - LENGTH + LENGTH * document.len() as f64 / mean.max(1.0);
        let part = |word: &String| {
            let times = document.iter().filter(|w| *w == word).count() as f64;
            rarity.get(word.as_str()).copied().unwrap_or(0.0) * times * (SATURATION + 1.0) / (times + SATURATION * long)
        };
        wanted.iter().map(part).sum()
    };
    let mut ranked: Vec<(f64, &Finding)> =
        documents.iter().map(score).zip(findings).filter(|(s, _)| *s > 0.0).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.into_iter().take(limit).map(|(_, finding)| finding).collect()
}

fn document(finding: &Finding) -> Vec<String> {
    let mut all = words(&format!("{} {} {}", finding.question, finding.text, finding.metric));
    let subject = finding.about.iter().chain(finding.settings.keys()).flat_map(|s| words(s));
    let subject: Vec<String> = subject.collect();
    (0..SUBJECT).for_each(|_| all.extend(subject.iter().cloned()));
    all
}

/// Lower-case words of letters and digits; `optimizer.learning_rate` gives its parts. Words of one letter say nothing.
fn words(text: &str) -> Vec<String> {
    const COMMON: [&str; 24] = [
        "the", "of", "and", "is", "in", "to", "at", "for", "on", "with", "by", "it", "which", "what", "does", "do",
        "how", "be", "are", "or", "an", "from", "best", "this",
    ];
    let split = text.split(|c: char| !c.is_alphanumeric());
    let lower = split.map(str::to_lowercase);
    lower.filter(|w| w.chars().count() > 1 && !COMMON.contains(&w.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::finding;
    use super::*;

    #[test]
    fn related_findings_come_first_and_unrelated_ones_not_at_all() {
        let mut rate = finding("rate", "Which learning rate for the digits?", "a rate of 0.2 is best");
        rate.settings.insert("optimizer.learning_rate".into(), 0.2.into());
        let mut poems = finding("poems", "How long a context for poems?", "longer helps");
        poems.about = vec!["text".into(), "gpt".into()];
        let mut width = finding("width", "How wide a network for the digits?", "128 is enough");
        width.settings.insert("model.width".into(), 128.into());
        let all = [poems, width, rate];
        let found = relevant(&all, "Which optimizer.learning_rate suits an mlp on digits?", 5);
        assert_eq!(found.iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["rate", "width"]);
        assert_eq!(relevant(&all, "optimizer.learning_rate digits", 1).len(), 1);
        assert!(relevant(&all, "zebra", 5).is_empty() && relevant(&[], "digits", 5).is_empty());
    }
}
