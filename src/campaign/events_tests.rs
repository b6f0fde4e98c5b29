//! Events as they are written.

use super::*;

#[test]
fn events_come_back_as_they_were_written() {
    let id = AttemptId { run: RunId(7), number: 2 };
    let all = [
        Event::StopRequested,
        Event::Concluded(Conclusion { reason: Reason::GoalMet, best: Some(3), sentence: "it is".into() }),
        Event::AttemptLaunched { id },
        Event::RecoveryDecided {
            id,
            next: NextStep::Retry {
                resume: true,
                charged: false,
                wall_seconds: 1.5,
                memory: Bytes(0),
                micro_batch: 8,
                device_memory: Bytes(0),
                not_before: Some(12.5),
            },
            why: "it was killed".into(),
        },
        Event::NodeQuarantined { node: "n3".into(), why: "twice".into() },
        Event::RunReused { index: 4, run: RunId(1), seed: 9 },
        Event::RungPassed { id: RunId(2), rung: 1, step: 60, value: 0.5 },
        Event::RungJudged { id: RunId(2), rung: 1, stop: true, why: "behind".into() },
        Event::Asked { number: 1, inquiry: Inquiry::Designs { index: 4 }, allowance: None, why: "turn".into() },
        Event::Unasked { inquiry: Inquiry::Ideas, why: "too dear".into() },
        Event::Answered {
            number: 1,
            reply: Box::new(Reply::Nothing { why: "silence".into(), unheard: true }),
            paid: Paid::default(),
        },
        Event::ApprovalGiven { subject: Subject::Candidate { index: 2 }, granted: false },
    ];
    for event in all {
        let (kind, version, data) = event.encode().unwrap();
        assert_eq!(Event::decode(&kind, version, &data).unwrap(), event);
    }
}

#[test]
fn newer_and_unknown_events_are_refused_with_what_to_do() {
    let newer = Event::decode("stop-requested", VERSION + 1, &Value::Null).unwrap_err();
    assert!(newer.remedy.is_some() && newer.what.contains("version"));
    let unknown = Event::decode("teleported", VERSION, &Value::Null).unwrap_err();
    assert!(unknown.what.contains("teleported") && unknown.remedy.is_some());
}
