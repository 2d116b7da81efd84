{{ config(materialized='table') }}

-- What the words of documents meant when the marts were built.
-- depends_on: {{ ref('int_document_built') }}
select * from {{ ref('int_meaning_now') }}
