-- Records that the source merged into others, and reads whose way is named by the source's feed.
create table raw.record_redirect (
    instance text not null,
    entity text not null,
    old_id text not null,
    new_id text not null,
    load_id bigint not null,
    seen_at timestamptz not null,
    primary key (instance, entity, old_id)
);
comment on table raw.record_redirect is 'Merged records: the old id lives on as the new one / Объединённые записи: старый id продолжает жить под новым';
grant select, insert, update, delete on raw.record_redirect to polka_loader;
grant select on raw.record_redirect to polka_transformer;

alter table ops.load_run drop constraint load_run_mode_check;
alter table ops.load_run add constraint load_run_mode_check check (mode ~ '^[a-z][a-z_]{2,29}$');
