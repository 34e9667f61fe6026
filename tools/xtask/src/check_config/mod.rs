//! `cargo xtask check-config`: what the filter says of its configuration in a file, without Envoy.
//!
//! `document` reads a file as Envoy or Kubernetes would, `plugins` finds what Envoy hands to the module, and the filter's
//! own code judges it.

mod document;
mod plugins;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fmt, fs};

use anyhow::{Context, bail};
use backup_sharing_count::edge::Edge;
use clap::Args;
use testkit::Result;

use plugins::Plugin;

/// Say what the filter would say of its configuration: exit code 0 if it takes it, 1 if not, 2 if there is none
///
/// FILE is a configuration of Envoy's or a part of one, /config_dump of its admin interface, a WasmPlugin of Istio's, an
/// EnvoyExtensionPolicy of Envoy Gateway's, or the plugin configuration alone: YAML, of several documents too, or JSON.
/// All plugins in it are named, and those that are this filter are judged, each on a line.
#[derive(Args)]
pub struct Options {
    /// Files to read; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Judge plugins whose name, root id, or file or URL of the module has this in it; - and _ are the same
    #[arg(long, value_name = "NAME", default_value = "backup-sharing-count")]
    name: String,
}

/// Judges each file. The exit code is the highest of theirs.
pub fn run(options: &Options) -> ExitCode {
    let codes = options.files.iter().map(|file| {
        check(file, &options.name).unwrap_or_else(|error| {
            crate::say(&format!("{}: {error:#}", shown(file)));
            2
        })
    });
    ExitCode::from(codes.max().unwrap_or(2))
}

/// 1 if a plugin is refused.
fn check(file: &Path, name: &str) -> Result<u8> {
    let mut bytes = Vec::new();
    match file.to_str() {
        Some("-") => io::stdin().read_to_end(&mut bytes).map(drop),
        _ => fs::read(file).map(|read| bytes = read),
    }
    .context("it cannot be read")?;
    let text = str::from_utf8(&bytes).context("it is no text")?;
    let is_yaml = file.extension().is_some_and(|kind| kind == "yaml" || kind == "yml");
    let found = plugins::find(text, is_yaml, name)?;
    let mut code = 0;
    for plugin in &found {
        let judgement = judge(plugin);
        if !matches!(judgement, Judgement::Taken | Judgement::Another) {
            code = 1;
        }
        let at = plugin.line.map(|line| format!(":{line}")).unwrap_or_default();
        let Plugin { path, name, .. } = plugin;
        let line = format!("{}{at}: {path} ({name}): {judgement}", shown(file));
        // If nobody reads it any more, the exit code still says it.
        let _ = writeln!(io::stdout(), "{}", line.replace(char::is_control, "\u{fffd}"));
    }
    if !found.iter().any(|plugin| plugin.is_ours) {
        bail!(
            "no plugin in it is this filter. One is if its name, root id, or the file or URL of its module has {name} in it \
             (--name); the plugin configuration alone has one of the fields {} at the top",
            plugins::fields().join(", ")
        );
    }
    Ok(code)
}

fn shown(file: &Path) -> String {
    match file.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => file.display().to_string(),
    }
}

enum Judgement {
    Taken,
    /// In the filter's words.
    Refused(String),
    /// Envoy refuses it by itself, or hands over what is no configuration.
    Unreadable(String),
    /// It is another filter.
    Another,
}

fn judge(plugin: &Plugin) -> Judgement {
    match &plugin.handed_over {
        _ if !plugin.is_ours => Judgement::Another,
        Err(why) => Judgement::Unreadable(why.clone()),
        Ok(bytes) => match Edge::new(bytes) {
            Ok(_) => Judgement::Taken,
            Err(error) => Judgement::Refused(error.to_string()),
        },
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Judgement::Taken => f.write_str("taken"),
            Judgement::Refused(why) => write!(f, "configuration refused: {why}"),
            Judgement::Unreadable(why) => write!(f, "configuration unreadable: {why}"),
            Judgement::Another => f.write_str("another plugin, not judged"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    const PIECES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ": ",
        ":\n",
        "\n",
        "  ",
        "- ",
        "? ",
        "---\n",
        "&a ",
        "*a",
        "!",
        "!ignore ",
        "|\n",
        "\"",
        "'",
        "#",
        "a",
        "é",
        "0x",
        "-",
        "1e9",
        "9223372036854775808",
        "on",
        "~",
        "null",
        "\u{feff}",
        "\t",
        "\\",
        "\0",
        "%",
        "store: ",
        "{\"mode\":\"validate\"}",
        "vm_config: {}\n",
        "configuration: ",
        "name: backup_sharing_count\n",
        "kind: WasmPlugin\n",
        "spec: ",
        "pluginConfig: ",
        "apiVersion: a\n",
        "kind: EnvoyExtensionPolicy\n",
        "wasm: ",
        "config: ",
        "\"@type\": google.protobuf.Struct\n",
        "\"@type\": google.protobuf.BytesValue\n",
        "value: ",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 5_000, ..Default::default() })]

        #[test]
        fn nothing_in_a_file_makes_it_panic(
            text in prop_oneof![
                vec(select(PIECES), 0..24).prop_map(|pieces| pieces.concat()),
                ".*",
            ],
            is_yaml: bool,
        ) {
            for plugin in plugins::find(&text, is_yaml, "backup-sharing-count").into_iter().flatten() {
                prop_assert!(!judge(&plugin).to_string().is_empty());
            }
        }
    }
}
