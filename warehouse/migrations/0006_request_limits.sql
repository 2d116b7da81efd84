-- Limits of other systems, shared by every process and machine that uses this warehouse. Moments are seconds since
-- 1970 by this server's clock, so clocks of the machines do not matter.
create table ops.request_limit (
    key text primary key,
    full_at double precision not null default '-infinity',
    recent double precision[] not null default '{}',
    day date,
    day_count bigint not null default 0,
    paused_until double precision not null default '-infinity'
);
comment on table ops.request_limit is 'What was let go to other systems: leaky bucket, rolling window, daily budget and pause of each key';
comment on column ops.request_limit.full_at is 'When the leaky bucket would be empty';
comment on column ops.request_limit.recent is 'The last permits of the rolling window, oldest first';

-- `wanted`: [{"key", "per_second", "burst", "count", "seconds", "per_day", "zone"}], each rule optional.
-- Returns the seconds from now at which up to `most` requests may leave that count against all of `wanted`; those
-- after the first lie at most `ahead` seconds away. When the first is more than `longest` away nothing is taken and
-- the wait comes back as the only element, negative.
create function ops.take_permits(wanted jsonb, most integer, ahead double precision, longest double precision)
returns double precision[]
language plpgsql
as $$
declare
    limits jsonb[];
    states ops.request_limit[];
    one ops.request_limit;
    rules jsonb;
    moment double precision;
    at double precision;
    taken double precision[] := '{}';
    place integer;
begin
    select array_agg(l order by l ->> 'key') into limits from jsonb_array_elements(wanted) as l;
    insert into ops.request_limit (key) select l ->> 'key' from unnest(limits) as l order by 1 on conflict do nothing;
    select array_agg(r order by r.key) into states
    from (
        select * from ops.request_limit
        where key in (select l ->> 'key' from unnest(limits) as l) order by key for update
    ) as r;
    -- Only now: whoever held the rows before us has taken permits meanwhile.
    moment := extract(epoch from clock_timestamp());
    at := moment;
    while cardinality(taken) < most loop
        for place in 1 .. cardinality(limits) loop
            rules := limits[place];
            one := states[place];
            at := greatest(at, one.paused_until);
            if rules ? 'per_second' then
                at := greatest(
                    at, one.full_at - ((rules ->> 'burst')::float8 - 1.0) / (rules ->> 'per_second')::float8
                );
            end if;
            if rules ? 'count' and cardinality(one.recent) >= (rules ->> 'count')::integer then
                at := greatest(
                    at,
                    one.recent[cardinality(one.recent) - (rules ->> 'count')::integer + 1]
                    + (rules ->> 'seconds')::float8
                );
            end if;
            if rules ? 'per_day'
                and one.day_count >= (rules ->> 'per_day')::bigint
                and one.day = (to_timestamp(at) at time zone (rules ->> 'zone'))::date
            then
                at := extract(epoch from (one.day + 1)::timestamp at time zone (rules ->> 'zone'));
            end if;
        end loop;
        if cardinality(taken) = 0 and at - moment > longest then
            return array[moment - at];
        end if;
        exit when cardinality(taken) > 0 and at - moment > ahead;
        for place in 1 .. cardinality(limits) loop
            rules := limits[place];
            one := states[place];
            if rules ? 'per_second' then
                one.full_at := greatest(one.full_at, at) + 1.0 / (rules ->> 'per_second')::float8;
            end if;
            if rules ? 'count' then
                one.recent := one.recent || at;
                one.recent := one.recent[
                    greatest(1, cardinality(one.recent) - (rules ->> 'count')::integer + 1) : cardinality(one.recent)
                ];
            end if;
            if rules ? 'per_day' then
                if one.day is distinct from (to_timestamp(at) at time zone (rules ->> 'zone'))::date then
                    one.day := (to_timestamp(at) at time zone (rules ->> 'zone'))::date;
                    one.day_count := 0;
                end if;
                one.day_count := one.day_count + 1;
            end if;
            states[place] := one;
        end loop;
        taken := taken || (at - moment);
    end loop;
    update ops.request_limit as r
    set full_at = s.full_at, recent = s.recent, day = s.day, day_count = s.day_count
    from unnest(states) as s
    where r.key = s.key;
    return taken;
end
$$;

-- Nobody leaves under `wanted` for `seconds`; its bucket is full afterwards.
create function ops.pause_requests(wanted jsonb, seconds double precision)
returns void
language sql
as $$
    insert into ops.request_limit as r (key, paused_until, full_at)
    values (
        wanted ->> 'key',
        extract(epoch from clock_timestamp()) + seconds,
        coalesce(
            extract(epoch from clock_timestamp()) + seconds
            + (wanted ->> 'burst')::float8 / (wanted ->> 'per_second')::float8,
            '-infinity'
        )
    )
    on conflict (key) do update
    set paused_until = greatest(r.paused_until, excluded.paused_until),
        full_at = greatest(r.full_at, excluded.full_at)
$$;

-- A free place of `most` for a request that runs now, 1 .. most, or null. `held` are places of this very session,
-- which would get them a second time. The server frees a place when its session ends, however it ends.
create function ops.take_slot(slot_key text, most integer, held integer[])
returns integer
language plpgsql
as $$
begin
    for place in 1 .. most loop
        if place <> all (held) and pg_try_advisory_lock(hashtext('polka slot ' || slot_key), place) then
            return place;
        end if;
    end loop;
    return null;
end
$$;

create function ops.free_slot(slot_key text, place integer)
returns boolean
language sql
as $$
    select pg_advisory_unlock(hashtext('polka slot ' || slot_key), place)
$$;

grant select, insert, update on ops.request_limit to polka_loader, polka_sender;
grant select on ops.request_limit to polka_transformer;
