//! The Keystone of the tests is a real one: what each kind of token is told when it asks about itself.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use testkit::http::{self, Connection};
use testkit::keystone::calls::{SUBJECT, TOKEN};
use testkit::keystone::{DOMAIN, Keystone, Scope, User};
use testkit::{PATIENCE, wait_for};

/// Of the server that Keystone runs in.
const THREADS: usize = 4;

/// A project, and somebody who is a member.
fn member(keystone: &Keystone, name: &str) -> (String, User) {
    let project = keystone.create_project(name).unwrap();
    let user = keystone.create_user(name).unwrap();
    keystone.grant(&user, "member", Scope::Project(&project)).unwrap();
    (project, user)
}

/// What the token is, if it is one.
fn good(keystone: &Keystone, token: &str) -> Value {
    let answer = keystone.ask_about_itself(token).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice::<Value>(&answer.body).unwrap()["token"].take()
}

fn roles(token: &Value) -> Vec<&str> {
    let mut roles: Vec<&str> = token["roles"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|r| r["name"].as_str())
        .collect();
    roles.sort_unstable();
    roles
}

#[test]
fn a_good_token_says_what_it_is_for() {
    let keystone = Keystone::shared().unwrap();
    let (project, alice) = member(&keystone, "alice");
    let (_, bob) = member(&keystone, "bob");
    let in_project = Scope::Project(&project);

    let token = good(&keystone, &keystone.token(&alice, in_project).unwrap());
    assert_eq!(token["project"]["id"], *project);
    assert_eq!(roles(&token), ["member", "reader"]);
    assert!(token.get("catalog").is_none(), "{token}");

    let unscoped = good(&keystone, &keystone.unscoped_token(&alice).unwrap());
    assert!(unscoped.get("project").is_none() && roles(&unscoped).is_empty(), "{unscoped}");

    for (scope, named) in [(Scope::Domain(DOMAIN), "domain"), (Scope::System, "system")] {
        keystone.grant(&alice, "reader", scope).unwrap();
        let token = good(&keystone, &keystone.token(&alice, scope).unwrap());
        assert!(token.get(named).is_some() && token.get("project").is_none(), "{token}");
        assert_eq!(roles(&token), ["reader"]);
    }

    let credential = keystone.application_credential_token(&alice, &project, &[]).unwrap();
    let credential = good(&keystone, &credential);
    assert_eq!(credential["project"]["id"], *project);
    assert_eq!(credential["methods"][0], "application_credential");

    let trust = keystone.trust_token(&alice, &bob, &project, "member").unwrap();
    let trust = good(&keystone, &trust);
    assert_eq!(trust["project"]["id"], *project);
    assert_eq!(trust["OS-TRUST:trust"]["trustee_user"]["id"], *bob.id);
    assert!(trust.get("is_domain").is_none(), "{trust}");

    // Who validates it would have to enforce its rules, and does not say that it can.
    let rules = [("GET", "/v2/*/os-vendor-backup-sharing/count")];
    let with_rules = keystone.application_credential_token(&alice, &project, &rules).unwrap();
    assert_eq!(keystone.ask_about_itself(&with_rules).unwrap().status, 404);
}

#[test]
fn a_token_that_is_good_no_longer_is_refused_by_401_or_404() {
    const ROLE_REMOVED: &str = "role removed";
    /// Takes from a good token what it rests on: of this project and this user.
    type Harm = fn(&Keystone, &str, &User, &str);
    let cases: [(&str, Harm, &[u16]); 5] = [
        ("revoked", |keystone, _, _, token| keystone.revoke(token).unwrap(), &[401, 404]),
        ("user disabled", |keystone, _, user, _| keystone.disable_user(user).unwrap(), &[401, 404]),
        (
            "password changed",
            |keystone, _, user, _| {
                keystone.change_password(user).unwrap();
            },
            &[401, 404],
        ),
        ("project disabled", |keystone, p, _, _| keystone.disable_project(p).unwrap(), &[404]),
        (
            ROLE_REMOVED,
            |keystone, project, user, _| {
                keystone.remove_role(user, "member", Scope::Project(project)).unwrap();
            },
            &[401, 404],
        ),
    ];
    // Its own: of a token that it has just taken back, a thread of Keystone says 404 if that token was in its last
    // request, and 401 otherwise.
    let keystone = Keystone::start().unwrap();
    for (name, harm, expected) in cases {
        let (project, user) = member(&keystone, name);
        let token = keystone.token(&user, Scope::Project(&project)).unwrap();
        let ask = || keystone.ask_about_itself(&token).unwrap();
        for _ in 0..THREADS {
            assert_eq!(ask().status, 200, "{name}");
        }
        harm(&keystone, &project, &user, &token);
        let mut repeated = false;
        for _ in 0..2 * THREADS {
            let answer = ask();
            assert!(expected.contains(&answer.status), "{name}: {}", answer.status);
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body["error"]["code"], answer.status, "{name}");
            repeated |= answer.text().contains(&token);
        }
        // Why nothing that Keystone says may reach a client or a log.
        assert_eq!(repeated, name == ROLE_REMOVED, "{name}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let keystone = Keystone::shared().unwrap();
    let ask = |token: &str| keystone.ask_about_itself(token).unwrap();
    let (project, user) = member(&keystone, "carol");
    let token = keystone.token(&user, Scope::Project(&project)).unwrap();
    let other = keystone.unscoped_token(&member(&keystone, "dave").1).unwrap();
    let other_letter = if token[100..].starts_with('a') { "b" } else { "a" };
    let changed = [&token[..100], other_letter, &token[101..]].concat();
    for garbage in
        ["", "garbage", "gAAAAABrByym", "with a blank", "\u{fc}", &changed, &"g".repeat(4000)]
    {
        assert_eq!(ask(garbage).status, 401, "{garbage}");
    }
    assert_eq!(ask(&"g".repeat(9000)).status, 431);
    good(&keystone, &format!(" {token} "));

    let path = "/v3/auth/tokens?nocatalog";
    let status = |headers: &[(&str, &str)]| {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        http::request(keystone.address(), "GET", path, &headers).unwrap().status
    };
    assert_eq!(status(&[]), 401);
    assert_eq!(status(&[(SUBJECT, &token)]), 401);
    assert_eq!(status(&[(TOKEN, &token)]), 403);
    assert_eq!(status(&[(TOKEN, &token), (SUBJECT, "")]), 404);
    assert_eq!(status(&[(TOKEN, &token), (SUBJECT, &other)]), 403);
    assert_eq!(status(&[(TOKEN, &token), (SUBJECT, "garbage")]), 404);
    assert!(keystone.token(&user, Scope::System).unwrap_err().to_string().contains("401"));
}

#[test]
fn policy_may_forbid_the_question_and_time_ends_a_token() {
    let options = Keystone::options().token_expiration(Duration::from_secs(5));
    let keystone = options.forbid_self_validation().start().unwrap();
    let user = keystone.create_user("alice").unwrap();
    let ask = |token: &str| keystone.ask_about_itself(token).unwrap().status;
    let token = keystone.unscoped_token(&user).unwrap();
    assert_eq!(ask(&token), 403);
    let expired = wait_for("the token to expire", PATIENCE, || (ask(&token) == 401).then_some(()));
    expired.unwrap();
    // The administrator's own has expired too, and is renewed.
    keystone.create_user("bob").unwrap();
}

#[test]
fn keystone_in_trouble() {
    let keystone = Keystone::start().unwrap();
    let user = keystone.create_user("alice").unwrap();
    let token = keystone.unscoped_token(&user).unwrap();
    let ask = || keystone.ask_about_itself(&token).unwrap().status;
    assert_eq!(ask(), 200);

    keystone.break_database().unwrap();
    assert_eq!(ask(), 500);
    assert_eq!(keystone.ask_about_itself("garbage").unwrap().status, 401);
    assert!(keystone.log().contains("file is not a database"), "{}", keystone.log());
    keystone.repair_database().unwrap();
    assert_eq!(ask(), 200);

    keystone.pause().unwrap();
    let mut paused = Connection::open(keystone.address()).unwrap();
    paused.send(b"GET /v3 HTTP/1.1\r\nhost: k\r\n\r\n").unwrap();
    assert!(paused.stays_open());
    assert_eq!(paused.unread(), 0);
    keystone.resume().unwrap();
    assert_eq!(paused.receive(false).unwrap().status, 200);

    let address = keystone.address();
    keystone.kill();
    assert!(TcpStream::connect(address).is_err());
    keystone.restart().unwrap();
    assert_eq!((keystone.address(), ask()), (address, 200));
    drop(keystone);
    assert!(TcpStream::connect(address).is_err(), "Keystone outlived its value");
}
