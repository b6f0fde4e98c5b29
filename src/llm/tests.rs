//! The client against scripted services, in memory and over a real socket.
#![allow(clippy::disallowed_methods)]

use super::*;
use crate::config::{LlmProvider, LlmRole, LlmSpec, TokenPrice};
use crate::sys::clock::{Clock, FakeClock, SystemClock};
use crate::sys::http::{FakePost, Network, Post, PostReply, PostRequest, SendError};
use crate::units::Dollars;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Pick {
    number: u8,
}

impl Answer for Pick {
    const NAME: &'static str = "pick";
}

type Answerer = Box<dyn FnMut(&PostRequest) -> Result<PostReply, SendError>>;

const KEY: &str = "sk-very-secret";

fn spec(provider: LlmProvider) -> LlmSpec {
    LlmSpec {
        provider,
        model: "small".into(),
        base_url: None,
        roles: [(LlmRole::Analyst, "large".to_string())].into(),
        prices: [("small", 1.0, 4.0), ("large", 10.0, 40.0)]
            .map(|(name, input, output)| (name.to_string(), TokenPrice { input, output }))
            .into(),
        timeout_seconds: 2.0,
        retries: 2,
        repairs: 2,
        max_tokens: 100,
    }
}

fn open(spec: &LlmSpec) -> Access {
    access(spec, &|name| name.ends_with("_API_KEY").then(|| KEY.to_string())).unwrap()
}

fn reply(status: u16, body: Value) -> Result<PostReply, SendError> {
    Ok(PostReply { status, retry_after: None, body: body.to_string().into_bytes(), truncated: false })
}

fn said(text: &str) -> Result<PostReply, SendError> {
    let usage = json!({ "prompt_tokens": 50, "completion_tokens": 10 });
    let message = json!({ "role": "assistant", "content": text });
    reply(
        200,
        json!({ "model": "small-1", "usage": usage, "choices": [{ "message": message, "finish_reason": "stop" }] }),
    )
}

fn script(answers: Vec<Result<PostReply, SendError>>) -> FakePost<Answerer> {
    let mut answers = answers.into_iter();
    FakePost::new(Box::new(move |_| answers.next().expect("no further request was expected")))
}

fn even(pick: &Pick) -> Result<(), String> {
    if pick.number.is_multiple_of(2) { Ok(()) } else { Err(format!("{} is odd", pick.number)) }
}

fn ask_as(
    role: LlmRole,
    spec: &LlmSpec,
    post: &dyn Post,
    clock: &dyn Clock,
    tape: Tape,
    allowance: Option<Dollars>,
) -> Answered<Pick> {
    let question = Question { role, system: "Be even.", prompt: "Which number?", allowance, check: &even };
    Client::new(spec, open(spec), post, clock, tape).ask(&question).unwrap()
}

fn ask(answers: Vec<Result<PostReply, SendError>>, folder: &Path) -> (Answered<Pick>, Vec<PostRequest>, f64) {
    let (spec, post, clock) = (spec(LlmProvider::Openai), script(answers), FakeClock::default());
    let answered = ask_as(LlmRole::Ideator, &spec, &post, &clock, Tape::record(folder).unwrap(), None);
    (answered, post.seen(), clock.monotonic())
}

#[test]
fn an_answer_is_typed_paid_for_and_taped() {
    let folder = tempfile::tempdir().unwrap();
    let (answered, seen, _) = ask(vec![said(r#"{"number": 4}"#)], folder.path());
    assert_eq!(answered.result.unwrap(), Pick { number: 4 });
    assert_eq!(answered.spent.usage, Usage { input_tokens: 50, output_tokens: 10 });
    // 50 tokens at $1 and 10 at $4 a million.
    assert_eq!(answered.spent.dollars, Dollars { micro: 90 });
    let body: Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!(seen[0].url, "https://api.openai.com/v1/chat/completions");
    assert_eq!(body["response_format"]["json_schema"]["name"], "pick");
    assert_eq!(body["messages"][1]["content"], "Which number?");
    let entry = Tape::read(folder.path(), 1).unwrap();
    assert_eq!((entry.role, entry.assumed, entry.dollars), (LlmRole::Ideator, false, Dollars { micro: 90 }));
    assert_eq!(Tape::spent(folder.path()).unwrap().1, Dollars { micro: 90 });
}

#[test]
fn the_key_is_in_one_header_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let echo = |r: &PostRequest| {
        assert!(r.headers.contains(&("authorization".to_string(), format!("Bearer {KEY}"))));
        assert!(!r.url.contains(KEY) && !String::from_utf8_lossy(&r.body).contains(KEY));
        // Some services quote what they were sent.
        reply(401, json!({ "error": { "message": format!("bad key {KEY}.") } }))
    };
    let (spec, clock) = (spec(LlmProvider::Openai), FakeClock::default());
    let post = FakePost::new(echo);
    let answered = ask_as(LlmRole::Ideator, &spec, &post, &clock, Tape::record(folder.path()).unwrap(), None);
    assert!(!format!("{answered:?} {:?}", open(&spec)).contains(KEY));
    assert!(
        matches!(&answered.result, Err(Failure::Unavailable(why)) if why.contains("bad key [key].")),
        "{answered:?}"
    );
    assert!(!std::fs::read_to_string(folder.path().join("0001.json")).unwrap().contains(KEY));
}

#[test]
fn a_bad_answer_goes_back_with_what_is_wrong_until_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let (answered, seen, _) =
        ask(vec![said("I like 3!"), said(r#"{"number": 3}"#), said(r#"{"number": 6}"#)], folder.path());
    assert_eq!(answered.result.unwrap(), Pick { number: 6 });
    assert_eq!(answered.spent.entries, [1, 2, 3]);
    let last = String::from_utf8_lossy(&seen[2].body).into_owned();
    assert!(last.contains("no JSON object") && last.contains("3 is odd") && last.contains("I like 3!"), "{last}");

    let folder = tempfile::tempdir().unwrap();
    let (answered, seen, _) = ask(vec![said("a"), said("b"), said("c")], folder.path());
    assert_eq!(seen.len(), 3);
    assert!(matches!(answered.result, Err(Failure::Unusable(_))));
    assert_eq!(answered.spent.usage.output_tokens, 30, "bad answers are paid for too");
}

#[test]
fn garbage_of_every_kind_is_a_failure_and_never_a_panic() {
    let huge = format!("{{\"number\": {}", "1".repeat(10 << 20));
    let truncated =
        || Ok(PostReply { status: 200, retry_after: None, body: huge.as_bytes()[..2 << 20].to_vec(), truncated: true });
    let refusal = reply(200, json!({ "choices": [{ "message": { "refusal": "I must not." } }] }));
    let cases: Vec<(Vec<Result<PostReply, SendError>>, &str)> = vec![
        (vec![refusal], "refused: I must not"),
        (vec![truncated()], "longer than"),
        (vec![reply(200, json!({}))], "no choices"),
        (vec![reply(200, json!({ "choices": [] }))], "no choices"),
        (vec![reply(200, json!({ "error": { "message": "no credit" } }))], "no choices: no credit"),
        (
            vec![Ok(PostReply { status: 200, retry_after: None, body: b"<html>".to_vec(), truncated: false })],
            "not JSON: expected value at line 1 column 1; it is \"<html>\"",
        ),
        (
            vec![reply(
                200,
                json!({ "choices": [{ "message": { "content": "" }, "finish_reason": "content_filter" }] }),
            )],
            "the language model refused",
        ),
        (vec![said(&huge), said(&huge), said(&huge)], "limit"),
        (vec![said(""), said(""), said("")], "no JSON object"),
        (vec![Err(SendError::TimedOut), Err(SendError::TimedOut), Err(SendError::TimedOut)], "3 tries"),
        (vec![reply(429, json!({})), reply(429, json!({})), reply(429, json!({}))], "429"),
        (vec![reply(403, json!({ "error": { "message": "no credit" } }))], "no credit"),
    ];
    for (answers, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        let (answered, _, _) = ask(answers, folder.path());
        let failure = answered.result.unwrap_err().to_string();
        assert!(failure.contains(words), "{words}: {failure}");
        assert!(failure.len() < 2000);
    }
}

#[test]
fn a_mark_of_the_byte_order_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut marked = said(r#"{"number": 2}"#).unwrap();
    marked.body.splice(0..0, *b"\xef\xbb\xbf");
    assert_eq!(ask(vec![Ok(marked)], folder.path()).0.result.unwrap(), Pick { number: 2 });
}

#[test]
fn a_storm_of_refusals_is_waited_out() {
    let folder = tempfile::tempdir().unwrap();
    let busy = || Ok(PostReply { status: 429, retry_after: Some("7".into()), body: vec![], truncated: false });
    let (answered, _, waited) = ask(vec![busy(), busy(), said(r#"{"number": 2}"#)], folder.path());
    assert_eq!(answered.result.unwrap(), Pick { number: 2 });
    assert_eq!(waited, 14.0);
    assert_eq!(Tape::read(folder.path(), 1).unwrap().failed_tries.len(), 2);
}

#[test]
fn a_server_that_knows_no_schemas_is_asked_more_simply() {
    let folder = tempfile::tempdir().unwrap();
    let unknown = reply(400, json!({ "error": "unknown field response_format" }));
    let (answered, seen, _) = ask(vec![unknown, said(r#"{"number": 2}"#)], folder.path());
    assert_eq!(answered.result.unwrap(), Pick { number: 2 });
    let body: Value = serde_json::from_slice(&seen[1].body).unwrap();
    assert!(body.get("response_format").is_none() && body["max_tokens"] == 100);
}

#[test]
fn what_may_have_been_served_is_charged_at_its_worst() {
    let folder = tempfile::tempdir().unwrap();
    let timeouts = || vec![Err(SendError::TimedOut), Err(SendError::TimedOut), Err(SendError::TimedOut)];
    let (answered, ..) = ask(timeouts(), folder.path());
    let entry = Tape::read(folder.path(), 1).unwrap();
    assert!(
        entry.assumed && answered.spent.dollars == worst_case(&entry.request, TokenPrice { input: 1.0, output: 4.0 })
    );

    let folder = tempfile::tempdir().unwrap();
    let (answered, ..) = ask((0..3).map(|_| Err(SendError::Unreachable("nobody".into()))).collect(), folder.path());
    assert_eq!(answered.spent.dollars, Dollars::default(), "nobody was there to be paid");
}

#[test]
fn dollars_are_never_overspent() {
    let (spec, clock) = (spec(LlmProvider::Openai), FakeClock::default());
    let folder = tempfile::tempdir().unwrap();
    let post = script(vec![said(r#"{"number": 3}"#)]);
    let tape = Tape::record(folder.path()).unwrap();
    // Room for one call's worst case, and not for a longer second one after it.
    let allowance = {
        let probe = tempfile::tempdir().unwrap();
        let answered = ask_as(
            LlmRole::Ideator,
            &spec,
            &script(vec![said(r#"{"number": 2}"#)]),
            &clock,
            Tape::record(probe.path()).unwrap(),
            None,
        );
        assert!(answered.result.is_ok());
        worst_case(&Tape::read(probe.path(), 1).unwrap().request, spec.prices["small"])
    };
    let answered = ask_as(LlmRole::Ideator, &spec, &post, &clock, tape, Some(allowance));
    let why = answered.result.unwrap_err().to_string();
    assert!(why.contains("3 is odd; it is not sent back: the next question could cost"), "{why}");
    assert_eq!((post.seen().len(), answered.spent.dollars), (1, Dollars { micro: 90 }));

    let unpriced = LlmSpec { prices: Default::default(), ..spec.clone() };
    let tape = Tape::record(tempfile::tempdir().unwrap().path()).unwrap();
    let answered = ask_as(LlmRole::Ideator, &unpriced, &script(vec![]), &clock, tape, Some(Dollars::of(100.0)));
    assert_eq!(answered.result.unwrap_err(), Failure::Unpriced("small".into()));
}

#[test]
fn anthropic_answers_through_a_tool_and_roles_have_models() {
    let (spec, clock) = (spec(LlmProvider::Anthropic), FakeClock::default());
    let folder = tempfile::tempdir().unwrap();
    let post = FakePost::new(|request: &PostRequest| {
        assert!(request.url.ends_with("/messages"));
        assert!(request.headers.contains(&("x-api-key".to_string(), KEY.to_string())));
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!((&body["model"], &body["tool_choice"]["name"]), (&json!("large"), &json!("pick")));
        reply(
            200,
            json!({
                "model": "large-2", "stop_reason": "tool_use",
                "content": [{ "type": "text", "text": "Well." }, { "type": "tool_use", "input": { "number": 8 } }],
                "usage": { "input_tokens": 5, "cache_read_input_tokens": 20, "output_tokens": 10 }
            }),
        )
    });
    let answered = ask_as(LlmRole::Analyst, &spec, &post, &clock, Tape::record(folder.path()).unwrap(), None);
    assert_eq!(answered.result.unwrap(), Pick { number: 8 });
    assert_eq!((answered.spent.usage.input_tokens, answered.spent.dollars.micro), (25, 25 * 10 + 10 * 40));
}

#[test]
fn a_replay_asks_nobody_and_a_changed_prompt_fails_with_the_difference() {
    let folder = tempfile::tempdir().unwrap();
    let (first, ..) = ask(vec![said("hm"), said(r#"{"number": 6}"#)], folder.path());
    let (spec, clock, nobody) = (spec(LlmProvider::Openai), FakeClock::default(), script(vec![]));
    let again = ask_as(LlmRole::Ideator, &spec, &nobody, &clock, Tape::replay(folder.path()), None);
    assert_eq!((again.result.unwrap(), &again.spent), (first.result.unwrap(), &first.spent));

    let mut client = Client::new(&spec, open(&spec), &nobody, &clock, Tape::replay(folder.path()));
    let mut question =
        Question { role: LlmRole::Ideator, system: "Be even.", prompt: "Which letter?", allowance: None, check: &even };
    let problem = client.ask(&question).unwrap_err();
    assert!(problem.what.contains("-Which number?") && problem.what.contains("+Which letter?"), "{problem}");

    question.prompt = "Which number?";
    client.ask(&question).unwrap();
    let problem = client.ask(&question).unwrap_err();
    assert!(problem.what.contains("ends before"), "{problem}");
}

#[test]
fn a_question_that_was_never_answered_stays_paid_for() {
    let folder = tempfile::tempdir().unwrap();
    let (spec, clock) = (spec(LlmProvider::Openai), FakeClock::default());
    let dying = FakePost::new(|_: &PostRequest| -> Result<PostReply, SendError> { panic!("killed") });
    let tape = Tape::record(folder.path()).unwrap();
    let dead = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        ask_as(LlmRole::Ideator, &spec, &dying, &clock, tape, None)
    }));
    assert!(dead.is_err());
    let (usage, dollars) = Tape::spent(folder.path()).unwrap();
    assert!(usage.output_tokens == 100 && dollars.micro >= 400);
    let (answered, ..) = ask(vec![said(r#"{"number": 2}"#)], folder.path());
    assert_eq!(answered.spent.entries, [2], "its number is not used again");
}

#[test]
fn neither_key_nor_address_means_no_model() {
    let mut spec = spec(LlmProvider::Openai);
    assert_eq!(access(&spec, &|_| None), None);
    spec.base_url = Some("http://localhost:8000/v1/".into());
    assert_eq!(access(&spec, &|_| None).unwrap().base_url, "http://localhost:8000/v1");
    let ours = access(&spec, &|name| (name == "OPENAI_BASE_URL").then(|| "http://other".into())).unwrap();
    assert_eq!(ours.base_url, "http://localhost:8000/v1", "the config goes first");
    let from_a_file = access(&spec, &|name| name.ends_with("_API_KEY").then(|| format!("{KEY}\n")));
    assert_eq!(from_a_file.unwrap(), open(&spec), "a line break is no part of a key");
    // Anthropic's own programs have the address without the version in their variable.
    spec.provider = LlmProvider::Anthropic;
    for url in ["https://api.anthropic.com", "https://api.anthropic.com/", "https://api.anthropic.com/v1"] {
        spec.base_url = Some(url.into());
        assert_eq!(access(&spec, &|_| None).unwrap().base_url, "https://api.anthropic.com/v1", "{url}");
    }
}

#[test]
fn a_count_that_cannot_be_is_not_charged() {
    let counted = |tokens: u64| {
        let message = json!({ "content": r#"{"number": 2}"# });
        reply(
            200,
            json!({ "choices": [{ "message": message }], "usage": { "prompt_tokens": 5, "completion_tokens": tokens } }),
        )
    };
    for (tokens, assumed) in [(80, false), (1_000_000, true), (u64::MAX, true)] {
        let folder = tempfile::tempdir().unwrap();
        let (answered, ..) = ask(vec![counted(tokens)], folder.path());
        let entry = Tape::read(folder.path(), 1).unwrap();
        assert_eq!((answered.result.is_ok(), entry.assumed), (true, assumed), "{tokens}");
        let worst = worst_case(&entry.request, TokenPrice { input: 1.0, output: 4.0 });
        assert_eq!(answered.spent.dollars == worst, assumed, "{tokens}");
    }
}

/// A server on the loopback interface that answers each connection with the next of `answers`; none: it never answers.
fn server(answers: Vec<Option<String>>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    use std::io::Write;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let serve = move || {
        let mut bodies = Vec::new();
        let mut held = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let body = crate::sys::request::read_body(&stream);
            bodies.push(String::from_utf8(body).unwrap());
            match answer {
                Some(text) => stream.write_all(text.as_bytes()).unwrap(),
                None => held.push(stream),
            }
        }
        bodies
    };
    (url, std::thread::spawn(serve))
}

fn http(status: &str, headers: &str, body: &str) -> Option<String> {
    Some(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len()))
}

#[test]
fn over_a_real_socket() {
    let answer = json!({ "model": "m", "choices": [{ "message": { "content": "{\"number\": 2}" } }] }).to_string();
    let (url, serving) = server(vec![
        http("429 Too Many Requests", "retry-after: 0\r\n", "{}"),
        // Hangs: the time-out of 1 s ends it.
        None,
        http("200 OK", "", &answer),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let spec = LlmSpec { base_url: Some(url), timeout_seconds: 1.0, ..spec(LlmProvider::Openai) };
    let tape = Tape::record(folder.path()).unwrap();
    let answered = ask_as(LlmRole::Ideator, &spec, &Network, &SystemClock::default(), tape, None);
    assert_eq!(answered.result.unwrap(), Pick { number: 2 });
    let bodies = serving.join().unwrap();
    assert!(bodies.iter().all(|b| b.contains("Which number?")));
    // No usage was said, so the most is assumed.
    assert!(Tape::read(folder.path(), 1).unwrap().assumed);

    let moved = http("302 Found", "location: http://127.0.0.1:9/elsewhere\r\n", "");
    let (url, serving) = server(vec![moved]);
    let request = PostRequest { url, headers: vec![], body: vec![], timeout_seconds: 5.0, limit: 10 };
    assert_eq!(Network.post(&request).unwrap().status, 302, "redirects are not followed");
    serving.join().unwrap();
    let closed = PostRequest { url: "http://127.0.0.1:1/".into(), ..request };
    assert!(matches!(Network.post(&closed), Err(SendError::Unreachable(_))));
    let odd = PostRequest { url: "localhost:1/v1".into(), ..closed };
    assert!(
        matches!(Network.post(&odd), Err(SendError::Unreachable(why)) if why.contains("address or a header is not valid"))
    );
}
