//! What becomes of one server, or of one store, while another is there.

use anyhow::Result;

use super::site::{Site, Trouble};

/// In the order of the page. The last two leave no primary as it was.
pub const TROUBLES: [Trouble; 13] = [
    Trouble {
        name: "none, for comparison",
        is_quick: false,
        leaves_old_rows: false,
        inflict: nothing,
        mend: nothing,
    },
    Trouble {
        name: "primary killed, started again",
        is_quick: true,
        leaves_old_rows: false,
        inflict: |site| {
            site.cluster.primary().kill();
            Ok(())
        },
        mend: |site| site.cluster.primary().start_again(),
    },
    Trouble {
        name: "a replica killed, started again",
        is_quick: false,
        leaves_old_rows: false,
        inflict: |site| {
            site.replica(0)?.kill();
            Ok(())
        },
        mend: |site| site.replica(0)?.start_again(),
    },
    Trouble {
        name: "primary stopped (SIGSTOP), continued",
        is_quick: false,
        leaves_old_rows: false,
        inflict: |site| site.cluster.primary().pause(),
        mend: |site| site.cluster.primary().resume(),
    },
    Trouble {
        name: "a replica stopped (SIGSTOP), continued",
        is_quick: true,
        leaves_old_rows: false,
        inflict: |site| site.replica(1)?.pause(),
        mend: |site| site.replica(1)?.resume(),
    },
    Trouble {
        name: "a replica cut off from the primary, joined again",
        is_quick: true,
        leaves_old_rows: true,
        inflict: |site| site.replica(0)?.cut_off(),
        mend: |site| site.replica(0)?.join(),
    },
    Trouble {
        name: "a replica's replay paused, resumed",
        is_quick: false,
        leaves_old_rows: true,
        inflict: |site| site.replica(1)?.pause_replay(),
        mend: |site| site.replica(1)?.resume_replay(),
    },
    Trouble {
        name: "a replica killed, started again at once, with much to replay",
        is_quick: true,
        leaves_old_rows: false,
        inflict: |site| {
            let replica = site.replica(0)?;
            // It takes what it had of the disk, and then waits before each row.
            replica.client()?.batch_execute("ALTER SYSTEM SET recovery_min_apply_delay = '1h'")?;
            replica.kill();
            replica.start_again()
        },
        mend: |site| {
            let mut client = site.replica(0)?.client()?;
            client.batch_execute("ALTER SYSTEM RESET recovery_min_apply_delay")?;
            Ok(client.batch_execute("SELECT pg_reload_conf()")?)
        },
    },
    Trouble {
        name: "all three servers restarted, one after the other",
        is_quick: false,
        leaves_old_rows: false,
        inflict: |site| {
            each(site, |site, number| {
                let server = site.cluster.servers().nth(number);
                server.map_or(Ok(()), testkit::postgres::Server::restart)
            })
        },
        mend: nothing,
    },
    Trouble {
        name: "all three killed and started again at once, one after the other",
        is_quick: false,
        leaves_old_rows: false,
        inflict: |site| {
            each(site, |site, number| {
                let Some(server) = site.cluster.servers().nth(number) else { return Ok(()) };
                server.kill();
                server.start_again()
            })
        },
        mend: nothing,
    },
    Trouble {
        name: "of two count stores one killed, started again",
        is_quick: true,
        leaves_old_rows: false,
        inflict: |site| {
            site.kill_store();
            Ok(())
        },
        mend: |site| site.start_store_again(),
    },
    Trouble {
        name: "primary killed, a replica promoted, the other follows it",
        is_quick: true,
        leaves_old_rows: false,
        inflict: |site| {
            site.cluster.primary().kill();
            site.rest();
            site.promote()
        },
        mend: nothing,
    },
    Trouble {
        name: "the old primary back beside the new one, and nobody writes there",
        is_quick: false,
        leaves_old_rows: false,
        inflict: |site| site.cluster.primary().start_again(),
        mend: |site| {
            site.cluster.primary().kill();
            Ok(())
        },
    },
];

fn nothing(_: &Site) -> Result<()> {
    Ok(())
}

/// Does something to each server, and waits until all is in order again.
fn each(site: &Site, act: fn(&Site, usize) -> Result<()>) -> Result<()> {
    for number in 0..site.cluster.servers().count() {
        act(site, number)?;
        site.settle()?;
        site.rest();
    }
    Ok(())
}
