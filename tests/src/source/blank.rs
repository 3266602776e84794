//! The lexer: tells code, comments and the text of literals apart.

/// A source text in which comments and the contents of strings are blank, so that words and brackets in
/// the rest are code. Every byte keeps its offset and every line its number.
#[derive(Debug, Clone)]
pub struct BlankedSource {
    /// The text with comments and literals replaced by spaces; of a literal only its quotes stay.
    pub code: String,
    /// The text with everything but comments replaced by spaces.
    pub comments: String,
}

/// The class of a byte of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ByteClass {
    Code,
    Comment,
    Literal,
}

impl BlankedSource {
    /// Blanks a source text.
    pub fn new(text: &str) -> Self {
        let classes = SourceLexer { bytes: text.as_bytes(), at: 0, classes: Vec::new() }.classify();

        Self {
            code: kept(text, &classes, ByteClass::Code),
            comments: kept(text, &classes, ByteClass::Comment),
        }
    }
}

/// Returns the text with the bytes of all other classes replaced by spaces, newlines aside.
fn kept(text: &str, classes: &[ByteClass], class: ByteClass) -> String {
    let mut kept = String::with_capacity(text.len());

    for (offset, character) in text.char_indices() {
        if classes[offset] == class || character == '\n' {
            kept.push(character);
        } else {
            // As many bytes as before, so that offsets stay.
            kept.extend(std::iter::repeat_n(' ', character.len_utf8()));
        }
    }

    kept
}

struct SourceLexer<'a> {
    bytes: &'a [u8],
    at: usize,
    classes: Vec<ByteClass>,
}

impl SourceLexer<'_> {
    fn classify(mut self) -> Vec<ByteClass> {
        while self.at < self.bytes.len() {
            let rest = &self.bytes[self.at..];
            match rest[0] {
                b'/' if rest.get(1) == Some(&b'/') => self.line_comment(),
                b'/' if rest.get(1) == Some(&b'*') => self.block_comment(),
                b'"' => self.string(),
                b'\'' => self.character_or_lifetime(),
                // `r"` begins a raw string, but not in `for"`, which a macro may hold.
                b'r' | b'b' | b'c' if !self.is_inside_word() && self.raw_string_hashes().is_some() => {
                    self.raw_string();
                }
                _ => self.push(1, ByteClass::Code),
            }
        }

        self.classes
    }

    fn push(&mut self, count: usize, class: ByteClass) {
        let count = count.min(self.bytes.len() - self.at);
        self.classes.extend(std::iter::repeat_n(class, count));
        self.at += count;
    }

    fn is_inside_word(&self) -> bool {
        let before = self.at.checked_sub(1).map(|index| self.bytes[index]);
        before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    }

    fn line_comment(&mut self) {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        self.push(length, ByteClass::Comment);
    }

    /// Block comments nest.
    fn block_comment(&mut self) {
        let rest = &self.bytes[self.at..];
        let (mut depth, mut length) = (0, 0);

        while length < rest.len() {
            if rest[length..].starts_with(b"/*") {
                depth += 1;
                length += 2;
            } else if rest[length..].starts_with(b"*/") {
                depth -= 1;
                length += 2;
            } else {
                length += 1;
            }
            if depth == 0 {
                break;
            }
        }

        self.push(length, ByteClass::Comment);
    }

    fn string(&mut self) {
        let rest = &self.bytes[self.at..];
        let mut length = 1;

        while length < rest.len() && rest[length] != b'"' {
            length += if rest[length] == b'\\' { 2 } else { 1 };
        }

        self.push(1, ByteClass::Code);
        self.push(length - 1, ByteClass::Literal);
        self.push(1, ByteClass::Code);
    }

    /// `'x'` and `'\n'` are literals, `'static` is code.
    fn character_or_lifetime(&mut self) {
        let rest = &self.bytes[self.at..];

        let length = match rest.get(1) {
            // The escaped byte itself may be a quote.
            Some(b'\\') => rest.iter().skip(3).position(|byte| *byte == b'\'').map(|found| found + 3),
            Some(byte) => {
                let width = if byte.is_ascii() { 1 } else { utf8_width(*byte) };
                (rest.get(1 + width) == Some(&b'\'')).then_some(1 + width)
            }
            None => None,
        };

        match length {
            Some(length) => {
                self.push(1, ByteClass::Code);
                self.push(length - 1, ByteClass::Literal);
                self.push(1, ByteClass::Code);
            }
            None => self.push(1, ByteClass::Code),
        }
    }

    /// Returns the number of `#` of the raw string that begins here (`r"`, `br#"`, …), with the length of
    /// what stands before its quote.
    fn raw_string_hashes(&self) -> Option<(usize, usize)> {
        let rest = &self.bytes[self.at..];
        let prefix = usize::from(matches!(rest[0], b'b' | b'c'));
        if rest.get(prefix) != Some(&b'r') {
            return None;
        }

        let hashes = rest[prefix + 1..].iter().take_while(|byte| **byte == b'#').count();
        let head = prefix + 1 + hashes;
        (rest.get(head) == Some(&b'"')).then_some((hashes, head))
    }

    fn raw_string(&mut self) {
        let Some((hashes, head)) = self.raw_string_hashes() else { return };
        let rest = &self.bytes[self.at..];
        let end = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();

        let body = &rest[head + 1..];
        let length = body.windows(end.len()).position(|window| window == end).unwrap_or(body.len());

        self.push(head, ByteClass::Literal);
        self.push(1, ByteClass::Code);
        self.push(length, ByteClass::Literal);
        self.push(1, ByteClass::Code);
        self.push(hashes, ByteClass::Literal);
    }
}

/// Returns the number of bytes of the character that begins with this byte.
fn utf8_width(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        _ => 2,
    }
}
