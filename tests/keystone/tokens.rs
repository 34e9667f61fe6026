//! Each kind of token, and what it is answered.

use serde_json::json;
use testkit::keystone::{DOMAIN, Keystone, Scope, User};

use super::{Bench, COUNTED, REFUSED, somebody};

const MISSING: &str = "401 unauthorized auth_missing";
const NOT_ITS_PROJECT: &str = "403 forbidden auth_project";
const NO_ROLE: &str = "403 forbidden auth_role";

// One after the other: while roles are taken away, this Keystone may fail to find those that an application credential
// is made of.
#[test]
fn each_token_is_answered_by_what_keystone_says_of_it() {
    let keystone = Keystone::shared().unwrap();
    each_kind(&keystone);
    no_longer_good(&keystone);
}

fn each_kind(keystone: &Keystone) {
    let (project, alice) = somebody(keystone, "alice", "member");
    let (other_project, bob) = somebody(keystone, "bob", "reader");
    let (carols_project, carol) = somebody(keystone, "carol", "admin");
    for scope in [Scope::Domain(DOMAIN), Scope::System] {
        keystone.grant(&alice, "reader", scope).unwrap();
    }
    let token = |user: &User, scope: Scope<'_>| keystone.token(user, scope).unwrap();
    let member = token(&alice, Scope::Project(&project));
    let reader = token(&bob, Scope::Project(&other_project));
    let admin = token(&carol, Scope::Project(&carols_project));
    let application =
        |rules| keystone.application_credential_token(&alice, &project, rules).unwrap();
    let no_rules = application(&[]);
    let rules = application(&[("GET", "/v2/*/os-vendor-backup-sharing/count")]);
    let trust = keystone.trust_token(&alice, &bob, &project, "member").unwrap();
    let other_letter = if member[100..].starts_with('a') { "b" } else { "a" };
    let changed = [&member[..100], other_letter, &member[101..]].concat();

    let roles = |role: &str| json!({"roles": ["auditor", role]});
    let listeners = [
        ("any", json!({})),
        ("admins", roles("admin")),
        ("members", roles("MEMBER")),
        ("readers", roles("Reader")),
    ];
    let mut bench = Bench::start(keystone, &listeners);
    let [p1, p2, p3] = [&project, &other_project, &carols_project];
    for (name, listener, project, token, expected) in [
        ("member", "any", p1, &member, COUNTED),
        ("reader", "any", p2, &reader, COUNTED),
        ("admin", "any", p3, &admin, COUNTED),
        ("another project's", "any", p2, &member, NOT_ITS_PROJECT),
        ("another project's, admin", "any", p1, &admin, NOT_ITS_PROJECT),
        ("unscoped", "any", p1, &keystone.unscoped_token(&alice).unwrap(), NOT_ITS_PROJECT),
        ("domain", "any", p1, &token(&alice, Scope::Domain(DOMAIN)), NOT_ITS_PROJECT),
        ("system", "any", p1, &token(&alice, Scope::System), NOT_ITS_PROJECT),
        ("application credential", "any", p1, &no_rules, COUNTED),
        ("application credential, other project", "any", p2, &no_rules, NOT_ITS_PROJECT),
        ("application credential, access rules", "any", p1, &rules, REFUSED),
        ("trust", "any", p1, &trust, COUNTED),
        ("trust, the trustee's project", "any", p2, &trust, NOT_ITS_PROJECT),
        ("none", "any", p1, &String::new(), MISSING),
        ("garbage", "any", p1, &"garbage".to_owned(), REFUSED),
        ("a blank in it", "any", p1, &"gAAAA ABr".to_owned(), REFUSED),
        ("one character changed", "any", p1, &changed, REFUSED),
        ("too long", "any", p1, &"g".repeat(9000), "401 unauthorized auth_refused:431"),
        // Keystone's roles include others: an admin is a member, and a member a reader.
        ("admins: admin", "admins", p3, &admin, COUNTED),
        ("admins: member", "admins", p1, &member, NO_ROLE),
        ("members: admin", "members", p3, &admin, COUNTED),
        ("members: member", "members", p1, &member, COUNTED),
        ("members: reader", "members", p2, &reader, NO_ROLE),
        ("members: reader of another project", "members", p1, &reader, NOT_ITS_PROJECT),
        ("members: trust", "members", p1, &trust, COUNTED),
        ("members: application credential", "members", p1, &no_rules, COUNTED),
        ("readers: reader", "readers", p2, &reader, COUNTED),
        ("readers: member", "readers", p1, &member, COUNTED),
    ] {
        assert_eq!(bench.ask(listener, project, token), expected, "{name}");
    }
    bench.stop();
}

fn no_longer_good(keystone: &Keystone) {
    /// Takes from a good token what it rests on: of this project and this user.
    type Harm = fn(&Keystone, &str, &User, &str);
    let cases: [(&str, Harm); 5] = [
        ("revoked", |keystone, _, _, token| keystone.revoke(token).unwrap()),
        ("user disabled", |keystone, _, user, _| keystone.disable_user(user).unwrap()),
        ("password changed", |keystone, _, user, _| drop(keystone.change_password(user).unwrap())),
        ("project disabled", |keystone, project, _, _| keystone.disable_project(project).unwrap()),
        ("role removed", |keystone, project, user, _| {
            keystone.remove_role(user, "member", Scope::Project(project)).unwrap();
        }),
    ];
    let mut bench = Bench::start(keystone, &[("forgetful", json!({"remember": "0s"}))]);
    for (name, harm) in cases {
        let (project, user) = somebody(keystone, name, "member");
        let token = keystone.token(&user, Scope::Project(&project)).unwrap();
        let mut ask = || bench.ask("forgetful", &project, &token);
        assert_eq!(ask(), COUNTED, "{name}");
        harm(keystone, &project, &user, &token);
        // Keystone says 401 or 404, as chance will have it.
        assert_eq!([ask(), ask(), ask()], [REFUSED; 3], "{name}");
    }
    bench.stop();
}
