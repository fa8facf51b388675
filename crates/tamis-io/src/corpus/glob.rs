//! Patterns for paths: `*` and `?` within a segment, `**` across segments, `[a-z]` and `[!a-z]`, `{one,other}`.
//!
//! What a pattern *spells* (a segment without special characters) is meant by the user; what it only matches may be left out.
//!
//! As in shells, a segment that starts with a dot is matched only by a pattern that says so. A pattern that matches a
//! folder matches everything in it that is not hidden. Linear in the path for each star: no pattern is slow.

/// Alternatives of braces that one pattern may have.
const MAX_ALTERNATIVES: usize = 1024;

/// A pattern, its braces already expanded.
#[derive(Debug)]
pub(crate) struct Pattern {
    alternatives: Vec<Vec<Segment>>,
}

#[derive(Debug)]
enum Segment {
    AnyFolders,
    Name(Vec<Token>),
}

#[derive(Debug)]
enum Token {
    Star,
    Any,
    Character(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// Whether a location has to be read as a pattern.
pub(super) fn is_pattern(location: &str) -> bool {
    location.contains(['*', '?', '[', '{'])
}

/// Whether a pattern of local files would take in a file that is written to `folder` of its base under one of `names`, the
/// paths that shards have below the base. `false` for what is no pattern.
#[must_use]
pub fn would_take_in(location: &str, folder: &str, names: &[&str]) -> bool {
    let Some(special) = location.find(['*', '?', '[', '{']) else { return false };
    let base = location[..special].rfind('/').map_or(0, |slash| slash + 1);
    let Ok(pattern) = Pattern::new(&location[base..]) else { return false };
    names.iter().any(|name| pattern.matches(&format!("{folder}/{name}")))
}

impl Pattern {
    /// # Errors
    /// In words, what is wrong with the pattern.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let mut expanded = Vec::new();
        expand(pattern, &mut expanded)?;
        let alternatives = expanded
            .iter()
            .map(|pattern| pattern.split('/').filter(|segment| !segment.is_empty()).map(segment).collect())
            .collect::<Result<_, String>>()?;
        Ok(Self { alternatives })
    }

    /// Whether the path, or a folder that it is in, matches.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').collect();
        self.alternatives.iter().any(|pattern| {
            (1..=names.len()).any(|length| {
                match_segments(pattern, &names[..length])
                    && !names[length..].iter().any(|name| name.starts_with('.'))
            })
        })
    }

    /// Whether files in this folder may match.
    pub(crate) fn leads_into(&self, folder: &str) -> bool {
        let names: Vec<&str> = folder.split('/').collect();
        self.matches(folder)
            || self
                .alternatives
                .iter()
                .any(|pattern| (1..=pattern.len()).any(|length| match_segments(&pattern[..length], &names)))
    }

    /// Whether a name is written out in the pattern.
    pub(crate) fn spells(&self, name: &str) -> bool {
        let literal = |segment: &Segment| match segment {
            Segment::AnyFolders => false,
            Segment::Name(tokens) => literal(tokens).is_some_and(|literal| literal == name),
        };
        self.alternatives.iter().flatten().any(literal)
    }

    /// Whether a name that starts with a dot is matched by a segment that does.
    pub(super) fn shows_hidden(&self, name: &str) -> bool {
        let shows = |segment: &Segment| match segment {
            Segment::AnyFolders => false,
            Segment::Name(tokens) => match_name(tokens, name),
        };
        name.starts_with('.') && self.alternatives.iter().flatten().any(shows)
    }

    /// Whether the path matches itself and not only by a folder that it is in, by a last segment that states the ending.
    pub(super) fn states_the_ending_of(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').collect();
        let states = |pattern: &[Segment]| match pattern.last() {
            Some(Segment::Name(tokens)) => {
                let wild = |token: &Token| !matches!(token, Token::Character(_));
                match tokens.iter().rposition(wild) {
                    None => true,
                    Some(last) => tokens[last..].iter().any(|token| matches!(token, Token::Character('.'))),
                }
            }
            _ => false,
        };
        self.alternatives.iter().any(|pattern| states(pattern) && match_segments(pattern, &names))
    }
}

/// The one name that tokens match, where there are no special characters among them.
fn literal(tokens: &[Token]) -> Option<String> {
    tokens.iter().map(|token| if let Token::Character(only) = token { Some(*only) } else { None }).collect()
}

fn expand(pattern: &str, out: &mut Vec<String>) -> Result<(), String> {
    let Some(open) = pattern.find('{') else {
        if out.len() == MAX_ALTERNATIVES {
            return Err(format!("its braces stand for more than {MAX_ALTERNATIVES} patterns"));
        }
        out.push(pattern.to_owned());
        return Ok(());
    };
    let (mut depth, mut start, mut options, mut close) = (0, open + 1, Vec::new(), None);
    for (at, character) in pattern.char_indices().skip_while(|(at, _)| *at < open) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && character == ',') {
            options.push(&pattern[start..at]);
            start = at + 1;
        }
        if depth == 0 {
            close = Some(at);
            break;
        }
    }
    let close = close.ok_or("`{` without `}`")?;
    // Nesting is resolved by expanding again, at most once a brace: a bound on the depth of recursion.
    if pattern.matches('{').count() > 64 {
        return Err("it has more than 64 braces".into());
    }
    options
        .iter()
        .try_for_each(|option| expand(&format!("{}{option}{}", &pattern[..open], &pattern[close + 1..]), out))
}

fn segment(pattern: &str) -> Result<Segment, String> {
    if pattern == "**" {
        return Ok(Segment::AnyFolders);
    }
    let mut tokens = Vec::new();
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        tokens.push(match character {
            '*' => Token::Star,
            '?' => Token::Any,
            '[' => {
                let (class, after) = rest
                    .as_str()
                    .char_indices()
                    .skip(2)
                    .find(|(_, character)| *character == ']')
                    .or_else(|| {
                        rest.as_str().char_indices().nth(1).filter(|(_, character)| *character == ']')
                    })
                    .map(|(at, _)| rest.as_str().split_at(at))
                    .ok_or("`[` without `]`")?;
                rest = after[1..].chars();
                class_of(class)
            }
            other => Token::Character(other),
        });
    }
    Ok(Segment::Name(tokens))
}

fn class_of(class: &str) -> Token {
    let body = class.strip_prefix(['!', '^']);
    let characters: Vec<char> = body.unwrap_or(class).chars().collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let range = characters.get(at + 1) == Some(&'-') && at + 2 < characters.len();
        let last = if range { at + 2 } else { at };
        ranges.push((characters[at], characters[last]));
        at = last + 1;
    }
    Token::Class { negated: body.is_some(), ranges }
}

/// Matches a sequence against a pattern with stars: on a mismatch, the last star takes one element more.
fn match_stars<P, E>(
    pattern: &[P],
    elements: &[E],
    is_star: impl Fn(&P) -> bool,
    star_takes: impl Fn(&E) -> bool,
    fits: impl Fn(&P, &E) -> bool,
) -> bool {
    let (mut p, mut e) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while e < elements.len() {
        if pattern.get(p).is_some_and(&is_star) {
            last_star = Some((p, e));
            p += 1;
        } else if pattern.get(p).is_some_and(|token| fits(token, &elements[e])) {
            p += 1;
            e += 1;
        } else if let Some((star, taken)) = last_star.filter(|(_, taken)| star_takes(&elements[*taken])) {
            last_star = Some((star, taken + 1));
            (p, e) = (star + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(is_star)
}

fn match_segments(pattern: &[Segment], names: &[&str]) -> bool {
    match_stars(
        pattern,
        names,
        |segment| matches!(segment, Segment::AnyFolders),
        |name| !name.starts_with('.'),
        |segment, name| matches!(segment, Segment::Name(tokens) if match_name(tokens, name)),
    )
}

fn match_name(tokens: &[Token], name: &str) -> bool {
    if name.starts_with('.') && !matches!(tokens.first(), Some(Token::Character('.'))) {
        return false;
    }
    let characters: Vec<char> = name.chars().collect();
    match_stars(
        tokens,
        &characters,
        |token| matches!(token, Token::Star),
        |_| true,
        |token, character| match token {
            Token::Star => false,
            Token::Any => true,
            Token::Character(wanted) => wanted == character,
            Token::Class { negated, ranges } => {
                ranges.iter().any(|(from, to)| (from..=to).contains(&character)) != *negated
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(path)
    }

    #[test]
    fn patterns_match_as_in_shells() {
        for (pattern, path) in [
            ("*.jsonl", "a.jsonl"),
            ("a?.jsonl", "aé.jsonl"),
            ("part-[0-3]*", "part-2.x"),
            ("part-[!0-3]", "part-4"),
            ("[]]", "]"),
            ("[a-]", "-"),
            ("**/*.gz", "a/b/c.gz"),
            ("**/*.gz", "c.gz"),
            ("a/**/z", "a/b/c/z"),
            ("a/**", "a/b/c"),
            ("{a,b}/x.{gz,zst}", "b/x.zst"),
            ("{a,b{1,2}}", "b2"),
            ("a{,x}", "a"),
            ("2024-*", "2024-01/part/0.jsonl"),
            (".hidden/*", ".hidden/x"),
            ("*a*b*c*", "xxaxbxcx"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("*.jsonl", "a.jsonl.gz"),
            ("*", ".hidden"),
            ("**/x", ".hidden/x"),
            ("a/*", "a/.b/x"),
            ("a", "a/.b"),
            ("*.gz", "a/b.gz.d"),
            ("a/**/z", "az"),
            ("part-[0-3]", "part-4"),
            ("?", "ab"),
            ("a/b", "a"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn what_a_pattern_spells_and_where_it_leads_is_told_from_what_it_matches() {
        let pattern = |pattern: &str| Pattern::new(pattern).unwrap();
        assert!(pattern("a/{*,_temporary}/x.jsonl").spells("_temporary"));
        assert!(!pattern("a/*/_temporar[y]").spells("_temporary") && !pattern("**").spells("a"));
        for (pattern_text, folder, leads) in [
            ("a/*/x", "a", true),
            ("a/*/x", "a/b", true),
            ("a/*/x", "b", false),
            ("a/*/x", "a/b/x/deeper", true),
            ("a/*/x", "a/b/y", false),
            ("**/x", "any/where", true),
            ("**/x", ".hidden", false),
            ("a*", "ab/c", true),
            ("a*", "ab/.c", false),
        ] {
            assert_eq!(pattern(pattern_text).leads_into(folder), leads, "{pattern_text} {folder}");
        }
        for (pattern_text, path, states) in [
            ("*.xz", "a.xz", true),
            ("b/a.xz", "b/a.xz", true),
            ("*.{jsonl,xz}", "a.xz", true),
            ("**/*.xz", "b/a.xz", true),
            ("*", "a.xz", false),
            ("*.*", "a.xz", false),
            ("b", "b/a.xz", false),
        ] {
            assert_eq!(pattern(pattern_text).states_the_ending_of(path), states, "{pattern_text} {path}");
        }
    }

    #[test]
    fn hostile_patterns_are_refused_or_fast() {
        assert!(Pattern::new("[abc").is_err());
        assert!(Pattern::new("{a,b").is_err());
        assert!(Pattern::new(&"{a,b}".repeat(60)).is_err());
        assert!(Pattern::new(&"{".repeat(10_000)).is_err());
        assert!(!matches(&format!("{}b", "*a".repeat(200)), &"a".repeat(10_000)));
    }
}
