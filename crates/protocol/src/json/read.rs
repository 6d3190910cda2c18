//! Types from a text.

use super::JsonError;
use super::text::{Number, Text};
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, Expected, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use std::borrow::Cow;

impl<'de> Text<'de> {
    /// That another value was expected than what comes next.
    #[inline(never)]
    fn unexpected(&mut self, expected: &dyn Expected) -> JsonError {
        let found = match self.peek() {
            Ok(b'{') => Unexpected::Map,
            Ok(b'[') => Unexpected::Seq,
            Ok(b'"') => match self.string() {
                Ok(text) => return Error::invalid_type(Unexpected::Str(&text), expected),
                Err(error) => return error,
            },
            Ok(b't') => Unexpected::Bool(true),
            Ok(b'f') => Unexpected::Bool(false),
            Ok(b'n') => Unexpected::Unit,
            Ok(b'-' | b'0'..=b'9') => match self.number() {
                Ok(Number::Unsigned(number)) => Unexpected::Unsigned(number),
                Ok(Number::Signed(number)) => Unexpected::Signed(number),
                Ok(Number::Float(number)) => Unexpected::Float(number),
                Err(error) => return error,
            },
            Ok(_) => return JsonError::new("no value"),
            Err(error) => return error,
        };
        Error::invalid_type(found, expected)
    }

    /// That what comes next begins like this.
    #[inline(never)]
    fn require(
        &mut self,
        begins: fn(u8) -> bool,
        expected: &dyn Expected,
    ) -> Result<(), JsonError> {
        if begins(self.peek()?) {
            Ok(())
        } else {
            Err(self.unexpected(expected))
        }
    }

    fn read_number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, JsonError> {
        self.require(|byte| matches!(byte, b'-' | b'0'..=b'9'), &visitor)?;
        match self.number()? {
            Number::Unsigned(number) => visitor.visit_u64(number),
            Number::Signed(number) => visitor.visit_i64(number),
            Number::Float(number) => visitor.visit_f64(number),
        }
    }
}

/// Methods that are another one.
macro_rules! are {
    ($other:ident: $($method:ident)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
            self.$other(visitor)
        }
    )+};
}

impl<'de> Deserializer<'de> for &mut Text<'de> {
    type Error = JsonError;

    are!(read_number: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f64);
    are!(deserialize_str: deserialize_string deserialize_char deserialize_identifier);

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match self.peek()? {
            b'{' => self.deserialize_map(visitor),
            b'[' => self.deserialize_seq(visitor),
            b'"' => self.deserialize_str(visitor),
            b't' | b'f' => self.deserialize_bool(visitor),
            b'n' => self.deserialize_unit(visitor),
            _ => self.read_number(visitor),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        self.require(|byte| matches!(byte, b'-' | b'0'..=b'9'), &visitor)?;
        visitor.visit_f32(self.short_float()?)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        self.require(|byte| matches!(byte, b't' | b'f'), &visitor)?;
        let value = self.peek()? == b't';
        self.word(if value { "true" } else { "false" })?;
        visitor.visit_bool(value)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        self.require(|byte| byte == b'n', &visitor)?;
        self.word("null")?;
        visitor.visit_unit()
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        self.require(|byte| byte == b'"', &visitor)?;
        match self.string()? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_str(&text),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        if self.peek()? == b'n' {
            self.word("null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        self.require(|byte| byte == b'[', &visitor)?;
        self.begin(b'[')?;
        let value = visitor.visit_seq(Entries::of(self))?;
        self.end(b']')?;
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        self.require(|byte| byte == b'{', &visitor)?;
        self.begin(b'{')?;
        let value = visitor.visit_map(Entries::of(self))?;
        self.end(b'}')?;
        Ok(value)
    }

    /// An object, never a list.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        self.require(|byte| matches!(byte, b'"' | b'{'), &visitor)?;
        let has_content = self.peek()? == b'{';
        if has_content {
            self.begin(b'{')?;
        }
        let value = visitor.visit_enum(Variant {
            text: self,
            has_content,
        })?;
        if has_content {
            self.end(b'}')?;
        }
        Ok(value)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        self.skip()?;
        visitor.visit_unit()
    }

    // What no document of ours has besides.
    serde::forward_to_deserialize_any! {
        i128 u128 bytes byte_buf unit_struct tuple_struct
    }
}

/// The entries of a list or an object.
struct Entries<'a, 'de> {
    text: &'a mut Text<'de>,
    is_first: bool,
}

impl<'a, 'de> Entries<'a, 'de> {
    const fn of(text: &'a mut Text<'de>) -> Self {
        Self {
            text,
            is_first: true,
        }
    }

    #[inline(never)]
    fn next_key(&mut self) -> Result<Option<Cow<'de, str>>, JsonError> {
        if !self.text.has_next(&mut self.is_first, b'}')? {
            return Ok(None);
        }
        let key = self.text.string()?;
        self.text.take(b':')?;
        Ok(Some(key))
    }
}

impl<'de> SeqAccess<'de> for Entries<'_, 'de> {
    type Error = JsonError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, JsonError> {
        if !self.text.has_next(&mut self.is_first, b']')? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.text).map(Some)
    }
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = JsonError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, JsonError> {
        match self.next_key()? {
            Some(key) => seed.deserialize(StrDeserializer::new(&key)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, JsonError> {
        seed.deserialize(&mut *self.text)
    }
}

/// A variant: a text, or an object of its name and content.
struct Variant<'a, 'de> {
    text: &'a mut Text<'de>,
    has_content: bool,
}

impl Variant<'_, '_> {
    #[inline(never)]
    fn require_content(&self) -> Result<(), JsonError> {
        if self.has_content {
            return Ok(());
        }
        Err(Error::invalid_type(
            Unexpected::UnitVariant,
            &"a variant with content",
        ))
    }
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = JsonError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), JsonError> {
        let name = self.text.string()?;
        let variant = seed.deserialize(StrDeserializer::new(&name))?;
        if self.has_content {
            self.text.take(b':')?;
        }
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = JsonError;

    fn unit_variant(self) -> Result<(), JsonError> {
        if self.has_content {
            self.text.require(|byte| byte == b'n', &"null")?;
            self.text.word("null")?;
        }
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, JsonError> {
        self.require_content()?;
        seed.deserialize(self.text)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, JsonError> {
        self.require_content()?;
        self.text.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        self.require_content()?;
        self.text.deserialize_struct("", fields, visitor)
    }
}
