//! The fields of a protobuf message, where they lie in the file: what may be large is not copied.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldValue<'a> {
    Varint(u64),
    Fixed32([u8; 4]),
    /// A string, a message, or numbers in a row.
    Bytes(&'a [u8]),
    /// Nothing that is read here.
    Other,
}

/// The fields of a message, in order; after an error there are none.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) const fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// Bytes of those that are left.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    fn field(&mut self) -> Result<(u32, FieldValue<'a>), String> {
        let bytes = &mut self.0;
        let (tag, wire) = decode_key(bytes).map_err(|error| error.to_string())?;
        let value = match wire {
            WireType::Varint => FieldValue::Varint(varint(bytes)?),
            WireType::ThirtyTwoBit => {
                let (value, rest) = bytes.split_first_chunk().ok_or(CUT_OFF)?;
                *bytes = rest;
                FieldValue::Fixed32(*value)
            }
            WireType::LengthDelimited => {
                let len = usize::try_from(varint(bytes)?).ok();
                let parts = len.and_then(|len| bytes.split_at_checked(len));
                let (value, rest) = parts.ok_or(CUT_OFF)?;
                *bytes = rest;
                FieldValue::Bytes(value)
            }
            WireType::SixtyFourBit | WireType::StartGroup | WireType::EndGroup => {
                skip_field(wire, tag, bytes, DecodeContext::default())
                    .map_err(|error| error.to_string())?;
                FieldValue::Other
            }
        };
        Ok((tag, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, FieldValue<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> FieldValue<'a> {
    /// A string's or a message's bytes.
    pub(super) fn bytes(self) -> Result<&'a [u8], String> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            other => Err(format!(
                "a field is {other:?} where a string or message belongs"
            )),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a name is not UTF-8".into())
    }

    pub(super) fn integer(self) -> Result<i64, String> {
        match self {
            Self::Varint(value) => Ok(value as i64),
            other => Err(format!("a field is {other:?} where an integer belongs")),
        }
    }

    pub(super) fn float(self) -> Result<f32, String> {
        match self {
            Self::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            other => Err(format!("a field is {other:?} where a 32-bit float belongs")),
        }
    }
}

/// The numbers of a repeated field, one a field or many in a row; after an error there are none.
#[derive(Clone, Debug)]
pub(super) struct Listed<'a, T> {
    fields: Fields<'a>,
    tag: u32,
    row: &'a [u8],
    /// The number that a field is.
    single: fn(FieldValue<'a>) -> Result<T, String>,
    /// The next number of a row.
    next: fn(&mut &'a [u8]) -> Result<T, String>,
}

impl<'a> Listed<'a, i64> {
    pub(super) fn integers(message: &'a [u8], tag: u32) -> Self {
        Self {
            fields: Fields::of(message),
            tag,
            row: &[],
            single: FieldValue::integer,
            next: |row| varint(row).map(|value| value as i64),
        }
    }
}

impl<'a> Listed<'a, f32> {
    pub(super) fn floats(message: &'a [u8], tag: u32) -> Self {
        Self {
            fields: Fields::of(message),
            tag,
            row: &[],
            single: FieldValue::float,
            next: |row| {
                let (value, rest) = row.split_first_chunk().ok_or(CUT_OFF)?;
                *row = rest;
                Ok(f32::from_le_bytes(*value))
            },
        }
    }
}

impl<T> Iterator for Listed<'_, T> {
    type Item = Result<T, String>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.row.is_empty() {
            match next_of(&mut self.fields, self.tag)? {
                Ok(FieldValue::Bytes(row)) => self.row = row,
                value => return Some(value.and_then(self.single)),
            }
        }
        let number = (self.next)(&mut self.row);
        if number.is_err() {
            (self.row, self.fields) = (&[], Fields::of(&[]));
        }
        Some(number)
    }
}

/// The next field with this tag.
fn next_of<'a>(fields: &mut Fields<'a>, tag: u32) -> Option<Result<FieldValue<'a>, String>> {
    fields.find_map(|field| match field {
        Ok((own, value)) => (own == tag).then_some(Ok(value)),
        Err(error) => Some(Err(error)),
    })
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    decode_varint(bytes).map_err(|error| error.to_string())
}

const CUT_OFF: &str = "it ends in the middle of a field";
