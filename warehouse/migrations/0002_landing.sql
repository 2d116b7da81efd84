-- The original pages and what could not be decoded. Landing tables themselves follow the entity specs.
create table raw.page_archive (
    load_id bigint not null,
    page_no integer not null,
    instance text not null,
    entity text not null,
    fetched_at timestamptz not null default now(),
    codec text not null default 'zstd',
    body bytea not null,
    record_count integer not null,
    raw_bytes bigint not null,
    primary key (load_id, page_no)
);
alter table raw.page_archive alter column body set storage external;
create index page_archive_entity on raw.page_archive (instance, entity, load_id, page_no);
comment on table raw.page_archive is 'Compressed original pages, written in the transaction of their rows';

create table raw.rejected_record (
    rejected_id bigint generated always as identity primary key,
    load_id bigint not null,
    page_no integer not null,
    instance text not null,
    entity text not null,
    record_id text,
    reason text not null,
    original bytea not null,
    rejected_at timestamptz not null default now(),
    unique nulls not distinct (load_id, page_no, entity, record_id, reason)
);
create index rejected_record_entity on raw.rejected_record (instance, entity, rejected_at);
comment on table raw.rejected_record is 'Records that could not be decoded: key, reason, original bytes';

grant select, insert, update, delete on raw.page_archive, raw.rejected_record to polka_loader;
grant select on raw.page_archive, raw.rejected_record to polka_transformer;
