-- A list of our own faults goes to logistics once a day; a rep may say that the client orders in another rhythm now.
alter table ops.notice_ledger drop constraint notice_ledger_kind_check;
alter table ops.notice_ledger add constraint notice_ledger_kind_check check (kind in ('empty_list', 'hold', 'logistics'));

alter table ops.follow_up_outcome add column cadence_days integer check (cadence_days between 1 and 366);
comment on column ops.follow_up_outcome.cadence_days is 'How often the client orders from now on, in days; only with cadence_changed';
alter table ops.follow_up_outcome drop constraint follow_up_outcome_outcome_check;
alter table ops.follow_up_outcome add constraint follow_up_outcome_outcome_check check (outcome in (
    'will_order', 'has_ordered', 'call_back', 'no_answer', 'refused_price', 'refused_competitor', 'refused_stock',
    'refused_quality', 'refused_debt', 'refused_no_demand', 'season_or_repairs', 'outlet_closed', 'our_fault',
    'cadence_changed', 'wrong_data', 'other'
));
