//! From a query to the entries that match it.

use crate::query::{Clause, Closeness, EntryTokens, Expression, Scope, Sequence, Subject, Term};

use super::intersect::{Union, intersect};
use super::postings::Postings;
use super::rank::Reader;
use super::slots::NONE;
use super::work::Work;
use super::{Index, Page, Rows};
use crate::Config;

/// Price of finding one more word that starts as asked.
const PREFIX_WORD_WORK: u64 = 10;

/// Price of looking at an entry without cutting its texts into words.
const GLANCE_WORK: u64 = 8;

/// An entry that matches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) entry: u32,
    pub(super) content: u32,
    /// Nothing: not looked at yet.
    pub(super) closeness: Option<Closeness>,
}

/// Which sets of entries a query is about.
#[derive(Debug, Default)]
struct Plan<'a> {
    required: Vec<Set<'a>>,
    excluded: Vec<&'a Postings>,
    /// What the sets do not decide: entries must be looked at.
    undecided: Vec<&'a Clause>,
}

#[derive(Debug)]
enum Set<'a> {
    Kept(&'a Postings),
    Made(Postings),
}

impl Set<'_> {
    fn postings(&self) -> &Postings {
        match self {
            Self::Kept(postings) => postings,
            Self::Made(postings) => postings,
        }
    }
}

impl Index {
    /// One page of what matches, best first: closeness of the match
    /// ([`Closeness`]), number of holders, speed of the fastest holder whose
    /// entry matches (speeds with the same highest bit count as equal). Among
    /// equals the order is fixed while the index does not change, so that pages
    /// do not overlap, and has no meaning. The hits of a row: closeness, speed,
    /// holder, path; each holder once.
    ///
    /// Costs at most [`Config::work_per_query_max`] and ranks at most
    /// [`Config::ranked_per_query_max`] entries; see [`Rows::complete`].
    pub fn search(&self, expression: &Expression, page: Page) -> Rows {
        if let Some(words) = expression.plain_words() {
            let postings = words.iter().map(|word| self.words.postings(word));
            let postings: Option<Vec<_>> = postings.collect();
            return self.search_plain(expression, &postings.unwrap_or_default(), page);
        }
        let mut work = Work::new(self.config.work_per_query_max);
        let candidates = self.candidates(expression, &mut work);
        let reader = Reader::new(self, expression);
        self.rows(reader, candidates, 0, page, &work)
    }

    /// Matching entries, those of one content next to each other.
    fn candidates(&self, expression: &Expression, work: &mut Work) -> Vec<Candidate> {
        let mut alone = Vec::with_capacity(64);
        let mut others: Vec<Candidate> = Vec::new();
        let Some(plan) = self.plan(expression, work) else {
            return alone;
        };
        let required: Vec<&Postings> = plan.required.iter().map(Set::postings).collect();
        let known = expression.has_one_closeness().then_some(Closeness::InOrder);
        let read = plan.undecided.iter().any(|clause| clause.has_words());
        let price = if read {
            Config::WORK_PER_READING
        } else {
            GLANCE_WORK
        };
        let mut tokens = EntryTokens::default();
        intersect(&required, &plan.excluded, work, |work, entry| {
            let slot = self.slots.slot(entry);
            if self.slots.holder(entry) == NONE {
                return work.spend(1);
            }
            if alone.len() + others.len() >= self.config.ranked_per_query_max {
                work.give_up();
            }
            if !work.spend(price) {
                return false;
            }
            let mut candidate = Candidate {
                entry,
                content: slot.content,
                closeness: known,
            };
            if !plan.undecided.is_empty() {
                if read {
                    self.read(entry, &mut tokens);
                }
                let subject = self.subject(entry, &tokens);
                if !plan.undecided.iter().all(|clause| clause.matches(&subject)) {
                    return true;
                }
                if read && known.is_none() {
                    candidate.closeness = Some(expression.closeness_of(&tokens));
                }
            }
            // Most contents have one entry, which needs no grouping.
            let is_alone = slot.next == NONE && slot.previous == NONE;
            if is_alone { &mut alone } else { &mut others }.push(candidate);
            true
        });
        others.sort_unstable_by_key(|candidate| (candidate.content, candidate.entry));
        alone.append(&mut others);
        alone
    }

    /// Cuts an entry into its words.
    pub(super) fn read(&self, entry: u32, tokens: &mut EntryTokens) {
        let slot = self.slots.slot(entry);
        let (name, media) = self.slots.texts(entry);
        tokens.fill([self.folders.text(slot.folder), name], media.texts);
    }

    fn subject<'a>(&'a self, entry: u32, tokens: &'a EntryTokens) -> Subject<'a> {
        let slot = self.slots.slot(entry);
        Subject {
            tokens,
            name: self.slots.name(entry),
            size: slot.size,
            content: self.contents.content(slot.content).id,
        }
    }

    /// Nothing if nothing can match.
    fn plan<'a>(&'a self, expression: &'a Expression, work: &mut Work) -> Option<Plan<'a>> {
        let mut plan = Plan::default();
        for clause in &expression.clauses {
            let mut decided = false;
            if let [Term::Words(scope, sequence)] = clause.any.as_slice() {
                let lone = *scope == Scope::Anywhere && sequence.words.len() == 1;
                decided = lone && !(clause.negated && sequence.open);
                if !clause.negated {
                    self.require(sequence, &mut plan.required, work)?;
                } else if decided {
                    plan.excluded
                        .extend(self.words.postings(&sequence.words[0]));
                }
            } else if clause.is_anchored() {
                let mut union = Union::default();
                decided = true;
                for term in &clause.any {
                    decided &= work.half(|work| self.unite(term, &mut union, work));
                }
                plan.required.push(Set::Made(union.into_postings()));
            }
            if !decided {
                plan.undecided.push(clause);
            }
        }
        Some(plan)
    }

    /// Adds the sets that the words of a sequence stand for; nothing if one
    /// does not occur.
    fn require<'a>(
        &'a self,
        sequence: &Sequence,
        required: &mut Vec<Set<'a>>,
        work: &mut Work,
    ) -> Option<()> {
        for (word, open) in sequence.flagged() {
            required.push(if open {
                Set::Made(work.half(|work| self.starting_with(word, work)))
            } else {
                Set::Kept(self.words.postings(word)?)
            });
        }
        Some(())
    }

    /// Adds the entries of one alternative. Whether they are exactly those.
    fn unite(&self, term: &Term, union: &mut Union, work: &mut Work) -> bool {
        match term {
            Term::Words(scope, sequence) => {
                let mut required = Vec::new();
                if self.require(sequence, &mut required, work).is_some() {
                    let lists: Vec<&Postings> = required.iter().map(Set::postings).collect();
                    intersect(&lists, &[], work, |work, entry| {
                        union.insert(entry);
                        work.spend(2)
                    });
                }
                *scope == Scope::Anywhere && sequence.words.len() == 1
            }
            Term::Content(content) => {
                let number = self.contents.find(*content);
                let mut entry = number.map_or(NONE, |number| self.contents.content(number).first);
                while entry != NONE && work.spend(10) {
                    union.insert(entry);
                    entry = self.slots.slot(entry).next;
                }
                true
            }
            Term::Kind(_) | Term::Extension(_) | Term::Size(_) => false,
        }
    }

    /// The entries that have a word which starts so.
    fn starting_with(&self, prefix: &str, work: &mut Work) -> Postings {
        let mut union = Union::default();
        for postings in self.words.starting_with(prefix) {
            if !work.spend(PREFIX_WORD_WORK) {
                break;
            }
            // Of a word too common to be taken whole, as much as may be.
            intersect(&[postings], &[], work, |work, entry| {
                union.insert(entry);
                work.spend(2)
            });
        }
        union.into_postings()
    }
}
