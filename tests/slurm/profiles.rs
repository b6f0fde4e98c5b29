//! What jobs measure for a controller that plans from elsewhere, on a real SLURM.

use super::bed::{self, Bed};

const SITE: &str = r#"
name = "testbed"
gpus = 0
poll_seconds = 1.0
kill_margin_seconds = 35.0
[[partitions]]
name = "gpu"
[[partitions]]
name = "urgent"
"#;

const CAMPAIGN: &str = r#"
name = "profiles"
question = "How fast is it there?"
objective.metric = "loss"
budget.device_hours = 100.0
planner = { kind = "random", candidates = 1 }
execution.site = "site.toml"
[space]
"optimizer.learning_rate" = { type = "log-float", low = 1e-5, high = 1e-2 }
[baseline]
data.kind = "digits"
model = { kind = "mlp", widths = [32] }
optimizer = { kind = "adamw", learning_rate = 1e-3 }
training = { batch_size = 64, budget = { steps = 300 } }
resources.threads = 1
"#;

#[test]
fn a_job_measures_the_site_for_a_controller_elsewhere() {
    let Some(bed) = Bed::find("a_job_measures_the_site_for_a_controller_elsewhere") else { return };
    bed.clear();
    let field = bed::field(CAMPAIGN, SITE);
    let cache = field.folder().with_file_name("cache");
    let cache = cache.to_str().unwrap();
    let say = |arguments: &[&str]| {
        let said = field.say_in(arguments, &[("XDG_CACHE_HOME", cache)]);
        assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.stdout, said.stderr);
        (said.stdout, said.stderr)
    };
    let planned = |stderr: &str| stderr.contains("times are what a job measured in partition gpu of site testbed");
    let (_, before) = say(&["run", "campaign.toml", "--dry-run"]);
    assert!(!planned(&before), "{before}");
    let (stdout, stderr) = say(&["bench", "site", "campaign.toml"]);
    println!("{stderr}{stdout}");
    assert!(stderr.contains("measures it") && stdout.contains("partition gpu: measured ("), "{stderr}{stdout}");
    assert!(stdout.contains("the baseline is expected to take "), "{stdout}");
    assert!(!stdout.contains("urgent"), "one place of a kind is enough: {stdout}");
    let (plan, after) = say(&["run", "campaign.toml", "--dry-run"]);
    assert!(planned(&after), "{after}");
    // It is what is planned with: a machine a thousand times slower is seen in the plan.
    let profiles = std::path::Path::new(cache).join("nanoresearch/profiles");
    let kept: Vec<_> = std::fs::read_dir(&profiles).unwrap().flatten().map(|e| e.path()).collect();
    let kept: Vec<_> = kept.iter().filter(|p| p.to_str().unwrap().contains("site-testbed-")).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let mut profile: serde_json::Value = serde_json::from_slice(&std::fs::read(kept[0]).unwrap()).unwrap();
    profile["machine"]["startup_seconds"] = serde_json::json!(5000.0);
    std::fs::write(kept[0], profile.to_string()).unwrap();
    let (slower, _) = say(&["run", "campaign.toml", "--dry-run"]);
    assert!(slower.contains("about 83.3 min a run") && !plan.contains(" min a run"), "{plan}{slower}");
    assert_eq!(bed.left(), "", "jobs are left");
}
