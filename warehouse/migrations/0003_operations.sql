create table ops.source_instance (
    instance text primary key,
    kind text not null,
    mapping text,
    time_zone text not null,
    outlet_lives_in text not null default 'sub_partner'
        check (outlet_lives_in in ('sub_partner', 'partner', 'delivery_address')),
    branches text not null default 'none' check (branches in ('none', 'by_organization')),
    updated_at timestamptz not null default now()
);
comment on table ops.source_instance is 'Configured sources, as dbt needs to know them';

create table ops.load_run (
    load_id bigint generated always as identity primary key,
    instance text not null,
    entity text not null,
    mode text not null check (mode in ('cursor', 'window', 'full', 'reland')),
    window_from timestamptz,
    window_to timestamptz,
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    status text not null default 'running' check (status in ('running', 'done', 'failed')),
    rows_claimed bigint,
    rows_seen bigint not null default 0,
    rows_inserted bigint not null default 0,
    rows_changed bigint not null default 0,
    rows_unchanged bigint not null default 0,
    rows_deleted bigint not null default 0,
    rows_rejected bigint not null default 0,
    pages integer not null default 0,
    raw_bytes bigint not null default 0,
    error text,
    triggered_by text
);
create index load_run_entity on ops.load_run (instance, entity, load_id desc);
comment on table ops.load_run is 'One row per read of one entity';

create table ops.cursor (
    instance text not null,
    entity text not null,
    position timestamptz not null,
    load_id bigint not null references ops.load_run,
    updated_at timestamptz not null default now(),
    primary key (instance, entity)
);
comment on table ops.cursor is 'Where the next incremental read starts; may lag behind the rows, never leads them';

create table ops.coverage (
    instance text not null,
    entity text not null,
    covered_until timestamptz not null,
    last_success_at timestamptz not null,
    load_id bigint not null references ops.load_run,
    primary key (instance, entity)
);
comment on table ops.coverage is 'We looked until: apart from the newest record, so that a quiet Sunday is fresh and a dead token is stale';

create table ops.production_calendar (
    day date primary key,
    is_working_day boolean not null,
    holiday_name text
);
comment on table ops.production_calendar is 'Russian production calendar, filled from a library';

create table ops.dbt_run (
    invocation_id text primary key,
    as_of date not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    succeeded boolean not null,
    triggered_by text
);
create table ops.dbt_node_run (
    invocation_id text not null references ops.dbt_run on delete cascade,
    unique_id text not null,
    resource_type text not null,
    status text not null,
    execution_seconds numeric not null,
    rows_affected bigint,
    failures bigint,
    message text,
    primary key (invocation_id, unique_id)
);
comment on table ops.dbt_node_run is 'Result of each model and test of each dbt build';

create table ops.check_result (
    check_id bigint generated always as identity primary key,
    run_id text not null,
    checked_at timestamptz not null default now(),
    as_of date not null,
    suite text not null,
    instance text,
    branch_id text,
    expectation text not null,
    subject text not null,
    severity text not null check (severity in ('critical', 'warning')),
    success boolean not null,
    observed jsonb,
    message text not null
);
create index check_result_as_of on ops.check_result (as_of, instance, branch_id);
comment on table ops.check_result is 'Every evaluated expectation with what was observed';

create table ops.gate_verdict (
    verdict_id bigint generated always as identity primary key,
    run_id text not null,
    checked_at timestamptz not null default now(),
    as_of date not null,
    instance text not null,
    branch_id text not null,
    branch_name text,
    verdict text not null check (verdict in ('go', 'hold')),
    reason_ru text,
    reason_en text,
    declared integer not null,
    evaluated integer not null
);
create index gate_verdict_as_of on ops.gate_verdict (as_of, instance, branch_id, checked_at desc);
comment on table ops.gate_verdict is 'May we speak to people now? go or hold with the reason, per source and branch';

create table ops.delivery_ledger (
    followup_id text not null,
    channel text not null,
    as_of date not null,
    instance text not null,
    client_id text not null,
    branch_id text not null,
    manager_id text,
    state text not null default 'planned'
        check (state in ('planned', 'sending', 'sent', 'failed', 'held', 'withdrawn')),
    list_rank integer not null,
    payload jsonb not null,
    recipient text,
    external_id text,
    attempts integer not null default 0,
    lease_until timestamptz,
    reason text,
    needs_attention boolean not null default false,
    planned_at timestamptz not null default now(),
    sending_at timestamptz,
    settled_at timestamptz,
    primary key (followup_id, channel),
    unique (instance, client_id, as_of, channel)
);
create index delivery_ledger_state on ops.delivery_ledger (as_of, state);
comment on table ops.delivery_ledger is 'One row per client, day and channel: what was planned, what was sent, what is in doubt';

grant select, insert, update on ops.source_instance, ops.load_run, ops.cursor, ops.coverage to polka_loader;
grant select on all tables in schema ops to polka_transformer, polka_sender;
grant insert, update, delete on ops.dbt_run, ops.dbt_node_run, ops.production_calendar to polka_transformer;
grant insert on ops.check_result, ops.gate_verdict to polka_transformer, polka_sender, polka_loader;
grant insert, update on ops.delivery_ledger to polka_sender;
