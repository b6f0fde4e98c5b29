//! `--device`: what a machine without a GPU, or a program without support for one, says of it.

use super::bad_input::kit::{Lab, Says, check};

/// One paragraph and exit code 4, wherever a GPU is asked for; the same where the variable hides every card. What it left can
/// be gone on with on another device.
#[test]
fn a_gpu_that_is_not_to_be_had_is_said_in_one_paragraph() {
    let lab = Lab::new();
    let ask = |line: &str| {
        // Cards that are there are not shown.
        let answer = lab.answer(lab.command(line).env("CUDA_VISIBLE_DEVICES", ""));
        check(line, &answer, 4, &Says::All(&["GPU"]));
        answer
    };
    let answer = ask("train experiment.toml --out new --device cuda");
    assert!(answer.stderr.lines().count() <= 3, "{answer:?}");
    let outcome: serde_json::Value =
        serde_json::from_slice(&std::fs::read(lab.at("new/outcome.json")).unwrap()).unwrap();
    assert_eq!((outcome["end"]["kind"].as_str(), outcome["step"].as_u64()), (Some("device-failed"), Some(0)));
    let fault = outcome["end"]["fault"].as_str().unwrap();
    assert!(["no-support", "no-driver", "no-device", "library-missing"].contains(&fault), "{fault}");
    assert!(outcome.get("node").is_none(), "no host has a name here");
    ask("train experiment.toml --out other --device cuda:1");
    ask("train experiment.toml --out third resources.device=cuda");
    lab.done("train experiment.toml --out new --resume");
    // One that never got its device has taken no folder.
    lab.done("train experiment.toml --out third training.seed=2");
    lab.done("train experiment.toml --out fourth resources.device=cuda --device cpu");
}

/// The worker's own exit code is the same: it is what a scheduler shows.
#[test]
fn a_worker_without_its_gpu_exits_with_the_same_code() {
    let lab = Lab::new();
    lab.answer(lab.command("train experiment.toml --out a --device cuda").env("CUDA_VISIBLE_DEVICES", ""));
    lab.write("b/attempt.json", std::fs::read(lab.at("a/attempt.json")).unwrap());
    let mut worker = lab.command("worker --attempt b");
    let answer = lab.answer(worker.env("CUDA_VISIBLE_DEVICES", "").env("SLURMD_NODENAME", "gpu-7"));
    assert_eq!(answer.code, 4, "{answer:?}");
    let outcome: serde_json::Value = serde_json::from_slice(&std::fs::read(lab.at("b/outcome.json")).unwrap()).unwrap();
    assert_eq!((outcome["end"]["kind"].as_str(), outcome["node"].as_str()), (Some("device-failed"), Some("gpu-7")));
}

#[test]
fn devices_that_make_no_sense_are_refused() {
    let lab = Lab::new();
    for line in ["train experiment.toml --out new --device gpu", "check experiment.toml --device cuda:x"] {
        let answer = lab.run(line);
        assert_eq!(answer.code, 2, "{answer:?}");
        assert!(answer.stderr.contains("cpu, cuda, or cuda:N"), "{answer:?}");
    }
    lab.write("site.toml", "name = \"x\"\n[[partitions]]\nname = \"gpu\"\ngpu_types = [\"h100\"]\n");
    check("", &lab.run("check site.toml --device cuda"), 2, &Says::All(&["--device", "a site has no device"]));
    check(
        "",
        &lab.run("check experiment.toml resources.engine=compiled --device cuda"),
        2,
        &Says::All(&["compiled", "resources.engine"]),
    );
    lab.done("check experiment.toml --device cpu");
    lab.done("check campaign.toml --device cpu");
    let answer = lab.answer(lab.command("check campaign.toml --device cuda").env("CUDA_VISIBLE_DEVICES", ""));
    assert_eq!(answer.code, 4, "a campaign's baseline is priced on that device: {answer:?}");
}

/// Workers on a cluster are this very program, so no job has to wait for a GPU to find that it cannot use one.
#[cfg(not(feature = "candle-cuda"))]
#[test]
fn a_campaign_for_a_clusters_gpus_needs_a_program_that_can_use_them() {
    let lab = Lab::new();
    lab.write("site.toml", "name = \"x\"\n[[partitions]]\nname = \"gpu\"\ngpu_types = [\"h100\"]\n");
    let answer = lab.run("run campaign.toml --out new execution.site=site.toml baseline.resources.device=cuda");
    assert_eq!(answer.code, 4, "{answer:?}");
    assert!(answer.stderr.contains("without GPU support") && answer.stderr.contains("--features"), "{answer:?}");
    assert!(!lab.at("new").exists(), "nothing is begun");
}
