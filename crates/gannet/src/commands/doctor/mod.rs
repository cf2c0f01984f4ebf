//! `gannet doctor`: looks at everything that a peer needs, and says what to do
//! where something is missing.

mod checks;

use gannet_node::NodeConfig;
use serde::Serialize;

use crate::cli::{Target, UpArgs};
use crate::exit::{Exit, Outcome};
use crate::output::{BAD, Cell, DIM, GOOD, Layout, Printer, SOSO, Table, count};
use crate::remote::Remote;

/// How something was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Good,
    /// It works, and could be better.
    Warning,
    /// A peer will not work, or not as it is meant to.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at: a word or two.
    pub(crate) what: &'static str,
    /// How it is.
    pub(crate) verdict: Verdict,
    /// What was found.
    pub(crate) found: String,
    /// What to do about it.
    pub(crate) remedy: Option<String>,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self {
            what,
            verdict: Verdict::Good,
            found: found.into(),
            remedy: None,
        }
    }

    fn warning(what: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Warning,
            remedy: Some(remedy.into()),
            ..Self::good(what, found)
        }
    }

    fn bad(what: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Bad,
            ..Self::warning(what, found, remedy)
        }
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    healthy: bool,
    findings: &'a [Finding],
}

/// Looks and tells. Fails if anything is bad.
pub(crate) async fn run(args: UpArgs, out: &mut Printer) -> Outcome {
    let findings = look(args).await;
    let bad = findings.iter().filter(|one| one.verdict == Verdict::Bad);
    let bad = bad.count();
    if out.wants_json() {
        let findings = &findings;
        out.json(&Report {
            healthy: bad == 0,
            findings,
        })?;
    } else {
        out.table(&table(&findings))?;
        for one in &findings {
            if let Some(remedy) = &one.remedy {
                out.line(format_args!(
                    "{DIM}{}:{DIM:#} {}",
                    one.what,
                    gannet_base::Escaped(remedy)
                ))?;
            }
        }
        let verdict = match bad {
            0 => "nothing is in the way".to_owned(),
            bad => format!(
                "{} in the way",
                count(u64::try_from(bad).unwrap_or(u64::MAX), "thing")
            ),
        };
        out.line(verdict)?;
    }
    Ok(if bad == 0 { Exit::Done } else { Exit::Failed })
}

fn table(findings: &[Finding]) -> Table {
    let mut table = Table::new(&[
        ("what", Layout::Left),
        ("", Layout::Left),
        ("found", Layout::Cut),
    ]);
    for one in findings {
        let (word, style) = match one.verdict {
            Verdict::Good => ("good", GOOD),
            Verdict::Warning => ("warning", SOSO),
            Verdict::Bad => ("bad", BAD),
        };
        table.row([
            one.what.into(),
            Cell::new(word).style(style),
            one.found.as_str().into(),
        ]);
    }
    table
}

async fn look(args: UpArgs) -> Vec<Finding> {
    let file = args.config.clone();
    let flags = args.overrides(Vec::new());
    let environment = |name: &str| std::env::var(name).ok();
    let resolved = NodeConfig::resolve(file.as_deref(), environment, flags);
    let (config, configuration) = checks::configuration(file, resolved);
    let mut findings = vec![configuration];
    let Some(config) = config else {
        return findings;
    };
    let target = Target {
        data_dir: Some(config.data_dir.clone()),
    };
    let status = match Remote::find(&target).await {
        Ok(Some(remote)) => remote.status().await.map(Some),
        Ok(None) => Ok(None),
        Err(failure) => Err(failure),
    };
    findings.push(checks::running(&status));
    let status = status.ok().flatten();
    findings.push(checks::data_dir(&config.data_dir, status.is_some()));
    findings.extend(checks::space(&config));
    findings.push(checks::clock(&config.data_dir));
    findings.extend(checks::secret(&config));
    findings.extend(checks::shares(&config));
    match &status {
        Some(status) => findings.extend(checks::network(status)),
        None => findings.extend(checks::ports(&config)),
    }
    findings
}
