//! The reference of the contract, as a document: what its text in WIT says, in tables.

use wit_parser::{
    Docs, Function, Handle, Interface, Resolve, Type, TypeDefKind, TypeId, WorldItem,
};

const HEAD: &str = "# Reference of the plugin contract

Written by `cargo xtask plugins` from [`plugins-sdk/wit/plugin.wit`](../plugins-sdk/wit/plugin.wit), whose comments these are. How to
write a plugin is told in [plugins.md](plugins.md).
";

/// What the document says.
pub(crate) fn reference(wit: &str) -> String {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("plugin.wit", wit).expect("valid WIT");
    let package = &resolve.packages[package];
    let mut out = String::from(HEAD);
    line(
        &mut out,
        &format!("\n`{}`\n\n{}", package.name, text(&package.docs)),
    );
    for (name, id) in &package.interfaces {
        interface(&mut out, &resolve, name, &resolve.interfaces[*id]);
    }
    out.push_str("\n## Worlds\n\n| world | imports | exports | |\n|---|---|---|---|\n");
    for (name, id) in &package.worlds {
        let world = &resolve.worlds[*id];
        let names = |items: Vec<&WorldItem>| {
            let names = items.into_iter().filter_map(|item| match item {
                WorldItem::Interface { id, .. } => resolve.interfaces[*id].name.as_deref(),
                _ => None,
            });
            let names = names.filter(|name| *name != "types");
            let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
            names.join(", ")
        };
        let imports = names(world.imports.values().collect());
        let exports = names(world.exports.values().collect());
        let docs = cell(&world.docs);
        line(
            &mut out,
            &format!("| `{name}` | {imports} | {exports} | {docs} |"),
        );
    }
    out
}

fn interface(out: &mut String, resolve: &Resolve, name: &str, interface: &Interface) {
    line(out, &format!("\n## `{name}`\n\n{}", text(&interface.docs)));
    for (name, id) in &interface.types {
        named_type(out, resolve, name, *id);
    }
    for (name, function) in &interface.functions {
        let signature = signature(resolve, function);
        line(
            out,
            &format!("\n### `{name}`\n\n```wit\n{name}: {signature}\n```"),
        );
        if function.docs.contents.is_some() {
            line(out, &format!("\n{}", text(&function.docs)));
        }
    }
}

fn named_type(out: &mut String, resolve: &Resolve, name: &str, id: TypeId) {
    let def = &resolve.types[id];
    let rows: Vec<_> = match &def.kind {
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter();
            let row = |field: &wit_parser::Field| {
                let ty = type_name(resolve, &field.ty);
                format!("| `{}` | `{ty}` | {} |", field.name, cell(&field.docs))
            };
            fields.map(row).collect()
        }
        TypeDefKind::Enum(cases) => {
            let cases = cases.cases.iter();
            let row =
                |case: &wit_parser::EnumCase| format!("| `{}` | {} |", case.name, cell(&case.docs));
            cases.map(row).collect()
        }
        // A use of another interface's type.
        _ => return,
    };
    line(out, &format!("\n### {} `{name}`", def.kind.as_str()));
    if def.docs.contents.is_some() {
        line(out, &format!("\n{}", text(&def.docs)));
    }
    let head = match &def.kind {
        TypeDefKind::Record(_) => "| field | type | |\n|---|---|---|",
        _ => "| case | |\n|---|---|",
    };
    line(out, &format!("\n{head}\n{}", rows.join("\n")));
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let params = function.params.iter();
    let params = params.map(|param| format!("{}: {}", param.name, type_name(resolve, &param.ty)));
    let params: Vec<_> = params.collect();
    let result = function.result.as_ref();
    let result = result.map(|ty| format!(" -> {}", type_name(resolve, ty)));
    format!("func({}){}", params.join(", "), result.unwrap_or_default())
}

/// A type as it is written in WIT.
fn type_name(resolve: &Resolve, ty: &Type) -> String {
    let Type::Id(id) = ty else {
        return match ty {
            Type::Bool => "bool",
            Type::U8 => "u8",
            Type::U16 => "u16",
            Type::U32 => "u32",
            Type::U64 => "u64",
            Type::S32 => "s32",
            Type::F64 => "f64",
            Type::String => "string",
            other => panic!("the contract has no {other:?} yet"),
        }
        .to_owned();
    };
    let def = &resolve.types[*id];
    if let Some(name) = &def.name {
        return name.clone();
    }
    let of = |ty: &Type| type_name(resolve, ty);
    let or_none = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), of);
    match &def.kind {
        TypeDefKind::Option(inner) => format!("option<{}>", of(inner)),
        TypeDefKind::List(inner) => format!("list<{}>", of(inner)),
        TypeDefKind::Tuple(tuple) => {
            let types: Vec<_> = tuple.types.iter().map(of).collect();
            format!("tuple<{}>", types.join(", "))
        }
        TypeDefKind::Result(result) => {
            format!("result<{}, {}>", or_none(&result.ok), or_none(&result.err))
        }
        TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => of(&Type::Id(*id)),
        other => panic!("the contract has no {other:?} yet"),
    }
}

/// A comment as it stands there.
fn text(docs: &Docs) -> String {
    docs.contents
        .as_deref()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// A comment within a table.
fn cell(docs: &Docs) -> String {
    text(docs)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}
