"""A small warehouse in which everything is as it should be: two branches, twelve weeks of orders, today's marts.

It is written by hand, not by dbt: these tests ask what the gate does with tables, whatever filled them.
"""

from datetime import UTC, date, datetime

from warehouse.sources import SourceConfig

AS_OF = date(2025, 6, 10)  # a Tuesday
NOW = datetime(2025, 6, 10, 4, 30, tzinfo=UTC)  # 07:30 in Moscow
SOURCE = SourceConfig(id="onec_main", kind="onec", connection="onec_main", branches="by_organization")
NORTH, SOUTH = "org-north", "org-south"

GOOD_WORLD = """
insert into raw.onec_organisation (instance, record_id, name, loaded_at, load_id, row_hash)
values ('onec_main', 'org-north', 'Север', now(), 1, ''), ('onec_main', 'org-south', 'Юг', now(), 1, '');

insert into raw.onec_manager (instance, record_id, name, inactive, loaded_at, load_id, row_hash)
values ('onec_main', 'manager-north', 'Анна', false, now(), 1, ''),
       ('onec_main', 'manager-south', 'Борис', false, now(), 1, '');

insert into raw.onec_product (instance, record_id, name, loaded_at, load_id, row_hash)
values ('onec_main', 'milk', 'Молоко', now(), 1, '');

insert into raw.onec_partner (instance, record_id, name, is_client, manager_id, loaded_at, load_id, row_hash)
select 'onec_main', branch || '-' || n, 'Магазин ' || n, true, 'manager-' || branch, now(), 1, ''
from unnest(array['north', 'south']) as branch, generate_series(1, 30) as n;

-- Twelve orders per branch and working day.
insert into raw.onec_order
    (instance, record_id, number, dated_at, posted, deletion_mark, partner_id, organisation_id,
     loaded_at, load_id, row_hash)
select 'onec_main', 'order-' || branch || '-' || c.day || '-' || n, 'УТ-' || n,
    (c.day + time '10:00') at time zone 'Europe/Moscow', true, false, branch || '-' || n, 'org-' || branch, now(), 1, ''
from ops.production_calendar as c, unnest(array['north', 'south']) as branch, generate_series(1, 12) as n
where c.day between date '2025-03-10' and date '2025-06-09' and c.is_working_day;

insert into raw.onec_order_line (instance, record_id, line_no, product_id, quantity, amount_with_vat, load_id)
select instance, record_id, 1, 'milk', 10, 1000, 1 from raw.onec_order;

insert into ops.load_run
    (instance, entity, mode, started_at, finished_at, status, rows_seen, rows_inserted, rows_unchanged, triggered_by)
select 'onec_main', entity, 'cursor', moment, moment + interval '1 minute', 'done', 100, inserted, 100 - inserted,
    'test'
from unnest(array[
        'organisation', 'manager', 'partner', 'legal_entity', 'agreement', 'product', 'cancellation_reason', 'order'
    ]) as entity,
    (values (timestamptz '2025-06-09 05:07+03', 100), (timestamptz '2025-06-10 05:07+03', 3)) as run (moment, inserted)
order by moment;

insert into ops.coverage (instance, entity, covered_until, last_success_at, load_id)
select instance, entity, max(started_at), max(finished_at), max(load_id) from ops.load_run group by instance, entity;

insert into ops.dbt_run (invocation_id, as_of, started_at, finished_at, succeeded, triggered_by)
values ('build', '2025-06-10', '2025-06-10 05:40+03', '2025-06-10 05:41+03', true, 'test');

insert into ops.check_result
    (run_id, checked_at, as_of, suite, instance, expectation, subject, severity, success, observed, message)
select suite || ' run', checked_at, '2025-06-10', suite, instance, 'x', 'x', 'critical', true, '{"evaluated": true}', ''
from (values
    ('landing', 'onec_main', timestamptz '2025-06-10 05:10+03'),
    ('marts', null, timestamptz '2025-06-10 05:42+03')
) as checked (suite, instance, checked_at);

create table marts.dim_manager as
select instance, record_id as manager_id, name as manager_name, true as is_active from raw.onec_manager;

create table marts.dim_client as
select instance, record_id as client_id, name as client_name from raw.onec_partner;

create table marts.dim_product as
select instance, record_id as product_id, name as product_name from raw.onec_product;

create table marts.dim_outlet as
select instance, record_id as outlet_id, record_id as client_id, name as outlet_name, null::date as closed_on,
    false as is_withdrawn
from raw.onec_partner;

create table marts.dim_date as
select day as date_day, is_working_day, day + 1 as following_delivery_day from ops.production_calendar;

create table marts.fct_order_line as
select o.instance, o.record_id as order_id, 1 as line_no, o.partner_id as outlet_id,
    (o.dated_at at time zone 'Europe/Moscow')::date as ordered_on, 1000::numeric as amount_with_vat
from raw.onec_order as o;

create table marts.fct_order_occasion as
select instance, outlet_id, ordered_on, sum(amount_with_vat) as amount_with_vat
from marts.fct_order_line group by 1, 2, 3;

-- Outlets 11 and 12 of each branch have missed an order.
create table marts.order_expectation as
select date '2025-06-10' as as_of, p.instance, p.record_id as outlet_id, p.record_id as client_id,
    'org-' || split_part(p.record_id, '-', 1) as branch_id, p.manager_id,
    case when split_part(p.record_id, '-', 2)::int in (11, 12) then 'missed_order' else 'on_time' end as status,
    'learned' as basis, 5 as days_since_last, date '2025-06-02' as last_ordered_on, date '2025-06-05' as next_due_on,
    1 as missed_cycles, 1000::numeric(18, 2) as median_amount,
    (case when split_part(p.record_id, '-', 2)::int in (11, 12) then 1000 else 0 end)::numeric(18, 2) as money_at_risk
from raw.onec_partner as p;

create table marts.follow_up as
select md5(client_id) as followup_id, as_of, instance, client_id, branch_id, manager_id,
    array['missed_order'] as reasons, 1 as outlets_total, 1 as outlets_affected, array[outlet_id] as outlet_ids,
    money_at_risk, row_number() over (partition by manager_id order by client_id)::int as list_rank,
    jsonb_build_object('outlets', jsonb_build_array(jsonb_build_object('money_at_risk', money_at_risk))) as evidence
from marts.order_expectation where status = 'missed_order';

create table marts.reconciliation as
select 'onec_main' as instance, 'org-' || branch as branch_id, day::date as accounted_on,
    0.00 as difference_amount, array[]::text[] as differing_documents, 'agrees' as status, false as is_by_document
from unnest(array['north', 'south']) as branch, generate_series(date '2025-06-01', date '2025-06-09', '1 day') as day;

create table marts.distribution_numeric as
select 50::numeric as nd_base_percent, 40::numeric as nd_assigned_percent;

create table marts.data_status as
select 'onec_main' as instance, branch_id, timestamptz '2025-06-10 05:07+03' as covered_until,
    date '2025-06-09' as newest_order_on
from unnest(array['org-north', 'org-south']) as branch_id;
"""
