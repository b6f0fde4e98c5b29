//! Real output of SLURM 22.05.8 replayed, scripts as they are, and readers that take anything.
#![allow(clippy::disallowed_methods)]

use super::*;
use crate::config::{Site, parse_site};
use crate::ids::{AttemptId, RunId};
use proptest::prelude::*;
use std::path::Path;

fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/slurm/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

const FIXTURES: [&str; 6] =
    ["squeue.txt", "sacct.txt", "sacct_own.txt", "sinfo.txt", "scontrol_partition.txt", "scontrol_config.txt"];

#[test]
fn the_queue_is_read() {
    let listing = squeue::parse(&fixture("squeue.txt"));
    assert!(listing.whole());
    let seen: Vec<_> =
        listing.rows.iter().map(|r| (r.id, r.name.as_str(), r.state.phase(), r.reason.waiting())).collect();
    assert_eq!(
        seen,
        [
            (190, "nr-a-run", Phase::Ended, Waiting::Turn),
            (194, "nr-a-left", Phase::Ended, Waiting::Never),
            (191, "nr-a-held", Phase::Waiting, Waiting::Held),
            (192, "nr-a-to", Phase::Ended, Waiting::Never),
            (193, "nr-a-never", Phase::Waiting, Waiting::Never),
            (195, "nr-b-urgent", Phase::Ended, Waiting::Turn),
        ]
    );
    let row = &listing.rows[0];
    assert_eq!((row.nodes.as_str(), row.end.unwrap() - row.start.unwrap()), ("n1", 40));
    assert_eq!(listing.rows[2].start, None);
    // One was preempted, and left within its grace.
    let preempted: Vec<u64> = listing.rows.iter().filter(|row| row.preempted.is_some()).map(|row| row.id).collect();
    assert_eq!(preempted, [194]);
    // A name may hold the separator; somebody else's job does not damage the answer.
    let row = &squeue::parse("7|RUNNING|N/A|N/A|N/A|gpu|n1|None|N/A|a|b\n").rows[0];
    assert_eq!(row.name, "a|b");
}

#[test]
fn a_cut_answer_is_partial() {
    let text = fixture("squeue.txt");
    for cut in 1..text.len() {
        let listing = squeue::parse(&text[..cut]);
        let ended = text[..cut].ends_with('\n');
        assert_eq!(listing.whole(), ended, "cut at {cut}");
        assert_eq!(listing.rows.len(), text[..cut].matches('\n').count());
    }
}

#[test]
fn accounts_say_how_jobs_ended() {
    let listing = sacct::parse(&fixture("sacct_own.txt"));
    assert!(listing.whole());
    let accounts = sacct::accounts(&listing.rows);
    let found = |name: &str| {
        let account = accounts.iter().find(|a| a.job.name == name).unwrap_or_else(|| panic!("{name}"));
        let exit = account.exit().unwrap();
        (account.job.state.clone(), exit.code, exit.signal, account.job.elapsed_seconds)
    };
    assert_eq!(found("nr-a-ok"), (State::Completed, 0, 0, 2));
    assert_eq!(found("nr-a-f3"), (State::Failed, 3, 0, 0));
    assert_eq!(found("nr-a-75"), (State::Failed, 75, 0, 0));
    assert_eq!(found("nr-a-usr"), (State::Failed, 75, 0, 4), "SIGUSR2 by `scancel --batch` reached it");
    assert_eq!(found("nr-a-k9"), (State::Failed, 0, 9, 0));
    assert_eq!(found("nr-a-53"), (State::Failed, 0, 53, 0));
    // The batch step says by which signal, and it lasted longer than the job's own record says.
    assert_eq!(found("nr-a-canc"), (State::Cancelled { by: Some(0) }, 0, 15, 3));
    assert_eq!(found("nr-a-deaf"), (State::Cancelled { by: Some(0) }, 0, 9, 3));
    assert_eq!(found("nr-a-to").0, State::Timeout);
    let given = &accounts.iter().find(|a| a.job.name == "nr-a-ok").unwrap().job.given;
    assert_eq!((given.gpus, given.cpus), (1, 1));
}

#[test]
fn every_record_of_the_reference_cluster_is_understood() {
    let listing = sacct::parse(&fixture("sacct.txt"));
    assert!(listing.whole());
    let accounts = sacct::accounts(&listing.rows);
    let steps: usize = accounts.iter().map(|a| a.steps.len()).sum();
    assert_eq!(accounts.len() + steps, listing.rows.len(), "no step is without its job");
    for row in &listing.rows {
        assert!(!matches!(row.state, State::Unknown(_)), "{row:?}");
    }
    let named = |name: &str| accounts.iter().find(|a| a.job.name == name).unwrap();
    assert!(named("oomcg").is_out_of_memory());
    assert!(named("oomcgsrun").is_out_of_memory(), "COMPLETED by its own word, out of memory by its step's");
    assert!(!named("ok").is_out_of_memory() && !named("oom").is_out_of_memory());
    assert!(named("nolog").exit().unwrap().is_launch_failure());
    assert!(!named("dbd").lacks_code() && !named("dbd").lacks_end(), "after the outage was over");
    // A requeued job has several executions, and what was preempted is seen only there.
    let requeued: Vec<_> = accounts.iter().filter(|a| a.job.state == State::Preempted).collect();
    assert!(requeued.len() >= 5);
}

#[test]
fn a_failure_without_a_code_is_not_settled_yet() {
    let row = |exit: &str, state: &str| {
        format!("5|{state}|{exit}|0:0|N/A|2026-11-26T14:49:22|2026-11-26T14:49:25|3|cpu=1|n1|x\n")
    };
    let settling = |text: &str| sacct::accounts(&sacct::parse(text).rows)[0].lacks_code();
    let counting = |text: &str| sacct::accounts(&sacct::parse(text).rows)[0].lacks_end();
    assert!(settling(&row("0:0", "FAILED")));
    assert!(
        !settling(&row("3:0", "FAILED")) && !settling(&row("0:0", "COMPLETED")) && !settling(&row("0:0", "TIMEOUT"))
    );
    // Its end has not come through, so its seconds are not its last.
    let endless = row("0:0", "COMPLETED").replace("2026-11-26T14:49:25", "Unknown");
    assert!(counting(&endless) && !counting(&row("0:0", "COMPLETED")));
    assert!(!counting(&endless.replace("COMPLETED", "RUNNING")));
}

#[test]
fn submissions_are_refused_for_good_for_now_or_lost() {
    use sbatch::Submission as S;
    assert_eq!(sbatch::parse(Some(0), "123\n", ""), S::Accepted(123));
    assert_eq!(sbatch::parse(Some(0), "123;north\n", ""), S::Accepted(123));
    // rc 0 with something else, half a line included, is no id and no refusal.
    for text in ["", "12", "-1\n", "0\n", "Submitted batch job 5\n", "99999999999999999999\n"] {
        assert!(matches!(sbatch::parse(Some(0), text, ""), S::Lost(_)), "{text:?}");
    }
    // A site's mistake meets every job; what one attempt asks for is its own.
    let said = |line: &str| match sbatch::parse(Some(1), "", line) {
        S::Refused(why) => sbatch::meets_every_job(&why),
        other => panic!("{line}: {other:?}"),
    };
    for what in ["Invalid feature specification", "Invalid qos specification", "Invalid license specification"] {
        assert!(said(&format!("sbatch: error: Batch job submission failed: {what}\n")), "{what}");
    }
    assert!(!said("sbatch: error: Batch job submission failed: Requested node configuration is not available\n"));
    assert!(sbatch::meets_every_job("it never starts: AccountNotAllowed"));
    assert!(!sbatch::meets_every_job("it never starts: PartitionTimeLimit"));
    // As 22.05.8 said them.
    let refused = [
        "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid partition name specified\n",
        "sbatch: error: Invalid --time specification\n",
        "sbatch: error: Memory specification can not be satisfied\nsbatch: error: Batch job submission failed: Requested node configuration is not available\n",
        "sbatch: error: Batch job submission failed: Requested node configuration is not available\n",
    ];
    for text in refused {
        assert!(matches!(sbatch::parse(Some(1), "", text), S::Refused(_)), "{text}");
    }
    let later = "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy\n";
    assert!(matches!(sbatch::parse(Some(1), "", later), S::Later(_)));
    let lost = [
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n",
        "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n",
        "sbatch: error: something new\n",
        "",
    ];
    for text in lost {
        assert!(matches!(sbatch::parse(Some(1), "", text), S::Lost(_)), "{text}");
    }
    assert!(matches!(sbatch::parse(None, "12\n", ""), S::Lost(_)), "killed while it spoke");
}

#[test]
fn free_gpus_are_counted_by_partition() {
    let listing = sinfo::parse(&fixture("sinfo.txt"));
    assert!(listing.whole());
    let free = sinfo::free_gpus(&listing.rows);
    let h100 = |partition: &str| free.get(&(partition.to_string(), "h100".to_string())).copied();
    assert_eq!((h100("gpu"), h100("low"), h100("cpu")), (Some(6), Some(6), None));
    let own = sinfo::parse(&fixture("sinfo_own.txt"));
    assert!(own.whole() && own.rows.iter().all(|r| r.usable() && r.free()["h200"] == 2));
    for state in ["down", "idle*", "drained", "mixed-", "planned", "new"] {
        let row = sinfo::parse(&format!("n1 gpu {state} gpu:a:4 gpu:a:0\n")).rows.remove(0);
        assert!(!row.usable(), "{state}");
    }
}

#[test]
fn partitions_and_settings_are_read() {
    let partitions = scontrol::parse_partitions(&fixture("scontrol_partition.txt"));
    let names: Vec<&str> = partitions.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["gpu", "low", "lowcancel", "cpu"]);
    assert_eq!(
        (partitions[0].max_time, partitions[0].up, partitions[0].total.gpus),
        (Some(Limit::Seconds(3600)), true, 8)
    );
    let config = scontrol::parse_config(&fixture("scontrol_config.txt"));
    assert!(scontrol::seconds(&config, "KillWait").is_some() && scontrol::seconds(&config, "MinJobAge").is_some());
    assert_eq!(config["AccountingStorageType"], "accounting_storage/slurmdbd");
}

/// On a GPU where the site has some.
fn need(site: &Site, seconds: f64, cpus: u32, memory_mib: u64) -> Need {
    Need { seconds, cpus, memory_mib, gpu: site.gpus > 0, ..Need::default() }
}

/// Every option of every script is as it was reviewed. Written anew where UPDATE_GOLDEN is set.
fn golden(name: &str, site: &str, request: impl Fn(&mut Request), environment: &[(String, String)]) -> String {
    let site: Site = parse_site(site, name, &[]).unwrap();
    let mut job_request = Request::on(&site, &need(&site, 3700.0, 2, 1500)).unwrap();
    request(&mut job_request);
    let id = AttemptId { run: RunId(7), number: 2 };
    let job = Job {
        site: &site,
        request: &job_request,
        id,
        name: &job_name(id, "0123456789ab"),
        program: Path::new("/home/alice/my study/bin/nanoresearch-4f1c"),
        campaign: Path::new("/home/alice/my study"),
        folder: Path::new("/home/alice/my study/runs/0007/attempts/02"),
        log: Path::new("/home/alice/my study/runs/0007/attempts/02/worker.log"),
        environment,
    };
    let script = render(&job).unwrap();
    compare_golden(name, &script);
    script
}

fn compare_golden(name: &str, script: &str) {
    let path = format!("{}/src/slurm/golden/{name}.sbatch", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, script).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == script, "the script {name} has changed (UPDATE_GOLDEN=1 writes it):\n{script}");
}

const PLAIN: &str = "name = \"plain\"\ngpus = 0\n[[partitions]]\nname = \"cpu\"\n";

const RICH: &str = r#"
name = "rich"
account = "lab"
qos = "normal"
cpus = 8
memory_mib = 4096
constraint = "a100&nvme"
options = ["--licenses=scratch:1"]
modules = ["gcc/13", "cuda/12.4"]
environment = ["export OMP_PROC_BIND=close"]
scratch = "/scratch/$USER/$SLURM_JOB_ID"
gpu_request = "gpus"
warning_seconds = 300
[[partitions]]
name = "quick"
gpu_types = ["a100"]
max_hours = 1.0
[[partitions]]
name = "gpu"
gpu_types = ["h100", "a100"]
qos = "long"
[container]
image = "/images/nanoresearch.sif"
read_only = ["/data/sets"]
"#;

#[test]
fn a_plain_script() {
    let script = golden("plain", PLAIN, |_| {}, &[]);
    assert!(!script.contains("gres") && script.ends_with(
        "exec '/home/alice/my study/bin/nanoresearch-4f1c' worker --attempt '/home/alice/my study/runs/0007/attempts/02'\n"
    ));
}

#[test]
fn a_script_with_everything() {
    let environment =
        [("OMP_NUM_THREADS".to_string(), "2".to_string()), ("WORDS".to_string(), "it's $HOME".to_string())];
    let exclude = |r: &mut Request| r.exclude = vec!["n2".into(), "n1".into()];
    let script = golden("rich", RICH, exclude, &environment);
    for needed in
        ["--gpus=h100:1", "--qos=long", "--mem=4096M", "--cpus-per-task=8", "--exclude=n1,n2", "--signal=B:USR2@300"]
    {
        assert!(script.contains(needed), "{needed}");
    }
    assert!(script.contains("export WORDS='it'\\''s $HOME'\n"));
}

/// A job on a GPU asks for it in the site's form, and leaves the choice of the card and its number to SLURM.
#[test]
fn a_script_for_a_gpu() {
    let script = golden("gpu", GPU, |r| r.exclude = vec!["gpu-3".into()], &[]);
    assert!(script.contains("#SBATCH --gres=gpu:h100:1\n#SBATCH --mem=1500M\n"), "{script}");
    assert!(script.contains("#SBATCH --exclude=gpu-3\n") && !script.contains("CUDA_VISIBLE_DEVICES"));
    let site: Site = parse_site(GPU, "gpu", &[]).unwrap();
    let ask = |change: &dyn Fn(&mut Need)| {
        let mut wanted = need(&site, 60.0, 1, 0);
        change(&mut wanted);
        Request::on(&site, &wanted)
    };
    let asked = |change: &dyn Fn(&mut Need)| {
        let request = ask(change).unwrap();
        (request.partition, request.gpu_type, request.gpus)
    };
    assert_eq!(asked(&|_| {}), ("gpu".into(), Some("h100".into()), 1));
    assert_eq!(asked(&|n| n.gpu = false), ("gpu".into(), None, 0));
    assert_eq!(asked(&|n| n.device_memory_mib = 90_000), ("large".into(), Some("h200".into()), 1));
    let none = ask(&|n| n.device_memory_mib = 200_000).unwrap_err();
    assert!(none.what.contains("200000 MiB") && none.remedy.is_some(), "{none}");
    let bare: Site = parse_site(PLAIN, "plain", &[]).unwrap();
    let problem = Request::on(&bare, &Need { gpu: true, seconds: 60.0, ..Need::default() }).unwrap_err();
    assert!(problem.what.contains("site plain gives none"), "{problem}");
}

const GPU: &str = r#"
name = "gpu"
cpus = 8
[[partitions]]
name = "gpu"
gpu_types = ["h100"]
[[partitions]]
name = "large"
gpu_types = ["h100", "h200"]
[device_memory_mib]
h100 = 81559
h200 = 143771
"#;

/// The controller's own job: small, never requeued, told ahead of its limit, and no longer than its partition allows.
#[test]
fn a_script_for_a_controller() {
    let text = format!("{RICH}[controller]\npartition = \"quick\"\nmemory_mib = 512\n");
    let site: Site = parse_site(&text, "rich", &[]).unwrap();
    let (program, folder) =
        (Path::new("/home/alice/my study/bin/nanoresearch-4f1c"), Path::new("/home/alice/my study"));
    let job = ControllerJob {
        site: &site,
        name: "nr-controller-0123456789ab",
        program,
        folder,
        log: &folder.join("controller.log"),
    };
    let script = render_controller(&job).unwrap();
    compare_golden("controller", &script);
    assert!(script.contains("--time=01:00:00\n") && script.contains("--signal=B:USR2@120\n"), "{script}");
    assert!(script.ends_with("resume '/home/alice/my study' --inside-job\n"));
}

/// In a container nothing of the campaign can be written but the attempt's folder, and there is no home.
#[test]
fn a_container_shows_read_only_all_but_the_attempt_s_folder() {
    let site: Site = parse_site(RICH, "rich", &[]).unwrap();
    let script = golden("rich-bare", RICH, |_| {}, &[]);
    let line = script.lines().find(|l| l.starts_with("exec apptainer")).unwrap();
    let binds: Vec<&str> = line.split("--bind ").skip(1).collect();
    let writable: Vec<&&str> = binds.iter().filter(|b| b.contains(":rw")).collect();
    assert_eq!((binds.len(), writable.len()), (4, 2), "{line}");
    assert!(
        writable[0].contains("runs/0007/attempts/02:rw") && binds.iter().nth_back(1) == Some(writable[0]),
        "{line}"
    );
    assert!(
        line.ends_with("--bind \"$TMPDIR:$TMPDIR:rw\" /images/nanoresearch.sif \\"),
        "its scratch is there: {line}"
    );
    assert!(line.contains(" --contain --no-home ") && !line.contains("$HOME"), "{line}");
    assert!(site.container.unwrap().read_only.iter().all(|p| line.contains(&format!("{p}:{p}:ro"))));
}

#[test]
fn the_scheduler_s_expectation_is_read() {
    let said = "sbatch: Job 1 to start at 2026-11-26T09:24:28 using 1 processors on nodes n1 in partition gpu\n";
    assert_eq!(sbatch::parse_test(Some(0), said), Ok(Some("2026-11-26T09:24:28".to_string())));
    assert_eq!(sbatch::parse_test(Some(0), ""), Ok(None));
    let refused = sbatch::parse_test(Some(1), "allocation failure: Requested node configuration is not available\n");
    assert_eq!(refused, Err("Requested node configuration is not available".to_string()));
    assert!(sbatch::parse_test(None, "").is_err());
    assert_eq!(squeue::parse_waiting("gpu|1\ngpu,low|2\n\n"), [("gpu".to_string(), 2), ("low".to_string(), 1)].into());
}

#[test]
fn every_script_keeps_the_protocol() {
    for site in [PLAIN, RICH] {
        let script = golden(if site == PLAIN { "plain" } else { "rich-bare" }, site, |_| {}, &[]);
        let options: Vec<&str> = script.lines().filter_map(|l| l.strip_prefix("#SBATCH ")).collect();
        let count = |start: &str| options.iter().filter(|o| o.starts_with(start)).count();
        for once in [
            "--no-requeue",
            "--signal=B:USR2@",
            "--job-name=nr-0007-02-",
            "--comment=",
            "--time=",
            "--output=",
            "--nodes=1",
        ] {
            assert_eq!(count(once), 1, "{once}");
        }
        assert_eq!(script.lines().rev().find(|l| !l.starts_with(' ')).map(|l| l.starts_with("exec ")), Some(true));
        assert_eq!(script.matches("_API_KEY").count(), 2, "named only to be unset");
    }
}

#[test]
fn the_first_partition_that_allows_the_time_is_asked() {
    let site = parse_site(RICH, "x", &[]).unwrap();
    assert_eq!(Request::on(&site, &need(&site, 3600.0, 1, 0)).unwrap().partition, "quick");
    assert_eq!(Request::on(&site, &need(&site, 3601.0, 1, 0)).unwrap().partition, "gpu");
    let short = parse_site(&format!("{PLAIN}max_hours = 0.5\n"), "x", &[]).unwrap();
    let problem = Request::on(&short, &need(&short, 3600.0, 1, 0)).unwrap_err();
    assert!(problem.what.contains("0.5 h") && problem.remedy.is_some(), "{problem}");
}

#[test]
fn paths_that_mean_something_else_to_slurm_are_refused() {
    for bad in ["relative/x", "/a\nb", "/a\"b", "/a'b", "/a\\b"] {
        assert!(shell::path(Path::new(bad)).is_err(), "{bad}");
    }
    assert_eq!(shell::log_path(Path::new("/a/50%/x")).unwrap(), "/a/50%%/x");
}

fn read_everything(text: &str) {
    let queue = squeue::parse(text);
    for row in &queue.rows {
        let _ = (row.state.to_string(), row.state.phase(), row.reason.waiting(), expand_nodes(&row.nodes));
    }
    let accounts = sacct::accounts(&sacct::parse(text).rows);
    for account in &accounts {
        let _ = (account.exit(), account.is_out_of_memory(), account.lacks_code(), account.lacks_end());
    }
    let _ = sinfo::free_gpus(&sinfo::parse(text).rows);
    let _ = (scontrol::parse_config(text), scontrol::parse_partitions(text));
    for code in [None, Some(0), Some(1)] {
        let _ = sbatch::parse(code, text, text);
    }
    let _ = (parse_time(text), parse_duration(text), Limit::parse(text), Tres::parse(text), ExitStatus::parse(text));
    let _ = (parse_memory(text), expand_nodes(text), State::parse(text).phase(), Reason::parse(text).waiting());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn readers_take_any_text(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_everything(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn readers_take_damaged_answers(
        which in 0usize..6, edits in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..9, "[|:=,.()+0-9A-Z\n-]{0,4}"), 1..6),
    ) {
        let mut text: Vec<char> = fixture(FIXTURES[which]).chars().take(6000).collect();
        for (at, cut, put) in edits {
            let at = at.index(text.len().max(1));
            let end = (at + cut).min(text.len());
            text.splice(at..end, put.chars());
        }
        read_everything(&text.into_iter().collect::<String>());
    }

    /// Words made of what SLURM's values are made of.
    #[test]
    fn readers_take_near_words(text in "[0-9a-zKMGTP:|=,.()\\[\\]%+-]{0,40}") {
        read_everything(&text);
        read_everything(&format!("{text}\n"));
    }

    /// What is quoted for a shell is read back as it was.
    #[test]
    fn quoting_is_exact(text in "[a-z $`'\"\\\\!*#~;&|<>()\n]{0,20}") {
        let quoted = crate::sys::shell::word(&text);
        let output = std::process::Command::new("/bin/sh").arg("-c").arg(format!("printf %s {quoted}")).output().unwrap();
        prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
    }
}
