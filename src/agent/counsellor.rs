//! Whoever answers a campaign's questions: a model asked in a thread of its own, or its tape.

use super::answers::{Designs, Ideas, IntoReply, Validator};
use super::{findings, prompts};
use crate::campaign::counsel::Analysis;
use crate::campaign::{Counsellor, Inquiry, Paid, Question, Reply, State};
use crate::config::{LlmRole, LlmSpec};
use crate::knowledge::{Finding, Store, relevant};
use crate::llm::{self, Access, Answer, Client, Tape, worst_case};
use crate::problem::{Problem, Result};
use crate::sys::clock::{Clock, SystemClock};
use crate::sys::http::Post;
use crate::units::Dollars;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

/// Findings that a campaign starts from, at most.
const RECALLED: usize = 8;

type Heard = Result<(Reply, Paid)>;

/// A campaign's counsellor.
pub struct Agent {
    tape: PathBuf,
    post: Arc<dyn Post + Send + Sync>,
    /// How the service is reached; none: nobody is asked.
    access: Option<Access>,
    /// Models that may be asked, in words.
    models: String,
    store: Option<Store>,
    /// First entry of each question on the tape; this is a replay.
    replay: Option<BTreeMap<usize, u32>>,
    under_way: Option<Receiver<Heard>>,
}

/// A question ready to be sent.
struct Letter {
    spec: LlmSpec,
    role: LlmRole,
    system: String,
    prompt: String,
    inquiry: Inquiry,
    validator: Validator,
    allowance: Option<Dollars>,
}

impl Agent {
    /// For the campaign in `folder`: asks whom `reached` says, keeps findings in `store`.
    pub fn new(
        folder: &Path,
        reached: Option<(&LlmSpec, Access)>,
        store: Option<Store>,
        post: Arc<dyn Post + Send + Sync>,
    ) -> Self {
        let tape = folder.join(crate::campaign::placement::TAPE_FOLDER);
        let models = reached.as_ref().map_or_else(String::new, |(spec, _)| spec.planning_models().join(", "));
        let access = reached.map(|(_, access)| access);
        Agent { tape, post, access, models, store, replay: None, under_way: None }
    }

    /// Plays the tape of a campaign as it stands at its end; asks nobody and keeps nothing.
    pub fn replay(folder: &Path, end: &State, post: Arc<dyn Post + Send + Sync>) -> Self {
        let first = |a: &crate::campaign::counsel::Answered| Some((a.question.number, *a.paid.entries.first()?));
        let entries = end.counsel.answered.iter().filter_map(first).collect();
        let agent = Self::new(folder, None, None, post);
        Agent { replay: Some(entries), access: Some(Access::nowhere()), ..agent }
    }

    fn letter(&self, state: &State, inquiry: Inquiry, allowance: Option<Dollars>) -> Option<Letter> {
        let spec = state.campaign.llm.clone()?;
        let (system, prompt) = prompts::prompt(state, inquiry);
        let validator = Validator::new(state, inquiry);
        Some(Letter { spec, role: inquiry.role(), system, prompt, inquiry, validator, allowance })
    }
}

impl Counsellor for Agent {
    fn model(&self) -> Option<String> {
        self.access.as_ref().map(|_| self.models.clone())
    }

    fn worst(&self, state: &State, inquiry: Inquiry) -> Option<Dollars> {
        let letter = self.letter(state, inquiry, None)?;
        let price = letter.spec.prices.get(letter.spec.model_for(letter.role)).copied()?;
        let request = match inquiry {
            Inquiry::Ideas => llm::first_request::<Ideas>(&letter.spec, letter.role, &letter.system, &letter.prompt),
            Inquiry::Designs { .. } => {
                llm::first_request::<Designs>(&letter.spec, letter.role, &letter.system, &letter.prompt)
            }
            Inquiry::Analysis { .. } => {
                llm::first_request::<Analysis>(&letter.spec, letter.role, &letter.system, &letter.prompt)
            }
        };
        Some(worst_case(&request, price))
    }

    fn ask(&mut self, state: &State, question: &Question) -> Result<()> {
        let missing = || Problem::failed("a question is asked, and there is nobody to ask");
        let letter = self.letter(state, question.inquiry, question.allowance).ok_or_else(missing)?;
        let access = self.access.clone().ok_or_else(missing)?;
        let (post, folder) = (Arc::clone(&self.post), self.tape.clone());
        let (sender, receiver) = channel();
        self.under_way = Some(receiver);
        let send = move |tape: Tape, clock: &dyn Clock| {
            let heard = letter.send(access, post.as_ref(), clock, tape);
            // Nobody listens any more where the controller has left: the tape keeps it.
            let _ = sender.send(heard);
        };
        match &self.replay {
            // Without an entry nothing was sent: the answer follows from the question alone.
            Some(entries) => {
                let first = entries.get(&question.number).copied().unwrap_or(u32::MAX);
                send(Tape::replay_from(&folder, first), &SystemClock::default());
            }
            None => {
                let tape = Tape::record(&folder)?;
                std::thread::spawn(move || send(tape, &SystemClock::default()));
            }
        }
        Ok(())
    }

    fn poll(&mut self) -> Result<Option<(Reply, Paid)>> {
        let Some(receiver) = &self.under_way else { return Ok(None) };
        let heard = match receiver.try_recv() {
            Ok(heard) => heard.map(Some),
            Err(TryRecvError::Empty) => return Ok(None),
            Err(TryRecvError::Disconnected) => Err(Problem::failed("the thread that asks the language model is gone")
                .remedy("this is a mistake in nanoresearch: please report it; resume the campaign to go on")),
        };
        self.under_way = None;
        heard
    }

    fn recall(&self, state: &State) -> Result<Vec<Finding>> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let all = store.read()?;
        Ok(relevant(&all, &query(state), RECALLED).into_iter().cloned().collect())
    }

    fn keep(&self, state: &State) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        store.add(&findings(state)).map(|_| ())
    }
}

/// What a campaign is about, in words to look for.
fn query(state: &State) -> String {
    let campaign = &state.campaign;
    let paths: Vec<&str> = campaign.space.keys().map(String::as_str).collect();
    let about = findings::about(state);
    format!("{} {} {} {}", campaign.question, paths.join(" "), about.join(" "), state.metric())
}

impl Letter {
    fn send(self, access: Access, post: &dyn Post, clock: &dyn Clock, tape: Tape) -> Heard {
        let mut client = Client::new(&self.spec, access, post, clock, tape);
        let v = &self.validator;
        match self.inquiry {
            Inquiry::Ideas => self.through::<Ideas>(&mut client, &|a| v.ideas(a)),
            Inquiry::Designs { .. } => self.through::<Designs>(&mut client, &|a| v.designs(a)),
            Inquiry::Analysis { .. } => self.through::<Analysis>(&mut client, &|a| v.analysis(a)),
        }
    }

    fn through<T: Answer + IntoReply>(
        &self,
        client: &mut Client,
        check: &dyn Fn(&T) -> std::result::Result<(), String>,
    ) -> Heard {
        let question = llm::Question {
            role: self.role,
            system: &self.system,
            prompt: &self.prompt,
            allowance: self.allowance,
            check,
        };
        let answered = client.ask(&question)?;
        let spent = answered.spent;
        let paid = Paid { usage: spent.usage, dollars: spent.dollars, entries: spent.entries };
        let reply = match answered.result {
            Ok(value) => value.reply(),
            Err(failure) => Reply::Nothing { why: one_line(&failure.to_string()), unheard: false },
        };
        Ok((reply, paid))
    }
}

/// A failure's words, which may quote a model, bounded and without control characters.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}
