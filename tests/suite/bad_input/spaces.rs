//! Search spaces that hold what no run could train, said before anything is spent.

use super::kit::{CAMPAIGN, Lab, Says};
use Says::{All, Exactly};

/// A lab with `NAME.toml`, the kit's campaign with another space.
fn with_spaces(spaces: &[(&str, &str)]) -> Lab {
    let lab = Lab::new();
    let (head, _) = CAMPAIGN.split_once("[space]\n").unwrap();
    for (name, space) in spaces {
        lab.write(&format!("{name}.toml"), format!("{head}[space]\n{space}\n"));
    }
    lab
}

const WIDE: &str = "\"training.batch_size\" = { type = \"int\", low = 8, high = 4096, log = true }";

#[test]
fn an_end_that_no_run_can_have_is_warned_of_with_its_line() {
    let lab = with_spaces(&[
        ("wide", WIDE),
        ("choice", "\"training.batch_size\" = { type = \"choice\", values = [16, 9999] }"),
        ("fine", "\"training.batch_size\" = { type = \"int\", low = 8, high = 64 }"),
    ]);
    let warning = "warning: wide.toml:12: no run can have training.batch_size = 4096, its high: batch size 4096 is not \
                   between 1 and the 1438 training samples\n  set high = 1438, which can be run: proposals beyond are rejected\n";
    for line in ["check wide.toml", "run wide.toml --dry-run", "run wide.toml --out camp"] {
        let said = lab.done(line).stderr;
        assert_eq!(said.matches(warning).count(), 1, "{line}: {said}");
    }
    let json: serde_json::Value = serde_json::from_str(&lab.done("check wide.toml --format json").stdout).unwrap();
    assert_eq!(json["campaign"]["warnings"].as_array().unwrap().len(), 1, "{json}");
    let said = lab.done("check choice.toml").stderr;
    assert!(said.contains("choice.toml:12: no run can have training.batch_size = 9999: batch size 9999"), "{said}");
    assert!(said.contains("\n  take 9999 out of its values"), "{said}");
    assert!(!lab.done("check fine.toml").stderr.contains("no run can have"));
}

#[test]
fn a_parameter_without_a_possible_value_is_refused_before_anything_is_written() {
    let lab = with_spaces(&[
        ("none", "\"training.batch_size\" = { type = \"int\", low = 2000, high = 9000 }"),
        (
            "never",
            "\"training.batch_size\" = { type = \"int\", low = 8, high = 64 }\n\"optimizer.beta1\" = { type = \"float\", low \
             = 0.1, high = 0.9 }\n[[constraints]]\nleft = \"training.batch_size\"\nrelation = \"multiple-of\"\nright = 57\n\
             [[constraints]]\nleft = \"training.batch_size\"\nrelation = \"at-most\"\nright = 50",
        ),
    ]);
    let none = "none.toml:12: no value of training.batch_size in the space can be run; with 2000: batch size 2000 is not between \
                1 and the 1438 training samples\n  change its low and high, or take it out of [space]";
    lab.done("check experiment.toml");
    for line in ["check none.toml", "run none.toml --dry-run", "run none.toml --out camp"] {
        lab.refuses(&(line, 2, Exactly(none)));
    }
    for line in ["check never.toml", "run never.toml --dry-run", "run never.toml --out camp"] {
        let what = &[
            "never.toml:11: no candidate can be proposed: none of ",
            "keeps the constraints\n  loosen a [[constraints]]",
        ];
        lab.refuses(&(line, 2, All(what)));
    }
}

/// What is left out for its memory is known only with prices; the plan is shown, and the reason is the error.
#[test]
fn a_dry_run_without_any_proposal_says_why() {
    let lab =
        with_spaces(&[("large", "\"model.widths\" = { type = \"choice\", values = [[4096, 4096], [4096, 4000]] }")]);
    let answer = lab.run("run large.toml --dry-run baseline.resources.memory_mib=150");
    assert_eq!(answer.code, 2, "{answer:?}");
    let says = [
        "large.toml:11: no candidate can be proposed; points left out: ",
        " that need more memory than there is\n  change",
    ];
    assert!(says.iter().all(|part| answer.stderr.contains(part)), "{answer:?}");
    assert!(answer.stdout.contains("worst case") && !answer.stdout.contains("nothing was run"), "{answer:?}");
}

#[test]
fn rejections_for_one_reason_are_one_line() {
    // One value in ten thousand can be run.
    let lab = with_spaces(&[("rare", "\"training.batch_size\" = { type = \"int\", low = 1400, high = 900000 }")]);
    let answer = lab.done("run rare.toml --out camp");
    assert_eq!(answer.stderr.matches(" rejected: batch size").count(), 1, "{}", answer.stderr);
    assert!(answer.stderr.contains("  99 more proposals rejected for such reasons\n"), "{}", answer.stderr);
    let words = "100 proposals were rejected, all like the first: batch size ";
    assert!(answer.stdout.contains(&format!("No candidate was tried ({words}")), "{}", answer.stdout);
    assert_eq!(answer.stdout.matches(words).count(), 1, "{}", answer.stdout);
    let status = lab.done("status --in camp").stdout;
    assert!(status.contains(&format!("\nrejected  {words}")), "{status}");
    let json: serde_json::Value = serde_json::from_str(&lab.done("status --in camp --format json").stdout).unwrap();
    assert_eq!((json["rejected"][0]["count"].as_u64(), json["rejected"].as_array().unwrap().len()), (Some(100), 1));
    let report = std::fs::read_to_string(lab.at("camp/report.html")).unwrap();
    assert!(report.contains(&format!("<p>{words}")), "the report says it once, outside the list of decisions");
}

#[test]
fn check_says_what_the_whole_campaign_takes() {
    let lab = Lab::new();
    let said = lab.done("check campaign.toml").stdout;
    for part in [
        "\nthe whole campaign:\nbaseline   2 runs, about ",
        "\ncandidate  about ",
        "; confirming one takes 2 runs more\nbudget     72.0 device-s buys about 2 candidates, limited by planner.candidates: with the \
         baseline and 1 finalist confirmed about ",
        "\nworst case ",
    ] {
        assert!(said.contains(part), "{part:?}: {said}");
    }
    let json: serde_json::Value = serde_json::from_str(&lab.done("check campaign.toml --format json").stdout).unwrap();
    let outlook = &json["campaign"]["outlook"];
    let hours = |key: &str| outlook[key].as_f64().unwrap();
    assert!(hours("device_hours") > hours("baseline_device_hours") && hours("baseline_device_hours") > 0.0, "{json}");
    assert!(json["parameters"].as_u64().unwrap() > 0);
    let small = lab.done("check campaign.toml budget.device_hours=0.0001");
    assert!(small.stderr.contains("warning: it would end at once: Nothing was run: the baseline"), "{small:?}");
}
