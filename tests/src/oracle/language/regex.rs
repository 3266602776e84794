//! The regular expressions that the oracle understands, matched by trying everything.

use crate::random::Random;
use std::fmt::{self, Display, Formatter};
use std::ops::Range;

/// Pieces in a row, perhaps bound to the ends of the text; some of them may be a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regex {
    begins: bool,
    ends: bool,
    pieces: Vec<(RegexAtom, RegexQuantifier)>,
    group: Option<Range<usize>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum RegexAtom {
    Any,
    Char(char),
    OneOf(Vec<char>),
    NoneOf(Vec<char>),
}

/// How often an atom of a regular expression may occur: nothing, `?`, `*` or `+` behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RegexQuantifier {
    Once,
    Perhaps,
    Often,
    OnceOrMore,
}

/// Where a regular expression and its group were found, in characters.
#[derive(Debug, Clone, PartialEq)]
pub struct RegexMatch {
    pub whole: Range<usize>,
    pub group: Option<Range<usize>>,
}

const LETTERS: [char; 7] = ['a', 'b', '1', '_', '%', 'é', '.'];

impl Regex {
    pub fn random(random: &mut Random) -> Regex {
        let mut pieces = Vec::new();
        for _ in 0..1 + random.below(3) {
            let letter = |random: &mut Random| *random.pick(&LETTERS);
            let atom = match random.below(8) {
                0 => RegexAtom::Any,
                1 => RegexAtom::OneOf(vec![letter(random), letter(random)]),
                2 => RegexAtom::NoneOf(vec![letter(random)]),
                _ => RegexAtom::Char(*random.pick(&['a', 'b', '1', 'a', 'é', '.'])),
            };
            let times = [
                RegexQuantifier::Once,
                RegexQuantifier::Once,
                RegexQuantifier::Perhaps,
                RegexQuantifier::Often,
                RegexQuantifier::OnceOrMore,
            ];
            pieces.push((atom, *random.pick(&times)));
        }

        let group = random.percent(40).then(|| {
            let start = random.below(pieces.len());
            start..start + 1 + random.below(pieces.len() - start)
        });
        Regex { begins: random.percent(25), ends: random.percent(25), pieces, group }
    }

    pub fn has_group(&self) -> bool {
        self.group.is_some()
    }

    /// The leftmost match, in which each piece takes as much as the ones behind it allow.
    pub fn find(&self, text: &str) -> Option<RegexMatch> {
        let text: Vec<char> = text.chars().collect();
        let starts = if self.begins { 0..1 } else { 0..text.len() + 1 };
        starts.into_iter().find_map(|start| {
            let bounds = self.follow(0, start, &text)?;
            let group = self.group.as_ref().map(|group| {
                let at = |piece: usize| if piece == 0 { start } else { bounds[piece - 1] };
                at(group.start)..at(group.end)
            });
            Some(RegexMatch { whole: start..bounds.last().copied().unwrap_or(start), group })
        })
    }

    /// Where each piece from one on ends, if all fit.
    fn follow(&self, piece: usize, at: usize, text: &[char]) -> Option<Vec<usize>> {
        let Some((atom, times)) = self.pieces.get(piece) else {
            return (!self.ends || at == text.len()).then(Vec::new);
        };
        let fitting = text[at..].iter().take_while(|c| atom.fits(**c)).count();

        let (least, most) = match times {
            RegexQuantifier::Once => (1, 1),
            RegexQuantifier::Perhaps => (0, 1),
            RegexQuantifier::Often => (0, usize::MAX),
            RegexQuantifier::OnceOrMore => (1, usize::MAX),
        };

        (least..=fitting.min(most)).rev().find_map(|length| {
            let mut rest = self.follow(piece + 1, at + length, text)?;
            rest.insert(0, at + length);
            Some(rest)
        })
    }
}

impl RegexAtom {
    fn fits(&self, c: char) -> bool {
        match self {
            RegexAtom::Any => true,
            RegexAtom::Char(other) => c == *other,
            RegexAtom::OneOf(list) => list.contains(&c),
            RegexAtom::NoneOf(list) => !list.contains(&c),
        }
    }
}

impl Display for Regex {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.begins { "^" } else { "" })?;
        for (place, (atom, times)) in self.pieces.iter().enumerate() {
            let group = self.group.clone().unwrap_or(usize::MAX..usize::MAX);
            f.write_str(if group.start == place { "(" } else { "" })?;
            match atom {
                RegexAtom::Any => f.write_str(".")?,
                RegexAtom::Char('.') => f.write_str("\\.")?,
                RegexAtom::Char(c) => write!(f, "{c}")?,
                RegexAtom::OneOf(list) => write!(f, "[{}]", list.iter().collect::<String>())?,
                RegexAtom::NoneOf(list) => write!(f, "[^{}]", list.iter().collect::<String>())?,
            }
            f.write_str(match times {
                RegexQuantifier::Once => "",
                RegexQuantifier::Perhaps => "?",
                RegexQuantifier::Often => "*",
                RegexQuantifier::OnceOrMore => "+",
            })?;
            f.write_str(if group.end == place + 1 { ")" } else { "" })?;
        }

        f.write_str(if self.ends { "$" } else { "" })
    }
}

#[test]
fn a_piece_takes_as_much_as_the_others_allow() {
    let piece = |c, times| (RegexAtom::Char(c), times);
    let pieces = vec![
        (RegexAtom::Any, RegexQuantifier::Often),
        piece('b', RegexQuantifier::OnceOrMore),
        piece('c', RegexQuantifier::Perhaps),
    ];
    let regex = Regex { begins: false, ends: false, pieces, group: Some(1..3) };
    assert_eq!(regex.to_string(), ".*(b+c?)");
    assert_eq!(regex.find("abbbcab").map(|found| (found.whole, found.group)), Some((0..7, Some(6..7))));
    assert_eq!(regex.find("aaa"), None);
}
