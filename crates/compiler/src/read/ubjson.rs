//! Universal Binary JSON (draft 12), the binary form of XGBoost's model files, as a serde format:
//! the same types are read from it and from JSON.
//!
//! Numbers are big-endian. A container may state its count (`#`) and the type of its entries (`$`);
//! what it states is checked against the bytes that are left before anything is reserved.

use serde::de::{
    self, Deserialize, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use std::fmt;

#[cfg(test)]
mod tests;

/// Most containers inside each other, as in `serde_json`.
const MAX_DEPTH: usize = 128;

/// Reads one value and refuses bytes behind it.
pub(crate) fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Error> {
    let mut reader = Reader {
        bytes,
        position: 0,
        depth: 0,
    };
    let value = T::deserialize(NextValue {
        reader: &mut reader,
        marker: None,
    })?;
    match reader.bytes.get(reader.position..) {
        None | Some([]) => Ok(value),
        Some(rest) => Err(reader.error(format!("{} bytes follow the value", rest.len()))),
    }
}

/// Why bytes are not the value that is wanted.
#[derive(Debug, thiserror::Error)]
#[error("{problem}{}", at(*.position))]
pub(crate) struct Error {
    problem: String,
    /// Byte where reading stopped.
    position: Option<usize>,
}

fn at(position: Option<usize>) -> String {
    position.map_or_else(String::new, |at| format!(" at byte {at}"))
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self {
            problem: problem.to_string(),
            position: None,
        }
    }
}

struct Reader<'de> {
    bytes: &'de [u8],
    position: usize,
    depth: usize,
}

impl<'de> Reader<'de> {
    fn error(&self, problem: impl Into<String>) -> Error {
        Error {
            problem: problem.into(),
            position: Some(self.position),
        }
    }

    /// An error of a visitor, which does not know where it stands.
    fn placed(&self, mut error: Error) -> Error {
        error.position.get_or_insert(self.position);
        error
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.position
    }

    fn take(&mut self, len: usize) -> Result<&'de [u8], Error> {
        let end = self.position.checked_add(len);
        let Some(taken) = end.and_then(|end| self.bytes.get(self.position..end)) else {
            return Err(self.error(format!(
                "the file ends where {len} more bytes are announced"
            )));
        };
        self.position += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    /// The next type marker; no-ops between values are skipped.
    fn marker(&mut self) -> Result<u8, Error> {
        loop {
            let [marker] = self.array()?;
            if marker != b'N' {
                return Ok(marker);
            }
        }
    }

    fn integer(&mut self, marker: u8) -> Result<i64, Error> {
        Ok(match marker {
            b'i' => i64::from(i8::from_be_bytes(self.array()?)),
            b'U' => i64::from(u8::from_be_bytes(self.array()?)),
            b'I' => i64::from(i16::from_be_bytes(self.array()?)),
            b'l' => i64::from(i32::from_be_bytes(self.array()?)),
            b'L' => i64::from_be_bytes(self.array()?),
            other => {
                return Err(self.error(format!(
                    "marker {:?} stands where a length is",
                    char::from(other)
                )));
            }
        })
    }

    fn length(&mut self) -> Result<usize, Error> {
        let marker = self.marker()?;
        let length = self.integer(marker)?;
        usize::try_from(length).map_err(|_| self.error(format!("a length is {length}")))
    }

    /// A text without its marker.
    fn text(&mut self) -> Result<&'de str, Error> {
        let len = self.length()?;
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes).map_err(|_| self.error("a text is not UTF-8"))
    }

    /// What stands behind `[` or `{`.
    fn head(&mut self) -> Result<Head, Error> {
        let mut marker = None;
        if self.peek() == Some(b'$') {
            self.position += 1;
            let [own] = self.array()?;
            if !matches!(
                own,
                b'i' | b'U' | b'I' | b'l' | b'L' | b'd' | b'D' | b'C' | b'S' | b'H' | b'[' | b'{'
            ) {
                // Types without bytes (Z, T, F, N) would let a few bytes stand for any count.
                return Err(self.error(format!(
                    "a container has entries of type {:?}",
                    char::from(own)
                )));
            }
            marker = Some(own);
        }
        if self.peek() == Some(b'#') {
            self.position += 1;
            let count = self.length()?;
            if count > self.left() {
                return Err(self.error(format!(
                    "a container announces {count} entries, {} bytes are left",
                    self.left()
                )));
            }
            return Ok(Head {
                marker,
                count: Some(count),
            });
        }
        if marker.is_some() {
            return Err(self.error("a container with a type states no count"));
        }
        Ok(Head {
            marker,
            count: None,
        })
    }

    fn enter(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(format!("containers lie {MAX_DEPTH} deep")));
        }
        Ok(())
    }
}

struct Head {
    /// Type of all entries.
    marker: Option<u8>,
    /// Entries; without it the container ends with its closing marker.
    count: Option<usize>,
}

/// The value that comes next. In a container with a type its marker is known.
struct NextValue<'a, 'de> {
    reader: &'a mut Reader<'de>,
    marker: Option<u8>,
}

impl<'de> de::Deserializer<'de> for NextValue<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let reader = self.reader;
        let marker = match self.marker {
            Some(marker) => marker,
            None => reader.marker()?,
        };
        let value = match marker {
            b'Z' => visitor.visit_unit(),
            b'T' => visitor.visit_bool(true),
            b'F' => visitor.visit_bool(false),
            b'i' | b'U' | b'I' | b'l' | b'L' => visitor.visit_i64(reader.integer(marker)?),
            b'd' => visitor.visit_f32(f32::from_be_bytes(reader.array()?)),
            b'D' => visitor.visit_f64(f64::from_be_bytes(reader.array()?)),
            b'C' => {
                let [character] = reader.array()?;
                visitor.visit_char(char::from(character))
            }
            b'S' | b'H' => visitor.visit_borrowed_str(reader.text()?),
            b'[' | b'{' => {
                reader.enter()?;
                let head = reader.head()?;
                let mut entries = ContainerEntries { reader, head };
                let value = if marker == b'[' {
                    visitor.visit_seq(&mut entries)
                } else {
                    visitor.visit_map(&mut entries)
                };
                entries.close(marker == b'[', value.is_ok())?;
                value
            }
            other => {
                return Err(reader.error(format!("there is no marker {:?}", char::from(other))));
            }
        };
        value.map_err(|error| reader.placed(error))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.marker.is_none() && self.reader.peek() == Some(b'Z') {
            self.reader.position += 1;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The entries of a container.
struct ContainerEntries<'a, 'de> {
    reader: &'a mut Reader<'de>,
    head: Head,
}

impl ContainerEntries<'_, '_> {
    /// Whether another entry follows; `end` is left for [`Self::close`].
    fn more(&mut self, end: u8) -> bool {
        match &mut self.head.count {
            Some(0) => false,
            Some(count) => {
                *count -= 1;
                true
            }
            None => {
                while self.reader.peek() == Some(b'N') {
                    self.reader.position += 1;
                }
                self.reader.peek() != Some(end)
            }
        }
    }

    fn close(self, is_array: bool, complete: bool) -> Result<(), Error> {
        let Self { reader, head } = self;
        reader.depth -= 1;
        if !complete {
            return Ok(());
        }
        match head.count {
            Some(0) => Ok(()),
            Some(more) => Err(reader.error(format!("a container has {more} entries too many"))),
            None => {
                let [end] = reader.array()?;
                if end == if is_array { b']' } else { b'}' } {
                    Ok(())
                } else {
                    Err(reader.error("a container has entries too many"))
                }
            }
        }
    }
}

impl<'de> SeqAccess<'de> for &mut ContainerEntries<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if !self.more(b']') {
            return Ok(None);
        }
        let marker = self.head.marker;
        let reader = &mut *self.reader;
        seed.deserialize(NextValue { reader, marker }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.head.count
    }
}

impl<'de> MapAccess<'de> for &mut ContainerEntries<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if !self.more(b'}') {
            return Ok(None);
        }
        let key = self.reader.text()?;
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let marker = self.head.marker;
        let reader = &mut *self.reader;
        seed.deserialize(NextValue { reader, marker })
    }
}
