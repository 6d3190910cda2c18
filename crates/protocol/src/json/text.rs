//! The text of a document and how far it is read: all that knows JSON and no types.

use super::JsonError;
use std::borrow::Cow;

/// Lists and objects within each other, as many as `serde_json` reads.
const MAX_DEPTH: u32 = 128;

/// A text, read up to a place.
pub(super) struct Text<'de> {
    source: &'de str,
    at: usize,
    depth: u32,
}

/// A number.
#[derive(Clone, Copy)]
pub(super) enum Number {
    /// Whole, from 0 on.
    Unsigned(u64),
    /// Whole, below 0.
    Signed(i64),
    /// Any other; the closest one.
    Float(f64),
}

impl<'de> Text<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes);
        let text = text.map_err(|_| JsonError::new("the document is no UTF-8 text"))?;
        Ok(Self {
            source: text,
            at: 0,
            depth: 0,
        })
    }

    /// Line and column of what comes next, from 1.
    pub(super) fn place(&self) -> (usize, usize) {
        let before = &self.source.as_bytes()[..self.at.min(self.source.len())];
        let line = before.split(|byte| *byte == b'\n');
        let column = line.clone().next_back().map_or(0, <[u8]>::len);
        (line.count(), column + 1)
    }

    fn byte(&self) -> Option<u8> {
        self.source.as_bytes().get(self.at).copied()
    }

    /// What was read since `from`: begin and end are never within a character.
    fn since(&self, from: usize) -> &'de str {
        self.source.get(from..self.at).unwrap_or_default()
    }

    /// The next character that is no white space.
    #[inline(never)]
    pub(super) fn peek(&mut self) -> Result<u8, JsonError> {
        while let Some(byte) = self.byte() {
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Ok(byte);
            }
            self.at += 1;
        }
        Err(JsonError::new("the document ends within a value"))
    }

    #[inline(never)]
    pub(super) fn take(&mut self, wanted: u8) -> Result<(), JsonError> {
        if self.peek()? != wanted {
            let mut message = String::from("no `");
            message.push(char::from(wanted));
            message.push('`');
            return Err(JsonError::new(&message));
        }
        self.at += 1;
        Ok(())
    }

    /// Nothing but white space follows.
    pub(super) fn finish(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Ok(_) => Err(JsonError::new("more behind the document")),
            Err(_) => Ok(()),
        }
    }

    /// Begins a list or an object.
    #[inline(never)]
    pub(super) fn begin(&mut self, open: u8) -> Result<(), JsonError> {
        self.take(open)?;
        self.depth += 1;
        if self.depth >= MAX_DEPTH {
            return Err(JsonError::new("lists and objects are too deep"));
        }
        Ok(())
    }

    /// Ends it.
    #[inline(never)]
    pub(super) fn end(&mut self, close: u8) -> Result<(), JsonError> {
        self.take(close)?;
        self.depth -= 1;
        Ok(())
    }

    /// Whether an entry follows, before the end of a list or an object.
    #[inline(never)]
    pub(super) fn has_next(&mut self, is_first: &mut bool, close: u8) -> Result<bool, JsonError> {
        if self.peek()? == close {
            return Ok(false);
        }
        if !std::mem::take(is_first) {
            self.take(b',')?;
            if self.peek()? == close {
                return Err(JsonError::new("a comma with nothing behind it"));
            }
        }
        Ok(true)
    }

    /// `true`, `false` or `null`.
    #[inline(never)]
    pub(super) fn word(&mut self, word: &str) -> Result<(), JsonError> {
        self.peek()?;
        let rest = self.source.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(JsonError::new("no value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let from = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == from {
            return Err(JsonError::new("a number without digits"));
        }
        Ok(())
    }

    /// The text of a number, and whether it is written as a whole one.
    fn numeral(&mut self) -> Result<(&'de str, bool), JsonError> {
        self.peek()?;
        let from = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
            if self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
                return Err(JsonError::new("a number that begins with 0"));
            }
        } else {
            self.digits()?;
        }
        let mut is_whole = true;
        if self.byte() == Some(b'.') {
            is_whole = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            is_whole = false;
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok((self.since(from), is_whole))
    }

    #[inline(never)]
    pub(super) fn number(&mut self) -> Result<Number, JsonError> {
        let (text, is_whole) = self.numeral()?;
        if is_whole {
            if let Ok(number) = text.parse() {
                return Ok(Number::Unsigned(number));
            }
            match text.parse() {
                // A float knows that it is negative.
                Ok(0) | Err(_) => {}
                Ok(number) => return Ok(Number::Signed(number)),
            }
        }
        finite(text.parse().ok(), f64::is_finite).map(Number::Float)
    }

    /// A number as the closest float of 32 bits, which the closest of 64 bits is not always closest to.
    #[inline(never)]
    pub(super) fn short_float(&mut self) -> Result<f32, JsonError> {
        let (text, _) = self.numeral()?;
        finite(text.parse().ok(), f32::is_finite)
    }

    #[inline(never)]
    pub(super) fn string(&mut self) -> Result<Cow<'de, str>, JsonError> {
        self.take(b'"')?;
        let mut whole = String::new();
        let mut from = self.at;
        loop {
            match self.byte() {
                Some(b'"') => {
                    let piece = self.since(from);
                    self.at += 1;
                    if whole.is_empty() {
                        return Ok(Cow::Borrowed(piece));
                    }
                    whole.push_str(piece);
                    return Ok(Cow::Owned(whole));
                }
                Some(b'\\') => {
                    whole.push_str(self.since(from));
                    self.at += 1;
                    whole.push(self.escaped()?);
                    from = self.at;
                }
                Some(0..0x20) => return Err(JsonError::new("a control character in a text")),
                Some(_) => self.at += 1,
                None => return Err(JsonError::new("the document ends within a text")),
            }
        }
    }

    /// The character that is written behind a backslash.
    fn escaped(&mut self) -> Result<char, JsonError> {
        let escape = self.byte();
        self.at += 1;
        Ok(match escape {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(JsonError::new("no such escape in a text")),
        })
    }

    /// A character by its UTF-16 words.
    fn unicode(&mut self) -> Result<char, JsonError> {
        let half = || JsonError::new("half of a character in a text");
        let first = self.hexadecimal()?;
        let mut words = vec![first];
        if (0xD800..0xDC00).contains(&first) {
            let rest = self.source.as_bytes().get(self.at..);
            if !rest.unwrap_or_default().starts_with(b"\\u") {
                return Err(half());
            }
            self.at += 2;
            words.push(self.hexadecimal()?);
        }
        let mut characters = char::decode_utf16(words);
        match (characters.next(), characters.next()) {
            (Some(Ok(character)), None) => Ok(character),
            _ => Err(half()),
        }
    }

    fn hexadecimal(&mut self) -> Result<u16, JsonError> {
        let digits = self.source.as_bytes().get(self.at..self.at + 4);
        let mut word = 0;
        for digit in digits.unwrap_or(b"x") {
            let digit = char::from(*digit).to_digit(16);
            let digit = digit.ok_or_else(|| JsonError::new("no four hexadecimal digits"))?;
            word = word << 4 | digit as u16;
        }
        self.at += 4;
        Ok(word)
    }

    /// Reads over a value.
    pub(super) fn skip(&mut self) -> Result<(), JsonError> {
        let open = self.peek()?;
        match open {
            b'{' | b'[' => {
                let close = if open == b'{' { b'}' } else { b']' };
                self.begin(open)?;
                let mut is_first = true;
                while self.has_next(&mut is_first, close)? {
                    if open == b'{' {
                        self.string()?;
                        self.take(b':')?;
                    }
                    self.skip()?;
                }
                self.end(close)
            }
            b'"' => self.string().map(drop),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            b'-' | b'0'..=b'9' => self.numeral().map(drop),
            _ => Err(JsonError::new("no value")),
        }
    }
}

fn finite<T: Copy>(number: Option<T>, is_finite: impl Fn(T) -> bool) -> Result<T, JsonError> {
    let number = number.filter(|number| is_finite(*number));
    number.ok_or_else(|| JsonError::new("a number out of range"))
}
