{{
    config(
        materialized='table',
        post_hook="{{ forget_changed(['int_outlet_words_changed', 'int_outlet_silence_changed']) }}"
    )
}}

-- What was known of each outlet when its months and silences were judged, and for which business date.
-- depends_on: {{ ref('int_distribution_universe') }}
-- depends_on: {{ ref('outlet_standard') }}
-- depends_on: {{ ref('distribution_qualitative') }}
-- depends_on: {{ ref('int_outlet_silence') }}
select * from {{ ref('int_outlet_words') }}
