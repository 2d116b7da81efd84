-- Active before + new + returned - dropped = active now, and each month begins where the one before it ended.
with bridge as (
    select
        *,
        lag(active_total) over slices as ended_before,
        lag(month_start) over slices as month_before
    from {{ ref('active_base_bridge') }}
    window slices as (
        partition by instance, level, slice, territory_id, manager_id, outlet_format, channel
        order by month_start
    )
)

select * from bridge
where
    active_prior + newly_active + reactivated - dropped <> active_total
    or (month_before = month_start - interval '1 month' and active_prior <> ended_before)
