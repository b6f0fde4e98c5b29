//! Random schedules of faults in every command, of controllers that die and of people who stop attempts: each attempt ends, as
//! what it was, and is charged what it held; none has two jobs, none runs twice, none that was given up ever ran, none that
//! was stopped holds its node until its limit, and no job is left. And what becomes of that without any one of the rules
//! ([`super::rules`]).
#![allow(clippy::disallowed_methods)]

use super::fake::Fault;
use super::fake_job::FakeJob;
use super::rules::{OFF, Rule};
use super::tests::SlurmBed;
use super::*;
use crate::exec::conformance::{Bed, Behaviour};
use crate::failure::{Class, classify};
use crate::record::Witness;
use crate::rng::{Sequence, Stream};

const SCHEDULES: u64 = 500;
/// Rounds after which a schedule that has not ended never does: days of the clusters' time.
const ROUNDS: usize = 60_000;

/// Seconds within which a job that is to end has ended, however many of the words to end it are lost.
const STOPPED: f64 = 2000.0;

/// What a schedule came to.
#[derive(Debug, Default)]
struct Tally {
    completed: usize,
    never_began: usize,
    given_up: usize,
    stopped: usize,
    deaths: usize,
}

/// What is wrong in one schedule, apart from chance.
struct Weather {
    /// Controllers die.
    deaths: bool,
    /// The queue's answers are cut, one after another.
    cut_queue: bool,
    /// Accounting is there, and answers whenever it is asked.
    sound_accounting: bool,
    /// Attempts may hold their nodes for long, or wait for long.
    long: bool,
    /// SLURM's controller takes some submissions up only after everybody has given them up.
    thick: bool,
    /// Most words to end a job are lost.
    deaf: bool,
}

/// Runs one schedule; says what went wrong in it.
fn schedule(seed: u64) -> Result<Tally, String> {
    const KINDS: [Behaviour; 6] = [
        Behaviour::Completes,
        Behaviour::StartsAfter(90.0),
        Behaviour::Crashes,
        Behaviour::IsKilled,
        Behaviour::CompletesThenIsKilled,
        Behaviour::Deaf,
    ];
    let bed = SlurmBed::default();
    let mut random = Sequence::new(seed, Stream::Data, 0, 0);
    let mut draw = |n: usize| ((random.uniform() * n as f64) as usize).min(n - 1);
    let weather = Weather {
        deaths: draw(4) > 0,
        cut_queue: draw(8) == 0,
        sound_accounting: draw(3) == 0,
        long: draw(4) == 0,
        thick: draw(6) == 0,
        deaf: draw(4) == 0,
    };
    for program in ["sbatch", "squeue", "sacct", "scancel"] {
        let mut faults: Vec<Fault> = (0..24)
            .map(|_| match draw(12) {
                0 => Fault::Fails,
                1 => Fault::Lost,
                2 => Fault::Frozen(draw(400) as f64),
                3 => Fault::Hangs(draw(200) as f64, draw(2) == 0),
                4 => Fault::Cut,
                5 => Fault::Forgets,
                _ => Fault::None,
            })
            .collect();
        match program {
            "sacct" if weather.sound_accounting => faults.clear(),
            "squeue" if weather.cut_queue => faults = vec![Fault::Cut; 300],
            "sbatch" if weather.thick => faults = vec![Fault::Frozen(judge::LOST + 60.0 + draw(300) as f64); 3],
            "scancel" if weather.deaf => faults = vec![Fault::Fails; 1 + draw(20)],
            _ => {}
        }
        bed.faults(program, &faults);
    }
    let lag = [None, Some(0.0), Some(8.0), Some(90.0)][draw(4)];
    let lag = if weather.sound_accounting { Some(lag.unwrap_or(0.0)) } else { lag };
    {
        let mut world = bed.world.borrow_mut();
        world.accounting = lag;
        (world.unsettled, world.late_files) = (draw(9) as f64, draw(9) as f64);
        let mut other = Sequence::new(seed, Stream::Data, 1, 0);
        world.endless = if other.uniform() < 0.3 { 90.0 * other.uniform() } else { 0.0 };
    }
    let kinds: Vec<Behaviour> = (0..5)
        .map(|_| match KINDS[draw(KINDS.len())] {
            // Long enough to outlive every patience, where no controller dies with what it knows of given up names, and
            // the queue can be looked through for them.
            Behaviour::StartsAfter(_) if (weather.long || weather.thick) && !weather.deaths && !weather.cut_queue => {
                Behaviour::StartsAfter(3000.0)
            }
            kind => kind,
        })
        .collect();
    let limit = if weather.long { 6000.0 } else { 60.0 };
    let launches: Vec<Launch> = kinds.iter().map(|k| Launch { kill_after_seconds: limit, ..bed.attempt(*k) }).collect();
    // What crashes may as well never have begun.
    let never_begins: Vec<bool> = kinds.iter().map(|k| *k == Behaviour::Crashes && draw(2) == 0).collect();
    for (launch, _) in launches.iter().zip(&never_begins).filter(|(_, never)| **never) {
        bed.world.borrow_mut().cannot_begin.insert(launch.folder.clone());
    }
    let mut ended: Vec<Option<Evidence>> = vec![None; launches.len()];
    // When somebody stopped it.
    let mut stopped: Vec<Option<f64>> = vec![None; launches.len()];
    let mut tally = Tally::default();
    let mut launched = 0;
    let mut executor = bed.slurm();
    for round in 0.. {
        if launched < launches.len() && draw(4) == 0 {
            executor.launch(&launches[launched]).unwrap();
            launched += 1;
        }
        for (at, launch) in launches.iter().enumerate().take(launched) {
            if ended[at].is_none()
                && let Status::Ended(evidence) = executor.poll(launch.id).unwrap()
            {
                ended[at] = Some(evidence);
            }
        }
        if launched == launches.len() && ended.iter().all(Option::is_some) {
            break;
        }
        // A person stops one of them for good, now and then.
        let at = draw(5);
        if at < launched
            && ended[at].is_none()
            && stopped[at].is_none()
            && draw(60) == 0
            && kinds[at] == Behaviour::Deaf
        {
            executor.stop(launches[at].id, false).unwrap();
            stopped[at] = Some(bed.clock.monotonic());
        }
        if weather.deaths && draw(100) == 0 {
            tally.deaths += 1;
            executor = bed.slurm();
            for (at, launch) in launches.iter().enumerate().take(launched) {
                if ended[at].is_none() {
                    executor.adopt(launch).unwrap();
                    // The next controller is told again.
                    if stopped[at].is_some() {
                        executor.stop(launch.id, false).unwrap();
                    }
                }
            }
        }
        bed.clock.advance(1.0 + draw(6) as f64);
        if round > ROUNDS {
            return Err(format!("schedule {seed} never ends: {kinds:?} {ended:?}"));
        }
    }
    // The controller goes on with others' attempts for a while.
    for _ in 0..400 {
        executor.advance().unwrap();
        bed.clock.advance(5.0);
    }
    if bed.world.borrow_mut().live() > 0 {
        return Err(format!("schedule {seed} left a job"));
    }
    for (at, ((launch, kind), evidence)) in launches.iter().zip(&kinds).zip(ended).enumerate() {
        let evidence = evidence.unwrap();
        let class = classify(&evidence);
        let (jobs, ran) = (bed.jobs_of(launch), bed.ran(launch));
        let words = format!("schedule {seed}, {kind:?}: {class:?}, {jobs} jobs, ran {ran}");
        if jobs > 1 || ran > 1 {
            return Err(words);
        }
        // What accounting told is what is charged, and how it ended.
        let world = bed.world.borrow();
        let job = world.jobs.iter().find(|job| job.folder == launch.folder);
        let told = evidence.job.as_ref().is_some_and(|job| job.by == Witness::Accounting);
        let held = job.and_then(FakeJob::held).filter(|_| told && weather.sound_accounting);
        if let Some(held) = held.filter(|held| (evidence.seconds - held).abs() > 2.0) {
            return Err(format!("{words}: {} s are charged of {held}", evidence.seconds));
        }
        // A word to end it that comes long before its limit ends it before that.
        if let (Some(stop), Some(job)) = (stopped[at], job)
            && let (Some(limit), Some(end)) = (job.limit_at(), job.ended_at())
            && limit - stop > STOPPED
            && end >= limit
        {
            return Err(format!("{words}: stopped {:.0} s ahead of its limit, which ended it", limit - stop));
        }
        tally.stopped += usize::from(stopped[at].is_some());
        if never_begins[at] {
            tally.never_began += 1;
            if ran > 0 || (told && class != Class::LaunchFailed) {
                return Err(format!("{words}: its node could not begin it"));
            }
            continue;
        }
        if class == Class::NeverStarted {
            tally.given_up += 1;
            if ran > 0 {
                return Err(words);
            }
            continue;
        }
        let crashed = |code, signal| Class::Crashed { code, signal };
        let unseen = class == crashed(None, None) && !weather.sound_accounting;
        let fits = match kind {
            Behaviour::Completes | Behaviour::StartsAfter(_) | Behaviour::CompletesThenIsKilled => {
                tally.completed += 1;
                class == Class::Completed
            }
            Behaviour::Crashes => class == crashed(Some(3), None) || unseen,
            Behaviour::IsKilled => class == crashed(None, Some(9)) || unseen,
            _ if stopped[at].is_some() => class == crashed(None, Some(9)) || class == Class::TimedOut || unseen,
            _ => class == Class::TimedOut || unseen,
        };
        if !fits || ran != 1 {
            return Err(words);
        }
    }
    Ok(tally)
}

#[test]
fn random_faults_lose_and_double_nothing() {
    let mut all = Tally::default();
    let mut wrong = Vec::new();
    for seed in 0..SCHEDULES {
        let tally = match schedule(seed) {
            Ok(tally) => tally,
            Err(why) => {
                wrong.push(why);
                continue;
            }
        };
        all.completed += tally.completed;
        all.given_up += tally.given_up;
        all.stopped += tally.stopped;
        all.never_began += tally.never_began;
        all.deaths += tally.deaths;
    }
    println!("{SCHEDULES} schedules: {all:?}");
    assert_eq!(wrong, Vec::<String>::new());
    // All of it happens, or the test has lost its subject.
    let plenty = all.given_up > 10 && all.completed > 100 && all.stopped > 50 && all.never_began > 50;
    assert!(plenty && all.deaths > 500, "{all:?}");
}

/// Each rule is needed: without it some schedule goes wrong.
#[test]
fn without_any_one_rule_a_schedule_fails() {
    for rule in Rule::ALL {
        // One that goes well with it, so that it is this rule's absence that shows.
        let failed = (0..SCHEDULES).find_map(|seed| {
            OFF.with(|off| off.set(Some(rule)));
            let without = schedule(seed).err();
            OFF.with(|off| off.set(None));
            without.filter(|_| schedule(seed).is_ok())
        });
        println!("without {rule:?}: {}", failed.clone().unwrap_or_default().chars().take(160).collect::<String>());
        assert!(failed.is_some(), "{SCHEDULES} schedules go well without {rule:?}");
    }
}
