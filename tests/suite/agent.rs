//! Campaigns with a language model: whole processes against a scripted server on the loopback interface that computes its
//! answers from the prompts, and every way in which a model can fail.

use super::campaigns::{Field, Said};
use nanoresearch::campaign::counsel::Inquiry;
use nanoresearch::campaign::{State, load};
use serde_json::{Value, json};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Asks and answers of a server, in order.
type Log = Arc<Mutex<Vec<(String, String)>>>;

/// What a server does with a request, whose schema's name and prompt it is given.
type Behaviour = Box<dyn Fn(&str, &str) -> Answer + Send>;

enum Answer {
    /// A completion.
    Says(String),
    /// Bytes, whatever they are.
    Raw(Vec<u8>),
    /// Nothing, ever.
    Hangs,
}

struct Server {
    url: String,
    log: Log,
}

impl Server {
    fn new(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let log: Log = Log::default();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let body = read(&stream);
                let name = body["response_format"]["json_schema"]["name"].as_str().unwrap_or("simple").to_string();
                let words = |m: &Value| m["content"].as_str().unwrap_or_default().to_string();
                let messages: Vec<String> = body["messages"].as_array().unwrap().iter().map(words).collect();
                let prompt = messages.join("\n");
                match behaviour(&name, &prompt) {
                    Answer::Says(text) => {
                        kept.lock().unwrap().push((prompt.clone(), text.clone()));
                        let usage = json!({ "prompt_tokens": prompt.len() / 4, "completion_tokens": text.len() / 4 });
                        let choice = json!({ "message": { "content": text }, "finish_reason": "stop" });
                        let body = json!({ "model": "scripted", "usage": usage, "choices": [choice] }).to_string();
                        let head =
                            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                        let _ = stream.write_all((head + &body).as_bytes());
                    }
                    Answer::Raw(bytes) => {
                        kept.lock().unwrap().push((prompt, "(raw)".into()));
                        let _ = stream.write_all(&bytes);
                    }
                    Answer::Hangs => {
                        kept.lock().unwrap().push((prompt, "(nothing)".into()));
                        held.push(stream);
                    }
                }
            }
        });
        Server { url, log }
    }

    fn asked(&self) -> Vec<(String, String)> {
        self.log.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Value {
    let body = super::request::read_body(stream);
    serde_json::from_slice(&body).unwrap()
}

/// The first number after `mark` in a text.
fn number(text: &str, mark: &str) -> Option<f64> {
    let rest = &text[text.find(mark)? + mark.len()..];
    let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | 'e' | '-' | '+'))).unwrap_or(rest.len());
    rest[..end].trim_end_matches('.').parse().ok()
}

/// A model that reads: its answers follow from the numbers in the prompt.
fn reads(name: &str, prompt: &str) -> Answer {
    let room = number(prompt, "room for about ").unwrap_or(0.0);
    let best = prompt.find("## Best").and_then(|at| number(&prompt[at..], "optimizer.learning_rate="));
    // What an earlier campaign found counts until there are results of one's own.
    let found = prompt.find("# Findings of earlier").and_then(|at| number(&prompt[at..], "optimizer.learning_rate="));
    let centre = best.or(found).unwrap_or(0.01).clamp(2e-4, 0.05);
    let text = match name {
        "ideas" => json!({ "hypotheses": [{
            "claim": format!("A rate near {centre} lowers the loss"), "effect": -0.2, "belief": 0.6,
            "refuted_if": "the loss stays where it is",
            "region": { "optimizer.learning_rate": { "low": 1e-4, "high": 0.1 } },
        }] }),
        "designs" => {
            // More GPU-hours, more experiments; the second is the first with its momentum of ideas taken back.
            let n = if number(prompt, "device-hours: ").unwrap_or(0.0) > 0.1 { 3 } else { 1 };
            let tried = prompt.matches("run 0").count();
            let design = |k: usize| {
                json!({
                    "hypothesis": 1, "part": if k == 0 { "test" } else { "ablation" },
                    "settings": { "optimizer.learning_rate": centre * (1.1 + 0.07 * k as f64 + 0.003 * tried as f64) + (prompt.len() % 97) as f64 * 1e-6 },
                    "seeds": if k == 0 { 2 } else { 1 }, "why": format!("{room} further looks fit"),
                })
            };
            json!({ "experiments": (0..n).map(design).collect::<Vec<_>>() })
        }
        "analysis" => json!({
            "course": if room < 4.0 { "conclude" } else { "refine" }, "reasons": format!("room for {room}"),
            "findings": [{ "text": "the rate matters most", "runs": [1] }],
        }),
        other => panic!("asked for {other}"),
    };
    Answer::Says(text.to_string())
}

/// A small campaign that asks the server at `url`.
fn config(url: &str, candidates: usize, hours: f64, more: &str) -> String {
    format!(
        r#"
name = "asking"
question = "Which learning rate lowers the loss on the digits?"
objective.metric = "loss"
seeds = {{ baseline = 2, confirm = 2, finalists = 1 }}
planner = {{ kind = "hybrid", seed = 3, startup = 3, candidates = {candidates} }}
space."optimizer.learning_rate" = {{ type = "log-float", low = 1e-4, high = 1e-1 }}
baseline.data.kind = "digits"
baseline.model = {{ kind = "mlp", widths = [32] }}
baseline.optimizer = {{ kind = "adamw", learning_rate = 1e-3 }}
baseline.training = {{ batch_size = 32, budget = {{ steps = 60 }} }}
baseline.evaluation = {{ every = 20, samples = 64 }}
budget = {{ device_hours = {hours}, dollars_per_device_hour = 2.0, dollars = 5.0 }}
knowledge = "knowledge.jsonl"
[llm]
model = "scripted"
base_url = "{url}"
retries = 1
repairs = 1
timeout_seconds = 2.0
max_tokens = 800
prices.scripted = {{ input = 1.0, output = 4.0 }}
{more}
"#
    )
}

fn succeeded(said: &Said) {
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
}

fn run(field: &Field) -> State {
    succeeded(&field.say(&["run", "campaign.toml", "--out", "c"]));
    load(&field.folder()).unwrap()
}

fn files_below(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() { files_below(&entry.path(), found) } else { found.push(entry.path()) }
    }
}

#[test]
fn a_campaign_through_every_role_is_replayed_byte_for_byte_and_feeds_the_next() {
    let server = Server::new(Box::new(reads));
    let field = Field::new(&config(&server.url, 8, 0.5, ""));
    let state = run(&field);
    let inquiries: Vec<Inquiry> = state.counsel.answered.iter().map(|a| a.question.inquiry).collect();
    for wanted in [Inquiry::Ideas, Inquiry::Analysis { last: false }, Inquiry::Analysis { last: true }] {
        assert!(inquiries.contains(&wanted), "{inquiries:?}");
    }
    let own: Vec<u64> = state.candidates.iter().filter(|c| c.planner == "llm").map(|c| c.index).collect();
    assert_eq!(own, [3, 6], "at most 30% are the model's");
    assert!(state.counsel.answered.iter().all(|a| a.failure.is_none()), "{:?}", state.counsel.answered);
    assert_eq!(state.counsel.designs.iter().filter(|d| d.question == 2).count(), 3, "there was much room");
    let (usage, dollars) = state.counsel.paid();
    assert!(usage.input_tokens > 1000 && dollars == state.ledger.asked() && dollars.micro > 0);
    assert_eq!(server.asked().len(), inquiries.len());

    // What people read: status, why, report.
    let status = field.say(&["status", "--in", "c"]);
    assert!(status.stdout.contains("model     ") && status.stdout.contains("tokens sent"), "{}", status.stdout);
    let json: Value = serde_json::from_str(&field.say(&["status", "--in", "c", "--format", "json"]).stdout).unwrap();
    assert_eq!(json["language_model"]["input_tokens"], usage.input_tokens);
    let run = state.candidates[3].screening.unwrap().to_string();
    let why = field.say(&["why", &run, "--in", "c"]);
    assert!(why.stdout.contains("question 2: the designer is asked"), "{}", why.stdout);
    assert!(why.stdout.contains("question 2 (llm/0002.json): the designer said"), "{}", why.stdout);
    assert!(why.stdout.contains("llm/0002.json") && why.stdout.contains("hypothesis 1"), "{}", why.stdout);
    // The test was repeated right after its first look, so its hypothesis is decided, and it is compared with the others.
    let verdict =
        why.stdout.lines().find(|l| l.contains("now       hypothesis 1: ")).unwrap_or_else(|| panic!("{}", why.stdout));
    assert!(verdict.contains("supported") && verdict.contains("predicted"), "{verdict}");
    assert!(why.stdout.contains("now       candidate 3: kept (p "), "{}", why.stdout);
    let report = std::fs::read_to_string(field.folder().join("report.html")).unwrap();
    assert!(report.contains("Hypotheses and readings") && report.contains("lowers the loss"));

    // The replay: twice the same, with nobody to ask, and nothing written.
    let mut before = Vec::new();
    files_below(&field.folder(), &mut before);
    let asked = server.asked().len();
    let first = field.say(&["run", "c", "--replay"]);
    succeeded(&first);
    assert!(first.stdout.contains(&format!("and {} questions came out the same", inquiries.len())), "{}", first.stdout);
    assert_eq!(first.stdout, field.say(&["run", "c", "--replay"]).stdout);
    let mut after = Vec::new();
    files_below(&field.folder(), &mut after);
    assert_eq!((before.len(), asked), (after.len(), server.asked().len()));

    // A prompt that is not the recorded one fails with the difference; so does an answer that was changed.
    let tape = field.folder().join("llm/0001.json");
    let text = std::fs::read_to_string(&tape).unwrap();
    std::fs::write(&tape, text.replace("You are the ideator", "You are the dreamer")).unwrap();
    let said = field.say(&["run", "c", "--replay"]);
    assert_eq!(said.code, 1);
    assert!(
        said.stderr.contains("-You are the dreamer") && said.stderr.contains("+You are the ideator"),
        "{}",
        said.stderr
    );
    std::fs::write(&tape, &text).unwrap();
    let second = field.folder().join("llm/0002.json");
    let answer = std::fs::read_to_string(&second).unwrap();
    std::fs::write(&second, answer.replace("further looks fit", "further looks are fit")).unwrap();
    let said = field.say(&["run", "c", "--replay"]);
    assert!(said.code == 1 && said.stderr.contains("decides otherwise"), "{}", said.stderr);
    std::fs::write(&second, answer).unwrap();
    succeeded(&field.say(&["run", "c", "--replay"]));

    // A second campaign on a related question, poorer: it starts from the first's findings, and plans less at once.
    let best = state.best().expect("the loss can be lowered").assignment["optimizer.learning_rate"].clone();
    let kept = std::fs::read_to_string(field.folder().parent().unwrap().join("knowledge.jsonl")).unwrap();
    assert!(kept.contains("confirmed") && kept.contains(&best.to_string()), "{kept}");
    let poorer = config(&server.url, 4, 0.03, "").replace("\"asking\"", "\"related\"").replace("Which", "How small a");
    std::fs::write(field.folder().parent().unwrap().join("related.toml"), poorer).unwrap();
    succeeded(&field.say(&["run", "related.toml", "--out", "d"]));
    let related = load(&field.folder().parent().unwrap().join("d")).unwrap();
    assert_eq!(related.candidates[0].planner, "knowledge");
    // The best by its own mean is mostly, not always, the one with the largest paired difference.
    let first = related.candidates[0].assignment["optimizer.learning_rate"].clone();
    assert!(kept.contains(&first.to_string()), "{first}");
    let (prompt, said) = &server.asked()[asked];
    assert!(
        prompt.contains("# Findings of earlier campaigns")
            && prompt.contains("asking: optimizer") | prompt.contains("asking: learning_rate")
    );
    assert!(!said.contains("near 0.01 "), "its hypothesis rests on what was found: {said}");
    let designs = |s: &State, question: usize| s.counsel.designs.iter().filter(|d| d.question == question).count();
    let theirs = related
        .counsel
        .designs
        .first()
        .map(|d| d.question)
        .unwrap_or_else(|| panic!("no design: {:?}", related.counsel.answered));
    assert_eq!(designs(&related, theirs), 1, "fewer GPU-hours, another plan");
}

#[test]
fn whatever_a_model_does_the_campaign_goes_on_and_says_so() {
    let http = |status: &str, headers: &str, body: &str| {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len());
        Answer::Raw((head + body).into_bytes())
    };
    let injected = json!({ "experiments": [{ "part": "test", "seeds": 1, "why": "the log said so",
        "settings": { "data.path": "/etc/passwd", "optimizer.learning_rate": 0.01 } }] });
    let injected = injected.to_string();
    type Make = Box<dyn Fn() -> Answer + Send>;
    let faults: Vec<(&str, Make, bool)> = vec![
        ("no JSON object", Box::new(|| Answer::Says("Certainly! I would love to.".into())), true),
        ("ends too early", Box::new(|| Answer::Says("{\"hypotheses\": [{\"claim\": \"ha".into())), true),
        (
            "refused",
            Box::new(move || {
                let body = r#"{"choices":[{"message":{"refusal":"I cannot."}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}"#;
                http("200 OK", "", body)
            }),
            true,
        ),
        ("it holds only optimizer.learning_rate", Box::new(move || Answer::Says(injected.clone())), true),
        ("longer than", Box::new(|| Answer::Says("x".repeat(10 << 20))), true),
        ("429", Box::new(move || http("429 Too Many Requests", "retry-after: 0\r\n", "{}")), false),
        ("no answer in time", Box::new(|| Answer::Hangs), true),
        ("connection", Box::new(|| Answer::Raw(Vec::new())), true),
    ];
    for (words, fault, charged) in faults {
        let server = Server::new(Box::new(move |_, _| fault()));
        let field = Field::new(&config(&server.url, 4, 0.5, ""));
        let said = field.say(&["run", "campaign.toml", "--out", "c"]);
        succeeded(&said);
        assert!(said.stderr.contains("the classical sampler goes on"), "{words}: {}", said.stderr);
        let state = load(&field.folder()).unwrap();
        assert!(state.candidates.len() == 4 && state.candidates.iter().all(|c| c.planner == "tpe"), "{words}");
        let failures: Vec<&str> = state.counsel.answered.iter().filter_map(|a| a.failure.as_deref()).collect();
        assert_eq!(failures.len(), state.counsel.answered.len());
        assert!(failures.len() >= 2 && failures.iter().any(|f| f.contains(words)), "{words}: {failures:?}");
        assert_eq!(state.ledger.asked().micro > 0, charged, "{words}");
        assert!(state.ledger.committed().dollars.value() <= 5.0);
        succeeded(&field.say(&["run", "c", "--replay"]));
    }
    // Neither key nor address: the offline planner, quietly.
    let offline = config("http://127.0.0.1:1", 3, 0.5, "").replace("base_url = \"http://127.0.0.1:1\"\n", "");
    let field = Field::new(&offline);
    let said = field.say(&["run", "campaign.toml", "--out", "c"]);
    succeeded(&said);
    assert!(!said.stderr.contains("model") && !said.stderr.contains("question"), "{}", said.stderr);
    let state = load(&field.folder()).unwrap();
    assert!(!state.counsel.used() && state.candidates.len() == 3);
}

/// A controller is killed while it waits for an answer: the next one pays for the question at its worst, before anything else,
/// and goes on.
#[test]
fn a_question_that_a_killed_controller_left_open_is_paid() {
    let hangs = Arc::new(AtomicBool::new(true));
    let still = Arc::clone(&hangs);
    let answer =
        move |name: &str, prompt: &str| if still.load(Ordering::SeqCst) { Answer::Hangs } else { reads(name, prompt) };
    let server = Server::new(Box::new(answer));
    let patient = config(&server.url, 4, 0.5, "").replace("timeout_seconds = 2.0", "timeout_seconds = 600.0");
    let field = Field::new(&patient);
    let mut controller = field.run();
    field.wait("a question", |s| s.counsel.asking.as_ref().map(|_| ()));
    super::campaigns::until("the question to be sent", || (!server.asked().is_empty()).then_some(()));
    assert!(controller.kill());
    hangs.store(false, Ordering::SeqCst);
    field.resume().succeeds();
    let state = load(&field.folder()).unwrap();
    let first = &state.counsel.answered[0];
    assert!(first.failure.as_ref().unwrap().contains("ended before the answer came"), "{first:?}");
    assert!(first.paid.dollars.micro > 0 && first.paid.entries == [1], "{first:?}");
    assert!(state.counsel.answered.len() > 2 && state.candidates.iter().any(|c| c.planner == "llm"));
    succeeded(&field.say(&["run", "c", "--replay"]));
}

/// A person halves the budget in the middle: the next controller plans within it, the model told so, and ends within it.
#[test]
fn a_budget_halved_in_the_middle_is_planned_anew_with_the_model() {
    let server = Server::new(Box::new(reads));
    let field = Field::new(&config(&server.url, 24, 0.05, ""));
    let mut controller = field.run();
    field.wait("the model's first proposal", |s| s.counsel.designs.iter().any(|d| d.proposal.is_some()).then_some(()));
    succeeded(&field.say(&["note", "the machine is wanted elsewhere", "--in", "c"]));
    field.wait("the remark", |s| (!s.counsel.notes.is_empty()).then_some(()));
    succeeded(&field.say(&["stop", "--in", "c"]));
    controller.wait();
    let before = load(&field.folder()).unwrap();
    let said = field.say(&["resume", "c", "budget.device_hours=0.025"]);
    assert!(matches!(said.code, 0 | 3), "{}", said.stderr);
    let after = load(&field.folder()).unwrap();
    assert!(after.ledger.committed().time.hours() <= 0.025);
    assert!(after.conclusion.is_some() && after.counsel.answered.len() > before.counsel.answered.len());
    let asked = server.asked();
    let told = |words: &str| asked.iter().filter_map(|(prompt, _)| number(prompt, words)).collect::<Vec<f64>>();
    let (free, rooms) = (told("device-hours: "), told("room for about "));
    let since = before.counsel.answered.len();
    assert!(free[0] > 0.04 && free[since..].iter().all(|hours| *hours <= 0.025), "{free:?}");
    // How many looks fit in an hour is told from what runs have taken, which the machine has a say in: a third of drift is allowed.
    let dearer = 4.0 / 3.0;
    assert!(rooms.len() == free.len() && free.len() > since);
    for at in since..rooms.len() {
        assert!(rooms[at] < rooms[0] * (free[at] / free[0]) * dearer, "{free:?} {rooms:?}");
    }
    assert!(server.asked().last().unwrap().0.contains("the machine is wanted elsewhere"));
    succeeded(&field.say(&["run", "c", "--replay"]));
}

/// From a sentence to a campaign that runs: by a model, whose first draft reaches for what it must not, and without one.
#[test]
fn a_goal_becomes_a_campaign_to_be_read_before_anything_is_spent() {
    const KEY: &str = "sk-very-secret";
    let goal = "Does dropout help a small network on digits?";
    let server = Server::new(Box::new(|name, prompt| {
        assert_eq!(name, "campaign");
        assert!(prompt.contains("# Template digits-cnn") && prompt.contains("Does dropout help"));
        let space = match prompt.contains("cannot be set") {
            false => json!({ "data.path": { "type": "choice", "values": ["/etc/passwd"] } }),
            true => json!({ "model.dropout": { "type": "float", "low": 0.0, "high": 0.5 } }),
        };
        let draft = json!({ "template": "digits-mlp", "question": "Does dropout raise accuracy on the digits?", "space": space,
                            "baseline": { "training.budget.epochs": 1 }, "device_hours": 0.03, "why": "one setting is asked about" });
        Answer::Says(draft.to_string())
    }));
    let field = Field::new("");
    let variables = [("OPENAI_BASE_URL", server.url.as_str()), ("OPENAI_API_KEY", KEY)];
    let said = field.say_in(&["init", "study", "--goal", goal, "--model", "scripted"], &variables);
    succeeded(&said);
    assert!(said.stdout.contains("worst case") && said.stdout.contains("nothing was run"), "{}", said.stdout);
    assert!(said.stderr.contains("one setting is asked about"), "{}", said.stderr);
    assert_eq!(server.asked().len(), 2, "the first draft was sent back");
    let folder = field.folder().parent().unwrap().join("study");
    let text = std::fs::read_to_string(folder.join("campaign.toml")).unwrap();
    assert!(
        text.contains("model = \"scripted\"") && text.contains("device_hours = 0.03") && !text.contains("passwd"),
        "{text}"
    );
    succeeded(&field.say(&["check", "study/campaign.toml"]));
    let mut files = Vec::new();
    files_below(&folder, &mut files);
    assert_eq!(files.len(), 3, "the campaign and two entries of the tape: {files:?}");
    for file in files {
        assert!(!std::fs::read_to_string(&file).unwrap().contains(KEY), "{}", file.display());
    }
    // Without a model, the nearest template asks the question.
    let said = field.say(&["init", "other", "--goal", "What delays grokking in modular addition?"]);
    succeeded(&said);
    let text = std::fs::read_to_string(field.folder().parent().unwrap().join("other/campaign.toml")).unwrap();
    assert!(text.contains("What delays grokking") && text.contains("modular"), "{text}");
}
