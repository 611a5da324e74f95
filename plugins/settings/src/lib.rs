//! Reads the settings of a guest: strictly, and to the end.
//!
//! Administrators write settings by hand. A key that nobody knows is a mistake and not a remark, and whoever has made five
//! mistakes wants to hear of five, each with the place where it stands. So readers take what they can, put what they cannot
//! take on a list of [`Problems`], and go on; only an empty list makes the settings valid.

mod near;

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

/// A mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// JSON Pointer (RFC 6901) to the setting; empty for the settings as a whole.
    pub setting: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// All mistakes so far.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds a mistake at a place.
    pub fn add(&mut self, node: &Node<'_>, message: impl Into<String>) {
        self.0.push(Problem { setting: node.pointer.clone(), message: message.into() });
    }

    /// The settings, when there was no mistake.
    ///
    /// # Errors
    /// The mistakes. There is always one where there are no settings.
    pub fn finish<T>(mut self, settings: Option<T>) -> Result<T, Vec<Problem>> {
        match settings {
            Some(settings) if self.0.is_empty() => Ok(settings),
            _ => {
                if self.0.is_empty() {
                    let message = "the settings cannot be used".to_owned();
                    self.0.push(Problem { setting: String::new(), message });
                }
                Err(self.0)
            }
        }
    }
}

/// Reads a settings text.
///
/// # Errors
/// It is not JSON, or `read` found mistakes.
pub fn parse<T>(text: &str, read: impl FnOnce(&Node<'_>, &mut Problems) -> Option<T>) -> Result<T, Vec<Problem>> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        vec![Problem { setting: String::new(), message: format!("the settings are not JSON: {error}") }]
    })?;
    let mut problems = Problems::default();
    let settings = read(&Node { value: &value, pointer: String::new() }, &mut problems);
    problems.finish(settings)
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node<'a> {
    value: &'a Value,
    pointer: String,
}

impl<'a> Node<'a> {
    fn child(&self, step: &str, value: &'a Value) -> Self {
        let step = step.replace('~', "~0").replace('/', "~1");
        Self { value, pointer: format!("{}/{step}", self.pointer) }
    }

    fn expected(&self, what: &str, problems: &mut Problems) {
        let found = match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "text",
            Value::Array(_) => "a list",
            Value::Object(_) => "a table",
        };
        problems.add(self, format!("has to be {what}; found {found}"));
    }

    /// The text, where it is one. No mistake otherwise.
    #[must_use]
    pub fn as_text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// A text that is not blank.
    pub fn text(&self, problems: &mut Problems) -> Option<String> {
        let Some(text) = self.value.as_str() else {
            self.expected("text", problems);
            return None;
        };
        if text.trim().is_empty() {
            problems.add(self, "must not be empty");
            return None;
        }
        Some(text.to_owned())
    }

    /// True or false.
    pub fn boolean(&self, problems: &mut Problems) -> Option<bool> {
        if self.value.as_bool().is_none() {
            self.expected("true or false", problems);
        }
        self.value.as_bool()
    }

    /// A whole number inside a range.
    pub fn number<N>(&self, range: &RangeInclusive<N>, problems: &mut Problems) -> Option<N>
    where
        N: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        let number = self.value.as_i64().and_then(|number| N::try_from(number).ok()).filter(|n| range.contains(n));
        if number.is_none() {
            problems.add(self, format!("has to be a whole number from {} to {}", range.start(), range.end()));
        }
        number
    }

    /// One of several words.
    pub fn word<T: Copy>(&self, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
        let names = || words.iter().map(|(name, _)| *name);
        let Some(text) = self.value.as_str() else {
            let names: Vec<_> = names().collect();
            self.expected(&format!("one of {}", names.join(", ")), problems);
            return None;
        };
        let found = words.iter().find_map(|(name, value)| (*name == text).then_some(*value));
        if found.is_none() {
            problems.add(self, near::not_known(text, names()));
        }
        found
    }

    /// The elements of a list.
    pub fn list(&self, problems: &mut Problems) -> Option<Vec<Self>> {
        let Some(list) = self.value.as_array() else {
            self.expected("a list", problems);
            return None;
        };
        Some(list.iter().enumerate().map(|(index, value)| self.child(&index.to_string(), value)).collect())
    }

    /// Elements of a list that holds at least one. A value that stands alone is a list of itself.
    pub fn some(&self, problems: &mut Problems) -> Option<Vec<Self>> {
        if matches!(self.value, Value::String(_)) {
            return Some(vec![self.clone()]);
        }
        let list = self.list(problems)?;
        if list.is_empty() {
            problems.add(self, "is an empty list, which nothing can match; name something or leave it out");
            return None;
        }
        Some(list)
    }

    /// A table that has these keys and no others.
    pub fn table(&self, known: &[&str], problems: &mut Problems) -> Option<Table<'a>> {
        let Some(map) = self.value.as_object() else {
            self.expected("a table", problems);
            return None;
        };
        for (key, value) in map {
            if !known.contains(&key.as_str()) {
                problems.add(&self.child(key, value), near::not_known(key, known.iter().copied()));
            }
        }
        Some(Table { node: self.clone(), map })
    }
}

/// A table whose keys are known.
#[derive(Debug, Clone)]
pub struct Table<'a> {
    node: Node<'a>,
    map: &'a Map<String, Value>,
}

impl<'a> Table<'a> {
    /// Where it stands.
    #[must_use]
    pub fn node(&self) -> &Node<'a> {
        &self.node
    }

    /// The value of a key, where it is given.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Node<'a>> {
        self.map.get(key).map(|value| self.node.child(key, value))
    }

    /// The value of a key that must not be missing.
    pub fn require(&self, key: &str, problems: &mut Problems) -> Option<Node<'a>> {
        let node = self.get(key);
        if node.is_none() {
            problems.add(&self.node, format!("`{key}` is missing"));
        }
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(text: &str) -> Vec<(String, String)> {
        let read = |node: &Node<'_>, problems: &mut Problems| {
            let table = node.table(&["name", "count", "kind", "a/b~c"], problems)?;
            let name = table.require("name", problems).and_then(|node| node.text(problems));
            let count = table.get("count").and_then(|node| node.number::<u8>(&(1..=9), problems));
            let kind = table.get("kind").and_then(|node| node.word(&[("red", 1), ("green", 2)], problems));
            let many = table.get("a/b~c").and_then(|node| node.some(problems)).unwrap_or_default();
            for node in many {
                node.boolean(problems);
            }
            Some((name?, count, kind))
        };
        let problems = parse(text, read).err().unwrap_or_default();
        problems.into_iter().map(|problem| (problem.setting, problem.message)).collect()
    }

    #[test]
    fn right_settings_have_no_problem() {
        assert_eq!(problems_of(r#"{"name":"x","count":9,"kind":"red","a/b~c":[true]}"#), []);
    }

    #[test]
    fn every_problem_is_reported_with_its_place() {
        let found = problems_of(r#"{"naem":"x","count":10,"kind":"gren","a/b~c":[true,1]}"#);
        let places: Vec<_> = found.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(places, ["/naem", "", "/count", "/kind", "/a~1b~0c/1"]);
        assert!(found[0].1.contains("did you mean `name`"), "{}", found[0].1);
        assert!(found[1].1.contains("`name` is missing"), "{}", found[1].1);
        assert!(found[2].1.contains("from 1 to 9"), "{}", found[2].1);
        assert!(found[3].1.contains("`green`"), "{}", found[3].1);
    }

    #[test]
    fn what_is_no_table_is_no_settings() {
        for text in ["", "[]", "null", "{", r#"{"name":" "}"#, r#"{"name":1}"#, r#"{"name":"x","a/b~c":[]}"#] {
            assert_eq!(problems_of(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn settings_that_were_not_taken_are_never_valid() {
        assert!(parse::<()>("{}", |_, _| None).is_err());
    }
}
