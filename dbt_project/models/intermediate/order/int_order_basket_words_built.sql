{{ config(materialized='table') }}

-- What the baskets were judged by when the marts were built.
-- depends_on: {{ ref('int_document_built') }}
select * from {{ ref('int_order_basket_words') }}
