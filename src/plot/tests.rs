//! Figures of ordinary and of awful data: well-formed, finite, no text beyond the paper or over other text.
#![allow(clippy::disallowed_methods)]

use super::canvas::{fit, width, wrap};
use super::*;
use proptest::prelude::*;

/// A written text with the box that it needs.
#[derive(Debug)]
struct Written {
    text: String,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    tag[start..].split('"').next()
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

/// Checks a figure's structure and returns its texts in units.
#[track_caller]
fn check(svg: &str) -> Vec<Written> {
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 "), "{}", &svg[..90]);
    assert!(svg.trim_end().ends_with("</svg>"));
    for word in ["NaN", "inf", "-2147483648", "2147483647"] {
        assert!(!svg.split('>').any(|t| t.contains('<') && t.contains(&format!("\"{word}"))), "{word} in {svg}");
    }
    let mut depth = 0i32;
    let mut texts = Vec::new();
    for (i, piece) in svg.split('<').enumerate().skip(1) {
        let (tag, content) = piece.split_once('>').unwrap_or_else(|| panic!("piece {i} is not closed: {piece}"));
        assert!(!content.replace("&lt;", "").replace("&gt;", "").contains(['<', '>']));
        assert!(content.chars().all(|c| c == '\n' || !c.is_control()), "{content:?}");
        depth += if tag.starts_with('/') {
            -1
        } else if tag.ends_with('/') {
            0
        } else {
            1
        };
        if let Some(points) = attribute(tag, "points") {
            for number in points.split([',', ' ']).filter(|n| !n.is_empty()) {
                number.parse::<i32>().unwrap_or_else(|e| panic!("{number}: {e}"));
            }
        }
        if tag.starts_with("text ") {
            let number = |name: &str| attribute(tag, name).and_then(|v| v.parse::<f64>().ok()).expect("a number");
            let (x, y, size) = (number("x") / 4.0, number("y") / 4.0, number("font-size") / 4.0);
            assert!(size >= TEXT - 0.01, "{size}");
            let text = unescape(content.trim());
            let w = width(&text, if tag.contains("bold") { size * 1.14 } else { size });
            let left = match attribute(tag, "text-anchor") {
                Some("start") => x,
                Some("middle") => x - w / 2.0,
                _ => x - w,
            };
            let baseline = y - 0.27 * size;
            texts.push(Written {
                text,
                left,
                right: left + w,
                top: baseline - 0.7 * size,
                bottom: baseline + 0.05 * size,
            });
        }
    }
    assert_eq!(depth, 0);
    let size = attribute(svg.split('>').next().unwrap_or_default(), "viewBox").expect("viewBox");
    let height: f64 = size.split(' ').next_back().and_then(|v| v.parse().ok()).expect("height");
    for (i, a) in texts.iter().enumerate() {
        assert!(
            a.left >= -0.5 && a.right <= WIDTH + 0.5 && a.top >= 0.0 && a.bottom <= height / 4.0,
            "off the paper: {a:?}"
        );
        for b in &texts[i + 1..] {
            let apart = a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
            assert!(apart, "{a:?} overlaps {b:?}");
        }
    }
    texts
}

fn labels(svg: &str) -> Vec<String> {
    check(svg).into_iter().map(|t| t.text).collect()
}

fn line(points: &[(f64, f64)]) -> Figure {
    Figure::new("Title", Axis::linear("x"), Axis::linear("y")).with("a", 0, Mark::Line(points.to_vec()))
}

/// Ordinary figures, as reports have them, and awful ones.
fn gallery() -> Vec<(&'static str, String)> {
    let curve = |k: f64| -> Vec<(f64, f64)> {
        (0..60).map(|i| (f64::from(i) * 50.0, 2.2 * (-f64::from(i) / (9.0 + k)).exp() + 0.08 * k + 0.02)).collect()
    };
    let mut loss = Figure::new(
        "Validation loss of the baseline and the three best candidates",
        Axis::linear("optimiser step"),
        Axis::log("validation loss (nats)"),
    );
    for (i, name) in ["baseline (3 seeds)", "run 0007: width 256", "run 0011", "run 0012"].iter().enumerate() {
        let points = curve(i as f64);
        let band = points.iter().map(|&(x, y)| (x, y * 0.85, y * 1.18)).collect();
        loss = loss.with("", i, Mark::Band(band)).with(*name, i, Mark::Line(points));
    }
    let best = [(0.0, 0.94), (0.02, 0.951), (0.05, 0.951), (0.08, 0.968), (0.16, 0.972), (0.3, 0.972)];
    let spread: Vec<(f64, f64)> =
        (0..40).map(|i| (f64::from(i) * 0.0075, 0.93 + 0.04 * f64::from(i * 7 % 11) / 11.0)).collect();
    let best = Figure::new(
        "Best accuracy so far against device-hours",
        Axis::linear("device-hours spent"),
        Axis::linear("validation accuracy"),
    )
    .with("all runs", 5, Mark::Points(spread))
    .with("best so far", 0, Mark::Steps(best.to_vec()))
    .with("confirmed, 95% interval", 1, Mark::Whiskers(vec![(0.1, 0.968, 0.962, 0.974), (0.25, 0.972, 0.969, 0.976)]))
    .with("baseline", 6, Mark::Rule(0.943));
    let effect = Figure::new("Learning rate", Axis::log("optimizer.learning_rate"), Axis::linear("validation loss"))
        .with(
            "random",
            0,
            Mark::Points((0..20).map(|i| (10f64.powf(-4.0 + f64::from(i) * 0.11), 1.0 / f64::from(i + 3))).collect()),
        )
        .with(
            "tpe",
            1,
            Mark::Points(
                (0..20).map(|i| (10f64.powf(-3.0 + f64::from(i) * 0.02), 0.05 + f64::from(i % 7) * 0.01)).collect(),
            ),
        )
        .with("grid", 2, Mark::Points((0..6).map(|i| (10f64.powf(-3.7 + f64::from(i) * 0.3), 0.2)).collect()));
    let row = |label: &str, bars: &[(f64, f64, usize)], note: &str| BarRow {
        label: label.into(),
        bars: bars.iter().map(|&(from, to, series)| Bar { from, to, series, ..Bar::default() }).collect(),
        interval: None,
        note: note.into(),
    };
    let timeline = BarChart {
        title: "Attempts".into(),
        x: Axis::linear("seconds since the campaign began"),
        series: ["completed", "failed", "timed out", "running"].map(String::from).to_vec(),
        signs: Vec::new(),
        rows: vec![
            row("0001/01", &[(0.0, 12.0, 0)], "0.94"),
            row("0002/01", &[(0.5, 3.0, 1)], "crashed"),
            row("0002/02", &[(4.0, 17.0, 0)], "0.95"),
            row("0003/01", &[(12.5, 32.0, 2)], "time limit"),
            row("0004/01", &[(17.5, 17.51, 1)], "crashed"),
            row("0005/01", &[(18.0, 40.0, 3)], ""),
        ],
    };
    let effects = BarChart {
        title: "Effect of each choice on validation loss, with 95% intervals".into(),
        x: Axis::linear("difference to the baseline (nats; less is better)"),
        series: vec!["effect".into()],
        signs: Vec::new(),
        rows: [
            ("optimizer.learning_rate = 0.003", -0.31),
            ("model.widths = [256, 256]", -0.12),
            ("training.label_smoothing = 0.1", 0.07),
        ]
        .iter()
        .map(|&(l, v)| BarRow { interval: Some((v - 0.06, v + 0.05)), ..row(l, &[(0.0, v, 0)], &format!("{v:+.2}")) })
        .collect(),
    };
    let ledger = BarChart {
        title: "Ledger".into(),
        x: Axis::linear("device-minutes"),
        series: ["settled", "reserved", "free"].map(String::from).to_vec(),
        signs: Vec::new(),
        rows: vec![row("budget", &[(0.0, 6.1, 0), (6.1, 7.9, 1), (7.9, 10.0, 2)], "10 min")],
    };
    let long = "a very long label that nobody would write by hand but a generated path of a parameter may well be";
    let unbroken =
        "models/transformer.blocks.attention.query_key_value.projection.weight.initial_standard_deviation.log10";
    let awful = Figure::new(long.repeat(3), Axis::linear(unbroken), Axis::linear(long.repeat(2)))
        .with(long, 0, Mark::Line(vec![(1e9, -1.23456e-7), (1.000_000_1e9, 1.3e-7)]))
        .with(unbroken, 1, Mark::Points(vec![(1.000_000_05e9, f64::NAN), (f64::INFINITY, 0.0)]))
        .with("<script>alert(\"1\" & '2')</script>\u{0}\n", 2, Mark::Rule(0.0));
    let long_rows = BarChart {
        title: unbroken.into(),
        x: Axis::linear(long),
        series: vec![long.into(), unbroken.into()],
        signs: vec![unbroken.into()],
        rows: (0..5)
            .map(|i| row(if i % 2 == 0 { long } else { unbroken }, &[(0.0, f64::from(i) * 1e7, i as usize)], long))
            .collect(),
    };
    let strips = StripChart {
        title: "model.activation".into(),
        x: Axis::linear("validation accuracy").over(0.9, 0.98),
        style: 1,
        names: ["candidates", "median", "failed or diverged"].map(String::from),
        missing: End::Low,
        rule: Some(("baseline mean".into(), 0, 0.943)),
        rows: [("relu", 7, 0), ("gelu", 0, 3), ("a \u{3b2}-scaled tanh", 12, 1)]
            .iter()
            .map(|&(label, n, missing)| StripRow {
                label: label.into(),
                points: (0..n).map(|i| 0.97 - 0.012 * f64::from(i * i % 9)).collect(),
                middle: (n > 0).then_some(0.95),
                missing,
                note: format!("0.950 (n={n})"),
            })
            .collect(),
        legend: true,
        beside: Vec::new(),
    };
    let edges = Figure::new("Values at the edges", Axis::log("x"), Axis::linear("y").over(0.0, 1.0))
        .with("looks", 1, Mark::Points((1..9).map(|i| (f64::from(i), f64::from(i * i % 5) - 1.5)).collect()))
        .with("failed", 1, Mark::Missing(vec![0.5, 3.0, 20.0], End::Low));
    let many = (0..12).fold(Figure::new("Many series", Axis::linear("x"), Axis::linear("y")), |f, i| {
        f.with(
            format!("series {i}"),
            i,
            Mark::Line((0..9).map(|x| (f64::from(x), f64::from(x * (i as i32 + 1)))).collect()),
        )
    });
    vec![
        ("loss", loss.svg()),
        ("best", best.svg()),
        ("effect", effect.svg()),
        ("timeline", timeline.svg()),
        ("effects", effects.svg()),
        ("ledger", ledger.svg()),
        ("strips", strips.svg()),
        ("edges", edges.svg()),
        ("awful", awful.svg()),
        ("long-rows", long_rows.svg()),
        ("many", many.svg()),
        ("empty", Figure::new("Nothing yet", Axis::linear("step"), Axis::log("loss")).svg()),
        ("empty-bars", BarChart { rows: vec![], ..ledger.clone() }.svg()),
        ("single", line(&[(3.0, 0.5)]).svg()),
        ("constant", line(&[(0.0, 2.5), (1.0, 2.5), (2.0, 2.5)]).svg()),
        (
            "gaps",
            line(&[(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 1.5), (4.0, f64::NAN), (5.0, 1.0), (6.0, 3.0)]).svg(),
        ),
        (
            "decades",
            Figure::new("Decades", Axis::log("FLOPs"), Axis::log("loss"))
                .with(
                    "scaling",
                    0,
                    Mark::Line((0..13).map(|i| (10f64.powi(i * 2), 30.0 * 10f64.powf(-0.1 * f64::from(i)))).collect()),
                )
                .svg(),
        ),
    ]
}

/// With `NANORESEARCH_GALLERY` naming a folder, the figures are also written there, to be looked at.
#[test]
fn every_figure_is_well_formed_and_no_text_overlaps() {
    let folder = crate::sys::env::var("NANORESEARCH_GALLERY");
    for (name, svg) in gallery() {
        if let Some(folder) = &folder {
            std::fs::write(format!("{folder}/{name}.svg"), &svg).unwrap();
        }
        assert!(!check(&svg).is_empty(), "{name}");
    }
}

#[test]
fn ticks_are_round_and_enough() {
    let svg = line(&[(0.0, 0.0), (3000.0, 1.0)]).svg();
    let seen = labels(&svg);
    for expected in ["Title", "a", "x", "y", "0", "0.4", "1000", "2000", "3000", "0.2", "0.8", "1.0"] {
        assert!(seen.iter().any(|l| l == expected), "{expected} is not among {seen:?}");
    }
    let log =
        Figure::new("", Axis::log(""), Axis::log("")).with("", 0, Mark::Line(vec![(1e-5, 0.3), (1e-1, 0.45)])).svg();
    let seen = labels(&log);
    for expected in ["1e\u{2212}5", "0.001", "0.1", "0.35"] {
        assert!(seen.iter().any(|l| l == expected), "{expected} is not among {seen:?}");
    }
    let fixed = line(&[(0.0, 5.0), (1.0, 50.0)]);
    let fixed = Figure { y: Axis::linear("y").over(0.0, 10.0), ..fixed }.svg();
    assert!(labels(&fixed).iter().any(|l| l == "10") && !labels(&fixed).iter().any(|l| l == "50"));
}

/// An axis of which one value can be read says nothing of distances.
#[test]
fn a_narrow_axis_has_two_ticks_at_least() {
    let row = StripRow { points: vec![0.91, 0.98], note: "0.946 (n=8)".into(), ..StripRow::default() };
    let strips = StripChart { x: Axis::linear("y").over(0.907, 0.991), rows: vec![row], ..StripChart::default() };
    let tikz = strips.tikz(140.0);
    let ticks = tikz.matches("anchor=base,inner").count() - tikz.matches("{\\figurefont y}").count();
    assert!(ticks >= 2, "{ticks} in {tikz}");
}

#[test]
fn empty_figures_say_so() {
    let empty = |f: Figure| labels(&f.svg()).iter().any(|l| l == "no data yet");
    assert!(empty(Figure::new("t", Axis::linear("x"), Axis::linear("y"))));
    assert!(empty(line(&[])));
    assert!(empty(line(&[(f64::NAN, 1.0), (1.0, f64::INFINITY)])));
    let negative = Figure { y: Axis::log("y"), ..line(&[(0.0, -1.0), (1.0, 0.0)]) };
    assert!(empty(negative));
    assert!(!empty(line(&[(0.0, 1.0)])));
}

#[test]
fn gaps_split_lines_and_lone_points_are_dots() {
    let lines = |svg: &str| svg.matches("stroke=\"#0072B2\"").count();
    let dots = |svg: &str| svg.matches("<circle").count();
    let whole = line(&[(0.0, 1.0), (1.0, 2.0), (2.0, 1.0)]).svg();
    let gap =
        line(&[(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, 2.0), (5.0, f64::NAN), (6.0, 1.0)]).svg();
    assert_eq!((lines(&whole), dots(&whole)), (2, 0), "the curve and its legend sample");
    assert_eq!((lines(&gap), dots(&gap)), (3, 2), "two pieces, and a dot with its rim");
}

#[test]
fn labels_are_escaped() {
    let svg = Figure::new("a < b & \"c\"", Axis::linear("x\u{7}y"), Axis::linear("</text>")).svg();
    assert!(svg.contains("<title>a &lt; b &amp; \"c\"</title>"));
    assert!(labels(&svg).iter().any(|l| l == "</text>"));
    assert!(labels(&svg).iter().any(|l| l == "x y"));
}

#[test]
fn values_beyond_a_fixed_range_are_cut_off() {
    let figure = line(&[(0.0, 0.5), (1.0, 1e300), (2.0, 0.5)]);
    let svg = Figure { y: Axis::linear("y").over(0.0, 1.0), ..figure }.svg();
    check(&svg);
    let curve: Vec<&str> = svg.lines().filter(|l| l.contains("<polyline") && l.contains("#0072B2")).collect();
    assert_eq!(curve.len(), 3, "the legend's sample, the way up, the way down");
    for point in curve.iter().filter_map(|l| attribute(l, "points")).flat_map(str::split_whitespace) {
        let y: f64 = point.split(',').nth(1).and_then(|v| v.parse().ok()).expect("y");
        assert!((0.0..=320.0 * 4.0).contains(&y), "{point}");
    }
}

/// Nothing is dropped without a word: a point beyond the axis is an arrowhead in a strip at that end, what has no value a cross.
#[test]
fn points_beyond_the_axis_and_what_has_no_value_stand_in_strips() {
    let crosses = |svg: &str| svg.matches("stroke=\"#1C1C1C\" stroke-width=\"8\"").count() / 2;
    let points = Mark::Points(vec![(0.0, 5.0), (1.0, 50.0), (2.0, 6.0), (3.0, -1.0)]);
    let plain = Figure::new("", Axis::linear("x"), Axis::linear("y").over(0.0, 10.0)).with("looks", 0, points);
    let seen = labels(&plain.svg());
    for words in ["lower", "higher", "beyond the axis (2)"] {
        assert!(seen.iter().any(|l| l == words), "no {words:?} in {seen:?}");
    }
    assert_eq!(plain.svg().matches("fill=\"#0072B2\"").count(), 5, "two discs and their sample, two arrowheads");
    assert_eq!(crosses(&plain.svg()), 0);
    let failed = plain.clone().with("failed", 0, Mark::Missing(vec![1.5, 9.0], End::Low));
    assert_eq!(crosses(&failed.svg()), 3, "two, and the legend's");
    assert!(labels(&failed.svg()).iter().any(|l| l == "8"), "they stretch the other axis");
    let bare = Figure { legend: false, ..failed };
    assert!(!labels(&bare.svg()).iter().any(|l| l.contains("beyond") || l == "failed"));

    let row = StripRow { points: vec![1.0, 1.0, 2.0, 30.0], middle: Some(1.5), missing: 12, ..StripRow::default() };
    let strips = StripChart {
        x: Axis::linear("y").over(0.0, 10.0),
        names: ["looks", "median", "failed"].map(String::from),
        missing: End::High,
        rows: vec![row],
        legend: true,
        ..StripChart::default()
    };
    let seen = labels(&strips.svg());
    for words in ["beyond the axis (1)", "failed (12)", "12", "median"] {
        assert!(seen.iter().any(|l| l == words), "no {words:?} in {seen:?}");
    }
    assert_eq!(strips.svg().matches("<circle").count(), 8, "three points and the sample, each with its rim");
    let svg = strips.svg();
    let discs = svg.lines().filter(|l| l.starts_with("<circle"));
    let heights: std::collections::BTreeSet<&str> = discs.filter_map(|l| attribute(l, "cy")).collect();
    assert_eq!(heights.len(), 3, "equal values are at two heights, and the legend's sample");
    assert_eq!(strips.tikz(300.0).matches("circle[radius").count(), 8);
}

#[test]
fn a_legend_has_what_occurs_and_what_is_free_is_an_empty_frame() {
    let bar = Bar { from: 0.0, to: 2.0, series: 1, ended: Some(1), ..Bar::default() };
    let free = Bar { from: 2.0, to: 9.0, series: 2, open: true, ..Bar::default() };
    let chart = BarChart {
        x: Axis::linear("s"),
        series: ["one", "two", "three"].map(String::from).to_vec(),
        signs: ["failed", "diverged"].map(String::from).to_vec(),
        rows: vec![BarRow { bars: vec![bar, free], ..BarRow::default() }],
        ..BarChart::default()
    };
    let seen = labels(&chart.svg());
    assert!(seen.iter().any(|l| l == "two") && seen.iter().any(|l| l == "diverged"), "{seen:?}");
    assert!(!seen.iter().any(|l| ["one", "three", "failed"].contains(&l.as_str())), "{seen:?}");
    // The green of the third series is nowhere.
    assert!(!chart.svg().contains("#009E73") && chart.svg().contains("#D55E00"));
}

#[test]
fn long_curves_stay_small_and_keep_their_peaks() {
    let mut points: Vec<(f64, f64)> = (0..200_000).map(|i| (f64::from(i), (f64::from(i) * 1e-3).sin())).collect();
    points[77_777].1 = 3.0;
    let svg = line(&points).svg();
    check(&svg);
    assert!(svg.len() < 60_000, "{} bytes", svg.len());
    points[77_777].1 = (77.777f64).sin();
    assert_ne!(svg, line(&points).svg(), "the peak is seen");
}

#[test]
fn text_is_wrapped_and_cut() {
    assert_eq!(wrap("one two three", 1e9, 13.0, 2), ["one two three"]);
    assert_eq!(wrap("one two three", width("one two", 13.0) + 1.0, 13.0, 2), ["one two", "three"]);
    assert!(wrap("one two three four five", width("one two", 13.0) + 1.0, 13.0, 2)[1].ends_with('\u{2026}'));
    assert_eq!(wrap("", 100.0, 13.0, 2), Vec::<String>::new());
    assert_eq!(fit("short", 100.0, 13.0), "short");
    assert!(width(&fit(&"wide".repeat(50), 100.0, 13.0), 13.0) <= 100.0);
}

/// Numbers of every size, and what is not a number.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -1e3f64..1e3,
        2 => any::<f64>(),
        1 => Just(0.0),
        1 => Just(f64::NAN),
        1 => (1e-9f64..1e-8).prop_map(|v| 1.0 + v),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_data_break_a_figure(
        points in proptest::collection::vec((number(), number(), number(), number()), 0..12),
        log_x in any::<bool>(),
        log_y in any::<bool>(),
        range in proptest::option::of((number(), number())),
        names in proptest::collection::vec(".{0,60}", 5),
    ) {
        let xy: Vec<(f64, f64)> = points.iter().map(|p| (p.0, p.1)).collect();
        let x = Axis { label: names[0].clone(), log: log_x, range: None };
        let y = Axis { label: names[1].clone(), log: log_y, range };
        let figure = Figure::new(names[2].clone(), x.clone(), y)
            .with(names[3].clone(), 1, Mark::Line(xy.clone()))
            .with(names[4].clone(), 2, Mark::Steps(xy.clone()))
            .with("", 3, Mark::Points(xy))
            .with("band", 3, Mark::Band(points.iter().map(|p| (p.0, p.1, p.2)).collect()))
            .with("whiskers", 4, Mark::Whiskers(points.clone()))
            .with("rule", 5, Mark::Rule(points.first().map_or(f64::NAN, |p| p.3)))
            .with("failed", 6, Mark::Missing(points.iter().map(|p| p.0).collect(), End::High));
        check(&figure.svg());
        let rows = points.iter().enumerate().map(|(i, p)| BarRow {
            label: names[i % 5].clone(),
            bars: vec![Bar { from: p.0, to: p.1, series: i, open: i % 3 == 0, begun: Some(i), ended: Some(i + 1) }],
            interval: Some((p.2, p.3)),
            note: names[(i + 1) % 5].clone(),
        });
        let signs = names.clone();
        check(&BarChart { title: names[3].clone(), x: x.clone(), series: names.clone(), signs, rows: rows.collect() }.svg());
        let rows = names.iter().enumerate().map(|(i, name)| StripRow {
            label: name.clone(),
            points: points.iter().map(|p| if i % 2 == 0 { p.0 } else { p.1 }).collect(),
            middle: points.first().map(|p| p.2),
            missing: i * 37,
            note: names[(i + 1) % 5].clone(),
        });
        let strips = StripChart {
            title: names[3].clone(),
            x: Axis { range, ..x },
            names: [0, 1, 2].map(|i| names[i].clone()),
            missing: if log_x { End::High } else { End::Low },
            rule: points.first().map(|p| (names[4].clone(), 0, p.3)),
            rows: rows.collect(),
            legend: true,
            ..StripChart::default()
        };
        check(&strips.svg());
    }
}

/// Charts that stand in one row have fields of one width, whatever their labels, notes and strips are.
#[test]
fn charts_beside_each_other_have_fields_of_one_width() {
    let row = |label: &str, points: &[f64], note: &str| StripRow {
        label: label.into(),
        points: points.to_vec(),
        middle: Some(3.2),
        missing: 0,
        note: note.into(),
    };
    let chart = |rows: &[StripRow], beside: &[StripRow]| StripChart {
        x: Axis::linear("error").over(3.0, 4.0),
        missing: End::High,
        rows: rows.to_vec(),
        beside: beside.to_vec(),
        ..StripChart::default()
    };
    let short = [row("rms", &[3.1, 3.3], "3.2"), row("none", &[3.4], "3.4")];
    let long = [row("relu-squared", &[3.2, 9.0], "3.24 (n=38)"), row("gelu", &[3.3], "3.30 (n=6)")];
    // Where the left axis stands, and where points at the ends of the range do.
    let field = |chart: &StripChart| -> Vec<String> {
        let mut ends = chart.clone();
        ends.rows[1].points = vec![3.0, 4.0];
        let svg = ends.svg();
        // Each is drawn twice: its border and itself.
        let marks: Vec<&str> = svg.split("<circle ").skip(1).collect();
        marks.iter().rev().take(4).map(|l| l.split("cy=").next().unwrap_or(l).to_string()).collect()
    };
    assert_ne!(field(&chart(&short, &[])), field(&chart(&long, &[])), "they differ by themselves");
    assert_eq!(field(&chart(&short, &long)), field(&chart(&long, &short)));
}

/// For print: balanced, without titles, every label escaped for TeX, at the width that was asked for.
#[test]
fn the_same_figures_are_pictures_for_tikz() {
    let figure = line(&[(0.0, 0.0), (1.0, 2.0)]).with("50% & more_or_less", 1, Mark::Points(vec![(0.5, 1.0)]));
    let tikz = figure.tikz(220.0);
    assert!(tikz.starts_with("\\begin{tikzpicture}") && tikz.trim_end().ends_with("\\end{tikzpicture}%"));
    assert!(!tikz.contains("Title") && tikz.contains("50\\% \\& more\\_or\\_less"), "{tikz}");
    let right = tikz.lines().find_map(|l| l.strip_prefix("\\useasboundingbox (0,0) rectangle (")).unwrap();
    let units: f64 = right.split(',').next().unwrap().parse().unwrap();
    assert!((units / 4.0 * FONT / TEXT - 220.0).abs() < 0.2, "{units}");
    let inside = |p: &str| p.split(',').all(|n| n.parse::<i32>().is_ok_and(|n| (-8..=2000).contains(&n)));
    for piece in tikz.lines().filter(|l| l.starts_with("\\draw")).flat_map(|l| l.split('(').skip(1)) {
        assert!(inside(piece.split(')').next().unwrap()), "{piece}");
    }
    assert_eq!(tikz.matches('{').count(), tikz.matches('}').count());
}
