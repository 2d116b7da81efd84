-- What came of the calls, one row per answer of a rep: the closed list of outcomes, a date where the outcome has one.
create table ops.follow_up_outcome (
    channel text not null,
    answer_id text not null,
    followup_id text not null,
    instance text not null,
    client_id text not null,
    outcome text not null check (outcome in (
        'will_order', 'has_ordered', 'call_back', 'no_answer', 'refused_price', 'refused_competitor', 'refused_stock',
        'refused_quality', 'refused_debt', 'refused_no_demand', 'season_or_repairs', 'outlet_closed', 'our_fault',
        'wrong_data', 'other'
    )),
    until_on date,
    comment text,
    recorded_on date not null,
    recorded_at timestamptz not null default now(),
    primary key (channel, answer_id)
);
create index follow_up_outcome_client on ops.follow_up_outcome (instance, client_id, recorded_on);
comment on table ops.follow_up_outcome is 'What came of a follow-up, by the rep: task result or button. The comment may hold personal data';
grant select on ops.follow_up_outcome to polka_transformer, polka_sender;
grant insert on ops.follow_up_outcome to polka_sender;
