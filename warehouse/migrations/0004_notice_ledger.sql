-- Messages that are about no client: "nothing today", "the list is held". Kept apart from the follow-ups' ledger.
create table ops.notice_ledger (
    notice_id text primary key,
    kind text not null check (kind in ('empty_list', 'hold')),
    as_of date not null,
    instance text not null,
    branch_id text not null,
    manager_id text not null,
    state text not null default 'planned' check (state in ('planned', 'sending', 'sent', 'failed')),
    attempts integer not null default 0,
    lease_until timestamptz,
    reason text,
    needs_attention boolean not null default false,
    planned_at timestamptz not null default now(),
    sending_at timestamptz,
    settled_at timestamptz
);
create index notice_ledger_as_of on ops.notice_ledger (as_of, instance, branch_id);
comment on table ops.notice_ledger is 'One row per notice to a rep: at most one empty-list and one hold notice per day and branch';

grant select on ops.notice_ledger to polka_transformer;
grant select, insert, update on ops.notice_ledger to polka_sender;
