//! JSON that does not fail over a value of another kind than expected.
//!
//! Okta says of parts of its log that they are "not a contract", and sends null, the text `null`, numbers where texts are
//! documented and the other way round. Each of these types takes what it can use and is empty otherwise, so that one strange
//! member costs that member and not the event.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What becomes of each kind of JSON value; nothing, unless a type says otherwise.
trait Taste<'de>: Default {
    fn text(_text: Cow<'de, str>) -> Self {
        Self::default()
    }
    fn number(_number: f64) -> Self {
        Self::default()
    }
    fn map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

struct Taster<T>(PhantomData<T>);

impl<'de, T: Taste<'de>> Visitor<'de> for Taster<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }
    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }
    fn visit_bool<E>(self, value: bool) -> Result<T, E> {
        Ok(T::text(Cow::Borrowed(if value { "true" } else { "false" })))
    }
    fn visit_u64<E>(self, value: u64) -> Result<T, E> {
        #[expect(clippy::cast_precision_loss, reason = "versions, postal codes and degrees are small")]
        Ok(T::number(value as f64))
    }
    fn visit_i64<E>(self, value: i64) -> Result<T, E> {
        #[expect(clippy::cast_precision_loss, reason = "versions, postal codes and degrees are small")]
        Ok(T::number(value as f64))
    }
    fn visit_f64<E>(self, value: f64) -> Result<T, E> {
        Ok(T::number(value))
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<T, E> {
        Ok(T::text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::text(Cow::Owned(text.to_owned())))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::map(map)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::list(list)
    }
}

macro_rules! tasted {
    ($kind:ty, $($parameter:tt)*) => {
        impl<$($parameter)*> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Taster(PhantomData))
            }
        }
    };
}
tasted!(Word<'a>, 'de: 'a, 'a);
tasted!(Words<'a>, 'de: 'a, 'a);
tasted!(Pairs<'a>, 'de: 'a, 'a);
tasted!(Number, 'de);
tasted!(Object<T>, 'de, T: Default + Deserialize<'de>);
tasted!(List<T>, 'de, T: Default + Deserialize<'de>);

/// A text; a number or a truth value as text.
#[derive(Debug, Default, Clone)]
pub(crate) struct Word<'a>(Option<Cow<'a, str>>);

impl Word<'_> {
    /// The text, unless it stands for nothing.
    pub(crate) fn get(&self) -> Option<&str> {
        self.0.as_deref().filter(|text| !text.trim().is_empty() && !text.eq_ignore_ascii_case("null"))
    }
}

impl<'de: 'a, 'a> Taste<'de> for Word<'a> {
    fn text(text: Cow<'de, str>) -> Self {
        Self(Some(text))
    }
    fn number(number: f64) -> Self {
        Self(Some(Cow::Owned(number.to_string())))
    }
}

/// A number, or a text that is one.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Number(pub(crate) Option<f64>);

impl<'de> Taste<'de> for Number {
    fn text(text: Cow<'de, str>) -> Self {
        Self(text.trim().parse().ok())
    }
    fn number(number: f64) -> Self {
        Self(Some(number))
    }
}

/// Texts; a single one is a list of itself.
#[derive(Debug, Default)]
pub(crate) struct Words<'a>(Vec<Word<'a>>);

impl Words<'_> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(Word::get)
    }
}

impl<'de: 'a, 'a> Taste<'de> for Words<'a> {
    fn text(text: Cow<'de, str>) -> Self {
        Self(vec![Word(Some(text))])
    }
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut words = Vec::new();
        while let Some(word) = list.next_element()? {
            words.push(word);
        }
        Ok(Self(words))
    }
}

/// An object whose members have names that nobody knows beforehand.
#[derive(Debug, Default)]
pub(crate) struct Pairs<'a>(pub(crate) Vec<(Word<'a>, Word<'a>)>);

impl<'de: 'a, 'a> Taste<'de> for Pairs<'a> {
    fn map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Self(pairs))
    }
}

/// An object of known members; what is none has none of them.
#[derive(Debug, Default)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Default + Deserialize<'de>> Taste<'de> for Object<T> {
    fn map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Self)
    }
}

impl<T> std::ops::Deref for Object<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Objects of known members; null is no object at all.
#[derive(Debug, Default)]
pub(crate) struct List<T>(Vec<Object<T>>);

impl<T> List<T> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|object| &object.0)
    }
}

impl<'de, T: Default + Deserialize<'de>> Taste<'de> for List<T> {
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut objects = Vec::new();
        while let Some(object) = list.next_element()? {
            objects.push(object);
        }
        Ok(Self(objects))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(default)]
    struct All<'a> {
        #[serde(borrow)]
        word: Word<'a>,
        number: Number,
        #[serde(borrow)]
        words: Words<'a>,
        #[serde(borrow)]
        pairs: Pairs<'a>,
        #[serde(borrow)]
        object: Object<Inner<'a>>,
        #[serde(borrow)]
        list: List<Inner<'a>>,
    }

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(default)]
    struct Inner<'a> {
        #[serde(borrow)]
        a: Word<'a>,
    }

    #[test]
    fn every_member_bears_every_kind_of_value() {
        for value in
            ["null", "true", "1", "-1", "1.5", r#""x""#, r#""\u00e9""#, "[]", "[1,null,{}]", "{}", r#"{"a":1}"#]
        {
            for member in ["word", "number", "words", "pairs", "object", "list", "unknown"] {
                let text = format!(r#"{{"{member}":{value}}}"#);
                assert!(serde_json::from_str::<All<'_>>(&text).is_ok(), "{text}");
            }
        }
    }

    #[test]
    fn what_is_usable_is_used() {
        let text = r#"{"word":"a","number":"1.5","words":["b",null,2],"pairs":{"c":"d"},"object":{"a":true},"list":[{"a":"e"},3]}"#;
        let all: All<'_> = serde_json::from_str(text).unwrap();
        assert_eq!((all.word.get(), all.number.0), (Some("a"), Some(1.5)));
        assert!(matches!(all.word.0, Some(Cow::Borrowed(_))), "nothing is copied that need not be");
        assert_eq!(all.words.iter().collect::<Vec<_>>(), ["b", "2"]);
        assert_eq!((all.pairs.0[0].0.get(), all.pairs.0[0].1.get()), (Some("c"), Some("d")));
        assert_eq!(all.object.a.get(), Some("true"));
        assert_eq!(all.list.iter().map(|inner| inner.a.get()).collect::<Vec<_>>(), [Some("e"), None]);
    }

    #[test]
    fn the_text_null_is_nothing() {
        for text in [r#""null""#, r#""NULL""#, r#""""#, r#"" ""#, "null"] {
            assert_eq!(serde_json::from_str::<Word<'_>>(text).unwrap().get(), None, "{text}");
        }
    }
}
