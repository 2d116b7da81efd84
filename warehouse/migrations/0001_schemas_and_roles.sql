-- Schemas and least-privilege roles. Roles belong to the whole server, so they may already be there.
do $$
declare
    role_name text;
begin
    foreach role_name in array array['polka_loader', 'polka_transformer', 'polka_sender', 'bi_reader', 'bi_manager'] loop
        if not exists (select 1 from pg_roles where rolname = role_name) then
            begin
                execute format('create role %I nologin', role_name);
            exception when duplicate_object or unique_violation then
                null;  -- another database of this server was migrated at the same moment
            end;
        end if;
    end loop;
end
$$;

create schema if not exists raw;
create schema if not exists raw_history;
create schema if not exists staging;
create schema if not exists intermediate;
create schema if not exists marts;
create schema if not exists ops;

comment on schema raw is 'Landing: sources as they are now, original pages, rejected records / Приземление: источники как есть';
comment on schema raw_history is 'Replaced versions of landed records / Заменённые версии записей';
comment on schema staging is 'Sources under common names / Источники под общими именами';
comment on schema intermediate is 'Business rules on the way to the marts / Правила на пути к витринам';
comment on schema marts is 'The only schema BI reads / Единственная схема для BI';
comment on schema ops is 'Runs, coverage, check results, delivery ledger / Журналы загрузок, проверок и доставки';

grant usage, create on schema raw, raw_history to polka_loader;
grant usage on schema ops to polka_loader, polka_transformer, polka_sender;
grant usage on schema raw, raw_history to polka_transformer;
grant usage, create on schema staging, intermediate, marts to polka_transformer;
grant usage on schema marts, intermediate to polka_sender;
grant usage on schema marts to bi_reader, bi_manager;
