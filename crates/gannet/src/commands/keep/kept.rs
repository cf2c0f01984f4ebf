//! `gannet kept`: what others keep for this peer, what it holds for them, and what it
//! shall not.

use gannet_base::{ContentId, PeerId};
use gannet_node::api::{HeldFile, KeepingInfo, KeptFile, Refused};

use super::{KeptAction, KeptArgs, PREFIX_MIN, Which};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Cell, DIM, GOOD, Layout, Printer, SOSO, Table, count, size, span};
use crate::remote::Remote;

/// Lists what is kept, by others or for them, and what is not to be.
pub(crate) async fn kept(args: KeptArgs, out: &mut Printer) -> Outcome {
    let remote = Remote::connect(&args.target).await?;
    match args.action {
        Some(KeptAction::Refuse(which)) => change(&remote, &which, true, out).await,
        Some(KeptAction::Allow(which)) => change(&remote, &which, false, out).await,
        Some(KeptAction::Refused) => list_refused(&remote, out).await,
        None if args.held => list_held(&remote, out).await,
        None => list_kept(&remote, out).await,
    }
}

async fn list_kept(remote: &Remote, out: &mut Printer) -> Outcome {
    let kept = remote.kept().await?;
    if out.wants_json() {
        out.json(&kept)?;
    } else if kept.is_empty() {
        out.line("others keep nothing for you; `gannet keep FILE` has them keep a file")?;
    } else {
        out.table(&kept_table(&kept))?;
    }
    Ok(Exit::Done)
}

pub(super) fn kept_table(kept: &[KeptFile]) -> Table {
    let mut table = Table::new(&[
        ("id", Layout::Left),
        ("name", Layout::Cut),
        ("size", Layout::Right),
        ("copies", Layout::Right),
        ("online", Layout::Right),
        ("left", Layout::Right),
        ("why", Layout::Cut),
    ]);
    for file in kept {
        let style = if file.is_placed() { GOOD } else { SOSO };
        table.row([
            file.content.short().into(),
            Cell::new(&file.name),
            size(file.size).into(),
            format!("{} of {}", file.copies_kept, file.copies).into(),
            Cell::new(file.copies_online.to_string()).style(style),
            span(file.seconds_left).into(),
            Cell::new(why(file)),
        ]);
    }
    table
}

/// Why there are fewer copies than wanted.
fn why(file: &KeptFile) -> String {
    if file.copies_online >= file.copies {
        return String::new();
    }
    if let Some(reason) = &file.refused {
        return format!("others refuse: {reason}");
    }
    if file.copies_possible < file.copies {
        let others = count(file.copies_possible.into(), "other peer");
        return format!("{others} on the ring");
    }
    String::new()
}

async fn list_held(remote: &Remote, out: &mut Printer) -> Outcome {
    let held = remote.held().await?;
    let ring = remote.status().await?.dht;
    if out.wants_json() {
        out.json(&held)?;
        return Ok(Exit::Done);
    }
    let Some(ring) = ring else {
        out.line("nothing is held for others: the dht overlay is off; --overlay switches it on")?;
        return Ok(Exit::Done);
    };
    if !held.is_empty() {
        out.table(&held_table(&held))?;
    }
    out.line(format_args!("{DIM}{}{DIM:#}", grant_words(&ring.keeping)))?;
    Ok(Exit::Done)
}

/// How much of the granted space is taken, in words.
pub(crate) fn grant_words(keeping: &KeepingInfo) -> String {
    if keeping.grant_bytes == 0 && keeping.held_blocks == 0 {
        return "no space is granted to others; --grant gives some".to_owned();
    }
    format!(
        "holds {} of others: {} of {} granted",
        count(keeping.held_blocks, "part"),
        size(keeping.held_bytes),
        size(keeping.grant_bytes)
    )
}

fn held_table(held: &[HeldFile]) -> Table {
    let mut table = Table::new(&[
        ("id", Layout::Left),
        ("name", Layout::Cut),
        ("size", Layout::Right),
        ("parts", Layout::Right),
        ("coming", Layout::Right),
        ("takes", Layout::Right),
        ("for", Layout::Left),
        ("left", Layout::Right),
    ]);
    for file in held {
        let keepers: Vec<String> = file
            .orders
            .iter()
            .map(|order| order.keeper.short())
            .collect();
        let left = file.orders.iter().map(|order| order.seconds_left).max();
        let coming = match file.blocks_coming {
            0 => String::new(),
            coming => coming.to_string(),
        };
        table.row([
            file.content.short().into(),
            Cell::new(&file.name),
            size(file.size).into(),
            format!("{} of {}", file.blocks_held, file.blocks).into(),
            coming.into(),
            size(file.bytes).into(),
            keepers.join(", ").into(),
            left.map(span).unwrap_or_default().into(),
        ]);
    }
    table
}

async fn list_refused(remote: &Remote, out: &mut Printer) -> Outcome {
    let refused = remote.refused().await?;
    if out.wants_json() {
        out.json(&refused)?;
    } else if refused.is_empty() {
        out.line("nothing is refused")?;
    }
    if !out.wants_json() {
        for what in &refused {
            out.line(refused_words(*what))?;
        }
    }
    Ok(Exit::Done)
}

fn refused_words(what: Refused) -> String {
    match what {
        Refused::Content { content } => format!("file  {content}"),
        Refused::Keeper { keeper } => format!("peer  {keeper}"),
    }
}

async fn change(remote: &Remote, which: &Which, refuse: bool, out: &mut Printer) -> Outcome {
    let known = known(&remote.held().await?, &remote.refused().await?);
    let mut changed = Vec::new();
    for text in &which.what {
        let what = find(text, which.keeper, &known)?;
        if refuse {
            remote.refuse(what).await?;
        } else {
            remote.allow(what).await?;
        }
        if !out.wants_json() {
            let verb = if refuse { "refused" } else { "allowed" };
            out.line(format_args!("{verb}  {}", refused_words(what)))?;
        }
        changed.push(what);
    }
    if out.wants_json() {
        out.json(&changed)?;
    }
    Ok(Exit::Done)
}

/// Everything that could be meant, and what it is called.
fn known(held: &[HeldFile], refused: &[Refused]) -> Vec<(Refused, String, String)> {
    let mut known = Vec::new();
    let id = |what: Refused| match what {
        Refused::Content { content } => content.to_string(),
        Refused::Keeper { keeper } => keeper.to_string(),
    };
    for file in held {
        let content = file.content;
        let what = Refused::Content { content };
        known.push((what, id(what), file.name.clone()));
        for order in &file.orders {
            let keeper = order.keeper;
            let what = Refused::Keeper { keeper };
            known.push((what, id(what), String::new()));
        }
    }
    known.extend(refused.iter().map(|what| (*what, id(*what), String::new())));
    known
}

/// What a text means: a whole id, the beginning of one that is known, or a name.
fn find(text: &str, keeper: bool, known: &[(Refused, String, String)]) -> Result<Refused, Failure> {
    let is_right = |what: Refused| !keeper || matches!(what, Refused::Keeper { .. });
    let mut found: Vec<Refused> = Vec::new();
    for (what, id, name) in known.iter().filter(|(what, ..)| is_right(*what)) {
        let is_it = (text.len() >= PREFIX_MIN && id.starts_with(text)) || name == text;
        if is_it && !found.contains(what) {
            found.push(*what);
        }
    }
    match found.as_slice() {
        [one] => return Ok(*one),
        [] => {}
        _ => {
            let text = format_args!("\"{text}\" may mean {} things", found.len());
            return Err(Failure::usage(text).next("write more of its id"));
        }
    }
    let whole = if keeper {
        text.parse::<PeerId>()
            .ok()
            .map(|keeper| Refused::Keeper { keeper })
    } else {
        text.parse::<ContentId>()
            .ok()
            .map(|content| Refused::Content { content })
    };
    whole.ok_or_else(|| {
        Failure::usage(format_args!(
            "\"{text}\" is nothing that is held or refused"
        ))
        .next("`gannet kept --held` and `gannet kept refused` list what there is")
    })
}

#[cfg(test)]
mod tests {
    use gannet_node::api::HeldOrder;

    use super::*;

    #[test]
    fn what_is_meant_is_found_by_id_beginning_or_name() {
        let (a, b) = (ContentId::of(b"a"), ContentId::of(b"b"));
        let keeper = PeerId::from_bytes([7; 32]);
        let held = HeldFile {
            content: a,
            name: "a.bin".to_owned(),
            path: "x/a.bin".to_owned(),
            size: 5,
            blocks: 1,
            blocks_held: 1,
            blocks_coming: 0,
            bytes: 5,
            orders: vec![HeldOrder {
                keeper,
                copies: 8,
                expires_unix_seconds: 0,
                seconds_left: 5,
            }],
        };
        let known = known(&[held], &[Refused::Content { content: b }]);
        let content = |content| Ok(Refused::Content { content });
        assert_eq!(find("a.bin", false, &known), content(a));
        assert_eq!(find(&b.to_string()[..8], false, &known), content(b));
        assert_eq!(find("0707", false, &known), Ok(Refused::Keeper { keeper }));
        assert_eq!(
            find(&"07".repeat(32), true, &[]),
            Ok(Refused::Keeper { keeper })
        );
        assert_eq!(find("beef", false, &known).unwrap_err().exit, Exit::Usage);
    }
}
