-- Demand of the coming weeks and the trials on past ones, as the weekly task of forecasting left them.
create table ops.demand_series (
    instance text not null,
    made_for_week date not null,
    warehouse_id text not null,
    product_id text not null,
    segment text not null,
    history_weeks integer not null,
    primary key (instance, made_for_week, warehouse_id, product_id)
);
comment on table ops.demand_series is 'What was forecast in the week, with the segment of that moment / Что прогнозировали на неделе, с сегментом на тот момент';

create table ops.demand_prediction (
    instance text not null,
    made_for_week date not null,
    origin_week date not null,
    warehouse_id text not null,
    product_id text not null,
    method text not null,
    week_start date not null,
    predicted_quantity numeric(24, 6) not null,
    ordered_quantity numeric(24, 6),
    primary key (instance, made_for_week, origin_week, method, warehouse_id, product_id, week_start)
);
comment on table ops.demand_prediction is 'Units by method and week; where origin_week is before made_for_week the method was tried on weeks that had passed, and ordered_quantity is what came / Единицы по методам и неделям; проверка на прошедших неделях, если origin_week раньше made_for_week';

grant select, insert, update, delete on ops.demand_series, ops.demand_prediction to polka_transformer;
