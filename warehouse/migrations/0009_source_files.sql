-- Files of a watched folder: what came, what it holds, who has read it, and why one was put aside.
create table ops.source_file (
    file_id bigint generated always as identity primary key,
    instance text not null,
    name text not null,
    content_hash text not null,
    size_bytes bigint not null,
    formed_at timestamptz not null,
    holds text not null,
    entities text[] not null default '{}',
    read_entities text[] not null default '{}',
    records bigint not null default 0,
    state text not null check (state in ('reading', 'done', 'quarantine')),
    stored_as text not null,
    reason_ru text,
    reason_en text,
    seen_at timestamptz not null default now(),
    finished_at timestamptz,
    unique (instance, content_hash, formed_at)
);
create index source_file_state on ops.source_file (instance, state, holds);
comment on table ops.source_file is 'Files of watched folders and what became of them / Файлы из наблюдаемых папок и их судьба';
comment on column ops.source_file.formed_at is 'When the file was formed: its own stamp, otherwise its modification time';
comment on column ops.source_file.holds is 'catalog, offers, documents, or table:<entity>';
comment on column ops.source_file.read_entities is 'Entities whose records of this file are committed; when it holds all of entities, the file goes to done/';
comment on column ops.source_file.stored_as is 'Where it lies now, from the watched folder on';
grant select, insert, update, delete on ops.source_file to polka_loader;
grant select on ops.source_file to polka_transformer;
