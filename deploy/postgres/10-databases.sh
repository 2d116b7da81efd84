#!/bin/bash
# Runs once, when the database volume is empty: one role and one database for the warehouse, one pair for Airflow.
set -euo pipefail

psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set warehouse_password="$WAREHOUSE_PASSWORD" --set airflow_password="$AIRFLOW_DATABASE_PASSWORD" <<'SQL'
create role polka login createrole password :'warehouse_password';
create role airflow login password :'airflow_password';
create database polka owner polka;
create database airflow owner airflow;
revoke connect on database polka, airflow from public;
SQL
