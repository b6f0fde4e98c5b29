//! Numbers that are no facts: digits of any script, number words, fractions, multiples, Roman numerals; and the letters and
//! marks by which they could be hidden.
//!
//! Words that are numbers only sometimes ("one of", "two-sided") are allowed in the idioms where they are not.

use super::items::Item;
use crate::literature::MONTHS;

/// Idioms without a number in them, in lower case, as they stand between spaces.
const IDIOMS: [&[&str]; 34] = [
    &["one", "of"],
    &["no", "one"],
    &["one", "another"],
    &["one", "at", "a", "time"],
    &["one", "by", "one"],
    &["each", "one"],
    &["every", "one"],
    &["this", "one"],
    &["that", "one"],
    &["which", "one"],
    &["the", "one", "that"],
    &["the", "one", "on"],
    &["the", "one", "by"],
    &["one", "can"],
    &["one", "may"],
    &["one", "might"],
    &["one", "would"],
    &["one", "should"],
    &["one", "could"],
    &["one", "has"],
    &["one-sided"],
    &["two-sided"],
    &["one-hot"],
    &["one-way"],
    &["two-way"],
    &["two-stage"],
    &["half-width"],
    &["half-widths"],
    &["successive", "halving"],
    &["zero-mean"],
    &["third-party"],
    &["first-order"],
    &["second-order"],
    &["third", "parties"],
];

const WORDS: &[&str] = &[
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
    "thirty",
    "forty",
    "fourty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
    "ninty",
    "hundred",
    "thousand",
    "million",
    "billion",
    "trillion",
    "dozen",
    // Fractions and multiples.
    "half",
    "halve",
    "halved",
    "halving",
    "quarter",
    "double",
    "doubled",
    "doubling",
    "triple",
    "tripled",
    "tripling",
    "treble",
    "trebled",
    "quadruple",
    "quadrupled",
    "quintuple",
    "sextuple",
    "septuple",
    "octuple",
    "decuple",
    "twice",
    "thrice",
    "couple",
    "trio",
    "quartet",
    "quintet",
    "decade",
    "nought",
    "naught",
    "zilch",
    "umpteen",
    "nil",
    "myriad",
    "fortnight",
    "century",
    "millennium",
    "teens",
    "twenties",
    "thirties",
    "forties",
    "fifties",
    "sixties",
    "seventies",
    "eighties",
    "nineties",
    // Ordinals: the first two are words of discourse, and are judged by their neighbours where they are not here.
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fifteenth",
    "twentieth",
    "thirtieth",
    "fortieth",
    "fiftieth",
    "hundredth",
    "thousandth",
    "millionth",
    // Other languages, as far as the words are not English ones.
    "zwei",
    "drei",
    "vier",
    "f\u{fc}nf",
    "fuenf",
    "sieben",
    "neun",
    "zehn",
    "zw\u{f6}lf",
    "hundert",
    "tausend",
    "deux",
    "trois",
    "quatre",
    "cinq",
    "huit",
    "neuf",
    "onze",
    "douze",
    "vingt",
    "mille",
    "cuatro",
    "cinco",
    "seis",
    "siete",
    "ocho",
    "nueve",
    "diez",
    "veinte",
    "ciento",
    "quattro",
    "cinque",
    "sette",
    "dieci",
];

/// Whether a word, in lower case, is a number in itself, a plural of one, or made of such words.
pub(super) fn is_number_word(word: &str) -> bool {
    let single = |w: &str| {
        let own = |w: &str| WORDS.contains(&w);
        own(w)
            || w.strip_suffix('s').is_some_and(|w| (own(w) && w != "one") || w == "third")
            || w == "halves"
            || w.strip_suffix("es").is_some_and(own)
            || w.strip_suffix("fold").is_some_and(|w| own(w) || w == "many" || w == "several")
    };
    if single(word) {
        return true;
    }
    let parts: Vec<&str> = word.split('-').filter(|p| !p.is_empty()).collect();
    if parts.len() > 1 && parts.iter().any(|p| single(p)) {
        return true;
    }
    // "ninetyfive", "twohundred": wholly made of number words.
    joined(word)
}

fn joined(word: &str) -> bool {
    fn rest(word: &str, depth: usize) -> bool {
        if word.is_empty() {
            return depth >= 2;
        }
        depth < 6 && WORDS.iter().chain(&["and"]).any(|w| word.strip_prefix(w).is_some_and(|r| rest(r, depth + 1)))
    }
    word.len() > 5 && rest(word, 0)
}

/// The first number in a sentence's items that is no fact, or what could hide one; in words.
pub(super) fn find(items: &[Item]) -> Option<String> {
    let mut at = 0;
    let lower: Vec<String> = items.iter().map(Item::lower).collect();
    let mut singles = 0;
    while at < items.len() {
        let idiom = IDIOMS
            .iter()
            .filter(|idiom| idiom.iter().enumerate().all(|(i, word)| lower.get(at + i).is_some_and(|w| w == word)));
        if let Some(length) = idiom.map(|i| i.len()).max() {
            at += length;
            continue;
        }
        match &items[at] {
            Item::Word(word) => {
                singles =
                    if word.chars().count() == 1 && !matches!(word.as_str(), "a" | "A") { singles + 1 } else { 0 };
                if singles >= 3 {
                    return Some("letters that are spaced out".to_string());
                }
                if let Some(why) = word_is_number(items, &lower, at, word) {
                    return Some(why);
                }
            }
            Item::Mark(mark) => {
                if let Some(why) = mark_hides(items, at, *mark) {
                    return Some(why);
                }
            }
            _ => singles = 0,
        }
        at += 1;
    }
    None
}

fn word_is_number(items: &[Item], lower: &[String], at: usize, word: &str) -> Option<String> {
    let number = |what: &str| Some(format!("\u{201c}{word}\u{201d} {what}"));
    if word.chars().any(|c| c.is_numeric() || is_ideograph_number(c)) {
        return number("holds a number that is no fact");
    }
    if let Some(c) = word.chars().find(|c| !is_plain_letter(*c)) {
        return Some(format!(
            "\u{201c}{word}\u{201d} holds the letter U+{:04X}, which can stand for another",
            u32::from(c)
        ));
    }
    let lowered = &lower[at];
    if is_number_word(lowered) {
        return number("is a number that is no fact");
    }
    let before = at.checked_sub(1).map(|i| lower[i].as_str()).unwrap_or_default();
    let after = lower.get(at + 1).map(String::as_str).unwrap_or_default();
    let (first, comma) = (at == 0, items.get(at + 1).is_some_and(|i| i.is(',')));
    if is_day(word, at, before, after) {
        return number("is a time that is no fact");
    }
    match lowered.as_str() {
        // "The second run" is one by its number; "first looks" are a kind of run.
        "first" | "second" if NUMBERED.contains(&after) => return number("is a number that is no fact"),
        "score" | "scores" if after == "of" && !matches!(items.get(at + 2), Some(Item::Fact(_))) => {
            return number("is a number that is no fact");
        }
        // "Third, ..." numbers an argument; "a third of" is a fraction.
        "third" if !(first && comma) => return number("is a number that is no fact"),
        "magnitude" if before == "of" && at >= 2 && matches!(lower[at - 2].as_str(), "order" | "orders") => {
            return Some("an order of magnitude is a factor, and no fact".to_string());
        }
        "percent" | "percentage"
            if !matches!(at.checked_sub(1).map(|i| &items[i]), Some(Item::Fact(_))) && after != "of" =>
        {
            return number("follows no fact");
        }
        _ => {}
    }
    if is_roman(word) { number("is a Roman numeral and no fact") } else { None }
}

/// What is numbered by an ordinal right before it.
const NUMBERED: &[&str] =
    &["run", "runs", "seed", "candidate", "epoch", "step", "attempt", "experiment", "trial", "layer"];

/// Months, days of the week, and the days, months and years beside now.
fn is_day(word: &str, at: usize, before: &str, after: &str) -> bool {
    const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    // "May" begins a question, too.
    ((MONTHS.contains(&word) || WEEKDAYS.contains(&word)) && (at > 0 || word != "May"))
        || matches!(word, "yesterday" | "tomorrow")
        || (matches!(word, "last" | "this" | "next") && matches!(after, "week" | "month" | "year") && before != "the")
}

/// Marks that are numbers, or that open a way around the markup.
fn mark_hides(items: &[Item], at: usize, mark: char) -> Option<String> {
    let code = u32::from(mark);
    let next_word = matches!(items.get(at + 1), Some(Item::Word(_)));
    match mark {
        '\\' | '$' | '^' | '~' | '_' => Some(format!("`{mark}` is raw TeX, and prose is markup")),
        '<' | '&' | '#' if next_word || items.get(at + 1).is_some_and(|i| i.is('#') || i.is('/') || i.is('!')) => {
            Some(format!("`{mark}` begins raw HTML or a character code, and prose is markup"))
        }
        '%' | '\u{2030}' if !matches!(at.checked_sub(1).map(|i| &items[i]), Some(Item::Fact(_))) => {
            Some(format!("\u{201c}{mark}\u{201d} follows no fact"))
        }
        c if c.is_numeric() || is_ideograph_number(c) => {
            Some(format!("\u{201c}{c}\u{201d} is a number that is no fact"))
        }
        // Invisible characters, combining marks, dice, keycaps, braille, emoji with numbers.
        c if c.is_control()
            || matches!(code, 0xAD | 0x300..=0x36F | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0xFE00..=0xFE0F | 0xFEFF | 0x20D0..=0x20FF)
            || matches!(code, 0x2680..=0x2685 | 0x2800..=0x28FF | 0x1F000..=0x1FAFF | 0xE000..=0xF8FF) =>
        {
            Some(format!("the character U+{code:04X} can hide a number"))
        }
        _ => None,
    }
}

/// Latin letters as they are printed, and lone Greek ones.
fn is_plain_letter(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '\'' | '-')
        || matches!(u32::from(c), 0xC0..=0x24F | 0x3B1..=0x3C9 | 0x391..=0x3A9)
}

/// Numerals of Chinese and Japanese, which count as letters.
fn is_ideograph_number(c: char) -> bool {
    "\u{96f6}\u{3007}\u{4e00}\u{4e8c}\u{4e09}\u{56db}\u{4e94}\u{516d}\u{4e03}\u{516b}\u{4e5d}\u{5341}\u{767e}\u{5343}\u{4e07}\u{842c}\u{5104}\u{4ebf}\u{4e24}\u{5169}\u{534a}"
        .contains(c)
}

/// Whether a word is a Roman numeral of at least two letters, all of one case. Short ones without I, V or X are abbreviations
/// far more often (CI, CD, ML), and those of three letters count where they hold one of them.
fn is_roman(word: &str) -> bool {
    let upper = word.to_uppercase();
    let one_case = word == upper || word == word.to_lowercase();
    let digits: Option<Vec<i32>> = upper
        .chars()
        .map(|c| {
            Some(match c {
                'I' => 1,
                'V' => 5,
                'X' => 10,
                'L' => 50,
                'C' => 100,
                'D' => 500,
                'M' => 1000,
                _ => return None,
            })
        })
        .collect();
    let Some(digits) = digits.filter(|d| d.len() >= 2 && one_case) else { return false };
    let small = digits.iter().all(|d| *d <= 10);
    let telling = digits.len() >= 3 && word == upper && digits.iter().any(|d| *d <= 10);
    if !(small || telling) || matches!(upper.as_str(), "MIX" | "CIVIL" | "DIM" | "LIV") {
        return false;
    }
    let value: i32 =
        digits.iter().enumerate().map(|(i, d)| if digits.get(i + 1).is_some_and(|n| n > d) { -d } else { *d }).sum();
    to_roman(value) == upper
}

fn to_roman(mut value: i32) -> String {
    const PARTS: [(i32, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let mut out = String::new();
    for (n, text) in PARTS {
        while value >= n {
            out += text;
            value -= n;
        }
    }
    out
}

#[cfg(test)]
#[path = "numbers_tests.rs"]
mod tests;
