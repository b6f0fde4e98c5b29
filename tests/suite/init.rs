//! `init`: what it writes can be run as it stands, and what is wrong is refused before anything is written.

use super::bad_input::kit::{Lab, Says};

#[test]
fn what_init_writes_is_a_campaign_that_runs() {
    let lab = Lab::new();
    lab.write("t.csv", (0..60).fold("x,note,y\n".to_string(), |t, i| t + &format!("{i},n{i},{}\n", i % 2)));
    let said = lab.done("init study");
    assert!(said.stdout.contains("nanoresearch run study/campaign.toml"), "{}", said.stdout);
    assert!(said.stdout.contains("worst case") && said.stdout.contains("nothing was run"), "{}", said.stdout);
    lab.done("check study/campaign.toml");
    let said = lab.done("init mine --data t.csv --target y");
    let about = "written    mine/campaign.toml for t.csv: 60 rows, y, one of 2 classes, predicted from 1 column(s) of numbers; left out: \
                 note\n           model, space and budget are those of the template csv-regression\n";
    assert!(said.stdout.contains(about) && !said.stdout.contains("pendulum"), "{}", said.stdout);
    assert!(!said.stderr.contains("no run can have"), "a small table gets batches that it can fill: {}", said.stderr);
    let text = std::fs::read_to_string(lab.at("mine/campaign.toml")).unwrap();
    assert!(text.contains("path = \"../t.csv\"") && text.contains("ignore = [\"note\"]"), "{text}");
    assert!(!text.contains("pendulum"), "{text}");
    lab.done("run mine/campaign.toml --smoke");
}

#[test]
fn what_is_wrong_is_refused_before_anything_is_written() {
    let lab = Lab::new();
    lab.write("t.csv", "x,y\n1,2\n");
    lab.write("there/campaign.toml", "name = \"mine\"\n");
    lab.refuses_all(&[
        ("init there", 2, Says::All(&["a campaign here already", "nothing was changed"])),
        ("init new --template quantum", 2, Says::All(&["no template \"quantum\"", "digits-mlp"])),
        ("init new --data t.csv", 2, Says::All(&["which column", "--target with one of x, y"])),
        ("init new --data t.csv --target z", 2, Says::All(&["no column \"z\"", "use one of x, y"])),
        ("init new --data gone.csv --target z", 2, Says::All(&["no such file"])),
        ("init new --data t.csv --target y --template gpt", 2, Says::All(&["has no place for these data"])),
    ]);
}
