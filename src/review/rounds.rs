//! Review, revision, review again; bounded.

use super::manuscript::Manuscript;
use super::opinion::Review;
use super::personas::{PERSONAS, ask};
use super::rules;
use crate::campaign::{Desk, State};
use crate::problem::Result;
use crate::units::Dollars;

/// Whoever can change a paper by demands.
pub trait Reviser {
    /// The paper changed as far as it can be; none where nothing of it could be. `desk`: whom it may ask.
    fn revise(&mut self, review: &Review, desk: Option<&mut Desk>) -> Result<Option<Manuscript>>;
}

/// Reviews a paper and has it revised until it passes, nothing more can be changed, or `most` rounds were made (at least
/// one). The last review is of the paper as it is at the end. Without a desk the rule checks alone are the review.
///
/// # Errors
/// What must stop the writing; see [`Desk::ask`].
pub fn rounds(
    state: &State,
    mut paper: Manuscript,
    mut desk: Option<&mut Desk>,
    reviser: &mut dyn Reviser,
    most: usize,
) -> Result<Vec<Review>> {
    let mut reviews = Vec::new();
    for round in 1..=most.max(1) {
        let mut opinions = vec![rules::check(&paper, state)];
        let mut silent = Vec::new();
        let mut dollars = Dollars::default();
        if let Some(desk) = desk.as_deref_mut() {
            let before = desk.state().writing.paid().1;
            for persona in &PERSONAS {
                match ask(desk, persona, &paper, round)? {
                    Ok(opinion) => opinions.push(opinion),
                    Err(why) => silent.push(format!("{}: {why}", persona.name)),
                }
            }
            dollars.micro = desk.state().writing.paid().1.micro.saturating_sub(before.micro);
        }
        let review = Review::of(round, opinions, silent, dollars);
        let passes = review.passes;
        reviews.push(review);
        if passes || round == most.max(1) {
            break;
        }
        match reviews.last().map(|review| reviser.revise(review, desk.as_deref_mut())).transpose()?.flatten() {
            Some(revised) => paper = revised,
            None => break,
        }
    }
    Ok(reviews)
}
