//! Just enough of Rust's lexis to tell code from comments and strings, and to find functions in it.
//!
//! Everything is found by position in the text, so that a finding can name its line. Not a parser: it is
//! given code that compiles.

/// The text with comments and the contents of strings and characters blanked; lines stay where they are.
pub(crate) fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = end_of_non_code(bytes, at);
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(code).unwrap()
}

/// Where the comment, string or character that begins at `at` ends; `at` itself when none begins there.
fn end_of_non_code(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        return end_of_block_comment(bytes, at);
    }
    match rest[0] {
        b'"' => end_of_quoted(bytes, at, b'"'),
        b'r' if !follows_name(bytes, at) || bytes[at - 1] == b'b' => end_of_raw_string(bytes, at),
        b'\'' if is_character(rest) => end_of_quoted(bytes, at, b'\''),
        _ => at,
    }
}

fn follows_name(bytes: &[u8], at: usize) -> bool {
    at > 0 && is_name_byte(bytes[at - 1])
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A character literal, not a lifetime: one character and the closing quote, or an escape.
fn is_character(rest: &[u8]) -> bool {
    let bytes = match rest.get(1) {
        Some(b'\\') => return true,
        Some(first) if *first >= 0xF0 => 4,
        Some(first) if *first >= 0xE0 => 3,
        Some(first) if *first >= 0xC0 => 2,
        _ => 1,
    };
    rest.get(1 + bytes) == Some(&b'\'')
}

fn end_of_quoted(bytes: &[u8], at: usize, quote: u8) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != quote {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

fn end_of_raw_string(bytes: &[u8], at: usize) -> usize {
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = at + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return at;
    }
    let mut closing = vec![b'"'];
    closing.resize(1 + hashes, b'#');
    let found = bytes[open + 1..].windows(closing.len()).position(|window| window == closing);
    found.map_or(bytes.len(), |place| open + 1 + place + closing.len())
}

fn end_of_block_comment(bytes: &[u8], at: usize) -> usize {
    let (mut end, mut depth) = (at + 2, 1);
    while end < bytes.len() && depth > 0 {
        match &bytes[end..] {
            [b'/', b'*', ..] => (end, depth) = (end + 2, depth + 1),
            [b'*', b'/', ..] => (end, depth) = (end + 2, depth - 1),
            _ => end += 1,
        }
    }
    end.min(bytes.len())
}

/// A function with a body: its name, first line, and how many lines it takes.
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// All functions in `code`, nested ones too.
pub(crate) fn functions(code: &str) -> Vec<Function<'_>> {
    words(code).filter(|(_, word)| *word == "fn").filter_map(|(at, _)| function_at(code, at)).collect()
}

fn function_at(code: &str, at: usize) -> Option<Function<'_>> {
    let (name_at, name) = words(&code[at..]).nth(1)?;
    if !code[at + 2..at + name_at].bytes().all(|byte| byte.is_ascii_whitespace()) {
        return None; // a function pointer type has no name
    }
    let mut round = 0;
    let body = code[at..].bytes().position(|byte| {
        match byte {
            b'(' | b'[' => round += 1,
            b')' | b']' => round -= 1,
            _ => {}
        }
        round == 0 && (byte == b'{' || byte == b';')
    })?;
    if code.as_bytes()[at + body] == b';' {
        return None;
    }
    let mut depth = 0;
    let end = code[at + body..].bytes().position(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        depth == 0
    })?;
    let lines = line_of(&code[at..], body + end);
    Some(Function { name, line: line_of(code, at), lines })
}

/// The names, keywords and numbers of `code` with their places.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = code.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + bytes[at..].iter().position(|byte| is_name_byte(*byte))?;
        let length = bytes[start..].iter().take_while(|byte| is_name_byte(**byte)).count();
        at = start + length;
        Some((start, &code[start..at]))
    })
}

/// The line, counted from 1, in which the byte at `at` stands.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_no_code() {
        for (text, code) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("b\"c", d)"#, "f(      , d)"),
            ("f(b\"x\", c)", "f(b   , c)"),
            (r##"f(r#"a"b"#, c)"##, "f(        , c)"),
            (r##"f(br"a", c)"##, "f(b    , c)"),
            ("x: &'a str = 'b'", "x: &'a str =    "),
            (r"match '\'' { '{' => 1 }", "match      {     => 1 }"),
            ("'é' r#fn her\"x\"", "     r#fn her   "),
        ] {
            assert_eq!(code_of(text).trim_end(), code.trim_end(), "{text}");
        }
        assert_eq!(code_of("\"never closed\n"), format!("{}\n", " ".repeat(13)));
    }

    #[test]
    fn functions_are_found_with_their_lengths() {
        let text = "fn a() {\n  if x {\n  }\n}\n\ntrait T { fn b(x: [u8; 2]); fn c(&self) -> fn(u8) {\n} }\n";
        let found: Vec<_> = functions(text).iter().map(|one| (one.name, one.line, one.lines)).collect();
        assert_eq!(found, [("a", 1, 4), ("c", 6, 2)]);
    }
}
