//! Asking: the budget before, tries and repairs meanwhile, the tape throughout.

use super::answer::{Answer, read, schema_of};
use super::chat::{ChatRequest, Finish, Reply, Usage, assistant, user};
use super::retry::{Next, next};
use super::tape::{Entry, Outcome, Tape};
use super::{anthropic, openai, price};
use crate::config::{LlmProvider, LlmRole, LlmSpec};
use crate::problem::Result;
use crate::sys::clock::Clock;
use crate::sys::http::{Post, PostReply, PostRequest};
use crate::units::Dollars;
use std::fmt;

/// Characters of a bad answer that are sent back with what is wrong about it.
const QUOTED: usize = 4_000;
/// Length from which a key counts as a secret: shorter ones are the made-up ones of local servers (`none`, `EMPTY`), and words.
const SECRET: usize = 12;

/// Where a service is, and the key to it.
#[derive(Clone, PartialEq)]
pub struct Access {
    /// Address with the version, without a slash at the end.
    pub base_url: String,
    key: Option<String>,
}

impl Access {
    /// For replays, which ask nobody.
    pub fn nowhere() -> Self {
        Access { base_url: String::new(), key: None }
    }

    /// What a service said without our key, which some quote back: it goes on the tape, into the journal and into reports.
    fn without_key(&self, mut reply: PostReply) -> PostReply {
        if let Some(key) = self.key.as_deref().filter(|key| key.len() >= SECRET) {
            let text = String::from_utf8_lossy(&reply.body).into_owned();
            if text.contains(key) {
                reply.body = text.replace(key, "[key]").into_bytes();
            }
        }
        reply
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("base_url", &self.base_url)
            .field("key", &self.key.as_ref().map(|_| "..."))
            .finish()
    }
}

/// How a campaign's service is reached: the address in its config or the environment, the key in the environment only.
/// `None` where there is neither a key nor an address: the classical planner works alone.
pub fn access(spec: &LlmSpec, variable: &dyn Fn(&str) -> Option<String>) -> Option<Access> {
    let (prefix, public) = match spec.provider {
        LlmProvider::Openai => ("OPENAI", openai::BASE_URL),
        LlmProvider::Anthropic => ("ANTHROPIC", anthropic::BASE_URL),
    };
    // Keys that come out of a file often end in a line break.
    let key = variable(&format!("{prefix}_API_KEY")).map(|key| key.trim().to_string()).filter(|key| !key.is_empty());
    let named = spec.base_url.clone().or_else(|| variable(&format!("{prefix}_BASE_URL")));
    let base_url = match (named, &key) {
        (Some(url), _) => url,
        (None, Some(_)) => public.to_string(),
        (None, None) => return None,
    };
    let base_url = base_url.trim_end_matches('/');
    // Anthropic's own programs take the address without the version, in the variable of the same name.
    let versioned = base_url.rsplit('/').next().is_some_and(|end| {
        end.strip_prefix('v').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    });
    let version = if spec.provider == LlmProvider::Anthropic && !versioned { "/v1" } else { "" };
    Some(Access { base_url: format!("{base_url}{version}"), key })
}

/// A question to a role.
pub struct Question<'q, T> {
    /// Who is asked.
    pub role: LlmRole,
    /// Standing instructions.
    pub system: &'q str,
    /// The question, untrusted parts fenced.
    pub prompt: &'q str,
    /// Dollars that may still be spent; none where dollars are not limited.
    pub allowance: Option<Dollars>,
    /// Whether a well-formed answer makes sense; the validator's message otherwise, which the model is shown.
    pub check: &'q dyn Fn(&T) -> std::result::Result<(), String>,
}

/// What a question cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spent {
    /// Tokens of all its calls.
    pub usage: Usage,
    /// Their price.
    pub dollars: Dollars,
    /// Numbers of its entries on the tape.
    pub entries: Vec<u32>,
}

/// A question's end. Whatever happened, what was used is in `spent`.
#[derive(Debug)]
pub struct Answered<T> {
    /// The checked value, or why there is none.
    pub result: std::result::Result<T, Failure>,
    /// What it cost.
    pub spent: Spent,
}

/// Why there is no answer. The campaign goes on without one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The service cannot be reached or does not serve, after all tries.
    #[error("the language model is unavailable: {0}")]
    Unavailable(String),
    /// The model refused to answer.
    #[error("the language model refused{}", reasons(.0))]
    Refused(String),
    /// No answer passed the validator, the repairs included.
    #[error("the language model's answer is unusable: {0}")]
    Unusable(String),
    /// The next call could cost more than may be spent.
    #[error("the next question could cost {worst}, and {left} may be spent")]
    Budget {
        /// What it could cost.
        worst: Dollars,
        /// What is left.
        left: Dollars,
    },
    /// Dollars are limited and the model has no price.
    #[error("{0} has no price in llm.prices, and the campaign limits dollars")]
    Unpriced(String),
}

/// The first call of a question.
pub fn first_request<T: Answer>(spec: &LlmSpec, role: LlmRole, system: &str, prompt: &str) -> ChatRequest {
    let schema = schema_of::<T>();
    ChatRequest {
        model: spec.model_for(role).to_string(),
        // Servers that know no schemas see it all the same.
        system: format!("{system}\n\nJSON Schema of `{}`:\n{schema}", T::NAME),
        messages: vec![user(prompt)],
        max_tokens: spec.max_tokens,
        schema_name: T::NAME.to_string(),
        schema,
    }
}

/// Asks one service.
pub struct Client<'c> {
    spec: &'c LlmSpec,
    access: Access,
    post: &'c dyn Post,
    clock: &'c dyn Clock,
    tape: Tape,
}

impl<'c> Client<'c> {
    /// A client that records on, or replays from, `tape`.
    pub fn new(spec: &'c LlmSpec, access: Access, post: &'c dyn Post, clock: &'c dyn Clock, tape: Tape) -> Self {
        Client { spec, access, post, clock, tape }
    }

    /// Asks, and has an answer that breaks the schema or the check mended by the model, `repairs` times at most.
    ///
    /// # Errors
    /// Only what must stop a campaign: a tape that cannot be written, or a replay that went another way.
    pub fn ask<T: Answer>(&mut self, question: &Question<T>) -> Result<Answered<T>> {
        let mut spent = Spent::default();
        let mut request = first_request::<T>(self.spec, question.role, question.system, question.prompt);
        let mut repairs = 0;
        // What was wrong with the answer before.
        let mut bad: Option<String> = None;
        let result = loop {
            if let Err(failure) = self.affordable(&request, question.allowance, &spent) {
                break Err(match bad {
                    Some(wrong) => Failure::Unusable(format!("{wrong}; it is not sent back: {failure}")),
                    None => failure,
                });
            }
            let entry = self.exchange(question.role, &request)?;
            spent.usage = spent.usage.plus(entry.usage);
            spent.dollars = Dollars { micro: spent.dollars.micro.saturating_add(entry.dollars.micro) };
            spent.entries.push(entry.number);
            let reply = match entry.outcome {
                Outcome::Reply(reply) => reply,
                Outcome::Failed { why } => break Err(Failure::Unavailable(why)),
                Outcome::Pending => break Err(Failure::Unavailable("the answer was never recorded".to_string())),
            };
            let wrong = match (reply.finish, read::<T>(&reply.text, question.check)) {
                (Finish::Refused, _) => break Err(Failure::Refused(quote(&reply.text, 200))),
                (_, Ok(value)) => break Ok(value),
                (Finish::Length, Err(why)) => {
                    format!("it was cut off at {} tokens: answer more briefly ({why})", request.max_tokens)
                }
                (Finish::Complete, Err(why)) => why,
            };
            if repairs == self.spec.repairs {
                break Err(Failure::Unusable(wrong));
            }
            repairs += 1;
            request.messages.push(assistant(quote(&reply.text, QUOTED)));
            request.messages.push(user(format!(
                "That answer cannot be used: {wrong}.\nAnswer again with exactly one JSON object of the form `{}`, and nothing else.",
                T::NAME
            )));
            bad = Some(wrong);
        };
        Ok(Answered { result, spent })
    }

    /// Whether the next call fits in what may be spent, whatever it turns out to use.
    fn affordable(
        &self,
        request: &ChatRequest,
        allowance: Option<Dollars>,
        spent: &Spent,
    ) -> std::result::Result<(), Failure> {
        let Some(allowance) = allowance else { return Ok(()) };
        let Some(price) = self.spec.prices.get(&request.model) else {
            return Err(Failure::Unpriced(request.model.clone()));
        };
        let worst = price::worst_case(request, *price);
        let left = Dollars { micro: allowance.micro.saturating_sub(spent.dollars.micro) };
        if worst > left { Err(Failure::Budget { worst, left }) } else { Ok(()) }
    }

    /// One call with its tries, from the tape where this is a replay.
    fn exchange(&mut self, role: LlmRole, request: &ChatRequest) -> Result<Entry> {
        if self.tape.replaying() {
            return self.tape.play(role, request);
        }
        let price = self.spec.prices.get(&request.model).copied();
        let charge = |usage| price.map_or(Dollars::default(), |p| price::dollars(usage, p));
        let most = price::most_tokens(request);
        let mut entry = self.tape.pending(role, request, most, charge(most));
        self.tape.write(&entry)?;
        let started = self.clock.monotonic();
        let (outcome, heard) = self.call(request, &mut entry.failed_tries);
        entry.latency_seconds = self.clock.monotonic() - started;
        let counted = match &outcome {
            Outcome::Reply(reply) => reply.usage.filter(|usage| price::possible(*usage, most, &reply.text)),
            // Nobody can have answered, so nobody counts; only a try that timed out may have been served.
            _ if !heard => Some(Usage::default()),
            _ => None,
        };
        if let Some(usage) = counted {
            (entry.usage, entry.dollars, entry.assumed) = (usage, charge(usage), false);
        }
        entry.outcome = outcome;
        self.tape.write(&entry)?;
        self.tape.advance();
        Ok(entry)
    }

    /// Tries until something worth reading comes back. Also whether any try may have been served without our knowing.
    fn call(&self, request: &ChatRequest, failed: &mut Vec<String>) -> (Outcome, bool) {
        let mut strict = self.spec.provider == LlmProvider::Openai;
        let (mut tried, mut served) = (0, false);
        loop {
            let result = self.post.post(&self.wire(request, strict)).map(|reply| self.access.without_key(reply));
            served |=
                matches!(result, Err(crate::sys::http::SendError::TimedOut | crate::sys::http::SendError::Broken(_)));
            match next(&result, tried, self.spec.retries, strict, self.clock.unix()) {
                Next::Read => {
                    return match result
                        .as_ref()
                        .map_err(|_| String::new())
                        .and_then(|r| self.decode(&r.body, r.truncated))
                    {
                        Ok(reply) => (Outcome::Reply(reply), true),
                        // A body that is no answer was charged like one.
                        Err(why) => (Outcome::Failed { why }, true),
                    };
                }
                Next::Wait(seconds) => {
                    failed.push(format!("{}; waited {seconds:.1} s", cause(&result)));
                    self.clock.sleep(seconds);
                    tried += 1;
                }
                Next::Simplify => {
                    failed.push(format!("{}; asked again in a simpler form", cause(&result)));
                    strict = false;
                }
                Next::GiveUp(why) => return (Outcome::Failed { why }, served),
            }
        }
    }

    fn wire(&self, request: &ChatRequest, strict: bool) -> PostRequest {
        let mut headers = vec![("content-type".to_string(), "application/json".to_string())];
        let (path, body) = match self.spec.provider {
            LlmProvider::Openai => {
                headers
                    .extend(self.access.key.iter().map(|key| ("authorization".to_string(), format!("Bearer {key}"))));
                (openai::PATH, openai::encode(request, strict))
            }
            LlmProvider::Anthropic => {
                headers.push(("anthropic-version".to_string(), anthropic::VERSION.to_string()));
                headers.extend(self.access.key.iter().map(|key| ("x-api-key".to_string(), key.clone())));
                (anthropic::PATH, anthropic::encode(request))
            }
        };
        PostRequest {
            url: format!("{}{path}", self.access.base_url),
            headers,
            body: body.to_string().into_bytes(),
            timeout_seconds: self.spec.timeout_seconds,
            // A response is the answer and a little around it.
            limit: 2 * super::answer::LONGEST,
        }
    }

    fn decode(&self, body: &[u8], truncated: bool) -> std::result::Result<Reply, String> {
        if truncated {
            return Err(format!("the response is longer than {} bytes", 2 * super::answer::LONGEST));
        }
        // Some gateways put a mark of the byte order before it.
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let value = serde_json::from_slice(body).map_err(|e| {
            let begins = quote(String::from_utf8_lossy(body).trim(), 60);
            format!("the response is not JSON: {e}; it is {begins:?}")
        })?;
        match self.spec.provider {
            LlmProvider::Openai => openai::decode(&value),
            LlmProvider::Anthropic => anthropic::decode(&value),
        }
    }
}

fn cause(result: &std::result::Result<PostReply, crate::sys::http::SendError>) -> String {
    match result {
        Ok(reply) => format!("status {}", reply.status),
        Err(error) => error.to_string(),
    }
}

/// A refusal's own words, where it has any.
fn reasons(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

/// The beginning of a text, with what was left out said.
fn quote(text: &str, limit: usize) -> String {
    let length = text.chars().count();
    if length <= limit {
        return text.to_string();
    }
    let kept: String = text.chars().take(limit).collect();
    format!("{kept} [... {} characters left out]", length - limit)
}
