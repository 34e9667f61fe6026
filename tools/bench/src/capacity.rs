//! What the measured costs say of an Envoy before a real store, and whether it comes so: the
//! formulas of `docs/capacity.md`, with one prediction of each kind checked.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::envoy::Envoy;
use testkit::{Error, Result, workspace};

use crate::edge::cases::{CASES, FEW};
use crate::edge::config::{self, Route};
use crate::machine::{self, Cores};
use crate::oha::{Amount, Load, Oha};
use crate::statistics::median;
use crate::store::queries::{FILTERS, target};
use crate::store::rows::{Side, Watched};
use crate::store::service::Store;
use crate::{Options, Section};

/// Enough that some project shares 100,000 backups.
const ROWS: u64 = 1_000_000;
const CONNECTIONS: usize = 16;
/// By how much a prediction may be off.
const OFF: f64 = 0.15;

/// What the other parts measured, in µs of processor time for a count.
struct Inputs {
    /// Of Envoy.
    envoy: f64,
    /// Of the store, for a small one.
    small: f64,
    /// Of the store, for the one that the part `store` looks at closely: about a millisecond.
    large: f64,
}

/// What a load of one kind of count showed.
struct Seen {
    per_second: f64,
    /// Processor time for a count.
    envoy: f64,
    store: f64,
}

/// Runs it.
///
/// # Errors
/// If the parts it draws on were not run, or it could not be measured.
pub fn run(options: &Options) -> Result<Section> {
    let inputs = Inputs::kept()?;
    let cores = Cores::new()?;
    let oha = Oha::install(&cores)?;
    eprintln!("   {ROWS} rows …");
    // The store is what is measured here: it has the core that Envoy has elsewhere.
    let store = cores.measured(|| Store::new(ROWS))??;
    let filters = [config::wasm_filter(&workspace::filter_module()?)];
    let listener = config::listener("edge", &filters, Route::Cluster("store"));
    let bootstrap = config::bootstrap(vec![listener], &[("store", store.service.address())]);
    let envoy = cores.serving(|| Envoy::start(&bootstrap))??;
    let time =
        Duration::from_secs_f64(options.seconds.unwrap_or(if options.quick { 0.5 } else { 8.0 }));
    let ask = |size, filter| ask(&oha, &envoy, &store, size, filter, time);
    let small = ask(1_000, "volume_id")?;
    let large = ask(100_000, "availability_zone")?;

    let wall = 1e6 / inputs.large;
    let rows = [
        ("a small count: processor time of Envoy, µs", inputs.envoy, small.envoy),
        ("a small count: processor time of the store, µs", inputs.small, small.store),
        (
            "a large count: how many in a second, the store's core being the wall",
            wall,
            large.per_second,
        ),
        (
            "and of Envoy's core, meanwhile, %",
            wall * inputs.envoy / 1e4,
            large.per_second * large.envoy / 1e4,
        ),
    ];
    let off = |predicted: f64, seen: f64| seen / predicted - 1.0;
    let mut text = format!(
        "From the sections before: Envoy takes {:.1} µs for a count (no filter, 5 headers, median), the \
         store {:.1} µs for a small one and {:.0} µs for a large one. So one core of the store carries \
         {wall:.0} large counts in a second, and Envoy is nearly idle. Seen with the filter in Envoy, the \
         real store behind it on a core of its own, {ROWS} rows, {CONNECTIONS} connections, {} s: a small \
         count is one volume of a project that shares 1,000, a large one a zone of one that shares \
         100,000.\n\n| | predicted | seen | off |\n|---|---:|---:|---:|\n",
        inputs.envoy,
        inputs.small,
        inputs.large,
        time.as_secs_f64()
    );
    let mut missed = Vec::new();
    for (what, predicted, seen) in rows {
        let off = off(predicted, seen);
        text.push_str(&format!(
            "| {what} | {predicted:.1} | {seen:.1} | {:+.0} % |\n",
            off * 100.0
        ));
        if off.abs() > OFF {
            missed.push(format!("{what}: {predicted:.1} was predicted, {seen:.1} came"));
        }
    }
    text.push_str(
        "\nThe costs of a small count come out dearer than in the sections before, where Envoy and store \
         have a core for themselves and never sleep; here Envoy shares its core with the load, and both \
         are woken for nearly each request. Whether that is the whole reason was not measured.\n",
    );
    let data = rows
        .map(|(what, predicted, seen)| json!({"what": what, "predicted": predicted, "seen": seen}));
    Ok(Section { text, data: json!(data), missed, ..Section::default() })
}

fn ask(
    oha: &Oha,
    envoy: &Envoy,
    store: &Store,
    size: u64,
    filter: &str,
    time: Duration,
) -> Result<Seen> {
    eprintln!("   {filter} of {size} …");
    let filters = FILTERS.iter().find(|filters| filters.name == filter);
    let filters = filters.ok_or_else(|| Error::new(format!("There is no filter {filter}.")))?;
    let count = CASES.iter().find(|case| case.name == "count");
    let count = count.ok_or_else(|| Error::new("There is no case count."))?;
    let mut request = count.request(FEW);
    request.target = target(Watched { side: Side::From, size }, *filters);
    let address = envoy.listener_address("edge")?;
    let load = |time| Load {
        address,
        request: &request,
        connections: CONNECTIONS,
        amount: Amount::Time(time),
        rate: None,
    };
    oha.run(&load(time / 2))?.all(200)?;
    let used = || Ok([machine::cpu_time(envoy.pid())?, machine::cpu_time(store.service.pid())?]);
    let before: [u64; 2] = used()?;
    let outcome = oha.run(&load(time))?;
    let after = used()?;
    let answers = outcome.all(200)? as f64;
    let [envoy, store] = [0, 1].map(|of| (after[of] - before[of]) as f64 / 1e3 / answers);
    Ok(Seen { per_second: outcome.per_second, envoy, store })
}

// === impl Inputs ===

impl Inputs {
    /// From the sections that were kept.
    fn kept() -> Result<Inputs> {
        let edge = kept("edge")?;
        let is_count = |row: &&Value| row["case"] == "count" && row["headers"] == FEW;
        let row = edge["rows"].as_array().and_then(|rows| rows.iter().find(is_count));
        let rounds = row.and_then(|row| row["contenders"]["ours"]["cpu_us"].as_array());
        let rounds: Vec<f64> = rounds.into_iter().flatten().filter_map(Value::as_f64).collect();
        if rounds.is_empty() {
            return Err(Error::new("The part `edge` measured no count: run it again."));
        }
        let store = kept("store")?;
        let number = |value: &Value| {
            value.as_f64().ok_or_else(|| Error::new("The part `store` measured no such count."))
        };
        Ok(Inputs {
            envoy: median(&rounds),
            small: number(&store["many"]["cpu_us"])?,
            large: number(&store["overhead"]["service_cpu_us"])?,
        })
    }
}

fn kept(part: &str) -> Result<Value> {
    let file = workspace::target_dir().join(format!("bench/{part}.json"));
    let text = fs::read_to_string(file).ok();
    let json = text.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let missing =
        || Error::new(format!("It draws on `{part}`: run cargo xtask bench {part} first."));
    Ok(json.ok_or_else(missing)?["data"].take())
}
