//! What the load asks, and what it must get.

use fastrand::Rng;

use super::expected::{self, PROJECTS};

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A valid count.
    Count,
    /// What the filter answers by itself: 400, 404, 405, 406.
    Rejection,
    /// Another path, for the upstream.
    Pass,
    /// A valid count whose client leaves before the answer.
    HangUp,
    /// A valid count, asked by someone who may not.
    Stranger,
}

/// How often each kind is asked; the numbers are relative.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    pub counts: u32,
    pub rejections: u32,
    pub passes: u32,
    pub hang_ups: u32,
    /// None unless the filter judges callers.
    pub strangers: u32,
}

/// A request, and what its answer must be.
#[derive(Clone, Debug)]
pub struct Ask {
    pub bytes: Vec<u8>,
    pub expected: Expected,
}

/// What an answer must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// 200 with exactly this count, or a documented fault that the store may cause.
    Count(usize),
    /// Exactly this status, with its documented body.
    Rejection(u16),
    /// The same, or a documented fault that Keystone may cause.
    Refusal(u16),
    /// 200 with exactly this body: the upstream's.
    Passed(String),
}

/// Every request the load knows, made before it begins.
#[derive(Debug)]
pub struct Asks {
    counts: Vec<Ask>,
    rejections: Vec<Ask>,
    passes: Vec<Ask>,
    strangers: Vec<Ask>,
}

/// As a client writes the filters, and as the filter writes them.
const QUERIES: [(&str, &str); 8] = [
    ("", ""),
    ("?share_to_me=off", "?share_to_me=false"),
    ("?share_to_me=YES", "?share_to_me=true"),
    ("?status=AVAILABLE", "?status=available"),
    ("?name=ROW", "?name=row"),
    ("?name=%72ow-07", "?name=row-07"),
    ("?availability_zone=az-1", "?avalilability_zone=az-1"),
    ("?status=error&share_to_me=1", "?share_to_me=true&status=error"),
];

impl Default for Mix {
    /// Mostly counts, and some of everything.
    fn default() -> Self {
        Self { counts: 60, rejections: 25, passes: 10, hang_ups: 5, strangers: 0 }
    }
}

impl Default for Asks {
    fn default() -> Self {
        let count = |project| format!("/v2/p{project}/os-vendor-backup-sharing/count");
        let (mut counts, mut rejections, mut passes) = (Vec::new(), Vec::new(), Vec::new());
        let mut strangers = Vec::new();
        for project in 0..PROJECTS {
            for (asked, written) in QUERIES {
                let found = expected::count(&(count(project) + written)).unwrap_or_default();
                let expected = Expected::Count(found);
                let token = expected::token_line(project);
                counts.push(ask("GET", &(count(project) + asked), &token, expected));
            }
            for (token, status) in [
                (expected::token_line((project + 1) % PROJECTS), 403),
                (format!("x-auth-token: nobody-{project}\r\n"), 401),
                (String::new(), 401),
            ] {
                strangers.push(ask("GET", &count(project), &token, Expected::Refusal(status)));
            }
            let target = format!("/v2/p{project}/backups?x={project}");
            passes.push(ask("GET", &target, "", Expected::Passed(expected::passed(&target))));
            for (status, method, target, headers) in [
                (400, "GET", count(project) + "?status=none", ""),
                (400, "GET", count(project) + "?volume_id=7", ""),
                (400, "GET", count(project) + "?x=1", ""),
                (400, "GET", "/v2/p.1/os-vendor-backup-sharing/count".to_owned(), ""),
                (404, "GET", count(project) + "/", ""),
                (404, "GET", count(project) + ";v=1", ""),
                (405, "DELETE", count(project), ""),
                (405, "POST", count(project), "content-length: 0\r\n"),
                (406, "GET", count(project), "accept: text/html\r\n"),
            ] {
                rejections.push(ask(method, &target, headers, Expected::Rejection(status)));
            }
        }
        Self { counts, rejections, passes, strangers }
    }
}

impl Asks {
    /// Each count.
    pub fn counts(&self) -> &[Ask] {
        &self.counts
    }

    /// One of a kind.
    pub fn pick(&self, kind: Kind, random: &mut Rng) -> &Ask {
        let asks = match kind {
            Kind::Count | Kind::HangUp => &self.counts,
            Kind::Rejection => &self.rejections,
            Kind::Pass => &self.passes,
            Kind::Stranger => &self.strangers,
        };
        &asks[random.usize(..asks.len())]
    }
}

impl Mix {
    /// A kind, as often as the weights say.
    pub fn pick(&self, random: &mut Rng) -> Kind {
        let Mix { counts, rejections, passes, hang_ups, strangers } = *self;
        match random.u32(..counts + rejections + passes + hang_ups + strangers) {
            n if n < counts => Kind::Count,
            n if n < counts + rejections => Kind::Rejection,
            n if n < counts + rejections + passes => Kind::Pass,
            n if n < counts + rejections + passes + hang_ups => Kind::HangUp,
            _ => Kind::Stranger,
        }
    }
}

fn ask(method: &str, target: &str, headers: &str, expected: Expected) -> Ask {
    let bytes = format!("{method} {target} HTTP/1.1\r\nhost: edge\r\n{headers}\r\n");
    Ask { bytes: bytes.into_bytes(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_come_as_often_as_they_weigh() {
        let (mix, mut random) = (Mix { strangers: 7, ..Mix::default() }, Rng::with_seed(7));
        let mut seen = [0; 5];
        for _ in 0..107_000 {
            seen[mix.pick(&mut random) as usize] += 1;
        }
        for (seen, weight) in seen.into_iter().zip([60, 25, 10, 5, 7]) {
            assert!((seen - weight * 1000_i32).abs() < 1000, "{seen} for {weight}");
        }
    }

    #[test]
    fn every_count_is_asked_of_every_project() {
        let asks = Asks::default();
        assert_eq!(asks.counts.len(), PROJECTS * QUERIES.len());
        let mut random = Rng::with_seed(1);
        let picked: std::collections::BTreeSet<_> =
            (0..20_000).map(|_| &asks.pick(Kind::Count, &mut random).bytes).collect();
        assert_eq!(picked.len(), asks.counts.len());
    }
}
