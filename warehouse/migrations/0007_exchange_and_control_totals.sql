-- 1C's exchange plans and control totals.

-- What a message of an exchange plan brought, kept until the entity's own read has landed it. The receipt goes to 1C when
-- this is committed.
create table raw.exchange_part (
    part_id bigint generated always as identity primary key,
    instance text not null,
    entity text not null,
    message_no bigint not null,
    received_at timestamptz not null,
    body bytea,
    record_count integer not null default 0,
    raw_bytes bigint not null default 0,
    deleted text[] not null default '{}'
);
alter table raw.exchange_part alter column body set storage external;
create index exchange_part_entity on raw.exchange_part (instance, entity, part_id);
comment on table raw.exchange_part is 'Changes out of an exchange plan that wait for their landing / Изменения из плана обмена, которые ждут загрузки';
grant select, insert, update, delete on raw.exchange_part to polka_loader;

create table ops.exchange_entity (
    instance text not null,
    entity text not null,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    distrusted_at timestamptz,
    primary key (instance, entity)
);
comment on table ops.exchange_entity is 'Entities that an exchange plan has proved to bring; distrusted when a reconcile found a change that it had not brought / Объекты, которые план обмена действительно передаёт; недоверие — сверка нашла изменение, которого он не передал';
grant select, insert, update, delete on ops.exchange_entity to polka_loader;
grant select on ops.exchange_entity to polka_transformer;

-- What 1C itself says it has, to compare the warehouse with.
create table ops.control_total (
    instance text not null,
    measure text not null check (measure in ('revenue', 'settlement', 'stock')),
    day date not null,
    organisation_id text not null default '',
    subject_type text not null default '',
    subject_id text not null default '',
    amount numeric not null,
    taken_at timestamptz not null,
    primary key (instance, measure, day, organisation_id, subject_type, subject_id)
);
comment on table ops.control_total is 'Totals out of 1C''s registers: revenue by day and organisation (and by document where it differs), settlements by legal entity, stock by warehouse / Контрольные суммы из регистров 1С';

create table ops.control_total_taken (
    instance text not null,
    measure text not null,
    subject_type text not null default '',
    day date not null,
    taken_at timestamptz not null,
    primary key (instance, measure, subject_type, day)
);
comment on table ops.control_total_taken is 'Days whose control totals were taken, also those on which 1C has none / Дни, за которые контрольные суммы получены, в том числе пустые';
grant select, insert, update, delete on ops.control_total, ops.control_total_taken to polka_loader;
grant select on ops.control_total, ops.control_total_taken to polka_transformer, polka_sender;
