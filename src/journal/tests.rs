//! The journal on real folders: repair, refusal, ownership, and SIGKILL in the middle of appending.
#![allow(clippy::disallowed_methods)]

use super::*;
use crate::problem::Class;
use crate::sys::clock::{Clock, FakeClock, SystemClock};
use serde_json::{Value, json};
use std::path::Path;

fn with_events(n: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let clock = FakeClock::default();
    let (mut journal, events) = Journal::open(folder.path(), &clock).unwrap();
    assert!(events.is_empty());
    for i in 1..=n {
        assert_eq!(journal.append("test", 1, json!({ "i": i })).unwrap().seq, i);
    }
    folder
}

fn bytes(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join(EVENTS_FILE)).unwrap()
}

/// Changes `owner.json` as another process would.
fn edit_owner(folder: &Path, edit: impl Fn(&mut Value)) {
    let path = folder.join("owner.json");
    let mut owner: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    edit(&mut owner);
    std::fs::write(&path, owner.to_string()).unwrap();
}

#[test]
fn events_survive_and_epochs_rise() {
    let folder = with_events(3);
    let clock = FakeClock::default();
    let (mut journal, events) = Journal::open(folder.path(), &clock).unwrap();
    assert_eq!(events.iter().map(|e| e.data["i"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((events[0].epoch, journal.epoch(), journal.last_seq()), (1, 2, 3));
    let event = journal.append("other", 7, json!([1.5, null, "text"])).unwrap();
    assert_eq!((event.seq, event.epoch, event.version), (4, 2, 7));
    assert_eq!(event.time, "2023-11-14T22:13:20.000Z");
    assert_eq!(read(folder.path()).unwrap()[3], event);
}

#[test]
fn no_folder_is_a_problem_and_no_journal_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    assert!(read(folder.path()).unwrap().is_empty());
    let clock = FakeClock::default();
    let problem = Journal::open(&folder.path().join("absent"), &clock).err().unwrap();
    assert!(problem.remedy.is_some() && !folder.path().join("absent").exists(), "{problem}");
}

#[test]
fn a_torn_end_is_cut_and_kept() {
    let whole = bytes(with_events(3).path());
    let second_end = whole.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(1).unwrap().0 + 1;
    for cut in [second_end + 1, second_end + 30, whole.len() - 2] {
        let folder = with_events(3);
        let path = folder.path().join(EVENTS_FILE);
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert_eq!(read(folder.path()).unwrap().len(), 2);
        assert_eq!(bytes(folder.path()).len(), cut, "readers change nothing");
        // Twice the same tear, then another: none of the kept files is lost.
        for (round, tear) in [whole[second_end..cut].to_vec(), whole[second_end..cut].to_vec(), b"{\"sum".to_vec()]
            .into_iter()
            .enumerate()
        {
            std::fs::write(&path, [&whole[..second_end], &tear].concat()).unwrap();
            let clock = FakeClock::default();
            let (_journal, events) = Journal::open(folder.path(), &clock).unwrap();
            assert_eq!(events.len(), 2);
            assert_eq!(bytes(folder.path()), whole[..second_end]);
            let kept = if round < 2 { "events.jsonl.torn-3" } else { "events.jsonl.torn-3-2" };
            assert_eq!(std::fs::read(folder.path().join(kept)).unwrap(), tear);
        }
        let clock = FakeClock::default();
        let (mut journal, _) = Journal::open(folder.path(), &clock).unwrap();
        assert_eq!(journal.append("test", 1, json!({})).unwrap().seq, 3);
        drop(journal);
        assert_eq!(read(folder.path()).unwrap().len(), 3);
    }
}

#[test]
fn an_event_that_only_lacks_its_newline_is_kept() {
    let folder = with_events(3);
    let whole = bytes(folder.path());
    std::fs::write(folder.path().join(EVENTS_FILE), &whole[..whole.len() - 1]).unwrap();
    let clock = FakeClock::default();
    assert_eq!(Journal::open(folder.path(), &clock).unwrap().1.len(), 3);
    assert_eq!(bytes(folder.path()), whole);
}

#[test]
fn damage_is_refused_and_nothing_is_touched() {
    let folder = with_events(3);
    let path = folder.path().join(EVENTS_FILE);
    let mut damaged = bytes(folder.path());
    let middle = damaged.len() / 2;
    damaged[middle] ^= 4;
    std::fs::write(&path, &damaged).unwrap();
    let owner_before = std::fs::read(folder.path().join("owner.json")).unwrap();
    let clock = FakeClock::default();
    let problem = Journal::open(folder.path(), &clock).err().unwrap();
    assert_eq!((problem.class, problem.place), (Class::Usage, Some(format!("{}:2", path.display()))));
    assert!(read(folder.path()).is_err());
    assert_eq!(bytes(folder.path()), damaged);
    assert_eq!(std::fs::read(folder.path().join("owner.json")).unwrap(), owner_before);
    // Nor is the campaign left locked.
    std::fs::write(&path, b"").unwrap();
    assert!(Journal::open(folder.path(), &clock).is_ok());
}

#[test]
fn a_second_controller_is_told_who_owns_it() {
    let folder = tempfile::tempdir().unwrap();
    let clock = FakeClock::default();
    let (mut journal, _) = Journal::open(folder.path(), &clock).unwrap();
    let problem = Journal::open(folder.path(), &clock).err().unwrap();
    assert_eq!((problem.class, problem.class.exit_code()), (Class::Owned, 5));
    assert!(problem.what.contains(&format!("process {}", std::process::id())), "{problem}");
    assert!(problem.what.contains("2023-11-14") && problem.remedy.unwrap().contains("kill"));
    assert_eq!(owner(folder.path()).unwrap().unwrap().alive(), Some(true));
    journal.append("test", 1, json!({})).unwrap();
    drop(journal);
    assert_eq!(owner(folder.path()).unwrap().unwrap().alive(), Some(false));
    assert_eq!(Journal::open(folder.path(), &clock).unwrap().0.epoch(), 2);
}

#[test]
fn an_owner_that_was_replaced_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let clock = FakeClock::default();
    let (mut journal, _) = Journal::open(folder.path(), &clock).unwrap();
    journal.append("test", 1, json!({})).unwrap();
    let before = bytes(folder.path());
    edit_owner(folder.path(), |o| o["epoch"] = json!(2));
    clock.advance(HEARTBEAT_SECONDS);
    for problem in [
        journal.append("test", 1, json!({})).err().unwrap(),
        journal.heartbeat().unwrap_err(),
        journal.check_ownership().unwrap_err(),
    ] {
        assert_eq!(problem.class, Class::Owned, "{problem}");
    }
    drop(journal);
    assert_eq!(bytes(folder.path()), before);
    let left = owner(folder.path()).unwrap().unwrap();
    assert_eq!((left.epoch, left.released), (2, false), "the file is the new owner's");
}

#[test]
fn an_event_that_somebody_else_wrote_is_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let clock = FakeClock::default();
    let (mut journal, _) = Journal::open(folder.path(), &clock).unwrap();
    let event = journal.append("test", 1, json!({})).unwrap();
    let mut foreign = bytes(folder.path());
    foreign.extend(line::encode(&Envelope { seq: 2, ..event }).unwrap());
    std::fs::write(folder.path().join(EVENTS_FILE), &foreign).unwrap();
    assert_eq!(journal.append("test", 1, json!({})).err().unwrap().class, Class::Owned);
    assert_eq!(bytes(folder.path()), foreign);
}

#[test]
fn the_heartbeat_changes_when_it_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let clock = FakeClock::default();
    let (mut journal, _) = Journal::open(folder.path(), &clock).unwrap();
    let beat = || owner(folder.path()).unwrap().unwrap().heartbeat;
    journal.heartbeat().unwrap();
    assert_eq!(beat(), 0);
    clock.advance(HEARTBEAT_SECONDS);
    journal.heartbeat().unwrap();
    journal.heartbeat().unwrap();
    assert_eq!(beat(), 1);
}

#[test]
fn a_damaged_owner_file_gives_way_to_the_lock() {
    let folder = with_events(1);
    std::fs::write(folder.path().join("owner.json"), "{").unwrap();
    let clock = FakeClock::default();
    let opened = Journal::open(folder.path(), &clock);
    if crate::sys::fs::is_local(folder.path()) {
        // The epoch goes on from the journal's last.
        assert_eq!(opened.unwrap().0.epoch(), 2);
    } else {
        assert!(opened.err().unwrap().remedy.unwrap().contains("delete this file"));
    }
}

/// A clock on which somebody else does something whenever we sleep.
struct Meanwhile<'a> {
    inner: FakeClock,
    act: &'a dyn Fn(),
}

impl Clock for Meanwhile<'_> {
    fn unix(&self) -> f64 {
        self.inner.unix()
    }
    fn monotonic(&self) -> f64 {
        self.inner.monotonic()
    }
    fn sleep(&self, seconds: f64) {
        self.inner.sleep(seconds);
        (self.act)();
    }
}

#[test]
fn an_owner_elsewhere_is_judged_by_its_heartbeat() {
    let folder = with_events(1);
    edit_owner(folder.path(), |o| {
        o["released"] = json!(false);
        o["host"] = json!("another");
    });
    let elsewhere = owner(folder.path()).unwrap().unwrap();
    assert_eq!(elsewhere.alive(), None);
    // A beating heart: owned, found out before the time is over.
    let beat = || edit_owner(folder.path(), |o| o["heartbeat"] = json!(o["heartbeat"].as_u64().unwrap() + 1));
    let clock = Meanwhile { inner: FakeClock::default(), act: &beat };
    let problem = super::owner::observe(folder.path(), Some(&elsewhere), &clock).unwrap_err();
    assert_eq!(problem.class, Class::Owned);
    assert!(problem.what.contains("on another host"), "{problem}");
    assert!(clock.monotonic() < OBSERVATION_SECONDS);
    // A still one: free, after the stated time.
    let still = owner(folder.path()).unwrap().unwrap();
    let clock = FakeClock::default();
    super::owner::observe(folder.path(), Some(&still), &clock).unwrap();
    assert!(clock.monotonic() >= OBSERVATION_SECONDS);
}

/// Not a test by itself: the process that `sigkill_loses_nothing_that_was_acknowledged` kills.
#[test]
#[ignore = "runs only as the child of another test"]
fn append_for_ever() {
    let Ok(folder) = std::env::var("NANORESEARCH_TEST_JOURNAL") else { return };
    let folder = Path::new(&folder);
    let clock = SystemClock::default();
    let (mut journal, _) = Journal::open(folder, &clock).unwrap();
    loop {
        let event = journal.append("test", 1, json!({"text": "x".repeat(300)})).unwrap();
        // The acknowledgement, outside of the journal.
        std::fs::write(folder.join("acknowledged"), event.seq.to_string()).unwrap();
    }
}

#[test]
fn sigkill_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SystemClock::default();
    let acknowledged = || {
        let text = std::fs::read_to_string(folder.path().join("acknowledged")).unwrap_or_default();
        text.parse().unwrap_or(0_u64)
    };
    let mut epochs = 0;
    for round in 0..12_u64 {
        let before = read(folder.path()).unwrap().len() as u64;
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--quiet", "journal::tests::append_for_ever"])
            .env("NANORESEARCH_TEST_JOURNAL", folder.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let waiting = clock.monotonic();
        while acknowledged() <= before {
            assert!(clock.monotonic() - waiting < 30.0, "the child wrote nothing");
            clock.sleep(0.002);
        }
        // While it lives, it owns the journal; readers do not mind.
        if round == 0 {
            let problem = Journal::open(folder.path(), &clock).err().unwrap();
            assert!(problem.what.contains(&format!("process {}", child.id())), "{problem}");
            read(folder.path()).unwrap();
        }
        clock.sleep(0.0007 * round as f64);
        child.kill().unwrap();
        child.wait().unwrap();
        let started = clock.monotonic();
        let (journal, events) = Journal::open(folder.path(), &clock).unwrap();
        assert!(clock.monotonic() - started < 1.0, "taking over from the dead is immediate");
        assert!(events.len() as u64 >= acknowledged(), "{} of {}", events.len(), acknowledged());
        assert!(journal.epoch() > epochs);
        epochs = journal.epoch();
    }
}
