-- Source tables of the demo, and what they hold before anything of ours
-- starts.
create schema fundrecs_schema;
create schema delivery;

-- Filled from test/data/countries.csv.
create table countries (
    cca3       char(3) primary key,
    name       text not null,
    capital    text,
    region     text,
    population bigint,
    updated_at timestamptz not null default now()
);

create table fundrecs_schema.customers (
    customer_id  integer primary key,
    name         text not null,
    email        varchar(120),
    credit_limit numeric(14, 2),
    created_at   timestamp not null,
    closed_at    timestamp
);
insert into fundrecs_schema.customers
select i, 'Customer ' || i, case when i % 7 > 0 then 'c' || i || '@example.org' end,
    case when i % 5 > 0 then (i * 997.13)::numeric(14, 2) end,
    timestamp '2024-01-01 09:00' + i * interval '37 minutes 11.5 seconds',
    case when i % 11 = 0 then timestamp '2026-01-01' + i * interval '1 hour' end
from generate_series(1, 2000) i;

create table fundrecs_schema.orders (
    order_id    bigint primary key,
    customer_id integer not null,
    isin        char(12) not null,
    quantity    numeric(18, 4) not null,
    price       numeric,
    currency    char(3) not null default 'EUR',
    traded_at   timestamptz not null,
    settles_on  date,
    note        text
);
insert into fundrecs_schema.orders
select i, 1 + i % 2000, 'IE00' || lpad(i::text, 8, '0'), i / 8.0 + 0.0625,
    case when i % 13 > 0 then (i % 9973) / 7.0 end,
    (array['EUR', 'USD', 'GBP', 'CHF'])[1 + i % 4],
    timestamptz '2026-11-01 08:00+00' + i * interval '1.234567 seconds',
    case when i % 3 > 0 then date '2026-11-03' + i % 5 end,
    case i % 17 when 0 then '' when 1 then E'tab\tquote " back\\slash' when 2 then 'Übertrag é ✓' end
from generate_series(1, 20000) i;

-- The same name in another schema, on purpose.
create table delivery.orders (
    delivery_id  uuid primary key,
    order_id     bigint not null,
    weight_kg    numeric(9, 3),
    express      boolean not null default false,
    promised_at  timestamp,
    delivered_at timestamptz,
    address      jsonb,
    stops        integer[]
);
insert into delivery.orders
select md5(i::text)::uuid, i, case when i % 4 > 0 then i / 1000.0 end, i % 10 = 0,
    timestamp '2026-11-20 12:00' + i * interval '3 minutes',
    case when i % 2 = 0 then timestamptz '2026-11-20 15:00+00' + i * interval '3 minutes' end,
    case when i % 3 > 0 then jsonb_build_object('street', 'Quay ' || i, 'city', 'Dublin', 'floor', i % 9) end,
    case when i % 5 > 0 then array[i, i + 1, null, i % 3] end
from generate_series(1, 5000) i;

-- Bodies of some 30 kB that do not compress, stored out of line.
create table documents (
    id       integer primary key,
    title    text not null,
    revision integer not null default 1,
    body     text
);
alter table documents alter column body set storage external;
insert into documents
select i, 'Document ' || i, 1,
    (select string_agg(md5(i * 1000 + j || ''), '') from generate_series(1, 900 + i) j)
from generate_series(1, 60) i;

create table stock_take (
    item    text primary key,
    counted integer not null
);
insert into stock_take select 'item ' || i, i * 3 from generate_series(1, 500) i;
