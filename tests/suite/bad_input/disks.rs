//! Places that cannot be written to, or not enough.

use super::kit::Lab;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small filesystem of its own, unmounted when dropped.
struct Mount(PathBuf);

impl Mount {
    /// `None`, with the reason printed, where this process may not mount.
    fn new(at: PathBuf, options: &str) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Mount(at)),
            Ok(output) => {
                println!("skipped: mounting is not permitted ({})", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                println!("skipped: there is no mount ({error})");
                None
            }
        }
    }

    fn resize(&self, size: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,size={size}")]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A folder that this process cannot write to: by its permissions, or for root by a read-only filesystem.
fn read_only(at: PathBuf) -> Option<Option<Mount>> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(&at).unwrap();
    std::fs::set_permissions(&at, PermissionsExt::from_mode(0o555)).unwrap();
    if std::fs::write(at.join("probe"), "").is_err() {
        return Some(None);
    }
    std::fs::remove_file(at.join("probe")).unwrap();
    Mount::new(at, "ro,size=100k").map(Some)
}

#[test]
fn a_full_disk_stops_a_run_that_goes_on_once_there_is_space() {
    let lab = Lab::new();
    lab.done("train experiment.toml --out whole");
    let Some(disk) = Mount::new(lab.at("disk"), "size=40k") else { return };
    let answer = lab.run("train experiment.toml --out disk/run");
    assert_eq!(answer.code, 1, "{answer:?}");
    let paragraph = &answer.stderr[answer.stderr.find("error: ").unwrap()..];
    assert_eq!(
        paragraph,
        "error: disk/run/checkpoints/.step-00000010.tmp/state.safetensors: cannot write the file: no space left on \
         device\n  free some space on that filesystem and go on from there: nothing recorded was lost\n  go on with \
         `nanoresearch train experiment.toml --out disk/run --resume`\n"
    );
    assert!(lab.at("disk/run/checkpoints/step-00000005/checkpoint.json").exists());
    disk.resize("1m");
    let said = lab.done("train experiment.toml --out disk/run --resume").stderr;
    assert!(said.contains("resumed at step 5 from disk/run/checkpoints/step-00000005"), "{said}");
    let model = |run: &str| std::fs::read(lab.at(run).join("model.safetensors")).unwrap();
    assert!(model("disk/run") == model("whole"), "the same weights as on a disk with space");
}

#[test]
fn a_disk_full_from_the_start_leaves_nothing_in_the_way() {
    let lab = Lab::new();
    let Some(disk) = Mount::new(lab.at("disk"), "size=4k") else { return };
    let fill = |name: &str| std::fs::write(lab.at("disk").join(name), [0; 8192]);
    assert!(fill("ballast").is_err(), "4 KiB hold no more than that");
    for line in ["train experiment.toml --out disk/run", "run campaign.toml --out disk/camp"] {
        let answer = lab.run(line);
        assert_eq!(answer.code, 1, "{answer:?}");
        assert!(answer.stderr.contains("no space left on device\n  free some space on that filesystem"), "{answer:?}");
    }
    disk.resize("4m");
    lab.done("train experiment.toml --out disk/run");
    lab.done("run campaign.toml --quiet --out disk/camp");
}

#[test]
fn a_campaign_on_a_full_disk_goes_on_once_there_is_space() {
    let lab = Lab::new();
    let Some(disk) = Mount::new(lab.at("disk"), "size=60k") else { return };
    let answer = lab.run("run campaign.toml --out disk/camp");
    assert_ne!(answer.code, 0, "{answer:?}");
    assert!(answer.stderr.contains("no space left on device"), "{answer:?}");
    let way_on = "\n  the campaign is kept as it is; go on with `nanoresearch resume disk/camp`\n";
    assert!(answer.stderr.ends_with(way_on), "{answer:?}");
    let recorded = std::fs::read(lab.at("disk/camp/events.jsonl")).unwrap();
    disk.resize("8m");
    lab.done("status --in disk/camp");
    let answer = lab.run("resume disk/camp");
    assert!(answer.code == 0 || answer.stdout.contains("finding"), "{answer:?}");
    assert!(
        std::fs::read(lab.at("disk/camp/events.jsonl")).unwrap().starts_with(&recorded),
        "nothing recorded is lost"
    );
}

/// Room for the journal and not for checkpoints: attempts fail one after the other, and none of them is to blame.
#[test]
fn attempts_without_room_stop_the_campaign_and_cost_no_retry() {
    let lab = Lab::new();
    let Some(disk) = Mount::new(lab.at("disk"), "size=900k") else { return };
    lab.edit("experiment.toml", "widths = [8]", "widths = [400, 400]");
    lab.edit("campaign.toml", "parallel = 2", "retries = 0, parallel = 2");
    let answer = lab.run("run campaign.toml --out disk/camp");
    assert_eq!(answer.code, 4, "{answer:?}");
    let said = format!("{}{}", answer.stdout, answer.stderr);
    assert!(said.contains("no space left on device; free some space on that filesystem"), "{said}");
    assert!(said.contains("the campaign waits: the other runs need it too"), "{said}");
    let next = "put right what is named above, then `nanoresearch resume disk/camp`; nothing was charged as a retry\n";
    assert!(answer.stdout.contains(next), "{answer:?}");
    disk.resize("60m");
    let answer = lab.run("resume disk/camp");
    assert!(answer.code == 0 && answer.stdout.contains("finding"), "{answer:?}");
    let status = lab.done("status --in disk/camp").stdout;
    assert!(!status.contains("failed") && status.contains("finished"), "{status}");
}

#[test]
fn a_read_only_place_is_said_and_a_read_only_cache_is_done_without() {
    let lab = Lab::new();
    let Some(_mount) = read_only(lab.at("locked")) else { return };
    for line in
        ["train experiment.toml --out locked/run", "run campaign.toml --out locked/camp", "demo --out locked/demo"]
    {
        let answer = lab.run(line);
        assert_eq!(answer.code, 1, "{line}: {answer:?}");
        let error = &answer.stderr[answer.stderr.find("error: ").unwrap()..];
        assert!(error.starts_with("error: locked/"), "{line}: {answer:?}");
        assert!(error.contains("cannot make the folder: ") && error.contains("\n  "), "{line}: {answer:?}");
    }
    let with_cache = |line: &str| {
        let mut command = lab.command(line);
        command.env("XDG_CACHE_HOME", lab.at("locked")).env_remove("NANORESEARCH_DATA");
        lab.answer(&mut command)
    };
    let smoke = with_cache("run campaign.toml --smoke");
    assert_eq!((smoke.code, smoke.stdout.matches("ok  ").count()), (0, 2), "{smoke:?}");
    let check = with_cache("check experiment.toml");
    assert_eq!(check.code, 0, "{check:?}");
    assert!(
        check.stderr.contains("warning: the measurement cannot be kept, and is made again next time: "),
        "{check:?}"
    );
    let get = with_cache("data get tinyshakespeare");
    assert_eq!(get.code, 1, "{get:?}");
    assert!(get.stderr.contains("put it at LAB/locked/nanoresearch/data/tinyshakespeare.txt"), "{get:?}");
    let doctor = with_cache("doctor");
    assert!(doctor.stderr.contains("cache: set XDG_CACHE_HOME to a folder this user can write"), "{doctor:?}");
}

#[test]
fn without_a_home_folder() {
    let lab = Lab::new();
    let mut command = lab.command("train experiment.toml --out run");
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env_remove("NANORESEARCH_DATA");
    assert_eq!(lab.answer(&mut command).code, 0);
    assert!(Path::new(&lab.at("run/model.safetensors")).exists());
}
