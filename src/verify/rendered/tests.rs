//! Rendered forms against facts.

use super::*;

const PAGE: &str = "<!doctype html><title>No 9</title><style>a{b:1}</style><h1>On one thing</h1><p class=by>nanoresearch 0.1.0<br>25 November 2026</p>\
    <section><h2><span class=no>1</span> Results</h2><p>It is <data class=fact value=\"a.b\">2&times;10<sup>\u{2212}8</sup></data> &amp; more. See \
    <a href=\"#fig:x\">Figure 1</a> and <a class=cite href=\"#ref-k\">Smith (2020)</a>. <code>model.width</code>.</p>\
    <figure id=\"fig:x\"><svg><text>17</text></svg><figcaption><b>Figure 1.</b> Over <data class=fact value=n>five seeds</data>.</figcaption></figure></section>\
    <section><h2>References</h2><ul><li id=\"ref-k\">A. Smith. A title. 2020. <a href=\"https://doi.org/10.1/x\">https://doi.org/10.1/x</a></li></ul>";

#[test]
fn a_page_is_read() {
    let passages = html(PAGE);
    let results = passages.iter().find(|p| p.place == "results").unwrap();
    assert_eq!(results.tokens[1], Token::Fact { id: "a.b".into(), text: "2&times;10^\u{2212}8".into() });
    assert_eq!(results.tokens[3], Token::Refer { label: "fig:x".into(), text: "Figure 1".into() });
    assert_eq!(results.tokens[5], Token::Cite { keys: vec!["k".into()], text: "Smith (2020)".into() });
    assert_eq!(results.tokens[7], Token::Code("model.width".into()));
    assert_eq!(results.sentence(3), "See Figure 1 and Smith (2020).");
    assert!(results.sentence(1).starts_with("It is 2"), "{}", results.sentence(1));
    let caption = &passages[passages.iter().position(|p| p.text().contains("five seeds")).unwrap()];
    assert_eq!(caption.tokens[0], Token::Refer { label: String::new(), text: "Figure 1.".into() });
    assert_eq!(passages.iter().filter(|p| p.byline).count(), 2);
    assert!(passages.iter().any(|p| p.reference.as_deref() == Some("k")));
    assert!(!passages.iter().any(|p| p.text().contains("17") || p.text().contains("No 9")));
}

const FILE: &str = "\\title{On \\fact{t}{one} thing}\n\\author{nanoresearch 0.1.0}\n\\date{25 November 2026}\n\\begin{document}\n\\maketitle\n\\begin{abstract}\n\
    It is \\fact{a.b}{2$\\times$$10^{-8}$} \\& more, by \\fact{c}{$-$0.5~nats [$-$0.6, 93\\%]}. See \\nameof{fig:x} and \\citep{k}. % 12\n\\end{abstract}\n\
    \\section{Results}\\label{sec:r}\n\nWords \\texttt{model.\\allowbreak{}width}.\n\n\\begin{table}[tbp]\n\\caption{Over \\fact{n}{five seeds}.}\\label{tab:x}\n\
    \\begin{tabular}{@{}lr@{}}\n\\toprule\na & \\textbf{\\fact{d}{12}} \\\\\n\\end{tabular}\\end{table}\n\\bibliography{paper}\n\\end{document}\n";

#[test]
fn a_file_is_read() {
    let passages = tex(FILE);
    let facts: Vec<(String, String)> = passages
        .iter()
        .flat_map(|p| &p.tokens)
        .filter_map(|t| if let Token::Fact { id, text } = t { Some((id.clone(), text.clone())) } else { None })
        .collect();
    let wanted =
        [("t", "one"), ("a.b", "2\u{d7}10^-8"), ("c", "-0.5\u{a0}nats [-0.6, 93%]"), ("n", "five seeds"), ("d", "12")];
    assert_eq!(facts, wanted.map(|(a, b)| (a.to_string(), b.to_string())));
    let text: String = passages.iter().map(|p| p.text() + "\n").collect();
    assert!(
        text.contains("& more") && !text.contains("fig:x") && !text.contains("tbp") && !text.contains("@lr"),
        "{text}"
    );
    assert!(
        passages.iter().any(|p| p.place == "results" && p.tokens.contains(&Token::Code("model.width".into()))),
        "{passages:?}"
    );
}
