//! Facts as texts show them.

use super::*;

pub fn fact(show: Show, value: f64, unit: &str) -> Fact {
    Fact {
        id: "x".into(),
        subject: CAMPAIGN.into(),
        versus: None,
        what: "x".into(),
        value: Value::Number(value),
        unit: unit.into(),
        interval: None,
        n: None,
        shows: None,
        show,
        basis: Basis::Journal,
        sources: Vec::new(),
    }
}

#[test]
fn every_rule_rounds_as_it_says() {
    for (show, value, unit, expected) in [
        (Show::Count, 12345.0, "", "12,345"),
        (Show::Count, 1.0, "runs", "1\u{a0}run"),
        (Show::Count, 2.0, "runs", "2\u{a0}runs"),
        (Show::Decimals(4), 0.97431, "", "0.9743"),
        (Show::Decimals(2), -0.001, "", "0.00"),
        (Show::Signed(3), 0.0123, "", "+0.012"),
        (Show::Signed(3), -0.0123, "", "\u{2212}0.012"),
        (Show::Signed(2), 0.001, "", "0.00"),
        (Show::Significant(3), 0.0123456, "", "0.0123"),
        (Show::Significant(3), 0.003, "", "0.003"),
        (Show::Significant(2), 1e-8, "", "10^\u{2212}8"),
        (Show::Significant(2), 2.5e9, "", "2.5\u{d7}10^9"),
        (Show::Percent(0), 0.93, "", "93%"),
        (Show::PValue, 0.00001, "", "<\u{a0}0.001"),
        (Show::Duration, 0.0215, "", "22\u{a0}ms"),
        (Show::Duration, 90.0, "", "90\u{a0}s"),
        (Show::DeviceTime, 0.5, "", "30.0\u{a0}device-minutes"),
        (Show::DeviceTime, 0.001, "", "3.6\u{a0}device-seconds"),
        (Show::Energy, 7200.0, "", "2.0\u{a0}Wh"),
        (Show::Memory, 1048576.0, "", "1.0\u{a0}MiB"),
        (Show::Dollars, 0.0021, "", "$0.0021"),
        (Show::Decimals(3), 1.5, "nats", "1.500\u{a0}nats"),
    ] {
        assert_eq!(fact(show, value, unit).shown(), expected, "{show:?} {value}");
    }
    let missing = Fact { value: Value::Missing("no meter".into()), ..fact(Show::Energy, 0.0, "") };
    assert_eq!(missing.shown(), "not measured");
    let bounds = Some(Bounds { low: -0.01, high: 0.02, confidence: 0.95 });
    let signed = Fact { interval: bounds, ..fact(Show::Signed(2), 0.005, "") };
    assert_eq!(signed.bounds().as_deref(), Some("[\u{2212}0.01, +0.02]"));
    let unknown = Some(Bounds { low: f64::NEG_INFINITY, high: f64::INFINITY, confidence: 0.95 });
    assert_eq!(Fact { interval: unknown, ..signed }.bounds(), None);
}

#[test]
fn decimals_follow_the_noise() {
    assert_eq!((decimals_for(0.0085), decimals_for(0.012), decimals_for(3.0)), (4, 3, 2));
    assert_eq!((decimals_for(f64::INFINITY), decimals_for(0.0)), (4, 4));
    assert_eq!((in_words(5.0), in_words(12.0), in_words(0.0)), ("five".into(), "12".into(), "no".into()));
}
