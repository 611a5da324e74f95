//! Links in the headers of an answer (RFC 8288), by which lists are paged.

use crate::Answer;

impl Answer {
    /// Where the next page is, if the answer says so. Okta sends each link in a header of its own; a proxy may have put them
    /// together in one.
    #[must_use]
    pub fn next_page(&self) -> Option<&str> {
        self.headers("link").flat_map(links).find_map(|(target, parameters)| is_next(parameters).then_some(target))
    }
}

/// Targets and their parameters. Neither a target in angle brackets nor Okta's parameters hold a `<`, so each one begins a link.
fn links(header: &str) -> impl Iterator<Item = (&str, &str)> {
    header.split('<').skip(1).filter_map(|link| link.split_once('>'))
}

fn is_next(parameters: &str) -> bool {
    parameters.split([';', ',']).filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
        name.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::reply;

    fn next(headers: &[(&str, &str)]) -> Option<String> {
        Answer::from(reply(200, headers, "")).next_page().map(str::to_owned)
    }

    #[test]
    fn the_next_page_is_found_wherever_it_stands() {
        let this = ("Link", "<https://a.example/logs?limit=1>; rel=\"self\"");
        let other = ("link", "<https://a.example/logs?limit=1&after=1,2;3>; rel=\"next\"");
        for headers in [&[this, other][..], &[other, this][..], &[other][..]] {
            assert_eq!(next(headers).unwrap(), "https://a.example/logs?limit=1&after=1,2;3");
        }
        let both = "<https://a.example/1>; rel=\"self\", <https://a.example/2>; title=x; REL=next";
        assert_eq!(next(&[("link", both)]).unwrap(), "https://a.example/2");
    }

    #[test]
    fn what_is_no_next_page_is_none() {
        for value in [
            "",
            "<https://a.example/1>; rel=\"self\"",
            "https://a.example/2; rel=\"next\"",
            "<https://a.example",
            ">;rel=next",
        ] {
            assert_eq!(next(&[("link", value)]), None, "{value}");
        }
        assert_eq!(next(&[]), None);
    }
}
